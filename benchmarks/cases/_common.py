"""What the cases share: a scheduler without a loop, an executor that returns at once, a job."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta, timezone
from typing import Any

from apscheduler.executors.base import BaseExecutor
from apscheduler.schedulers.base import BaseScheduler

# The defaults of the two libraries differ; so do runs that are late on a busy machine.
JOB_DEFAULTS = {"misfire_grace_time": None, "coalesce": True, "max_instances": 1}


class Stepper(BaseScheduler):
    """A scheduler without a loop: the case calls ``_process_jobs()``, the hook for one pass."""

    def wakeup(self) -> None:
        """Do nothing: the case says when to look."""

    def shutdown(self, wait: bool = True) -> None:
        """Shut down as the base does: 3.11.3 wants each scheduler to have this method."""
        super().shutdown(wait)


class InstantExecutor(BaseExecutor):
    """Takes jobs and is done with them."""

    def __init__(self) -> None:
        super().__init__()
        self.taken = 0

    def _do_submit_job(self, job: Any, run_times: list[datetime]) -> None:
        self.taken += 1
        self._run_job_success(job.id, [])


def stepper(store: Mapping[str, Any] | None = None) -> tuple[Stepper, InstantExecutor]:
    """Return a started scheduler without a loop, and its executor."""
    executor = InstantExecutor()
    scheduler = Stepper(
        timezone="UTC",
        executors={"default": executor},
        jobstores={} if store is None else {"default": dict(store)},
        job_defaults=JOB_DEFAULTS,
    )
    scheduler.start()
    return scheduler, executor


def work() -> None:
    """The job of most cases."""


def due_specs(count: int) -> list[dict[str, Any]]:
    """Hourly jobs that all came due within the last second."""
    return hourly_specs(count, datetime.now(timezone.utc) - timedelta(seconds=1))


def hourly_specs(count: int, first: datetime) -> list[dict[str, Any]]:
    """Hourly jobs of which the first is due at ``first``, the others within a second."""
    times = [first + number * (timedelta(seconds=1) / count) for number in range(count)]
    return [
        {
            "func": work,
            "trigger": "interval",
            "hours": 1,
            "id": f"job-{number:07}",
            "start_date": time,
            "next_run_time": time,
        }
        for number, time in enumerate(times)
    ]


def add_all(scheduler: BaseScheduler, specs: Iterable[Mapping[str, Any]]) -> None:
    """Add many jobs by the best means that the library has."""
    add_jobs = getattr(scheduler, "add_jobs", None)
    if add_jobs is not None:
        add_jobs(specs)
        return

    for spec in specs:
        scheduler.add_job(**spec)
