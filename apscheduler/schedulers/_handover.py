"""Hand runs to their executors, and tell listeners in order: submission first, then outcome."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta, timezone
from typing import TYPE_CHECKING, Any

from ..events import (
    EVENT_JOB_ERROR,
    EVENT_JOB_EXECUTED,
    EVENT_JOB_MAX_INSTANCES,
    EVENT_JOB_MISSED,
    EVENT_JOB_MODIFIED,
    EVENT_JOB_REMOVED,
    EVENT_JOB_SUBMITTED,
    JobEvent,
    JobExecutionEvent,
    JobSubmissionEvent,
    SchedulerEvent,
)
from ..executors.base import MaxInstancesReachedError
from ._dispatch import Advance, Backlog

if TYPE_CHECKING:
    from .base import BaseScheduler

_OUTCOMES = EVENT_JOB_EXECUTED | EVENT_JOB_ERROR | EVENT_JOB_MISSED


class Handover:
    """The way of runs from a scheduler's backlog to its executors."""

    def __init__(self, scheduler: BaseScheduler) -> None:
        self._scheduler = scheduler
        # Held while a run is handed over: a shutdown waits for it.
        self._submission_lock = scheduler._create_lock()
        # Guards what was held back: outcomes by store and job id.
        self._outcome_lock = scheduler._create_lock()
        self._early_outcomes: dict[tuple[str | None, str], list[SchedulerEvent]] = {}

    def hand_over(self, backlog: Backlog) -> None:
        """Hand over the runs that are ready."""
        while True:
            with self._submission_lock:
                if not backlog.ready:
                    return
                advance = backlog.ready.popleft()
                key = (advance.job._jobstore_alias, advance.job.id)
                self._early_outcomes.setdefault(key, [])
                submission = self._submit(advance, backlog)

            with self._releasing_outcomes(key):
                if submission is not None:
                    self._announce(submission, advance)

    def holds_back(self, event: Any) -> bool:
        """Keep the outcome of a run if listeners have not heard of its submission yet."""
        if not (self._early_outcomes and event.code & _OUTCOMES):
            return False

        with self._outcome_lock:
            held = self._early_outcomes.get((event.jobstore, event.job_id))
            if held is None:
                return False

            held.append(event)
            return True

    def drop(self, backlog: Backlog) -> None:
        """Let listeners know of the runs that no executor has taken, as the scheduler stops."""
        for advance in [*backlog.ready, *backlog.stuck.values()]:
            for run_time in advance.run_times:
                self._scheduler._logger.error(
                    'The run of job "%s" that was due at %s was never handed to its executor',
                    advance.job,
                    run_time,
                )
                self._scheduler._dispatch_event(
                    JobExecutionEvent(EVENT_JOB_MISSED, advance.job.id, advance.alias, run_time)
                )

    @contextmanager
    def _releasing_outcomes(self, key: tuple[str | None, str]) -> Iterator[None]:
        try:
            yield
        finally:
            with self._outcome_lock:
                outcomes = self._early_outcomes.pop(key, [])
            for outcome in outcomes:
                self._scheduler._dispatch_event(outcome)

    def _submit(self, advance: Advance, backlog: Backlog) -> JobSubmissionEvent | None:
        """Hand the runs of one job over; return what happened, None if they have to be kept."""
        scheduler, job, run_times = self._scheduler, advance.job, advance.run_times
        try:
            scheduler._lookup_executor(job.executor).submit_job(job, run_times)
        except MaxInstancesReachedError:
            scheduler._logger.warning(
                'Execution of job "%s" skipped: maximum number of running instances reached (%d)',
                job,
                job.max_instances,
            )
            return JobSubmissionEvent(EVENT_JOB_MAX_INSTANCES, job.id, advance.alias, run_times)
        except Exception:
            advance.retry_at = scheduler._now().astimezone(timezone.utc) + timedelta(
                seconds=scheduler.jobstore_retry_interval
            )
            backlog.stuck[advance.key] = advance
            scheduler._logger.exception(
                'Error submitting job "%s" to executor "%s" -- trying again at %s',
                job,
                job.executor,
                advance.retry_at,
            )
            return None

        return JobSubmissionEvent(EVENT_JOB_SUBMITTED, job.id, advance.alias, run_times)

    def _announce(self, submission: JobSubmissionEvent, advance: Advance) -> None:
        scheduler = self._scheduler
        scheduler._dispatch_event(submission)
        if advance.ends:
            scheduler._logger.info("Removed job %s", advance.job.id)
            scheduler._dispatch_event(JobEvent(EVENT_JOB_REMOVED, advance.job.id, advance.alias))
        elif advance.error is not None:
            scheduler._dispatch_event(JobEvent(EVENT_JOB_MODIFIED, advance.job.id, advance.alias))
