"""Jobs for the tests of the stores."""

from __future__ import annotations

import pickle
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from typing import Any

from apscheduler.jobstores.base import BaseJobStore
from apscheduler.testing import ManualScheduler

NOW = datetime(2030, 1, 1, tzinfo=timezone.utc)
HOUR = timedelta(hours=1)

PATIENCE = 60  # seconds

runs: list[Any] = []


def record(value: Any = None) -> None:
    runs.append(value)


@contextmanager
def running(store: BaseJobStore) -> Iterator[ManualScheduler]:
    runs.clear()
    scheduler = ManualScheduler(now=NOW)
    scheduler.add_jobstore(store)
    scheduler.start()
    try:
        yield scheduler
    finally:
        if scheduler.running:
            scheduler.shutdown()


def many_due_jobs(scheduler: ManualScheduler, count: int) -> None:
    """Add interval jobs that are all due in an hour."""
    settings = {"func": record, "trigger": "interval", "hours": 1}
    scheduler.add_jobs([{**settings, "id": f"job {i}"} for i in range(count)])


def state_of(scheduler: ManualScheduler, job_id: str, **changes: Any) -> bytes:
    """Return the pickled state of a job, with changes to it."""
    job = scheduler.get_job(job_id)
    assert job is not None
    return pickle.dumps({**job.__getstate__(), **changes})


def again_and_again(action: Callable[[], object]) -> None:
    """Repeat until it works: clients need a moment to find out that their server is back."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            action()
            return
        except Exception:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)
