"""Jobs on an asyncio event loop, and in the threads beside it."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from functools import partial
from threading import Barrier, Event, current_thread
from typing import Any

import pytest

from apscheduler.events import EVENT_JOB_ERROR, EVENT_JOB_EXECUTED
from apscheduler.executors.asyncio import AsyncIOExecutor
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.schedulers.background import BackgroundScheduler
from tests.loops import until
from tests.recorder import PATIENCE, Recorder


async def where(word: str = "") -> tuple[str, str]:
    await asyncio.sleep(0)
    return current_thread().name, word


class Callable1:
    async def __call__(self, word: str = "") -> tuple[str, str]:
        return await where(word)

    async def method(self) -> tuple[str, str]:
        return await where()


class Inherits(Callable1):
    pass


async def result_of(func: Any, executor: AsyncIOExecutor | None = None) -> Any:
    async with AsyncIOScheduler(executors={"default": executor or AsyncIOExecutor()}) as scheduler:
        recorder = Recorder(scheduler)
        scheduler.add_job(func)
        await until(lambda: recorder.of(EVENT_JOB_EXECUTED))
    return recorder.of(EVENT_JOB_EXECUTED)[0].retval


@pytest.mark.parametrize(
    "func",
    [
        where,
        partial(where, word=""),
        partial(partial(where), ""),
        Callable1(),
        Inherits(),
        partial(Callable1(), ""),
        Callable1().method,
    ],
)
def test_whatever_makes_a_coroutine_runs_on_the_loop(func: Any) -> None:
    assert asyncio.run(result_of(func)) == (current_thread().name, "")


def test_other_functions_run_in_the_default_executor_of_the_loop() -> None:
    assert asyncio.run(result_of(lambda: current_thread().name)).startswith("asyncio_")


def test_a_function_that_returns_a_coroutine_is_run_to_its_end() -> None:
    name, word = asyncio.run(result_of(lambda: where("word")))
    assert name != current_thread().name
    assert word == "word"


def test_with_max_workers_other_functions_run_in_a_pool_of_its_own() -> None:
    executor = AsyncIOExecutor(max_workers=2)
    name = asyncio.run(result_of(lambda: current_thread().name, executor))
    assert name.startswith("APScheduler")
    assert asyncio.run(result_of(where, executor)) == (current_thread().name, "")  # once more


def test_so_many_functions_run_at_once_and_no_more() -> None:
    both_run, goes_on = Barrier(2), Event()
    begun: list[str] = []

    def job(name: str) -> None:
        begun.append(name)
        both_run.wait(PATIENCE)
        assert goes_on.wait(PATIENCE)

    async def main() -> Recorder:
        executors = {"default": AsyncIOExecutor(max_workers=2)}
        async with AsyncIOScheduler(executors=executors) as scheduler:
            recorder = Recorder(scheduler)
            scheduler.add_jobs([{"func": job, "args": [name]} for name in "abcd"])
            await until(lambda: both_run.n_waiting == 0 and len(begun) == 2)
            await until(lambda: recorder.names.count("JOB_SUBMITTED") == 4)
            assert len(begun) == 2
            goes_on.set()
        return recorder

    assert asyncio.run(main()).names.count("JOB_EXECUTED") == 4
    assert sorted(begun) == ["a", "b", "c", "d"]


@pytest.mark.parametrize("max_workers", [0, -1])
def test_it_needs_at_least_one_worker(max_workers: int) -> None:
    with pytest.raises(ValueError, match="max_workers"):
        AsyncIOExecutor(max_workers)


def test_a_scheduler_without_an_event_loop_is_told_what_to_use() -> None:
    scheduler = BackgroundScheduler(executors={"default": AsyncIOExecutor()})
    with pytest.raises(TypeError, match="BackgroundScheduler has none: use AsyncIOScheduler"):
        scheduler.start()


def test_a_run_that_no_thread_has_begun_is_told_when_the_pool_is_left_behind() -> None:
    begun, goes_on = Event(), Event()

    def first() -> None:
        begun.set()
        goes_on.wait(PATIENCE)

    async def main() -> Recorder:
        scheduler = AsyncIOScheduler(executors={"default": AsyncIOExecutor(max_workers=1)})
        recorder = Recorder(scheduler)
        scheduler.start()
        scheduler.add_job(first)
        await asyncio.to_thread(begun.wait, PATIENCE)
        scheduler.add_job(print, id="waits")
        await until(lambda: recorder.names.count("JOB_SUBMITTED") == 2)
        await scheduler.shutdown(0.01)
        await until(lambda: recorder.of(EVENT_JOB_ERROR))
        goes_on.set()
        return recorder

    (event,) = asyncio.run(main()).of(EVENT_JOB_ERROR)
    assert event.job_id == "waits"


def test_a_submission_that_is_cancelled_makes_no_more_runs_and_tells_of_each() -> None:
    begun: list[str] = []

    async def job() -> None:
        begun.append("run")
        await asyncio.Event().wait()

    async def main() -> Recorder:
        scheduler = AsyncIOScheduler()
        recorder = Recorder(scheduler)
        scheduler.start()
        overdue = scheduler._now() - timedelta(seconds=2)
        scheduler.add_job(
            job,
            "interval",
            seconds=1,
            start_date=overdue,
            next_run_time=overdue,
            coalesce=False,
        )
        await until(lambda: begun)
        await scheduler.shutdown(wait=False)
        return recorder

    errors = asyncio.run(main()).of(EVENT_JOB_ERROR)
    assert begun == ["run"]
    assert len(errors) >= 3
    assert {type(event.exception) for event in errors} == {asyncio.CancelledError}


def test_what_a_run_waits_for_may_be_cancelled_without_the_other_runs() -> None:
    begun: list[str] = []

    async def job() -> None:
        begun.append("run")
        inner = asyncio.get_running_loop().create_future()
        inner.cancel()
        await inner

    async def main() -> Recorder:
        scheduler = AsyncIOScheduler()
        recorder = Recorder(scheduler)
        async with scheduler:
            overdue = scheduler._now() - timedelta(seconds=2)
            settings: dict[str, Any] = {"start_date": overdue, "next_run_time": overdue}
            scheduler.add_job(job, "interval", seconds=1, coalesce=False, **settings)
            await until(lambda: recorder.of(EVENT_JOB_ERROR))
        return recorder

    errors = asyncio.run(main()).of(EVENT_JOB_ERROR)
    assert len(begun) == len(errors) >= 3


def test_a_coroutine_that_refuses_to_be_cancelled_does_not_hold_up_the_shutdown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("apscheduler.executors._loop.CANCEL_SECONDS", 0.05)
    refused: list[str] = []

    async def main() -> list[str]:
        goes_on = asyncio.Event()

        async def job() -> None:
            try:
                await goes_on.wait()
            except asyncio.CancelledError:
                refused.append("refused")
                await goes_on.wait()

        scheduler = AsyncIOScheduler()
        recorder = Recorder(scheduler)
        scheduler.start()
        scheduler.add_job(job)
        await until(lambda: "JOB_SUBMITTED" in recorder.names)
        await asyncio.sleep(0)
        await scheduler.shutdown(wait=False)
        names = recorder.names
        goes_on.set()
        await until(lambda: "JOB_EXECUTED" in recorder.names)
        return names

    assert asyncio.run(main())[-1] == "SCHEDULER_SHUTDOWN"
    assert refused == ["refused"]


def test_removing_an_executor_on_its_loop_lets_its_runs_end() -> None:
    async def main() -> Recorder:
        goes_on = asyncio.Event()
        scheduler = AsyncIOScheduler(executors={"other": AsyncIOExecutor()})
        recorder = Recorder(scheduler)
        async with scheduler:
            scheduler.add_job(goes_on.wait, executor="other")
            await until(lambda: "JOB_SUBMITTED" in recorder.names)
            scheduler.remove_executor("other")
            goes_on.set()
            await until(lambda: "JOB_EXECUTED" in recorder.names)
        return recorder

    names = asyncio.run(main()).names
    assert names.index("EXECUTOR_REMOVED") < names.index("JOB_EXECUTED")
