"""What becomes of runs when their event loop ends before the scheduler is shut down."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from threading import Event, Thread, current_thread
from typing import Any

import pytest

from apscheduler.events import (
    EVENT_JOB_ERROR,
    EVENT_JOB_EXECUTED,
    EVENT_JOB_MISSED,
    EVENT_JOB_SUBMITTED,
    EVENT_SCHEDULER_SHUTDOWN,
)
from apscheduler.executors.asyncio import AsyncIOExecutor
from apscheduler.executors.base import LoopEndedError
from apscheduler.jobstores.memory import MemoryJobStore
from apscheduler.schedulers import SchedulerAlreadyRunningError
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from tests.loops import until
from tests.recorder import OUTCOMES, PATIENCE, Recorder

# The beginning of a program, up to the end of a class.
WITH_A_SLOW_STORE = """
import asyncio, threading
from apscheduler.events import EVENT_JOB_MISSED, EVENT_SCHEDULER_SHUTDOWN
from apscheduler.jobstores.memory import MemoryJobStore
from apscheduler.schedulers.asyncio import AsyncIOScheduler

async def begin_pass(scheduler):
    scheduler.start()
    while not Slow.asked.is_set():
        await asyncio.sleep(0.001)

class Slow(MemoryJobStore):
    asked, goes_on = threading.Event(), threading.Event()
    def may_block(self):
        return True
    def get_due_jobs(self, now):
        self.asked.set()
        self.goes_on.wait()
        return super().get_due_jobs(now)"""


def run_and_close(loop: asyncio.AbstractEventLoop, main: Any) -> None:
    """Run a loop, and close it without cancelling what still goes on in it."""
    loop.run_until_complete(main)
    loop.close()


def run_program(program: str) -> subprocess.CompletedProcess[str]:
    """Run a program to its end; one that hangs fails the test."""
    command = [sys.executable, "-c", program]
    return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)


class Hanging(MemoryJobStore):
    """Does not return the jobs that are due before it is let go on."""

    def __init__(self) -> None:
        super().__init__()
        self.asked, self.goes_on = Event(), Event()
        self.closed_in: list[Thread] = []

    def may_block(self) -> bool:
        return True

    def get_due_jobs(self, now: Any) -> Any:
        self.asked.set()
        assert self.goes_on.wait(PATIENCE)
        return super().get_due_jobs(now)

    def shutdown(self) -> None:
        self.closed_in.append(current_thread())


@pytest.fixture
def store() -> Iterator[Hanging]:
    store = Hanging()
    yield store
    store.goes_on.set()


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()


class TestRuns:
    def test_one_that_its_loop_left_behind_is_told_and_runs_again_on_another_loop(self) -> None:
        begun: list[asyncio.AbstractEventLoop] = []

        async def job() -> None:
            begun.append(asyncio.get_running_loop())
            if len(begun) == 1:
                await asyncio.Event().wait()

        async def first() -> None:
            scheduler.start()
            scheduler.add_job(job, "interval", hours=1, id="job")
            scheduler.modify_job("job", next_run_time=scheduler._now())
            await until(lambda: begun)

        async def second() -> None:
            async with scheduler:
                scheduler.add_job(job, id="job", replace_existing=True)
                await until(lambda: recorder.of(EVENT_JOB_EXECUTED))

        scheduler = AsyncIOScheduler()
        recorder = Recorder(scheduler)
        run_and_close(asyncio.new_event_loop(), first())
        scheduler.shutdown()
        (event,) = recorder.of(OUTCOMES)
        assert isinstance(event.exception, LoopEndedError)
        asyncio.run(second())
        assert len(begun) == 2
        assert "JOB_MAX_INSTANCES" not in recorder.names

    def test_those_that_were_made_keep_their_outcome(self) -> None:
        made: list[int] = []

        async def job() -> int:
            made.append(len(made))
            if len(made) == 3:
                await asyncio.Event().wait()
            return len(made)

        async def main() -> None:
            scheduler.start()
            overdue = scheduler._now() - timedelta(seconds=4)
            settings: dict[str, Any] = {"start_date": overdue, "next_run_time": overdue}
            scheduler.add_job(job, "interval", seconds=1, coalesce=False, **settings)
            await until(lambda: len(made) == 3)

        scheduler = AsyncIOScheduler()
        recorder = Recorder(scheduler)
        run_and_close(asyncio.new_event_loop(), main())
        scheduler.shutdown()
        outcomes = recorder.of(OUTCOMES)
        assert [event.retval for event in outcomes[:2]] == [1, 2]
        assert len(outcomes) >= 5
        assert {event.code for event in outcomes[2:]} == {EVENT_JOB_ERROR}
        assert len({event.scheduled_run_time for event in outcomes}) == len(outcomes)

    @pytest.mark.parametrize("max_workers", [None, 1])
    def test_one_in_a_thread_that_ends_after_its_loop_is_told(
        self, max_workers: int | None
    ) -> None:
        begun, goes_on = Event(), Event()

        def job() -> str:
            begun.set()
            assert goes_on.wait(PATIENCE)
            return "result"

        async def main() -> None:
            scheduler.start()
            scheduler.add_job(job)
            await until(begun.is_set)

        scheduler = AsyncIOScheduler(executors={"default": AsyncIOExecutor(max_workers)})
        recorder = Recorder(scheduler)
        run_and_close(asyncio.new_event_loop(), main())
        goes_on.set()
        (event,) = recorder.wait_for()
        assert event.retval == "result"
        scheduler.shutdown()
        assert len(recorder.of(OUTCOMES)) == 1

    def test_one_whose_outcome_the_loop_has_not_taken_any_more_is_told_at_the_shutdown(
        self, loop: asyncio.AbstractEventLoop
    ) -> None:
        def job() -> str:
            loop.call_soon_threadsafe(loop.stop)
            return "result"

        scheduler = AsyncIOScheduler(executors={"default": AsyncIOExecutor(1)}, event_loop=loop)
        recorder = Recorder(scheduler)
        scheduler.start()
        scheduler.add_job(job)
        loop.run_forever()
        pool = scheduler._lookup_executor("default")._pool  # type: ignore[attr-defined]
        pool.shutdown()  # so that the thread has ended
        scheduler.shutdown()
        loop.close()
        (event,) = recorder.of(OUTCOMES)
        assert event.retval == "result"

    def test_one_that_no_thread_has_begun_is_told_when_the_pool_is_left_behind(self) -> None:
        begun, goes_on = Event(), Event()

        def first() -> None:
            begun.set()
            goes_on.wait(PATIENCE)

        async def main() -> None:
            scheduler.start()
            scheduler.add_job(first, id="first")
            scheduler.add_job(print, id="second")
            await until(lambda: begun.is_set() and len(recorder.of(EVENT_JOB_SUBMITTED)) == 2)

        executor = AsyncIOExecutor(1)
        scheduler = AsyncIOScheduler(executors={"default": executor})
        recorder = Recorder(scheduler)
        run_and_close(asyncio.new_event_loop(), main())
        executor.shutdown(0.01)
        (event,) = recorder.wait_for()
        assert (event.code, event.job_id) == (EVENT_JOB_ERROR, "second")
        goes_on.set()
        assert [event.job_id for event in recorder.wait_for(count=2)] == ["second", "first"]
        scheduler.shutdown()

    def test_they_are_told_at_the_exit_of_the_interpreter(self) -> None:
        program = """
import asyncio
from apscheduler.events import EVENT_JOB_ERROR
from apscheduler.schedulers.asyncio import AsyncIOScheduler

async def job(begun):
    begun.set()
    await asyncio.Event().wait()

async def main():
    begun = asyncio.Event()
    scheduler = AsyncIOScheduler()
    scheduler.add_listener(lambda event: print(event.job_id, event.exception), EVENT_JOB_ERROR)
    scheduler.start()
    scheduler.add_job(job, args=[begun], id="cut off")
    await begun.wait()

loop = asyncio.new_event_loop()
loop.run_until_complete(main())
loop.close()
"""
        done = run_program(program)
        assert done.stdout == 'cut off The event loop ended before the run of job "cut off" did\n'
        assert "Error running job cut off" in done.stderr

    def test_a_shutdown_in_the_middle_of_which_the_loop_ends_is_ended_by_the_next_start(
        self,
    ) -> None:
        begun, goes_on = Event(), Event()

        def job() -> None:
            begun.set()
            assert goes_on.wait(PATIENCE)

        async def first() -> None:
            scheduler.start()
            scheduler.add_job(job)
            await until(begun.is_set)
            scheduler.shutdown()  # not awaited

        async def second() -> None:
            async with scheduler:
                scheduler.add_job(asyncio.sleep, args=[0], id="second")
                await until(lambda: recorder.of(EVENT_JOB_EXECUTED))

        scheduler = AsyncIOScheduler(executors={"default": AsyncIOExecutor(1)})
        recorder = Recorder(scheduler)
        loop = asyncio.new_event_loop()
        loop.run_until_complete(first())  # it is not closed, and does not say that it has ended
        asyncio.run(second())
        assert recorder.of(EVENT_JOB_EXECUTED)[0].job_id == "second"
        assert len(recorder.of(EVENT_SCHEDULER_SHUTDOWN)) == 2
        goes_on.set()
        recorder.wait_for(EVENT_JOB_EXECUTED, 2)
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()
        assert len(recorder.of(EVENT_SCHEDULER_SHUTDOWN)) == 2


class TestPasses:
    def test_the_scheduler_starts_anew_when_its_loop_has_ended_in_the_middle_of_one(
        self, store: Hanging
    ) -> None:
        async def first() -> None:
            scheduler.start()
            scheduler.add_job(asyncio.sleep, "interval", hours=1, args=[0], id="job")
            await until(store.asked.is_set)

        async def second() -> None:
            async with scheduler:
                scheduler.modify_job("job", next_run_time=scheduler._now())
                await until(lambda: recorder.of(EVENT_JOB_EXECUTED))

        scheduler = AsyncIOScheduler(jobstores={"default": store})
        recorder = Recorder(scheduler)
        loop = asyncio.new_event_loop()
        loop.run_until_complete(first())  # the loop is not closed, and so refuses nothing
        store.goes_on.set()
        scheduler.shutdown()
        asyncio.run(second())
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()
        assert len(recorder.of(EVENT_JOB_EXECUTED)) == 1
        assert not scheduler.running

    def test_the_runs_that_one_has_moved_on_are_told_at_the_exit_of_the_interpreter(self) -> None:
        program = (
            WITH_A_SLOW_STORE
            + """
async def main():
    scheduler = AsyncIOScheduler(jobstores={"default": Slow()})
    scheduler.add_listener(lambda event: print("missed", event.job_id), EVENT_JOB_MISSED)
    scheduler.add_job(print, id="job")
    await begin_pass(scheduler)

loop = asyncio.new_event_loop()
loop.run_until_complete(main())
Slow.goes_on.set()
"""
        )
        done = run_program(program)
        assert done.stdout == "missed job\n", done.stderr
        assert "was never handed to its executor" in done.stderr

    def test_the_exit_waits_for_one_that_goes_on(self) -> None:
        program = (
            WITH_A_SLOW_STORE
            + """
import atexit

async def main():
    scheduler = AsyncIOScheduler(jobstores={"default": Slow()})
    scheduler.add_listener(lambda event: print("missed", event.job_id), EVENT_JOB_MISSED)
    scheduler.add_job(print, id="job")
    await begin_pass(scheduler)

loop = asyncio.new_event_loop()
loop.run_until_complete(main())
atexit.register(Slow.goes_on.set)
"""
        )
        done = run_program(program)
        assert done.stdout == "missed job\n", done.stderr

    def test_the_exit_does_not_wait_for_one_that_a_shutdown_has_given_up(self) -> None:
        program = (
            WITH_A_SLOW_STORE
            + """
async def main():
    scheduler = AsyncIOScheduler(jobstores={"default": Slow()})
    await begin_pass(scheduler)
    await scheduler.shutdown(wait=False)
    print("shut down")

asyncio.run(main())
"""
        )
        done = run_program(program)
        assert done.stdout == "shut down\n", done.stderr
        assert done.returncode == 0

    @pytest.mark.parametrize(
        ("at_the_end", "is_shut_down"),
        [
            ("pass", False),
            ("scheduler.shutdown()", True),
            ("scheduler.shutdown(wait=False)", True),
            ("scheduler.shutdown(wait=0.1)", True),
        ],
    )
    def test_the_exit_does_not_wait_for_ever_for_one_that_hangs(
        self, at_the_end: str, is_shut_down: bool
    ) -> None:
        program = (
            WITH_A_SLOW_STORE
            + f"""
async def main():
    scheduler = AsyncIOScheduler(jobstores={{"default": Slow()}})
    scheduler.add_listener(lambda event: print("shut down"), EVENT_SCHEDULER_SHUTDOWN)
    await begin_pass(scheduler)
    {at_the_end}  # it is not awaited

asyncio.run(main())
"""
        )
        done = run_program(program)
        assert done.returncode == 0
        assert done.stderr == "A job store does not answer: the program ends all the same\n"
        assert done.stdout == ("shut down\n" if is_shut_down else "")

    def test_a_shutdown_that_waits_for_one_is_ended_at_the_exit_of_the_interpreter(self) -> None:
        program = (
            WITH_A_SLOW_STORE
            + """
    def shutdown(self):
        print("closed")

async def main():
    scheduler = AsyncIOScheduler(jobstores={"default": Slow()})
    scheduler.add_listener(lambda event: print("missed", event.job_id), EVENT_JOB_MISSED)
    scheduler.add_listener(lambda event: print("shut down"), EVENT_SCHEDULER_SHUTDOWN)
    scheduler.add_job(print, id="job")
    await begin_pass(scheduler)
    scheduler.shutdown()

loop = asyncio.new_event_loop()
loop.run_until_complete(main())
Slow.goes_on.set()
"""
        )
        done = run_program(program)
        assert done.stdout.splitlines() == ["closed", "missed job", "shut down"], done.stderr

    def test_a_job_that_is_added_when_the_loop_is_closed_is_kept(self) -> None:
        async def main() -> None:
            scheduler.start()

        async def again() -> None:
            async with scheduler:
                await until(lambda: recorder.of(EVENT_JOB_EXECUTED))

        class Kept(MemoryJobStore):
            def shutdown(self) -> None:
                """Keep the jobs, as a store on a disk does."""

        scheduler = AsyncIOScheduler(jobstores={"default": Kept()})
        recorder = Recorder(scheduler)
        asyncio.run(main())
        scheduler.add_job(asyncio.sleep, args=[0], id="kept")
        assert scheduler.get_job("kept") is not None
        scheduler.pause()
        scheduler.resume()
        scheduler.shutdown()
        asyncio.run(again())
        assert recorder.of(EVENT_JOB_EXECUTED)[0].job_id == "kept"

    def test_what_a_store_raises_beside_exceptions_does_not_end_them(self) -> None:
        errors: list[BaseException] = [asyncio.CancelledError(), SystemExit(1)]

        class Raises(MemoryJobStore):
            def may_block(self) -> bool:
                return True

            def get_due_jobs(self, now: Any) -> Any:
                if errors:
                    raise errors.pop()
                return super().get_due_jobs(now)

        async def main() -> Recorder:
            scheduler = AsyncIOScheduler(
                jobstores={"default": Raises()}, jobstore_retry_interval=0.01
            )
            recorder = Recorder(scheduler)
            async with scheduler:
                scheduler.add_job(asyncio.sleep, args=[0])
                await until(lambda: recorder.of(EVENT_JOB_EXECUTED))
            return recorder

        assert asyncio.run(main()).names.count("JOB_EXECUTED") == 1

    @pytest.mark.parametrize("may_block", [True, False])
    def test_what_their_hook_raises_beside_exceptions_does_not_end_them(
        self, may_block: bool
    ) -> None:
        errors: list[BaseException] = [asyncio.CancelledError()]

        class Scheduler(AsyncIOScheduler):
            def _process_jobs(self) -> float | None:
                if errors:
                    raise errors.pop()
                return super()._process_jobs()

        class Store(MemoryJobStore):
            def may_block(self) -> bool:
                return may_block

        async def main() -> Recorder:
            asyncio.get_running_loop().set_exception_handler(lambda loop, context: None)
            scheduler = Scheduler(jobstores={"default": Store()}, jobstore_retry_interval=0.01)
            recorder = Recorder(scheduler)
            scheduler.add_job(asyncio.sleep, args=[0])
            async with scheduler:
                await until(lambda: recorder.of(EVENT_JOB_EXECUTED))
            return recorder

        assert asyncio.run(main()).names.count("JOB_EXECUTED") == 1


class TestShutdown:
    def test_a_store_that_may_block_is_closed_beside_the_loop(self, store: Hanging) -> None:
        async def main() -> None:
            scheduler = AsyncIOScheduler(jobstores={"default": store})
            store.goes_on.set()
            scheduler.start()
            await scheduler.shutdown()

        asyncio.run(main())
        assert len(store.closed_in) == 1
        assert store.closed_in[0] is not current_thread()

    @pytest.mark.parametrize("is_woken", [False, True])
    @pytest.mark.parametrize("wait", [False, 0.01])
    def test_it_ends_without_a_store_that_hangs_in_the_middle_of_a_pass(
        self,
        store: Hanging,
        wait: bool | float,
        is_woken: bool,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr("apscheduler.schedulers._timer.STORE_SECONDS", 0.01)
        scheduler = AsyncIOScheduler(jobstores={"default": store})
        recorder = Recorder(scheduler)

        async def main() -> None:
            scheduler.add_job(asyncio.sleep, args=[0])
            scheduler.start()
            await until(store.asked.is_set)
            if is_woken:
                scheduler.wakeup()
            await scheduler.shutdown(wait)
            assert not store.goes_on.is_set()
            with pytest.raises(SchedulerAlreadyRunningError):
                scheduler.start()
            store.goes_on.set()
            await until(lambda: recorder.of(EVENT_SCHEDULER_SHUTDOWN))

        asyncio.run(main())
        # What it had moved on is told, too.
        (event,) = recorder.wait_for()
        assert event.code == EVENT_JOB_MISSED

    def test_it_ends_without_a_store_that_hangs_though_the_loop_has_ended(
        self, store: Hanging, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("apscheduler.schedulers._timer.STORE_SECONDS", 0.01)
        scheduler = AsyncIOScheduler(jobstores={"default": store})
        recorder = Recorder(scheduler)

        async def main() -> None:
            scheduler.add_job(asyncio.sleep, args=[0])
            scheduler.start()
            await until(store.asked.is_set)

        run_and_close(asyncio.new_event_loop(), main())
        assert scheduler.shutdown(False).done()
        assert not store.goes_on.is_set()
        store.goes_on.set()
        recorder.wait_for(EVENT_SCHEDULER_SHUTDOWN)
        (event,) = recorder.wait_for()
        assert event.code == EVENT_JOB_MISSED

    def test_it_ends_if_the_loop_is_closed_while_it_waits_for_a_pass(self, store: Hanging) -> None:
        async def main() -> None:
            scheduler.add_job(asyncio.sleep, args=[0])
            scheduler.start()
            await until(store.asked.is_set)
            scheduler.shutdown()

        scheduler = AsyncIOScheduler(jobstores={"default": store})
        recorder = Recorder(scheduler)
        run_and_close(asyncio.new_event_loop(), main())
        store.goes_on.set()
        recorder.wait_for(EVENT_SCHEDULER_SHUTDOWN)
        (event,) = recorder.wait_for()
        assert event.code == EVENT_JOB_MISSED

    def test_it_ends_without_a_store_that_hangs_while_it_is_closed(
        self, store: Hanging, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("apscheduler.schedulers._timer.STORE_SECONDS", 0.01)
        monkeypatch.setattr(store, "shutdown", partial(store.goes_on.wait, PATIENCE))
        monkeypatch.setattr(store, "get_due_jobs", lambda now: [])

        async def main() -> Recorder:
            scheduler = AsyncIOScheduler(jobstores={"default": store})
            recorder = Recorder(scheduler)
            scheduler.start()
            await scheduler.shutdown(False)
            assert not recorder.of(EVENT_SCHEDULER_SHUTDOWN)
            store.goes_on.set()
            await until(lambda: recorder.of(EVENT_SCHEDULER_SHUTDOWN))
            return recorder

        assert len(asyncio.run(main()).of(EVENT_SCHEDULER_SHUTDOWN)) == 1
