"""Schedulers join triggers, job stores and executors; here, the errors of being in no state to."""

from __future__ import annotations


class SchedulerAlreadyRunningError(Exception):
    """The scheduler would have to be stopped, but is running or paused."""

    def __str__(self) -> str:
        return super().__str__() or "Scheduler is already running"


class SchedulerNotRunningError(Exception):
    """The scheduler would have to be running or paused, but is stopped."""

    def __str__(self) -> str:
        return super().__str__() or "Scheduler is not running"
