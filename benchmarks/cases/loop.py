"""The running loop: how late jobs start, what that costs, and what waiting costs."""

from __future__ import annotations

import time
from datetime import datetime, timedelta, timezone
from statistics import median, quantiles
from typing import Any

from apscheduler.events import EVENT_JOB_EXECUTED
from apscheduler.schedulers.background import BackgroundScheduler

from ._common import JOB_DEFAULTS, add_all, hourly_specs

JOBS = 200


def lateness(size: int) -> dict[str, float]:
    """Two hundred one-second jobs, spread over the second, for so many seconds."""
    late: list[float] = []

    def note(event: Any) -> None:
        late.append(event.retval - event.scheduled_run_time.timestamp())

    scheduler = BackgroundScheduler(timezone="UTC", job_defaults=JOB_DEFAULTS)
    scheduler.add_listener(note, EVENT_JOB_EXECUTED)
    start = datetime.now(timezone.utc) + timedelta(seconds=1)
    add_all(
        scheduler,
        [
            {
                "func": time.time,
                "trigger": "interval",
                "seconds": 1,
                "start_date": start + number * timedelta(seconds=1) / JOBS,
            }
            for number in range(JOBS)
        ],
    )
    scheduler.start()
    time.sleep(2)  # the threads have been started, and what is imported late is there
    late.clear()
    cpu = time.process_time()
    time.sleep(size)
    cpu = time.process_time() - cpu
    runs = sorted(late)
    scheduler.shutdown()

    return {
        "median": median(runs) * 1e3,
        "p99": quantiles(runs, n=100)[98] * 1e3,
        "cpu": cpu / len(runs) * 1e6,
    }


def idle(size: int, jobs: int) -> dict[str, float]:
    """So many seconds with many jobs, none of which is due."""
    scheduler = BackgroundScheduler(timezone="UTC", job_defaults=JOB_DEFAULTS)
    scheduler.start()
    add_all(scheduler, hourly_specs(jobs, datetime.now(timezone.utc) + timedelta(hours=5)))
    time.sleep(1)
    cpu = time.process_time()
    time.sleep(size)
    cpu = time.process_time() - cpu
    scheduler.shutdown()

    return {"cpu": cpu * 1e3}
