"""Find the runs that go on for too long: submitted, but without an outcome."""

from __future__ import annotations

import logging
import time
from threading import Lock

from apscheduler.events import (
    EVENT_JOB_ERROR,
    EVENT_JOB_EXECUTED,
    EVENT_JOB_MISSED,
    EVENT_JOB_SUBMITTED,
    JobExecutionEvent,
    JobSubmissionEvent,
)
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.schedulers.base import BaseScheduler

logger = logging.getLogger(__name__)


class Watchdog:
    """
    Knows the runs that are going on in a scheduler.

    :param limit: seconds after which a run is reported
    """

    def __init__(self, scheduler: BaseScheduler, limit: float) -> None:
        self.limit = limit
        self._lock = Lock()  # events come from many threads
        # When each run was submitted, by the id of its job and the time that it was scheduled for
        self._running: dict[tuple[str, float], float] = {}
        scheduler.add_listener(self._on_start, EVENT_JOB_SUBMITTED)
        scheduler.add_listener(
            self._on_end, EVENT_JOB_EXECUTED | EVENT_JOB_ERROR | EVENT_JOB_MISSED
        )

    def _on_start(self, event: JobSubmissionEvent) -> None:
        with self._lock:
            for run_time in event.scheduled_run_times:
                self._running[event.job_id, run_time.timestamp()] = time.monotonic()

    def _on_end(self, event: JobExecutionEvent) -> None:
        with self._lock:
            self._running.pop((event.job_id, event.scheduled_run_time.timestamp()), None)

    def overdue(self) -> dict[str, float]:
        """Return the ids of jobs with a run beyond the limit, and for how many seconds it runs."""
        overdue: dict[str, float] = {}
        with self._lock:
            now = time.monotonic()
            for (job_id, _), started in self._running.items():
                if now - started > self.limit:
                    overdue[job_id] = max(now - started, overdue.get(job_id, 0))

        return overdue

    def report(self) -> None:
        for job_id, age in self.overdue().items():
            logger.error("Job %s has been running for %.0f seconds", job_id, age)


if __name__ == "__main__":
    logging.basicConfig(level=logging.ERROR)
    scheduler = BackgroundScheduler()
    watchdog = Watchdog(scheduler, limit=0.5)
    scheduler.add_job(time.sleep, args=[1.5], id="slow")
    scheduler.add_job(time.sleep, args=[0], id="quick")
    scheduler.add_job(watchdog.report, "interval", seconds=1)
    scheduler.start()
    time.sleep(1.2)
    scheduler.shutdown()
