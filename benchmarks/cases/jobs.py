"""Adding, changing and removing jobs, and the memory that they take."""

from __future__ import annotations

import gc
import tracemalloc
from datetime import datetime, timedelta, timezone
from random import Random
from typing import Any

from ._common import add_all, hourly_specs, stepper, work
from ._timing import timed

CHANGES = 2_000  # of each kind


def add_one_by_one(size: int) -> dict[str, float]:
    """So many calls of add_job() on a scheduler that runs."""
    scheduler, _ = stepper()

    def add() -> None:
        for _ in range(size):
            scheduler.add_job(work, "interval", hours=1)

    return {"added": size / timed(add)}


def add_at_once(size: int) -> dict[str, float]:
    """So many jobs by one call of add_jobs(), or of add_job() for each where that is missing."""
    scheduler, _ = stepper()
    specs: list[dict[str, Any]] = [
        {"func": work, "trigger": "interval", "hours": 1} for _ in range(size)
    ]
    return {"added": size / timed(lambda: add_all(scheduler, specs))}


def change(size: int) -> dict[str, float]:
    """Postpone jobs, then remove them, picked at random from so many."""
    scheduler, _ = stepper()
    first = datetime.now(timezone.utc) + timedelta(hours=1)
    specs = hourly_specs(size, first)
    add_all(scheduler, specs)
    picked = Random(7).sample([spec["id"] for spec in specs], min(CHANGES, size))

    def modify() -> None:
        for job_id in picked:
            scheduler.modify_job(job_id, next_run_time=first + timedelta(minutes=30))

    def remove() -> None:
        for job_id in picked:
            scheduler.remove_job(job_id)

    return {"modified": len(picked) / timed(modify), "removed": len(picked) / timed(remove)}


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

    return {"bytes": allocated / size}
