"""Help for tests: a scheduler whose clock the test moves."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from typing import Any

from .._time import convert_to_datetime, is_later
from ..executors.base import BaseExecutor, Runs, complete
from ..job import Job
from ..schedulers import SchedulerNotRunningError
from ..schedulers._dispatch import earliest
from ..schedulers._with import WithBlock
from ..triggers.base import BaseTrigger

__all__ = ("ManualScheduler",)


class ManualScheduler(WithBlock):
    """
    A scheduler with a clock of its own, which stands still until :meth:`advance` moves it.

    Jobs run at their exact times, in order, in the thread that moves the clock; coroutine
    functions are run to their end. Everything else is as with any other scheduler::

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
        """
        if not self.running:
            raise SchedulerNotRunningError("The scheduler is not running -- call start() first")

        wait_seconds = self._look()
        while self._is_woken:
            wait_seconds = self._look()

        return wait_seconds

    def _look(self) -> float | None:
        self._is_woken = False
        return self._process_jobs()

    def _next_stop(self) -> datetime | None:
        """When there is something to do next, exactly; seconds would be rounded."""
        with self._jobstores_lock:
            return earliest((self._next_look, self._backlog.earliest_retry()))

    def wakeup(self) -> None:
        """Note that there is more to do than was known; the test says when to look."""
        self._is_woken = True

    def _create_default_executor(self) -> BaseExecutor:
        return _ManualExecutor()

    def _create_trigger(
        self, trigger: BaseTrigger | str | None, trigger_args: dict[str, Any]
    ) -> BaseTrigger:
        made = super()._create_trigger(trigger, trigger_args)
        made.start_from(self._now())
        return made


class _ManualExecutor(BaseExecutor):
    """Runs each job in the calling thread, on the clock of its scheduler."""

    def _do_submit_job(self, job: Job, run_times: list[datetime]) -> None:
        assert self._scheduler is not None  # submit_job() made sure of it
        runs = Runs(job, job._jobstore_alias, self._logger.name, self._scheduler._now)
        for run_time in runs.due(run_times):
            with runs.recording(run_time) as outcome:
                outcome.retval = complete(job.func(*job.args, **job.kwargs))

        self._run_job_success(job.id, runs.events)
