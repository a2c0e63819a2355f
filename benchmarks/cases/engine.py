"""Due jobs: how fast a pass moves them on and hands them over, one by one and end to end."""

from __future__ import annotations

import time
from datetime import datetime, timedelta, timezone
from statistics import median
from threading import Event
from time import perf_counter
from typing import Any

from apscheduler.events import EVENT_JOB_EXECUTED
from apscheduler.schedulers.background import BackgroundScheduler

from ._common import JOB_DEFAULTS, add_all, due_specs, hourly_specs, stepper, work
from ._timing import check, timed


def dispatch(size: int) -> dict[str, float]:
    """So many jobs are due; their executor is done with each of them at once."""
    scheduler, executor = stepper()
    add_all(scheduler, due_specs(size))

    seconds = timed(scheduler._process_jobs)

    check(executor.taken, size, "jobs were handed over")
    return {"due": size / seconds}


def pool(size: int) -> dict[str, float]:
    """From resume() until the last of so many no-op jobs has been reported as executed."""
    scheduler = BackgroundScheduler(timezone="UTC", job_defaults=JOB_DEFAULTS)
    scheduler.start(paused=True)
    add_all(scheduler, due_specs(size))
    left = set(range(size))
    done = Event()

    def count(event: Any) -> None:
        left.pop()
        if not left:
            done.set()

    scheduler.add_listener(count, EVENT_JOB_EXECUTED)
    begin = perf_counter()
    scheduler.resume()
    if not done.wait(300):
        raise RuntimeError(f"{len(left)} of {size} jobs were not reported as executed")

    seconds = perf_counter() - begin
    scheduler.shutdown()
    return {"runs": size / seconds}


def catch_up(size: int) -> dict[str, float]:
    """One coalesced one-second job that is so many seconds late."""
    scheduler, executor = stepper()
    late = datetime.now(timezone.utc) - timedelta(seconds=size)
    scheduler.add_job(
        work, "interval", seconds=1, start_date=late, next_run_time=late, coalesce=True
    )

    seconds = timed(scheduler._process_jobs)

    check(executor.taken, 1, "runs were handed over")
    return {"caught_up": 1 / seconds}


def due_among(size: int, passes: int) -> dict[str, float]:
    """A thousand one-second jobs, due in each pass, among so many that are not."""
    due = min(1_000, size)
    scheduler, executor = stepper()
    now = datetime.now(timezone.utc)
    add_all(scheduler, hourly_specs(size - due, now + timedelta(hours=1)) if size > due else [])
    # All on the same second, so that each pass finds all of them due.
    start = now.replace(microsecond=0)
    add_all(
        scheduler,
        [
            {"func": work, "trigger": "interval", "seconds": 1, "start_date": start, "id": str(i)}
            for i in range(due)
        ],
    )

    seconds = []
    for _ in range(passes):
        time.sleep(1.01 - time.time() % 1)  # until a moment after the next second
        before = executor.taken
        seconds.append(timed(scheduler._process_jobs))
        check(executor.taken - before, due, "jobs were handed over")

    return {"each": median(seconds) / due * 1e6}
