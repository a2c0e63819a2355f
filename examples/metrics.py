"""Count runs by outcome, and measure how late they start and how long they take."""

from __future__ import annotations

import time
from collections import Counter
from datetime import datetime, timezone
from threading import Lock

from apscheduler.events import (
    EVENT_JOB_ERROR,
    EVENT_JOB_EXECUTED,
    EVENT_JOB_MAX_INSTANCES,
    EVENT_JOB_MISSED,
    EVENT_JOB_SUBMITTED,
    JobEvent,
    JobExecutionEvent,
    JobSubmissionEvent,
)
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.schedulers.base import BaseScheduler

OUTCOMES = {
    EVENT_JOB_EXECUTED: "executed",
    EVENT_JOB_ERROR: "error",
    EVENT_JOB_MISSED: "missed",
    EVENT_JOB_MAX_INSTANCES: "left out",
}


class Metrics:
    """What became of the runs of a scheduler since this object was made."""

    def __init__(self, scheduler: BaseScheduler) -> None:
        self.outcomes: Counter[str] = Counter()
        self.max_lateness = 0.0  # seconds between the time of a run and its submission
        self.max_duration = (
            0.0  # seconds from submission to outcome, so with the wait for a worker
        )
        self._lock = Lock()  # events come from many threads
        self._submitted: dict[tuple[str, float], float] = {}
        scheduler.add_listener(self._on_submission, EVENT_JOB_SUBMITTED)
        scheduler.add_listener(self._count, EVENT_JOB_MAX_INSTANCES)
        scheduler.add_listener(
            self._on_outcome, EVENT_JOB_EXECUTED | EVENT_JOB_ERROR | EVENT_JOB_MISSED
        )

    def _count(self, event: JobEvent) -> None:
        with self._lock:
            self.outcomes[OUTCOMES[event.code]] += 1

    def _on_submission(self, event: JobSubmissionEvent) -> None:
        now = datetime.now(timezone.utc)
        with self._lock:
            for run_time in event.scheduled_run_times:
                self.max_lateness = max(self.max_lateness, (now - run_time).total_seconds())
                self._submitted[event.job_id, run_time.timestamp()] = time.monotonic()

    def _on_outcome(self, event: JobExecutionEvent) -> None:
        self._count(event)
        key = event.job_id, event.scheduled_run_time.timestamp()
        with self._lock:
            if (started := self._submitted.pop(key, None)) is not None:
                self.max_duration = max(self.max_duration, time.monotonic() - started)


def fail() -> None:
    raise RuntimeError("this one always fails")


if __name__ == "__main__":
    scheduler = BackgroundScheduler()
    metrics = Metrics(scheduler)
    scheduler.add_job(time.sleep, "interval", args=[0.01], seconds=0.1)
    scheduler.add_job(time.sleep, "interval", args=[0.3], seconds=0.2)
    scheduler.add_job(fail, "interval", seconds=0.5)
    scheduler.start()
    time.sleep(1.2)
    scheduler.shutdown()
    for outcome, number in sorted(metrics.outcomes.items()):
        print(f"{outcome}: {number}")
    print(f"latest start: {metrics.max_lateness:.3f} s late")
    print(f"longest run: {metrics.max_duration:.3f} s")
