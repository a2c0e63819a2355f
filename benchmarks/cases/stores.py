"""Jobs kept in databases: due jobs, adding and listing."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from typing import Any

from ._common import add_all, due_specs, hourly_specs, stepper
from ._timing import check, timed


def due(size: int, store: Mapping[str, Any]) -> dict[str, float]:
    """So many jobs are due; their executor is done with each of them at once."""
    scheduler, executor = stepper(store)
    add_all(scheduler, due_specs(size))

    seconds = timed(scheduler._process_jobs)

    check(executor.taken, size, "jobs were handed over")
    return {"due": size / seconds}


def add_one_by_one(size: int, store: Mapping[str, Any]) -> dict[str, float]:
    """So many calls of add_job()."""
    scheduler, _ = stepper(store)
    specs = _later(size)

    def add() -> None:
        for spec in specs:
            scheduler.add_job(**spec)

    seconds = timed(add)

    check(len(scheduler.get_jobs()), size, "jobs are in the store")
    return {"added": size / seconds}


def add_at_once(size: int, store: Mapping[str, Any]) -> dict[str, float]:
    """So many jobs by one call of add_jobs(), or of add_job() for each where that is missing."""
    scheduler, _ = stepper(store)
    specs = _later(size)

    seconds = timed(lambda: add_all(scheduler, specs))

    check(len(scheduler.get_jobs()), size, "jobs are in the store")
    return {"added": size / seconds}


def list_all(size: int, store: Mapping[str, Any]) -> dict[str, float]:
    """One call of get_jobs() that returns so many."""
    scheduler, _ = stepper(store)
    add_all(scheduler, _later(size))

    seconds = timed(scheduler.get_jobs)

    check(len(scheduler.get_jobs()), size, "jobs are in the store")
    return {"listed": size / seconds}


def _later(count: int) -> list[dict[str, Any]]:
    return hourly_specs(count, datetime.now(timezone.utc) + timedelta(hours=1))
