"""Help for tests: a scheduler whose clock the test moves."""

from __future__ import annotations

import os
from collections.abc import Mapping
from copy import copy
from datetime import datetime, timedelta, timezone
from itertools import count
from typing import Any

from .._time import convert_to_datetime, earliest, is_later
from ..executors.base import BaseExecutor, Runs, complete
from ..job import Job
from ..schedulers import SchedulerNotRunningError
from ..schedulers._with import WithBlock
from ..triggers.base import BaseTrigger

__all__ = ("ManualScheduler",)


class ManualScheduler(WithBlock):
    """
    A scheduler with a clock of its own, which stands still until :meth:`advance` moves it.

    Jobs run at their exact times, in order, in the thread that moves the clock; coroutine
    functions are run to their end. At the same time they run in the order in which they were
    added, or in that of their ids if they were given some. Everything else is as with any other
    scheduler::

        scheduler = ManualScheduler(now="2030-03-01 08:00:00")
        scheduler.add_job(send_report, "cron", hour=9)
        scheduler.start()
        scheduler.advance(timedelta(days=365))     # runs send_report 365 times

    :param now: where the clock starts: a datetime or a string, in the scheduler's time zone
        unless it has one; None: the current time
    :param options: as for every scheduler, but the default ``timezone`` is UTC, so that a test
        means the same on every computer
    """

    def __init__(
        self,
        gconfig: Mapping[str, Any] = {},
        now: datetime | str | None = None,
        **options: Any,
    ) -> None:
        self._clock = datetime.now(timezone.utc)
        self._is_woken = False
        self._job_numbers = count(1)
        self._interrupts: list[KeyboardInterrupt] = []
        super().__init__(gconfig, **options)
        if now is not None:
            start = convert_to_datetime(now, self.timezone, "now")
            assert start is not None
            self._clock = start.astimezone(timezone.utc)

    def _configure(self, config: dict[str, Any]) -> None:
        config.setdefault("timezone", timezone.utc)
        super()._configure(config)

    @property
    def now(self) -> datetime:
        """The time on the scheduler's clock, in its time zone."""
        return self._now()

    def _now(self) -> datetime:
        return self._clock.astimezone(self.timezone)

    def _elapsed(self) -> float:
        return self._clock.timestamp()  # the test's clock is not set back, it stands still

    def advance(self, duration: float | timedelta) -> None:
        """
        Move the clock forward, and run what comes due on the way, each at its exact time.

        :param duration: a timedelta or a number of seconds; 0 runs what is due already
        :raises ValueError: if it is negative
        :raises SchedulerNotRunningError: if the scheduler was not started
        :raises KeyboardInterrupt: if a job raised it; the clock stands where it was raised
        """
        step = duration if isinstance(duration, timedelta) else timedelta(seconds=duration)
        if step < timedelta(0):
            raise ValueError(f"The clock can only be moved forward, got {duration!r}")

        end = self._clock + step
        wait_seconds = self.run_due()
        while wait_seconds is not None:
            look_at = self._next_stop()
            if look_at is None or is_later(look_at, end):
                break
            self._clock = max(self._clock, look_at.astimezone(timezone.utc))
            wait_seconds = self.run_due()

        if self.running:  # a job may have shut the scheduler down
            self._clock = max(self._clock, end)

    def run_due(self) -> float | None:
        """
        Run what is due now, and what its runs make due, without moving the clock.

        :return: seconds until the next look; None if no job waits for a time, or while the
            scheduler is paused
        :raises SchedulerNotRunningError: if the scheduler was not started
        :raises KeyboardInterrupt: if a job raised it; what was due at that time has run
        """
        if not self.running:
            raise SchedulerNotRunningError("The scheduler is not running -- call start() first")

        wait_seconds = self._look()
        while self._is_woken:
            wait_seconds = self._look()

        return wait_seconds

    def _look(self) -> float | None:
        self._is_woken = False
        wait_seconds = self._process_jobs()
        if self._interrupts:
            interrupt = self._interrupts[0]
            self._interrupts.clear()
            raise interrupt

        return wait_seconds

    def _next_stop(self) -> datetime | None:
        """When there is something to do next, exactly; seconds would be rounded."""
        with self._jobstores_lock:
            return earliest((self._next_look, self._backlog.earliest_retry()))

    def wakeup(self) -> None:
        """Note that there is more to do than was known; the test says when to look."""
        self._is_woken = True

    def _create_default_executor(self) -> BaseExecutor:
        return _ManualExecutor(self._interrupts)

    def _create_job(
        self,
        settings: Mapping[str, Any],
        trigger: BaseTrigger | str | None,
        trigger_args: dict[str, Any],
    ) -> Job:
        if settings.get("id") in (None, ""):
            settings = {**settings, "id": self._new_id()}

        return super()._create_job(settings, trigger, trigger_args)

    def _new_id(self) -> str:
        # Stores go by ids where times are equal. The random half keeps those ids apart that
        # several schedulers put into one store.
        return f"{next(self._job_numbers):016x}{os.urandom(8).hex()}"

    def _create_trigger(
        self, trigger: BaseTrigger | str | None, trigger_args: dict[str, Any]
    ) -> BaseTrigger:
        made = super()._create_trigger(trigger, trigger_args)
        if made is trigger:
            return _started(made, self._now())

        made.start_from(self._now())
        return made


def _started(trigger: BaseTrigger, now: datetime) -> BaseTrigger:
    """Return a trigger that counts from ``now``: a copy, as other jobs may have the same one."""
    if type(trigger).start_from is BaseTrigger.start_from:
        return trigger

    try:
        own = copy(trigger)
    except ValueError:  # a part is of a class that has no reference
        trigger.start_from(now)
        return trigger

    own.start_from(now)
    has_moved = own.__reduce_ex__(2)[2] != trigger.__reduce_ex__(2)[2]
    return own if has_moved else trigger


class _ManualExecutor(BaseExecutor):
    """
    Runs each job in the calling thread, on the clock of its scheduler.

    :param interrupts: takes the interrupts that jobs raise
    """

    def __init__(self, interrupts: list[KeyboardInterrupt]) -> None:
        super().__init__()
        self._interrupts = interrupts

    def runs_inline(self) -> bool:
        return True

    def _do_submit_job(self, job: Job, run_times: list[datetime]) -> None:
        assert self._scheduler is not None  # submit_job() made sure of it
        runs = Runs(job, job._jobstore_alias, self._logger.name, self._scheduler._now)
        for run_time in runs.due(run_times):
            with runs.recording(run_time) as outcome:
                outcome.retval = complete(job.func(*job.args, **job.kwargs), job.func)
            if isinstance(outcome.exception, KeyboardInterrupt):
                self._interrupts.append(outcome.exception)

        self._run_job_success(job.id, runs.events)
