"""A log that cannot be written costs no run, no thread and no loop."""

from __future__ import annotations

import logging
from collections.abc import Iterator
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


def fail(*_: Any) -> None:
    raise InjectedError("a part")


@pytest.fixture
def log_of_runs() -> Iterator[str]:
    """Have it logged that a run begins, and that it has ended; return the logger's name."""
    logger = logging.getLogger("apscheduler.executors")
    level = logger.level
    logger.setLevel(logging.INFO)
    yield logger.name
    logger.setLevel(level)


def test_each_run_is_made_and_told_and_the_threads_go_on(log_of_runs: str) -> None:
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


def test_a_run_that_comes_too_late_is_missed_and_the_others_are_made(log_of_runs: str) -> None:
    scheduler = ManualScheduler()
    scheduler.start()
    job = scheduler.add_job(nothing, "interval", hours=1, misfire_grace_time=60)
    now = datetime.now(timezone.utc)

    events = run_job(job, "default", [now - timedelta(hours=1), now], log_of_runs)

    assert [event.code for event in events] == [EVENT_JOB_MISSED, EVENT_JOB_EXECUTED]


def test_a_thread_pool_keeps_its_thread_when_a_task_fails() -> None:
    pool = ThreadPool(1)
    pool.execute(fail)
    assert pool.submit(int, "1").result(PATIENCE) == 1
    assert pool._unfinished <= 1  # that of the second may not have been counted yet
    pool.shutdown()


def test_a_task_whose_initializer_failed_is_told_so() -> None:
    outcomes = iter([fail, nothing])
    pool = ThreadPool(1, initializer=lambda: next(outcomes)())
    assert isinstance(pool.submit(int).exception(PATIENCE), InitializerError)
    assert pool.submit(int, "1").result(PATIENCE) == 1
    pool.shutdown()


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
