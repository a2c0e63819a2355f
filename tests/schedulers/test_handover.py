"""What happens to runs that are due together while they are handed over, one after the other."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from apscheduler.events import EVENT_JOB_EXECUTED, EVENT_JOB_MISSED, JobExecutionEvent
from apscheduler.executors.base import BaseExecutor
from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.testing import ManualScheduler
from tests import jobs
from tests.recorder import OUTCOMES, Recorder

from .conftest import MARCH_1

IDS = [str(number) for number in range(10)]


class ActingExecutor(BaseExecutor):
    """Does something as it takes a certain job. Its runs never end, unless they end at once."""

    def __init__(self, job_id: str, action: Callable[[], object], ends_at_once: bool) -> None:
        super().__init__()
        self.acts_at = job_id
        self.action = action
        self.ends_at_once = ends_at_once
        self.taken: list[str] = []

    def _do_submit_job(self, job: Any, run_times: list[datetime]) -> None:
        self.taken.append(job.id)
        if job.id == self.acts_at:
            self.acts_at = ""
            self.action()
        if self.ends_at_once:
            alias = job._jobstore_alias
            event = JobExecutionEvent(EVENT_JOB_EXECUTED, job.id, alias, run_times[0])
            self._run_job_success(job.id, [event])


def start_ten(
    scheduler: ManualScheduler, action: Callable[[], object], ends_at_once: bool = False
) -> tuple[ActingExecutor, Recorder]:
    """Have ten jobs due together, and something done as the fourth of them is taken."""
    executor = ActingExecutor("3", action, ends_at_once)
    scheduler.add_executor(executor)
    # Nobody listens to submissions: then they are handed over with one lock.
    recorder = Recorder(scheduler, OUTCOMES)
    scheduler.start()
    for job_id in IDS:
        scheduler.add_job(jobs.nothing, "interval", seconds=60, id=job_id, max_instances=2)
    return executor, recorder


def test_a_pause_holds_up_those_that_come_after_it(stopped: ManualScheduler) -> None:
    executor, recorder = start_ten(stopped, lambda: stopped.pause())
    stopped.advance(60)
    assert executor.taken == IDS[:4]

    stopped.resume()
    stopped.advance(1)
    assert executor.taken == IDS
    assert recorder.events == []


def test_a_job_that_is_paused_does_not_start_and_is_told_as_missed(
    stopped: ManualScheduler,
) -> None:
    executor, recorder = start_ten(stopped, lambda: stopped.pause_job("5"))
    stopped.advance(60)
    assert executor.taken == [job_id for job_id in IDS if job_id != "5"]
    assert [(event.job_id, event.code) for event in recorder.events] == [("5", EVENT_JOB_MISSED)]


def test_a_job_that_is_removed_does_not_start(stopped: ManualScheduler) -> None:
    executor, recorder = start_ten(stopped, lambda: stopped.remove_job("5"))
    stopped.advance(60)
    assert executor.taken == [job_id for job_id in IDS if job_id != "5"]
    assert recorder.events == []


def test_none_starts_once_all_are_removed(stopped: ManualScheduler) -> None:
    executor, recorder = start_ten(stopped, lambda: stopped.remove_all_jobs())
    stopped.advance(600)
    assert executor.taken == IDS[:4]
    assert recorder.events == []


def test_a_job_that_is_put_off_runs_then_and_now(stopped: ManualScheduler) -> None:
    late = MARCH_1 + timedelta(seconds=90)
    executor, _ = start_ten(stopped, lambda: stopped.modify_job("5", next_run_time=late))
    stopped.advance(60)
    assert executor.taken == IDS

    stopped.advance(30)
    assert executor.taken == [*IDS, "5"]


def test_what_an_executor_tells_at_once_is_told_before_the_next_run_is_handed_over(
    stopped: ManualScheduler,
) -> None:
    told_before: list[int] = []
    executor, recorder = start_ten(
        stopped, lambda: told_before.append(len(recorder.events)), ends_at_once=True
    )
    stopped.advance(60)
    assert told_before == [3]
    assert executor.taken == IDS


@pytest.mark.parametrize("wait", [True, False, 5, 0])
def test_a_shutdown_by_an_executor_still_hands_the_others_over(wait: bool | float) -> None:
    class ShuttingDown(ThreadPoolExecutor):
        def submit_job(self, job: Any, run_times: list[datetime]) -> None:
            super().submit_job(job, run_times)
            if job.id == "3":
                scheduler.shutdown(wait)

    scheduler = BackgroundScheduler(executors={"default": ShuttingDown(1)}, timezone="UTC")
    recorder = Recorder(scheduler, OUTCOMES)
    scheduler.start(paused=True)
    for job_id in IDS:
        scheduler.add_job(jobs.nothing, "interval", hours=1, id=job_id, next_run_time=MARCH_1_2020)
    scheduler.resume()

    recorder.wait_for(OUTCOMES, 10)
    assert sorted(event.job_id for event in recorder.events) == IDS
    assert recorder.of(EVENT_JOB_MISSED) == []


MARCH_1_2020 = MARCH_1.replace(year=2020)
