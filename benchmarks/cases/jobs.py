"""Adding, changing and removing jobs, and the memory that they take."""

from __future__ import annotations

import gc
import tracemalloc
from datetime import datetime, timedelta, timezone
from random import Random
from typing import Any

from ._common import add_all, hourly_specs, stepper, work
from ._timing import check, timed


def add_one_by_one(size: int) -> dict[str, float]:
    """So many calls of add_job() on a scheduler that runs."""
    scheduler, _ = stepper()

    def add() -> None:
        for _ in range(size):
            scheduler.add_job(work, "interval", hours=1)

    seconds = timed(add)

    check(len(scheduler.get_jobs()), size, "jobs are in the store")
    return {"added": size / seconds}


def add_at_once(size: int) -> dict[str, float]:
    """So many jobs by one call of add_jobs(), or of add_job() for each where that is missing."""
    scheduler, _ = stepper()
    specs: list[dict[str, Any]] = [
        {"func": work, "trigger": "interval", "hours": 1} for _ in range(size)
    ]

    seconds = timed(lambda: add_all(scheduler, specs))

    check(len(scheduler.get_jobs()), size, "jobs are in the store")
    return {"added": size / seconds}


def change(size: int) -> dict[str, float]:
    """Postpone three of four jobs, then remove them, in random order."""
    scheduler, _ = stepper()
    first = datetime.now(timezone.utc) + timedelta(hours=1)
    specs = hourly_specs(size, first)
    add_all(scheduler, specs)
    postponed = timedelta(minutes=30)
    picked = {
        spec["id"]: spec["next_run_time"] + postponed
        for spec in Random(7).sample(specs, size * 3 // 4)
    }

    def modify() -> None:
        for job_id, next_run_time in picked.items():
            scheduler.modify_job(job_id, next_run_time=next_run_time)

    def remove() -> None:
        for job_id in picked:
            scheduler.remove_job(job_id)

    modifying = timed(modify)
    times = [job.next_run_time for job in scheduler.get_jobs()]
    check(sum(time >= first + postponed for time in times), len(picked), "jobs were postponed")

    removing = timed(remove)
    check(len(scheduler.get_jobs()), size - len(picked), "jobs are left")

    return {"modified": len(picked) / modifying, "removed": len(picked) / removing}


def memory(size: int) -> dict[str, float]:
    """What Python allocates for so many interval jobs in the memory store."""
    scheduler, _ = stepper()
    scheduler.add_job(work, "interval", hours=1)  # what is needed once is not counted
    gc.collect()
    tracemalloc.start()
    for _ in range(size):
        scheduler.add_job(work, "interval", hours=1)
    gc.collect()
    allocated, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    check(len(scheduler.get_jobs()), size + 1, "jobs are in the store")
    return {"bytes": allocated / size}
