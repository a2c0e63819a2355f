"""The executor that runs jobs in the thread that hands them over."""

from __future__ import annotations

import asyncio
import signal
import sys
import threading
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from apscheduler import current_job, current_run_time, current_scheduler
from apscheduler.events import (
    EVENT_JOB_ERROR,
    EVENT_JOB_EXECUTED,
    EVENT_JOB_MISSED,
    EVENT_SCHEDULER_SHUTDOWN,
)
from apscheduler.executors.debug import DebugExecutor
from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.jobstores.memory import MemoryJobStore
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.schedulers.blocking import BlockingScheduler
from apscheduler.testing import ManualScheduler
from tests import jobs
from tests.recorder import OUTCOMES, PATIENCE, Recorder


def test_a_job_runs_before_its_submission_returns() -> None:
    scheduler = ManualScheduler(executors={"default": DebugExecutor()})
    recorder = Recorder(scheduler, EVENT_JOB_EXECUTED)
    scheduler.start()
    scheduler.add_job(threading.get_ident)
    scheduler.add_job(jobs.give_later, args=["from a coroutine"])
    scheduler.run_due()
    results = {event.retval for event in recorder.events}
    assert results == {threading.get_ident(), "from a coroutine"}


def test_a_run_knows_its_job_its_time_and_its_scheduler() -> None:
    def look() -> tuple[Any, ...]:
        return current_job.get(), current_run_time.get(), current_scheduler.get()

    async def look_later() -> tuple[Any, ...]:
        await asyncio.sleep(0)
        return look()

    scheduler = ManualScheduler(executors={"default": DebugExecutor()})
    recorder = Recorder(scheduler, EVENT_JOB_EXECUTED)
    scheduler.start()
    at = scheduler.now
    added = [scheduler.add_job(func, next_run_time=at) for func in (look, look_later)]
    scheduler.run_due()
    assert [event.retval for event in recorder.events] == [(job, at, scheduler) for job in added]
    with pytest.raises(LookupError):
        look()


def test_a_job_may_wait_for_a_thread_that_shuts_the_scheduler_down_without_waiting() -> None:
    scheduler = BlockingScheduler(executors={"default": DebugExecutor()})
    recorder = Recorder(scheduler, EVENT_JOB_EXECUTED)

    def shut_down() -> str:
        thread = threading.Thread(target=scheduler.shutdown, args=[False], daemon=True)
        thread.start()
        thread.join(PATIENCE)
        return "alive" if thread.is_alive() else "done"

    scheduler.add_job(shut_down)
    scheduler.start()

    assert [event.retval for event in recorder.events] == ["done"]


class Hold:
    """A job that goes on until it is released, and returns which thread has run it."""

    def __init__(self) -> None:
        self.begun, self.release = threading.Event(), threading.Event()

    def __call__(self) -> int:
        self.begun.set()
        assert self.release.wait(PATIENCE)
        return threading.get_ident()


def test_a_shutdown_in_another_thread_waits_for_it_and_leaves_the_rest_to_its_thread() -> None:
    scheduler = BackgroundScheduler(
        executors={"default": DebugExecutor(), "pool": ThreadPoolExecutor(1)}
    )
    recorder = Recorder(scheduler, OUTCOMES | EVENT_SCHEDULER_SHUTDOWN)
    hold = Hold()
    scheduler.start(paused=True)
    at = datetime.now(timezone.utc)
    scheduler.add_job(hold, next_run_time=at, id="1")
    scheduler.add_job(threading.get_ident, next_run_time=at, id="2")
    scheduler.add_job(hold.release.set, next_run_time=at, id="3", executor="pool")
    assert scheduler._thread is not None
    loop = scheduler._thread.ident
    scheduler.resume()
    assert hold.begun.wait(PATIENCE)
    scheduler.shutdown()  # hands over the third one, with which the first one ends

    told = [(getattr(event, "job_id", None), event.code) for event in recorder.events]
    assert sorted(told[:-1]) == [(id, EVENT_JOB_EXECUTED) for id in "123"]
    assert told[-1] == (None, EVENT_SCHEDULER_SHUTDOWN)
    assert {e.job_id: e.retval for e in recorder.of(OUTCOMES)} == {"1": loop, "2": loop, "3": None}


def test_a_shutdown_that_does_not_wait_for_it_leaves_the_rest_to_its_thread_too() -> None:
    scheduler = BlockingScheduler(executors={"default": DebugExecutor()})
    recorder = Recorder(scheduler, OUTCOMES | EVENT_SCHEDULER_SHUTDOWN)
    hold = Hold()
    at = datetime.now(timezone.utc)
    scheduler.add_job(hold, next_run_time=at, id="1")
    scheduler.add_job(threading.get_ident, next_run_time=at, id="2")
    loop = threading.Thread(target=scheduler.start)
    loop.start()
    assert hold.begun.wait(PATIENCE)
    scheduler.shutdown(wait=False)
    assert [event.code for event in recorder.events] == [EVENT_SCHEDULER_SHUTDOWN]

    hold.release.set()
    loop.join(PATIENCE)
    assert [(e.job_id, e.retval) for e in recorder.events[1:]] == [
        ("1", loop.ident),
        ("2", loop.ident),
    ]


@pytest.mark.parametrize("wait", [False, 0.01])
def test_a_shutdown_that_does_not_wait_for_it_does_not_wait_for_its_thread_either(
    wait: bool | float,
) -> None:
    scheduler = BackgroundScheduler(executors={"default": DebugExecutor()})
    begun, release = threading.Event(), threading.Event()
    seen: list[bool] = []

    def hold() -> None:
        begun.set()
        # Longer than a shutdown ever waits for a thread of its own.
        seen.append(release.wait(PATIENCE))

    scheduler.start()
    thread = scheduler._thread
    assert thread is not None
    waited: list[Any] = []
    join = thread.join
    thread.join = waited.append  # type: ignore[method-assign,assignment]
    scheduler.add_job(hold)
    assert begun.wait(PATIENCE)
    scheduler.shutdown(wait)
    release.set()
    join(PATIENCE)

    assert seen == [True]
    assert waited == []


@pytest.fixture
def exit_on_signal() -> Iterator[None]:
    def stop(number: int, frame: Any) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        sys.exit(3)

    before = signal.signal(signal.SIGTERM, stop)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.mark.parametrize(
    ("number", "error"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, SystemExit)]
)
def test_what_a_signal_raises_during_a_job_is_told_and_gets_out(
    number: int, error: type[BaseException], exit_on_signal: None
) -> None:
    scheduler = BlockingScheduler(executors={"default": DebugExecutor()})
    recorder = Recorder(scheduler, OUTCOMES)
    at = datetime.now(timezone.utc)
    scheduler.add_job(signal.raise_signal, args=[number], next_run_time=at, id="1")
    scheduler.add_job(jobs.nothing, next_run_time=at, id="2")
    with pytest.raises(error):
        scheduler.start()
    scheduler.shutdown()

    told = [(event.job_id, event.code) for event in recorder.events]
    assert told == [("1", EVENT_JOB_ERROR), ("2", EVENT_JOB_EXECUTED)]
    assert type(recorder.events[0].exception) is error


@pytest.mark.parametrize("wait", [True, False])
def test_ctrl_c_after_a_job_has_shut_down_loses_none_of_the_runs_that_were_due_with_it(
    wait: bool,
) -> None:
    scheduler = BlockingScheduler(executors={"default": DebugExecutor()})
    recorder = Recorder(scheduler, OUTCOMES)
    at = datetime.now(timezone.utc)
    scheduler.add_job(scheduler.shutdown, args=[wait], next_run_time=at, id="1")
    scheduler.add_job(signal.raise_signal, args=[signal.SIGINT], next_run_time=at, id="2")
    scheduler.add_job(jobs.nothing, next_run_time=at, id="3")

    with pytest.raises(KeyboardInterrupt):
        scheduler.start()

    assert sorted(event.job_id for event in recorder.events) == ["1", "2", "3"]
    told = {event.job_id: event.code for event in recorder.events}
    assert (told["2"], told["3"]) == (EVENT_JOB_ERROR, EVENT_JOB_MISSED)


def test_ctrl_c_during_a_job_keeps_its_other_runs_from_starting_and_they_are_told() -> None:
    scheduler = BlockingScheduler(executors={"default": DebugExecutor()})
    recorder = Recorder(scheduler, OUTCOMES)
    begin = datetime.now(timezone.utc) - timedelta(hours=2.5)
    begun: list[None] = []

    def press() -> None:
        begun.append(None)
        signal.raise_signal(signal.SIGINT)

    scheduler.add_job(
        press,
        "interval",
        hours=1,
        start_date=begin,
        next_run_time=begin,
        coalesce=False,
        misfire_grace_time=None,
    )
    with pytest.raises(KeyboardInterrupt):
        scheduler.start()
    scheduler.shutdown()

    assert len(begun) == 1
    assert [event.code for event in recorder.events] == [EVENT_JOB_ERROR] * 3
    assert {type(event.exception) for event in recorder.events} == {KeyboardInterrupt}


def test_ctrl_c_during_the_last_runs_of_a_shutdown_closes_the_rest_all_the_same() -> None:
    class Store(MemoryJobStore):
        is_closed = False

        def shutdown(self) -> None:
            self.is_closed = True

    store = Store()
    scheduler = BackgroundScheduler(
        executors={"default": DebugExecutor()}, jobstores={"default": store}
    )
    recorder = Recorder(scheduler, OUTCOMES)
    scheduler.start()
    begun, paused = threading.Event(), threading.Event()

    def hold() -> None:
        begun.set()
        assert paused.wait(PATIENCE)

    at = datetime.now(timezone.utc)
    scheduler.pause()
    scheduler.add_job(hold, next_run_time=at, id="1")
    scheduler.add_job(signal.raise_signal, args=[signal.SIGINT], next_run_time=at, id="2")
    scheduler.resume()
    assert begun.wait(PATIENCE)
    scheduler.pause()  # the second one stays behind, for the shutdown to hand over
    paused.set()
    recorder.wait_for()
    scheduler._handover.wait_for_inline(PATIENCE)
    with pytest.raises(KeyboardInterrupt):
        scheduler.shutdown()

    assert store.is_closed
    assert [event.code for event in recorder.events] == [EVENT_JOB_EXECUTED, EVENT_JOB_ERROR]
