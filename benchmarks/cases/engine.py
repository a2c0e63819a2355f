"""Due jobs: how fast a pass moves them on and hands them over, one by one and end to end."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from statistics import median
from threading import Event
from time import perf_counter
from typing import Any

from apscheduler.events import EVENT_JOB_EXECUTED
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.schedulers.base import BaseScheduler

from ._common import JOB_DEFAULTS, add_all, due_specs, hourly_specs, stepper, work
from ._timing import check, timed

BATCH = 10_000


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


def due_among(
    size: int, due: int, warming_up: int, passes: int, store: Mapping[str, Any] | None = None
) -> dict[str, float]:
    """
    Some one-second jobs, due in each pass, among so many jobs of which the others are not.

    :param warming_up: passes before those that are counted
    """
    scheduler, executor = stepper(store)
    now = datetime.now(timezone.utc)
    _add_others(scheduler, size - due, now + timedelta(hours=1))
    # All on the same second, so that each pass finds all of them due.
    start = now.replace(microsecond=0)
    second = {"func": work, "trigger": "interval", "seconds": 1, "start_date": start}
    add_all(scheduler, [{**second, "id": str(number)} for number in range(due)])

    seconds = []
    for _ in range(warming_up + passes):
        time.sleep(1.01 - time.time() % 1)  # until a moment after the next second
        before = executor.taken
        seconds.append(timed(scheduler._process_jobs))
        check(executor.taken - before, due, "jobs were handed over")

    return {"each": median(seconds[warming_up:]) / due * 1e6}


def _add_others(scheduler: BaseScheduler, count: int, first: datetime) -> None:
    """Add hourly jobs, in batches: a million descriptions would take more memory than the jobs."""
    for begin in range(0, count, BATCH):
        specs = hourly_specs(min(BATCH, count - begin), first)
        add_all(scheduler, [{**spec, "id": f"later-{begin}-{spec['id']}"} for spec in specs])
