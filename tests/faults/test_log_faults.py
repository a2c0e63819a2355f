"""A log that cannot be written costs no run, no thread and no loop."""

from __future__ import annotations

import os
from datetime import datetime, timedelta, timezone
from functools import partial
from typing import Any

import pytest

from apscheduler.events import (
    EVENT_JOB_ERROR,
    EVENT_JOB_EXECUTED,
    EVENT_JOB_MISSED,
)
from apscheduler.executors._threads import InitializerError, ThreadPool
from apscheduler.executors.base import run_job
from apscheduler.executors.debug import DebugExecutor
from apscheduler.executors.pool import ProcessPoolExecutor, ThreadPoolExecutor
from apscheduler.jobstores.memory import MemoryJobStore
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.testing import ManualScheduler
from tests.faults.faulty import InjectedError
from tests.jobs import nothing
from tests.recorder import PATIENCE, Recorder

pytestmark = pytest.mark.usefixtures("failing_log")

RUNS = 3
LOGGER = "apscheduler.executors"


def fail(*_: Any) -> None:
    raise InjectedError("a part")


def test_each_run_is_made_and_told_and_the_threads_go_on() -> None:
    scheduler = BackgroundScheduler(executors={"default": ThreadPoolExecutor(1)})
    recorder = Recorder(scheduler)
    scheduler.start()
    try:
        for _ in range(RUNS):
            scheduler.add_job(fail)
            scheduler.add_job(nothing)
        recorder.wait_for(EVENT_JOB_ERROR, RUNS)
        recorder.wait_for(EVENT_JOB_EXECUTED, RUNS)
    finally:
        scheduler.shutdown()


def test_a_run_that_comes_too_late_is_missed_and_the_others_are_made() -> None:
    scheduler = ManualScheduler()
    scheduler.start()
    job = scheduler.add_job(nothing, "interval", hours=1, misfire_grace_time=60)
    now = datetime.now(timezone.utc)

    events = run_job(job, "default", [now - timedelta(hours=1), now], LOGGER)

    assert [event.code for event in events] == [EVENT_JOB_MISSED, EVENT_JOB_EXECUTED]


def test_a_thread_pool_keeps_its_thread_when_a_task_fails() -> None:
    pool = ThreadPool(1)
    pool.execute(fail)
    assert pool.submit(int, "1").result(PATIENCE) == 1
    pool.shutdown()


def test_a_task_whose_initializer_failed_is_told_so() -> None:
    outcomes = iter([fail, nothing])
    pool = ThreadPool(1, initializer=lambda: next(outcomes)())
    assert isinstance(pool.submit(int).exception(PATIENCE), InitializerError)
    assert pool.submit(int, "1").result(PATIENCE) == 1
    pool.shutdown()


def test_jobs_are_added_and_removed_and_all_is_told() -> None:
    scheduler = ManualScheduler()
    recorder = Recorder(scheduler)
    scheduler.add_job(nothing, "interval", hours=1, id="early", executor="missing")
    scheduler.start()
    scheduler.pause()
    scheduler.resume()
    job = scheduler.add_job(nothing, "interval", hours=1, id="late")
    job.pause()
    scheduler.remove_job("early")
    scheduler.run_due()
    scheduler.shutdown()

    assert recorder.names == [
        "EXECUTOR_ADDED",
        "JOBSTORE_ADDED",
        "JOB_ADDED",
        "SCHEDULER_START",
        "SCHEDULER_PAUSED",
        "SCHEDULER_RESUMED",
        "JOB_ADDED",
        "JOB_MODIFIED",
        "JOB_REMOVED",
        "SCHEDULER_SHUTDOWN",
    ]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform has no fork")
@pytest.mark.filterwarnings("ignore:.*use of fork.*:DeprecationWarning")
def test_each_scheduler_is_stopped_in_a_forked_child() -> None:
    schedulers = [BackgroundScheduler() for _ in range(3)]
    for scheduler in schedulers:
        scheduler.start()
    try:
        child = os.fork()
        if child == 0:
            os._exit(sum(scheduler.running for scheduler in schedulers))
        _, status = os.waitpid(child, 0)
    finally:
        for scheduler in schedulers:
            scheduler.shutdown()

    assert status == 0


def test_a_pool_of_processes_is_replaced_when_a_worker_dies() -> None:
    scheduler = BackgroundScheduler(executors={"default": ProcessPoolExecutor(1)})
    recorder = Recorder(scheduler)
    scheduler.start()
    try:
        scheduler.add_job("os:_exit", args=[1])
        recorder.wait_for(EVENT_JOB_ERROR)
        scheduler.add_job(nothing)
        recorder.wait_for(EVENT_JOB_EXECUTED)
    finally:
        scheduler.shutdown()


def test_an_error_in_the_loop_does_not_end_it() -> None:
    class FailsOnce(BackgroundScheduler):
        has_failed = False

        def _process_jobs(self) -> float | None:
            if not self.has_failed:
                self.has_failed = True
                fail()
            return super()._process_jobs()

    scheduler = FailsOnce(jobstore_retry_interval=0.05)
    recorder = Recorder(scheduler)
    scheduler.start()
    try:
        scheduler.add_job(nothing)
        recorder.wait_for(EVENT_JOB_EXECUTED)
    finally:
        scheduler.shutdown()

    assert scheduler.has_failed


def test_a_part_that_fails_to_shut_down_keeps_no_other_from_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scheduler = ManualScheduler()
    shut_down: list[str] = []
    parts: list[tuple[str, Any]] = []
    for alias in ("first", "second"):
        scheduler.add_executor(executor := DebugExecutor(), alias)
        scheduler.add_jobstore(store := MemoryJobStore(), alias)
        parts += [(f"{alias} executor", executor), (f"{alias} store", store)]
    recorder = Recorder(scheduler)
    scheduler.start()

    def shutdown(name: str, *_: Any) -> None:
        shut_down.append(name)
        fail()

    for name, part in parts:
        monkeypatch.setattr(part, "shutdown", partial(shutdown, name))
    scheduler.shutdown()

    assert shut_down == ["first executor", "second executor", "first store", "second store"]
    assert recorder.names[-1] == "SCHEDULER_SHUTDOWN"


class PlainLogger:
    """Has what is called of a logger, and nothing else: other packages have such ones."""

    def __init__(self) -> None:
        self.messages: list[str] = []

    def debug(self, message: str, *args: Any, **kwargs: Any) -> None:
        self.messages.append(message % args)

    info = warning = error = exception = debug


def test_a_logger_may_be_one_that_does_not_tell_what_it_logs() -> None:
    logger = PlainLogger()
    scheduler = ManualScheduler(logger=logger)
    recorder = Recorder(scheduler, EVENT_JOB_EXECUTED)
    scheduler.add_job(nothing, "interval", minutes=1)
    scheduler.start()
    scheduler.add_job(nothing, "interval", minutes=1)
    scheduler.advance(60)

    assert recorder.names == ["JOB_EXECUTED"] * 2
    assert len([message for message in logger.messages if "Added job" in message]) == 2
