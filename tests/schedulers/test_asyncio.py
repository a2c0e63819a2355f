"""What AsyncIOScheduler does beyond SchedulerContract."""

from __future__ import annotations

import asyncio
import contextvars
import os
import signal
import subprocess
import sys
import warnings
from functools import partial
from threading import Event, Thread
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
from apscheduler.executors.base import BaseExecutor
from apscheduler.jobstores.memory import MemoryJobStore
from apscheduler.schedulers import SchedulerNotRunningError
from apscheduler.schedulers.asyncio import AsyncIOScheduler, run_in_event_loop
from tests.loops import until
from tests.recorder import OUTCOMES, PATIENCE, Recorder


class TestStart:
    def test_it_may_be_built_before_the_loop_runs(self) -> None:
        said: list[str] = []
        scheduler = AsyncIOScheduler()
        scheduler.add_job(said.append, args=["ran"])

        async def main() -> None:
            scheduler.start()
            await until(lambda: said)
            await scheduler.shutdown()

        asyncio.run(main())
        assert said == ["ran"]

    def test_outside_a_running_loop_it_says_what_to_do_and_stays_stopped(self) -> None:
        scheduler = AsyncIOScheduler()
        with pytest.raises(RuntimeError, match=r"in a coroutine, or .*event_loop=loop"):
            scheduler.start()

        assert not scheduler.running

    def test_it_may_be_started_on_a_loop_that_runs_later(self) -> None:
        said: list[str] = []
        loop = asyncio.new_event_loop()
        scheduler = AsyncIOScheduler(event_loop=loop)
        scheduler.start()
        scheduler.add_job(said.append, args=["ran"])
        loop.run_until_complete(until(lambda: said))
        scheduler.shutdown()
        loop.close()
        assert said == ["ran"]

    def test_it_may_be_started_on_a_loop_that_runs_in_another_thread(self) -> None:
        loop = asyncio.new_event_loop()
        thread = Thread(target=loop.run_forever)
        thread.start()
        scheduler = AsyncIOScheduler(event_loop=loop)
        recorder = Recorder(scheduler)
        scheduler.start()
        scheduler.add_job(asyncio.sleep, args=[0, "result"])
        (event,) = recorder.wait_for(EVENT_JOB_EXECUTED)
        scheduler.shutdown()
        recorder.wait_for(EVENT_SCHEDULER_SHUTDOWN)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
        assert event.retval == "result"

    @pytest.mark.parametrize("starts", [1, 2])
    def test_the_loop_may_be_assigned_as_in_3x(self, starts: int) -> None:
        said: list[str] = []
        scheduler = AsyncIOScheduler()
        for number in range(starts):
            loop = asyncio.new_event_loop()
            scheduler._eventloop = loop
            scheduler.start()
            scheduler.add_job(said.append, args=[f"ran on {number}"])
            loop.run_until_complete(until(lambda: len(said) > number))  # noqa: B023
            scheduler.shutdown()
            loop.close()
        assert said == [f"ran on {number}" for number in range(starts)]

        async def main() -> None:
            scheduler._eventloop = None
            async with scheduler:
                assert scheduler._eventloop is asyncio.get_running_loop()

        asyncio.run(main())

    @pytest.mark.parametrize("is_assigned", [True, False])
    def test_a_loop_that_is_given_is_used_though_an_earlier_start_had_found_it(
        self, is_assigned: bool
    ) -> None:
        async def main() -> None:
            async with scheduler:
                pass

        scheduler = AsyncIOScheduler()
        loop = asyncio.new_event_loop()
        loop.run_until_complete(main())
        if is_assigned:
            scheduler._eventloop = loop
        else:
            scheduler.configure(event_loop=loop)
        scheduler.start()
        loop.run_until_complete(scheduler.shutdown())
        loop.close()

    def test_it_refuses_a_closed_loop(self) -> None:
        loop = asyncio.new_event_loop()
        loop.close()
        with pytest.raises(RuntimeError, match="closed"):
            AsyncIOScheduler(event_loop=loop).start()

    def test_what_is_no_loop_is_refused_when_it_is_given(self) -> None:
        with pytest.raises(TypeError, match=r"event_loop must be an asyncio event loop.* got 5"):
            AsyncIOScheduler(event_loop=5)

    def test_it_may_be_started_anew_on_another_loop(self) -> None:
        said: list[int] = []
        scheduler = AsyncIOScheduler()

        async def main(number: int) -> None:
            async with scheduler:
                scheduler.add_job(said.append, args=[number])
                await until(lambda: number in said)

        asyncio.run(main(1))
        asyncio.run(main(2))
        assert said == [1, 2]

    def test_after_a_start_that_failed_it_starts_on_the_loop_that_runs(self) -> None:
        class Broken(MemoryJobStore):
            def start(self, scheduler: Any, alias: str) -> None:
                raise OSError("as is to be expected")

        scheduler = AsyncIOScheduler(jobstores={"other": Broken()})

        async def fail() -> None:
            with pytest.raises(OSError, match="expected"):
                scheduler.start()

        async def succeed() -> None:
            scheduler.remove_jobstore("other")
            async with scheduler:
                assert scheduler._eventloop is asyncio.get_running_loop()

        asyncio.run(fail())
        asyncio.run(succeed())


def test_there_is_one_timer_however_often_the_loop_is_woken() -> None:
    class Loop(asyncio.SelectorEventLoop):
        def call_at(self, *args: Any, **kwargs: Any) -> asyncio.TimerHandle:
            timers.append(super().call_at(*args, **kwargs))
            return timers[-1]

    async def main() -> None:
        async with AsyncIOScheduler() as scheduler:
            scheduler.add_job(said.append, "interval", hours=1, args=["later"])
            for number in range(20):
                scheduler.add_job(said.append, args=[number])
                scheduler.wakeup()
                await until(lambda: number in said)  # noqa: B023  # called before the next one
            armed = [timer for timer in timers if not timer.cancelled() and timer.when() > now()]
            assert armed == [scheduler._timeout]
        assert scheduler._timeout is None
        assert armed[0].cancelled()

    said: list[object] = []
    timers: list[asyncio.TimerHandle] = []
    loop = Loop()
    now = loop.time
    loop.run_until_complete(main())
    loop.close()


class TestShutdown:
    async def shut_down(self, wait: bool | float) -> tuple[list[str], Recorder]:
        """Shut down while a coroutine is half-way; return what it has said."""
        said: list[str] = []
        goes_on = asyncio.Event()

        async def job() -> None:
            said.append("begins")
            try:
                await goes_on.wait()
                said.append("ends")
            finally:
                said.append("cleans up")

        scheduler = AsyncIOScheduler()
        recorder = Recorder(scheduler)
        scheduler.start()
        scheduler.add_job(job)
        await until(lambda: said)
        finished = scheduler.shutdown(wait)
        assert not scheduler.running
        assert not finished.done()
        if wait is True:
            goes_on.set()
        await finished
        return said, recorder

    def test_it_lets_running_coroutines_end(self) -> None:
        said, recorder = asyncio.run(self.shut_down(True))
        assert said == ["begins", "ends", "cleans up"]
        assert recorder.names[-2:] == ["JOB_EXECUTED", "SCHEDULER_SHUTDOWN"]

    @pytest.mark.parametrize("wait", [False, 0.01])
    def test_it_cancels_them_if_it_shall_not_wait_or_no_longer(self, wait: bool | float) -> None:
        said, recorder = asyncio.run(self.shut_down(wait))
        assert said == ["begins", "cleans up"]
        assert recorder.names[-2:] == ["JOB_ERROR", "SCHEDULER_SHUTDOWN"]
        (event,) = recorder.of(EVENT_JOB_ERROR)
        assert isinstance(event.exception, asyncio.CancelledError)

    def test_it_is_done_at_once_if_nothing_runs(self) -> None:
        async def main() -> None:
            scheduler = AsyncIOScheduler()
            recorder = Recorder(scheduler)
            scheduler.start()
            assert scheduler.shutdown().done()
            assert recorder.names[-1] == "SCHEDULER_SHUTDOWN"

        asyncio.run(main())

    def test_what_was_due_before_it_runs_even_if_the_loop_has_not_got_to_it(self) -> None:
        async def main() -> Recorder:
            scheduler = AsyncIOScheduler()
            recorder = Recorder(scheduler)
            scheduler.add_jobs([{"func": asyncio.sleep, "args": [0]}] * 200)
            scheduler.start()
            await until(lambda: "JOB_SUBMITTED" in recorder.names)
            assert recorder.names.count("JOB_SUBMITTED") < 200
            await scheduler.shutdown()
            return recorder

        assert asyncio.run(main()).names.count("JOB_EXECUTED") == 200

    def test_it_need_not_be_awaited(self) -> None:
        async def main() -> None:
            scheduler = AsyncIOScheduler()
            scheduler.start()
            scheduler.add_job(asyncio.sleep, args=[60])
            await until(lambda: scheduler._lookup_executor("default")._pending_futures)  # type: ignore[attr-defined]
            scheduler.shutdown()

        with warnings.catch_warnings():
            warnings.simplefilter("error")
            asyncio.run(main(), debug=True)

    def test_whoever_awaits_it_may_give_up(self) -> None:
        async def main() -> Recorder:
            scheduler = AsyncIOScheduler()
            recorder = Recorder(scheduler)
            goes_on = asyncio.Event()
            scheduler.start()
            scheduler.add_job(goes_on.wait)
            await until(lambda: "JOB_SUBMITTED" in recorder.names)
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(scheduler.shutdown(), 0.01)
            goes_on.set()
            await until(lambda: "SCHEDULER_SHUTDOWN" in recorder.names)
            return recorder

        assert asyncio.run(main()).names[-2:] == ["JOB_EXECUTED", "SCHEDULER_SHUTDOWN"]

    @pytest.mark.parametrize("wait", [True, False, 0.01])
    def test_a_job_that_awaits_it_is_neither_waited_for_nor_cancelled(
        self, wait: bool | float
    ) -> None:
        async def main() -> Recorder:
            scheduler = AsyncIOScheduler()
            recorder = Recorder(scheduler)

            async def job() -> str:
                await scheduler.shutdown(wait)
                return "survived"

            scheduler.start()
            scheduler.add_job(job)
            await until(lambda: "JOB_EXECUTED" in recorder.names)
            return recorder

        recorder = asyncio.run(main())
        assert recorder.names[-2:] == ["SCHEDULER_SHUTDOWN", "JOB_EXECUTED"]
        assert recorder.events[-1].retval == "survived"

    @pytest.mark.parametrize("max_workers", [None, 2])
    @pytest.mark.parametrize("wait", [True, 0.01])
    def test_a_function_in_a_thread_that_waits_for_it_is_not_waited_for(
        self, wait: bool | float, max_workers: int | None
    ) -> None:
        async def main() -> Recorder:
            executor = AsyncIOExecutor(max_workers)
            scheduler = AsyncIOScheduler(executors={"default": executor})
            recorder = Recorder(scheduler)
            loop = asyncio.get_running_loop()

            async def shut_down() -> str:
                await scheduler.shutdown(wait)
                return "survived"

            def job() -> str:
                return asyncio.run_coroutine_threadsafe(shut_down(), loop).result(PATIENCE)

            scheduler.start()
            scheduler.add_job(job)
            await until(lambda: recorder.of(OUTCOMES))
            return recorder

        recorder = asyncio.run(main())
        assert recorder.names[-2:] == ["SCHEDULER_SHUTDOWN", "JOB_EXECUTED"]
        assert recorder.events[-1].retval == "survived"

    def test_runs_that_the_loop_has_not_begun_when_it_ends_are_told(self) -> None:
        async def main() -> None:
            scheduler.start()
            await until(lambda: "JOB_SUBMITTED" in recorder.names)

        scheduler = AsyncIOScheduler()
        recorder = Recorder(scheduler)
        scheduler.add_jobs([{"func": asyncio.sleep, "args": [0]}] * 1000)
        loop = asyncio.new_event_loop()
        loop.run_until_complete(main())
        scheduler.shutdown()
        submitted = recorder.names.count("JOB_SUBMITTED")
        assert recorder.names.count("JOB_MISSED") == 1000 - submitted > 0

        # Those that were cancelled hear of it if the loop runs once more.
        loop.run_until_complete(until(lambda: len(recorder.of(OUTCOMES)) == 1000))
        loop.close()

    def test_a_block_waits_for_one_that_was_asked_for_in_it_and_not_awaited(self) -> None:
        async def main() -> list[str]:
            said: list[str] = []
            goes_on = asyncio.Event()

            async def job() -> None:
                said.append("begins")
                await goes_on.wait()
                said.append("ends")

            async with AsyncIOScheduler() as scheduler:
                recorder = Recorder(scheduler)
                scheduler.add_job(job)
                await until(lambda: said)
                scheduler.shutdown()
                asyncio.get_running_loop().call_soon(goes_on.set)
            assert recorder.names[-1] == "SCHEDULER_SHUTDOWN"
            return said

        assert asyncio.run(main()) == ["begins", "ends"]

    def test_a_block_does_not_wait_once_more_for_one_that_was_given_up(self) -> None:
        async def main() -> Recorder:
            goes_on = asyncio.Event()
            async with AsyncIOScheduler() as scheduler:
                recorder = Recorder(scheduler)
                scheduler.add_job(goes_on.wait)
                await until(lambda: "JOB_SUBMITTED" in recorder.names)
                scheduler.shutdown().cancel()
            assert "JOB_EXECUTED" not in recorder.names
            goes_on.set()
            await until(lambda: "SCHEDULER_SHUTDOWN" in recorder.names)
            return recorder

        assert asyncio.run(main()).names[-2:] == ["JOB_EXECUTED", "SCHEDULER_SHUTDOWN"]

    def test_it_works_after_the_loop_has_ended(self) -> None:
        scheduler = AsyncIOScheduler()
        recorder = Recorder(scheduler)

        async def main() -> None:
            scheduler.start()
            scheduler.add_job(asyncio.sleep, "interval", hours=1, args=[0])

        asyncio.run(main())
        assert scheduler.shutdown().done()
        assert not scheduler.running
        assert recorder.names[-1] == "SCHEDULER_SHUTDOWN"
        with pytest.raises(SchedulerNotRunningError):
            scheduler.shutdown()

    def test_a_signal_may_ask_for_it_amid_a_call_before_the_loop_runs(self) -> None:
        class Store(MemoryJobStore):
            def may_block(self) -> bool:
                return True

            def add_job(self, job: Any) -> None:
                signal.raise_signal(signal.SIGTERM)
                super().add_job(job)

        loop = asyncio.new_event_loop()
        scheduler = AsyncIOScheduler(event_loop=loop, jobstores={"default": Store()})
        recorder = Recorder(scheduler)
        scheduler.start()
        old = signal.signal(signal.SIGTERM, lambda *_: scheduler.shutdown() and None)
        try:
            scheduler.add_job(print)
        finally:
            signal.signal(signal.SIGTERM, old)
        recorder.wait_for(EVENT_SCHEDULER_SHUTDOWN)
        loop.close()

    @pytest.mark.parametrize("asked_by", ["signal", "thread", "hook"])
    def test_one_that_the_loop_has_not_come_to_does_not_stop_a_scheduler_that_was_started_anew(
        self, asked_by: str
    ) -> None:
        async def job() -> None:
            if asked_by == "signal":
                signal.raise_signal(signal.SIGTERM)
            else:
                shut_down = scheduler._shutdown if asked_by == "hook" else scheduler.shutdown
                thread = Thread(target=shut_down)
                thread.start()
                thread.join()
                loop.stop()

        def stop_program(*_: object) -> None:
            finished.append(scheduler.shutdown())
            loop.stop()

        finished: list[asyncio.Future[None]] = []
        loop = asyncio.new_event_loop()
        scheduler = AsyncIOScheduler(event_loop=loop)
        recorder = Recorder(scheduler)
        old = signal.signal(signal.SIGTERM, stop_program)
        try:
            scheduler.start()
            scheduler.add_job(job)
            loop.run_forever()
        finally:
            signal.signal(signal.SIGTERM, old)
        scheduler.start()
        recorder.events.clear()
        scheduler.add_job(asyncio.sleep, args=[0])  # what was left over has its turn before
        loop.run_until_complete(until(lambda: recorder.of(EVENT_JOB_EXECUTED)))
        assert scheduler.running
        assert all(future.done() for future in finished)
        loop.run_until_complete(scheduler.shutdown())
        loop.close()

    @pytest.mark.parametrize("wait", [True, False, 0.01])
    def test_a_job_that_a_signal_strikes_has_not_asked_for_it(self, wait: bool | float) -> None:
        async def job() -> None:
            signal.raise_signal(signal.SIGTERM)
            await until(lambda: finished)
            if wait is True:
                await asyncio.sleep(0.01)  # it is waited for
            else:
                await asyncio.Event().wait()

        async def main() -> Recorder:
            scheduler = AsyncIOScheduler()
            recorder = Recorder(scheduler)
            old = signal.signal(
                signal.SIGTERM, lambda *_: finished.append(scheduler.shutdown(wait))
            )
            try:
                scheduler.start()
                scheduler.add_job(job)
                await until(lambda: finished)
                await finished[0]
            finally:
                signal.signal(signal.SIGTERM, old)
            return recorder

        finished: list[asyncio.Future[None]] = []
        outcome = "JOB_EXECUTED" if wait is True else "JOB_ERROR"
        assert asyncio.run(main()).names[-2:] == [outcome, "SCHEDULER_SHUTDOWN"]

    @pytest.mark.parametrize("wait", [True, False, 3])
    def test_a_subclass_may_override_the_hook_of_old(self, wait: bool | float) -> None:
        class Scheduler(AsyncIOScheduler):
            def _shutdown(self, wait: bool | float = True) -> None:
                called_with.append(wait)
                super()._shutdown(wait)

        async def main() -> None:
            scheduler = Scheduler()
            recorder = Recorder(scheduler)
            for _ in range(2):
                scheduler.start()
                await scheduler.shutdown(wait)
                assert recorder.names[-1] == "SCHEDULER_SHUTDOWN"
            scheduler.start()
            scheduler._shutdown(wait)
            await until(lambda: recorder.names.count("SCHEDULER_SHUTDOWN") == 3)

        called_with: list[bool | float] = []
        asyncio.run(main())
        assert called_with == [wait] * 3

    @pytest.mark.parametrize("wait", [True, False, 0.5])
    def test_an_executor_of_the_program_hears_whether_to_wait_also_if_nothing_runs(
        self, wait: bool | float
    ) -> None:
        class Executor(AsyncIOExecutor):
            def shutdown(self, wait: bool | float = True) -> None:
                called_with.append(wait)
                super().shutdown(wait)

        async def main() -> None:
            scheduler = AsyncIOScheduler(executors={"default": Executor()})
            scheduler.start()
            await scheduler.shutdown(wait)

        called_with: list[bool | float] = []
        asyncio.run(main())
        (heard,) = called_with
        assert type(heard) is type(wait)
        assert heard == pytest.approx(wait, abs=0.4)

    @pytest.mark.parametrize("is_on_loop", [True, False])
    def test_the_hook_of_old_may_be_called_in_its_place(self, is_on_loop: bool) -> None:
        async def main() -> None:
            scheduler = AsyncIOScheduler()
            recorder = Recorder(scheduler)
            scheduler.start()
            if is_on_loop:
                scheduler._shutdown(wait=False)
            else:
                await asyncio.to_thread(scheduler._shutdown)
            await until(lambda: "SCHEDULER_SHUTDOWN" in recorder.names)
            with pytest.raises(SchedulerNotRunningError):
                scheduler._shutdown()
            async with scheduler:
                assert scheduler.running

        asyncio.run(main())


class TestAsyncWith:
    def test_it_starts_and_shuts_down(self) -> None:
        async def main() -> None:
            async with AsyncIOScheduler() as scheduler:
                assert scheduler.running
            assert not scheduler.running

        asyncio.run(main())

    def test_it_shuts_down_when_the_block_fails(self) -> None:
        async def main(scheduler: AsyncIOScheduler) -> None:
            async with scheduler:
                raise LookupError("as is to be expected")

        scheduler = AsyncIOScheduler()
        with pytest.raises(LookupError):
            asyncio.run(main(scheduler))
        assert not scheduler.running

    def test_the_block_may_shut_it_down(self) -> None:
        async def main() -> bool:
            async with AsyncIOScheduler() as scheduler:
                scheduler.shutdown()
            return scheduler.running

        assert asyncio.run(main()) is False


class WaitsForTheLoop(MemoryJobStore):
    """A store whose reads and writes return only after the loop has run on."""

    def __init__(self) -> None:
        super().__init__()
        self.has_moved = Event()
        self.calls = 0

    def _wait(self) -> None:
        self.calls += 1
        self.has_moved.clear()
        assert self.has_moved.wait(PATIENCE), "the loop stood still"

    def get_due_jobs(self, now: Any) -> Any:
        self._wait()
        return super().get_due_jobs(now)

    def update_jobs(self, jobs: Any) -> Any:
        self._wait()
        return super().update_jobs(jobs)

    def remove_jobs(self, job_ids: Any) -> Any:
        self._wait()
        return super().remove_jobs(job_ids)

    def get_next_run_time(self) -> Any:
        self._wait()
        return super().get_next_run_time()


async def tick(store: WaitsForTheLoop) -> None:
    while True:
        store.has_moved.set()
        await asyncio.sleep(0.001)


class TestSlowStores:
    def test_the_loop_goes_on_while_a_store_takes_its_time(self) -> None:
        said: list[str] = []
        store = WaitsForTheLoop()

        async def once() -> None:
            said.append("once")

        async def main() -> None:
            scheduler = AsyncIOScheduler(jobstores={"default": store})
            scheduler.add_job(once, next_run_time=scheduler._now())
            scheduler.add_job(said.append, "interval", args=["again"], seconds=0.01)
            ticker = asyncio.create_task(tick(store))
            scheduler.start()
            await until(lambda: said.count("again") >= 3)
            await scheduler.shutdown()
            ticker.cancel()

        asyncio.run(main())
        assert said.count("once") == 1
        assert store.calls >= 6

    def test_a_shutdown_in_the_middle_of_a_pass_waits_for_it_and_starts_its_runs(self) -> None:
        async def main() -> Recorder:
            store = WaitsForTheLoop()
            scheduler = AsyncIOScheduler(jobstores={"default": store})
            recorder = Recorder(scheduler)
            scheduler.add_job(asyncio.sleep, args=[0])
            scheduler.start()
            await until(lambda: store.calls)
            finished = scheduler.shutdown()
            assert not scheduler.running
            ticker = asyncio.create_task(tick(store))
            await finished
            ticker.cancel()
            return recorder

        names = asyncio.run(main()).names
        assert names[-4:] == ["JOB_SUBMITTED", "JOB_REMOVED", "JOB_EXECUTED", "SCHEDULER_SHUTDOWN"]

    def test_an_earlier_job_added_in_the_middle_of_a_pass_is_not_overlooked(self) -> None:
        said: list[str] = []

        async def main() -> None:
            store = WaitsForTheLoop()
            scheduler = AsyncIOScheduler(jobstores={"default": store, "quick": MemoryJobStore()})
            scheduler.start()
            await until(lambda: store.calls)
            adding = asyncio.to_thread(
                scheduler.add_job, said.append, args=["early"], jobstore="quick"
            )
            ticker = asyncio.create_task(tick(store))
            await adding
            await until(lambda: said)
            await scheduler.shutdown()
            ticker.cancel()

        asyncio.run(main())
        assert said == ["early"]

    def test_the_hook_of_a_subclass_is_called_for_slow_stores_as_well(self) -> None:
        class Follower(AsyncIOScheduler):
            is_leader = False

            def _process_jobs(self) -> float | None:
                return super()._process_jobs() if self.is_leader else 0.001

        said: list[bool] = []

        async def main() -> None:
            store = WaitsForTheLoop()
            scheduler = Follower(jobstores={"default": store})
            scheduler.add_job(lambda: said.append(scheduler.is_leader))
            ticker = asyncio.create_task(tick(store))
            async with scheduler:
                await asyncio.sleep(0.01)
                scheduler.is_leader = True
                await until(lambda: said)
            ticker.cancel()

        asyncio.run(main())
        assert said == [True]

    def test_a_run_that_an_executor_refused_is_handed_over_again(self) -> None:
        class RefusesOnce(BaseExecutor):
            refused = 0

            def _do_submit_job(self, job: Any, run_times: Any) -> None:
                self.refused += 1
                if self.refused == 1:
                    raise OSError("as is to be expected")
                self._run(job, run_times)

        async def main() -> Recorder:
            store = WaitsForTheLoop()
            scheduler = AsyncIOScheduler(
                jobstores={"default": store},
                executors={"default": RefusesOnce()},
                jobstore_retry_interval=0.01,
            )
            recorder = Recorder(scheduler)
            scheduler.add_job(print)
            ticker = asyncio.create_task(tick(store))
            async with scheduler:
                await until(lambda: "JOB_EXECUTED" in recorder.names)
            ticker.cancel()
            return recorder

        assert asyncio.run(main()).names.count("JOB_EXECUTED") == 1

    def test_runs_are_not_lost_in_silence_when_the_loop_ends_in_the_middle_of_a_pass(self) -> None:
        store = WaitsForTheLoop()
        scheduler = AsyncIOScheduler(jobstores={"default": store})
        recorder = Recorder(scheduler)
        scheduler.add_job(print)

        async def main() -> None:
            scheduler.start()
            await until(lambda: store.calls)

        asyncio.run(main())
        store._wait = lambda: None  # type: ignore[method-assign]
        store.has_moved.set()
        recorder.wait_for(EVENT_JOB_MISSED)
        scheduler.shutdown()
        assert recorder.names.count("JOB_MISSED") == 1


class TestJobs:
    def test_jobs_that_are_due_together_run_side_by_side(self) -> None:
        async def main() -> int:
            all_run = asyncio.Event()
            running = 0

            async def job() -> None:
                nonlocal running
                running += 1
                if running == 50:
                    all_run.set()
                await all_run.wait()

            async with AsyncIOScheduler() as scheduler:
                scheduler.add_jobs([{"func": job}] * 50)
                await asyncio.wait_for(all_run.wait(), PATIENCE)
            return running

        assert asyncio.run(main()) == 50

    def test_the_loop_has_its_turn_while_many_jobs_that_are_due_together_start(self) -> None:
        async def main() -> list[int]:
            turns = 0
            submitted_at: list[int] = []
            scheduler = AsyncIOScheduler()
            scheduler.add_listener(lambda _: submitted_at.append(turns), EVENT_JOB_SUBMITTED)
            scheduler.add_jobs([{"func": asyncio.sleep, "args": [0]}] * 200)
            async with scheduler:
                while len(submitted_at) < 200:
                    turns += 1
                    await asyncio.sleep(0)
            return submitted_at

        assert len(set(asyncio.run(main()))) == 4  # 50 at a time

    def test_a_job_does_not_inherit_the_context_of_whoever_adds_one(self) -> None:
        user = contextvars.ContextVar("user", default="nobody")
        seen: list[str] = []

        async def job() -> None:
            seen.append(user.get())

        async def request(scheduler: AsyncIOScheduler) -> None:
            user.set("a visitor")
            scheduler.add_job(job)

        async def main() -> None:
            user.set("the program")
            async with AsyncIOScheduler() as scheduler:
                await asyncio.create_task(request(scheduler))
                await until(lambda: seen)

        asyncio.run(main())
        assert seen == ["the program"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_in_a_forked_child_it_is_stopped_and_can_be_started_anew() -> None:
    program = """
import asyncio, logging, os
from apscheduler.schedulers.asyncio import AsyncIOScheduler

async def run(scheduler):
    ran = asyncio.Event()
    scheduler.add_job(lambda: asyncio.get_running_loop(), "interval", hours=1)
    async with scheduler:
        scheduler.add_listener(lambda event: ran.set())
        scheduler.add_job(asyncio.sleep, args=[0])
        await asyncio.wait_for(ran.wait(), 30)

async def main(scheduler):
    scheduler.start()
    return os.fork()

scheduler = AsyncIOScheduler(executors={"default": {"type": "asyncio", "max_workers": 1}})
child = asyncio.run(main(scheduler))
if child:
    assert scheduler.running
    scheduler.shutdown()
    assert os.waitpid(child, 0)[1] == 0
    print("done")
else:
    assert not scheduler.running
    asyncio.run(run(scheduler))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.stdout, done.returncode) == ("done\n", 0), done.stderr
    assert done.stderr.count("forked") == 1


def test_methods_of_a_subclass_may_be_sent_to_the_loop() -> None:
    class Scheduler(AsyncIOScheduler):
        @run_in_event_loop
        def look_around(self, word: str, more: str) -> None:
            said.append((asyncio.get_running_loop(), word, more))

    said: list[Any] = []

    async def main() -> Any:
        async with Scheduler() as scheduler:
            await asyncio.to_thread(partial(scheduler.look_around, "word", more="more"))
            await until(lambda: said)
            return asyncio.get_running_loop()

    loop = asyncio.run(main())
    assert said == [(loop, "word", "more")]
