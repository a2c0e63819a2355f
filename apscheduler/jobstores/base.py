"""What a job store is: the methods that every store has, and the errors that it raises."""

from __future__ import annotations

import logging
from abc import ABCMeta, abstractmethod
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from .._log import log_may_fail
from .._overriding import keep_to_overridden
from .._time import is_later
from ..job import Job

if TYPE_CHECKING:
    from ..schedulers.base import BaseScheduler


# What stores do with many jobs at once, and with one: stores of 3.x know of one only.
_BATCHES = {
    "lookup_jobs": "lookup_job",
    "add_jobs": "add_job",
    "update_jobs": "update_job",
    "remove_jobs": "remove_job",
}


class JobLookupError(KeyError):
    """The job store holds no job with this id."""

    def __init__(self, job_id: str) -> None:
        super().__init__(f"No job by the id of {job_id} was found")


class UnrestorableJobError(JobLookupError):
    """The job store holds a job with this id, but it cannot be restored at present."""

    def __init__(self, job_id: str, jobstore: str, error: Exception) -> None:
        KeyError.__init__(
            self,
            f'Job "{job_id}" is in job store "{jobstore}", but cannot be restored '
            f"({type(error).__name__}: {error}) -- bring back what it names, tell its new place "
            f"by add_function_alias(), or remove or replace the job",
        )
        self._given = job_id, jobstore, error

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), self._given


class ConflictingIdError(KeyError):
    """The job store holds another job with this id already."""

    def __init__(self, job_id: str) -> None:
        super().__init__(f"Job identifier ({job_id}) conflicts with an existing job")


class RepeatedIdError(ConflictingIdError):
    """Two jobs that were to be added together have the same id."""

    def __init__(self, job_id: str) -> None:
        KeyError.__init__(
            self, f"Job identifier ({job_id}) conflicts with another of the jobs to add"
        )


class TransientJobError(ValueError):
    """The job cannot be stored, for there is no textual reference to its function."""

    def __init__(self, job_id: str) -> None:
        super().__init__(
            f"Job ({job_id}) cannot be added to this job store because a reference to the "
            f"callable could not be determined."
        )


class BaseJobStore(metaclass=ABCMeta):
    """
    Keeps jobs, and answers what is due, when next, and what is there.

    A scheduler calls its stores with its job store lock held: a store needs no lock of its own
    against it. Times are aware datetimes. A failure of the store itself, such as a lost
    connection, is raised as it is; it is never turned into "not found".
    """

    _scheduler: BaseScheduler | None = None
    _alias: str | None = None
    _logger: logging.Logger = logging.getLogger("apscheduler.jobstores")

    def __init_subclass__(cls, **options: Any) -> None:
        """
        Let no method for many jobs bypass one for a single job that overrides its class's.

        Subclasses of our stores that were written for 3.x override that one alone.
        """
        super().__init_subclass__(**options)
        for many, one in _BATCHES.items():
            keep_to_overridden(cls, BaseJobStore, one, [many])

    def start(self, scheduler: BaseScheduler, alias: str) -> None:
        """
        Called when the scheduler starts, or the store is added to a running one.

        :param scheduler: the scheduler that is starting this store
        :param alias: the name that the scheduler knows the store by
        """
        self._scheduler = scheduler
        self._alias = alias
        self._logger = logging.getLogger(f"apscheduler.jobstores.{alias}")

    def shutdown(self) -> None:  # noqa: B027  # having nothing to free is the honest default
        """Free what the store holds open, such as connections. It may be started again."""

    def after_fork(self) -> None:  # noqa: B027  # having nothing to renew is the honest default
        """Called in a forked child: renew what must not be shared with the parent process."""

    def _fix_paused_jobs_sorting(self, jobs: list[Job]) -> None:
        """Move the paused jobs of the list to its end, in place."""
        jobs.sort(key=lambda job: job.next_run_time is None)

    @abstractmethod
    def lookup_job(self, job_id: str) -> Job | None:
        """Return the job with this id, or None if there is none."""

    @abstractmethod
    def get_due_jobs(self, now: datetime) -> list[Job]:
        """Return the jobs whose next run time is not later than ``now``, earliest first."""

    @abstractmethod
    def get_next_run_time(self) -> datetime | None:
        """Return the earliest next run time of all jobs, or None if no job is waiting for one."""

    @abstractmethod
    def get_all_jobs(self) -> list[Job]:
        """Return all jobs by next run time, the paused ones last."""

    @abstractmethod
    def add_job(self, job: Job) -> None:
        """
        Take in a new job.

        :raises ConflictingIdError: if there is a job with this id already
        """

    @abstractmethod
    def update_job(self, job: Job) -> None:
        """
        Replace the job that has the same id.

        :raises JobLookupError: if there is none
        """

    @abstractmethod
    def remove_job(self, job_id: str) -> None:
        """
        Remove the job with this id.

        :raises JobLookupError: if there is none
        """

    @abstractmethod
    def remove_all_jobs(self) -> None:
        """Remove all jobs."""

    def lookup_jobs(self, job_ids: Sequence[str]) -> dict[str, Job]:
        """Return those of the jobs that are there, by id."""
        found = ((job_id, self.lookup_job(job_id)) for job_id in job_ids)
        return {job_id: job for job_id, job in found if job is not None}

    def add_jobs(self, jobs: Sequence[Job]) -> None:
        """
        Take in many new jobs: all of them or none.

        :raises ConflictingIdError: if there is a job with one of the ids already
        """
        added: list[Job] = []
        try:
            for job in jobs:
                self.add_job(job)
                added.append(job)
        except BaseException:
            for job in added:
                try:
                    self.remove_job(job.id)
                except Exception:  # the first error is the one to raise, and others may go
                    with log_may_fail:
                        self._logger.exception('Job "%s" could not be taken out again', job.id)
            raise

    def update_jobs(self, jobs: Iterable[Job]) -> list[str]:
        """
        Replace many jobs, each the one that has the same id.

        :return: the ids of the jobs that the store does not hold; these are passed over
        """
        missing = []
        for job in jobs:
            try:
                self.update_job(job)
            except JobLookupError:
                missing.append(job.id)

        return missing

    def remove_jobs(self, job_ids: Iterable[str]) -> list[str]:
        """
        Remove many jobs.

        :return: the ids of the jobs that the store does not hold; these are passed over
        """
        missing = []
        for job_id in job_ids:
            try:
                self.remove_job(job_id)
            except JobLookupError:
                missing.append(job_id)

        return missing

    def get_next_run_time_after(self, now: datetime) -> datetime | None:
        """
        Return the earliest next run time that is later than ``now``, or None if there is none.

        Asked only while a due job cannot be started, so that it does not hide the others.
        """
        times = (job.next_run_time for job in self.get_all_jobs())
        later = (time for time in times if time is not None and is_later(time, now))
        return min(later, key=datetime.timestamp, default=None)

    def get_unrestorable_jobs(self) -> list[tuple[str, Exception]]:
        """Return id and error of each stored job that cannot be restored at present."""
        return []

    def get_error_of_job(self, job_id: str) -> Exception | None:
        """
        Return why the job that was just looked up cannot be restored, or None if that is not so.

        Asked after :meth:`lookup_job` or :meth:`lookup_jobs` has not found it.
        """
        return None

    def may_block(self) -> bool:
        """Tell whether the methods may wait, say for a disk or a server. True if in doubt."""
        return True

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"
