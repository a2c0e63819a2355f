"""Pools of threads and of processes."""

from __future__ import annotations

import concurrent.futures
import os
import threading
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from functools import partial
from typing import Any

import pytest

import apscheduler
from apscheduler.events import EVENT_JOB_ERROR, EVENT_JOB_EXECUTED, EVENT_JOB_SUBMITTED
from apscheduler.executors.base import BaseExecutor
from apscheduler.executors.pool import (
    BasePoolExecutor,
    ProcessPoolExecutor,
    ThreadPoolExecutor,
)
from apscheduler.schedulers.background import BackgroundScheduler
from tests import jobs
from tests.recorder import OUTCOMES, PATIENCE, Recorder

Start = Callable[[BaseExecutor], tuple[BackgroundScheduler, Recorder]]


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts a scheduler that has the executor, and a recorder of what becomes of its jobs."""
    started: list[BackgroundScheduler] = []

    def start(executor: BaseExecutor) -> tuple[BackgroundScheduler, Recorder]:
        scheduler = BackgroundScheduler(executors={"default": executor}, timezone=timezone.utc)
        recorder = Recorder(scheduler, OUTCOMES)
        scheduler.start()
        started.append(scheduler)
        return scheduler, recorder

    yield start
    for scheduler in started:
        if scheduler.running:
            scheduler.shutdown(wait=False)


@pytest.fixture(scope="module")
def processes() -> Iterator[tuple[BackgroundScheduler, Recorder]]:
    """A scheduler with one process, which takes a moment to start, for several tests."""
    scheduler = BackgroundScheduler(timezone=timezone.utc)
    scheduler.add_executor(ProcessPoolExecutor(1))
    recorder = Recorder(scheduler, OUTCOMES)
    scheduler.start()
    yield scheduler, recorder
    scheduler.shutdown()


def outcome_of(scheduler: BackgroundScheduler, recorder: Recorder, func: Any, *args: Any) -> Any:
    """Run a function once, and return the event of its run."""
    before = len(recorder.events)
    job = scheduler.add_job(func, args=args)
    event = recorder.wait_for(count=before + 1)[-1]
    assert event.job_id == job.id
    return event


class AsyncCallable:
    async def __call__(self) -> str:
        return "from an object"


class TestThreads:
    def test_jobs_run_side_by_side_in_threads_of_the_pool(self, start: Start) -> None:
        scheduler, recorder = start(ThreadPoolExecutor(3))
        together = threading.Barrier(3, timeout=PATIENCE)  # passed only if all three run at once
        for _ in range(3):
            scheduler.add_job(lambda: (together.wait(), threading.get_ident())[1])
        threads = {event.retval for event in recorder.wait_for(count=3)}
        assert len(threads) == 3
        assert threading.get_ident() not in threads

    def test_no_more_run_at_once_than_there_are_workers(self, start: Start) -> None:
        scheduler, recorder = start(ThreadPoolExecutor(2))
        lock, running, most = threading.Lock(), 0, 0

        def run() -> None:
            nonlocal running, most
            with lock:
                running += 1
                most = max(most, running)
            threading.Event().wait(0.01)
            with lock:
                running -= 1

        scheduler.add_jobs({"func": run} for _ in range(10))
        recorder.wait_for(count=10)
        assert most == 2

    @pytest.mark.parametrize(
        ("func", "result"),
        [
            (partial(jobs.give_later, "from a partial"), "from a partial"),
            (AsyncCallable(), "from an object"),
            (lambda: jobs.give_later("from a lambda"), "from a lambda"),
        ],
        ids=["partial", "object", "lambda"],
    )
    def test_whatever_makes_a_coroutine_has_it_run(
        self, start: Start, func: Any, result: str
    ) -> None:
        scheduler, recorder = start(ThreadPoolExecutor())
        event = outcome_of(scheduler, recorder, func)
        assert (event.code, event.retval) == (EVENT_JOB_EXECUTED, result)

    @pytest.mark.parametrize("error", [ValueError, SystemExit, KeyboardInterrupt])
    def test_no_error_of_a_job_ends_its_thread(
        self, start: Start, error: type[BaseException]
    ) -> None:
        def fail() -> None:
            raise error("on purpose")

        scheduler, recorder = start(ThreadPoolExecutor(1))
        event = outcome_of(scheduler, recorder, fail)
        assert (event.code, type(event.exception)) == (EVENT_JOB_ERROR, error)
        assert outcome_of(scheduler, recorder, jobs.give, "next").retval == "next"

    def test_a_run_knows_its_job_its_time_and_its_scheduler(self, start: Start) -> None:
        scheduler, recorder = start(ThreadPoolExecutor())
        event = outcome_of(scheduler, recorder, jobs.about_this_run)
        assert event.retval == (
            os.getpid(),
            event.job_id,
            event.scheduled_run_time.isoformat(),
            True,
        )
        for variable in (apscheduler.current_job, apscheduler.current_scheduler):
            with pytest.raises(LookupError):
                variable.get()

    def test_the_pool_takes_the_arguments_of_the_standard_library(self, start: Start) -> None:
        seen: list[str] = []
        executor = ThreadPoolExecutor(
            "2",  # type: ignore[arg-type]  # from a file of strings
            {"thread_name_prefix": "mine", "initializer": seen.append, "initargs": ("begun",)},
        )
        scheduler, recorder = start(executor)
        event = outcome_of(scheduler, recorder, lambda: threading.current_thread().name)
        assert event.retval.startswith("mine")
        assert seen == ["begun"]

    def test_a_run_whose_thread_was_not_initialized_is_told_as_an_error(
        self, start: Start
    ) -> None:
        scheduler, recorder = start(ThreadPoolExecutor(1, {"initializer": jobs.fail}))
        for _ in range(2):
            event = outcome_of(scheduler, recorder, jobs.nothing)
            assert event.code == EVENT_JOB_ERROR
            assert "the initializer of the thread failed" in str(event.exception)

    def test_it_runs_jobs_again_after_a_restart(self, start: Start) -> None:
        scheduler, recorder = start(ThreadPoolExecutor())
        assert outcome_of(scheduler, recorder, jobs.give, 1).retval == 1
        scheduler.shutdown()
        scheduler.start()
        assert outcome_of(scheduler, recorder, jobs.give, 2).retval == 2

    def test_jobs_that_wait_for_a_thread_run_before_a_shutdown_that_waits(
        self, start: Start
    ) -> None:
        scheduler, recorder = start(ThreadPoolExecutor(1))
        scheduler.pause()
        scheduler.add_jobs({"func": jobs.nothing} for _ in range(50))
        scheduler.resume()
        recorder.wait_for(count=1)
        scheduler.shutdown()
        assert {event.code for event in recorder.events} == {EVENT_JOB_EXECUTED}

    def test_runs_that_never_begin_are_told_as_errors(self, start: Start) -> None:
        scheduler, recorder = start(ThreadPoolExecutor(1))
        begun, release = threading.Event(), threading.Event()

        def hang() -> None:
            begun.set()
            release.wait(PATIENCE)

        scheduler.add_job(hang)
        assert begun.wait(PATIENCE)
        submitted = Recorder(scheduler)
        scheduler.add_job(jobs.nothing, id="waits")
        submitted.wait_for(EVENT_JOB_SUBMITTED)
        scheduler.shutdown(0.01)
        (event,) = recorder.wait_for(EVENT_JOB_ERROR)
        assert event.job_id == "waits"
        assert "had not begun when the scheduler shut down" in str(event.exception)
        release.set()
        recorder.wait_for(EVENT_JOB_EXECUTED)

    def test_so_are_those_behind_what_the_program_itself_gave_to_the_pool(
        self, start: Start
    ) -> None:
        executor = ThreadPoolExecutor(1)
        scheduler, recorder = start(executor)
        begun, release = threading.Event(), threading.Event()
        executor._pool.submit(lambda: (begun.set(), release.wait(PATIENCE)))
        assert begun.wait(PATIENCE)
        own = executor._pool.submit(int)
        scheduler.add_job(jobs.nothing, id="waits")
        submitted = Recorder(scheduler, EVENT_JOB_SUBMITTED)
        scheduler.add_job(jobs.nothing, id="last")
        submitted.wait_for(EVENT_JOB_SUBMITTED)
        scheduler.shutdown(0.01)
        events = recorder.wait_for(EVENT_JOB_ERROR, 2)
        assert {event.job_id for event in events} == {"waits", "last"}
        assert own.cancelled()
        release.set()


class TestProcesses:
    def test_a_job_runs_in_another_process(
        self, processes: tuple[BackgroundScheduler, Recorder]
    ) -> None:
        event = outcome_of(*processes, jobs.about_this_run)
        process, job_id, run_time, has_scheduler = event.retval
        assert process != os.getpid()
        assert (job_id, run_time) == (event.job_id, event.scheduled_run_time.isoformat())
        assert not has_scheduler  # it lives in the parent process

    def test_a_coroutine_function_runs_to_its_end(
        self, processes: tuple[BackgroundScheduler, Recorder]
    ) -> None:
        event = outcome_of(*processes, jobs.give_later, "result")
        assert (event.code, event.retval) == (EVENT_JOB_EXECUTED, "result")

    def test_an_error_comes_back_with_its_traceback(
        self, processes: tuple[BackgroundScheduler, Recorder]
    ) -> None:
        event = outcome_of(*processes, jobs.fail, "no luck")
        assert (event.code, str(event.exception)) == (EVENT_JOB_ERROR, "no luck")
        assert "in fail" in event.traceback

    def test_a_function_that_cannot_be_sent_is_told_as_an_error(
        self, processes: tuple[BackgroundScheduler, Recorder]
    ) -> None:
        event = outcome_of(*processes, lambda: None)
        assert event.code == EVENT_JOB_ERROR
        assert outcome_of(*processes, jobs.give, "next").retval == "next"

    def test_a_pool_whose_process_died_is_replaced_and_the_next_job_runs(
        self,
        processes: tuple[BackgroundScheduler, Recorder],
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        event = outcome_of(*processes, jobs.die)
        assert event.code == EVENT_JOB_ERROR
        assert isinstance(event.exception, concurrent.futures.BrokenExecutor)
        assert outcome_of(*processes, jobs.give, "next").retval == "next"
        assert "A worker process was terminated abruptly" in caplog.text

    def test_it_runs_jobs_again_after_a_restart(self, start: Start) -> None:
        scheduler, recorder = start(ProcessPoolExecutor(1))
        scheduler.shutdown()
        scheduler.start()
        assert outcome_of(scheduler, recorder, jobs.give, "again").retval == "again"
        scheduler.shutdown()

    def test_processes_are_started_afresh(self) -> None:
        """A forked one may inherit locks that nobody releases."""
        executor = ProcessPoolExecutor(1)
        assert executor._pool._mp_context.get_start_method() == "spawn"
        executor.shutdown()


class TestPoolsOfPlugins:
    """A plugin of 3.x passes any concurrent.futures executor to BasePoolExecutor."""

    class PluginExecutor(BasePoolExecutor):
        def __init__(self) -> None:
            super().__init__(concurrent.futures.ThreadPoolExecutor(1))

    def test_jobs_run_in_it(self, start: Start) -> None:
        scheduler, recorder = start(self.PluginExecutor())
        assert outcome_of(scheduler, recorder, jobs.give, "result").retval == "result"
        assert outcome_of(scheduler, recorder, jobs.give_later, "later").retval == "later"
        scheduler.shutdown()

    def test_what_fails_in_the_pool_itself_is_told_for_each_run(self, start: Start) -> None:
        class FailingPool(concurrent.futures.Executor):
            def submit(self, *args: Any, **kwargs: Any) -> Any:
                future: concurrent.futures.Future[Any] = concurrent.futures.Future()
                future.set_exception(OSError("the machine is gone"))
                return future

        class FailingExecutor(BasePoolExecutor):
            def __init__(self) -> None:
                super().__init__(FailingPool())

        scheduler, recorder = start(FailingExecutor())
        when = datetime.now(timezone.utc)
        scheduler.add_job(jobs.nothing, "date", run_date=when)
        (event,) = recorder.wait_for()
        assert (event.code, event.scheduled_run_time) == (EVENT_JOB_ERROR, when)
        assert str(event.exception) == "the machine is gone"
