"""Take new jobs to their stores: defaults, first run times, replacement, all or none."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime, timezone
from itertools import chain
from typing import Any

from .._log import log_may_fail
from ..job import Job
from ..jobstores.base import BaseJobStore, ConflictingIdError
from ..triggers.base import BaseTrigger
from ._backlog import Backlog
from ._interrupts import is_interrupt

# Before any schedule that people write: what has no time to run from here on never has one.
_LONG_AGO = datetime(1970, 1, 1, tzinfo=timezone.utc)

# A job that is added: itself, alias of its store, replace_existing.
Entry = tuple[Job, str, bool]

# Another process may add a job just before us, and remove it just before we replace it.
REPLACE_ATTEMPTS = 5


def check_ever_runs(trigger: BaseTrigger, name: str, now: datetime) -> None:
    """
    Refuse a schedule without any time to run, such as each 30 February.

    :param name: of the job, for the error
    :param now: the current time, before which its end may have passed
    :raises ValueError: if the schedule never had a time to run, and not because its end has passed
    """
    if trigger.get_first_fire_time(None, _LONG_AGO) is None and not _has_ended(trigger, now):
        raise ValueError(f'Job "{name}" would never run: {trigger} has no time to run')


def _has_ended(trigger: BaseTrigger, now: datetime) -> bool:
    """Tell whether the schedule has an end and it has passed, as one in a configuration does."""
    end = getattr(trigger, "end_date", None)
    if isinstance(end, datetime):
        return end.timestamp() < now.timestamp()

    return isinstance(end, date) and end < now.date()


def first_run_time(
    trigger: BaseTrigger, now: datetime, name: str, logger: logging.Logger
) -> datetime | None:
    """
    Return when a schedule that begins now runs first; None if it has ended already.

    :param name: of the job, for the error and the log
    :raises ValueError: if the schedule never had a time to run
    """
    first = trigger.get_first_fire_time(None, now)
    if first is None:
        check_ever_runs(trigger, name, now)
        with log_may_fail:
            logger.warning(
                'Job "%s" will not run: %s has no time to run from now on', name, trigger
            )

    return first


class Entries:
    """
    New jobs, each with the alias of its store and ``replace_existing``, as if in a list of tuples.

    A tuple for each of many jobs would keep the garbage collector busy.
    """

    def __init__(self) -> None:
        self.jobs: list[Job] = []
        self._aliases: list[str] = []
        self._replacing: list[bool] = []

    def append(self, job: Job, alias: str, replace_existing: bool) -> None:
        self.jobs.append(job)
        self._aliases.append(alias)
        self._replacing.append(replace_existing)

    def __iter__(self) -> Iterator[Entry]:
        return zip(self.jobs, self._aliases, self._replacing, strict=True)


class Adding:
    """
    Takes jobs to stores. What goes wrong leaves stores and jobs as they were.

    :param defaults: settings of jobs that have no own
    :param now: the current time, from which schedules begin
    :param backlog: knows of runs that may be those of a job that is replaced
    :param will_retry: whether jobs that could not be taken will be given to an ``Adding`` again
    :ivar has_run_ready: whether such a run is to be started now
    """

    def __init__(
        self,
        defaults: Mapping[str, Any],
        now: datetime,
        backlog: Backlog,
        logger: logging.Logger,
        will_retry: bool = False,
    ) -> None:
        self.has_run_ready = False
        self._will_retry = will_retry
        self._backlog = backlog
        self._defaults = defaults
        self._now = now
        self._logger = logger
        # Jobs whose run times were set before, by the aliases of their stores and their ids.
        self._going_on: set[tuple[str | None, str]] = set()
        self._undo: list[Callable[[], object]] = []  # takes back what was done, in its order
        # These overwrite bytes that cannot be restored.
        self._overwriting: list[tuple[BaseJobStore, list[Job]]] = []
        # Jobs with the names of the settings that they were given, if they are to be taken back.
        self._filled: list[tuple[Job, list[str]]] = []

    def add(self, store: BaseJobStore, job: Job, replace_existing: bool) -> None:
        """
        Take one job to a store.

        :raises ConflictingIdError: if its id is taken, and it is not to replace
        """
        is_tried = False
        try:
            keeps_time = self._fill_in(job)
            is_tried = True
            try:
                store.add_job(job)
            except ConflictingIdError:
                if not replace_existing:
                    raise
                self._replace(store, [(job, keeps_time)])
                self._overwrite()
            else:
                self._clear_up_gone(store, [job])
            if self._backlog.set_backs:
                self._note_new_times(store, [job])
        except BaseException:
            if is_tried:
                self._undo.insert(0, lambda: _remove_own(store, [job]))
            self._take_back()
            raise

    def add_many(
        self, stores: Sequence[tuple[BaseJobStore, Sequence[Job], Sequence[Job]]]
    ) -> None:
        """
        Take many jobs to their stores at once; call it inside of ``with``.

        :param stores: each with jobs whose ids must be free, and jobs that replace those that
            have their ids
        :raises ConflictingIdError: if an id is taken by a job that is not to be replaced
        """
        replacements = []
        for store, new, replacing in stores:
            for job in new:
                self._fill_in(job)
            replacements.append((store, [(job, self._fill_in(job)) for job in replacing]))

        for store, new, _ in stores:
            self._add_new(store, new)
        for store, jobs in replacements:
            self._replace(store, jobs)
        self._overwrite()
        if self._backlog.set_backs:
            for store, new, replacing in stores:
                self._note_new_times(store, chain(new, replacing))

    def _note_new_times(self, store: BaseJobStore, jobs: Iterable[Job]) -> None:
        """Leave run times alone that were set now, though the clock was set back before."""
        alias = store._alias
        if alias is not None:
            ids = (job.id for job in jobs if (alias, job.id) not in self._going_on)
            self._backlog.set_backs.leave_out(alias, ids)

    def _add_new(self, store: BaseJobStore, jobs: Sequence[Job]) -> None:
        if jobs:
            self._undo.append(lambda: _remove_own(store, jobs))
            store.add_jobs(jobs)
            self._undo[-1] = lambda: store.remove_jobs([job.id for job in jobs])
            self._clear_up_gone(store, jobs)

    def _clear_up_gone(self, store: BaseJobStore, jobs: Iterable[Job]) -> None:
        """Find out about the last runs of jobs that had these ids, and that are not there."""
        if self._backlog.unclear:
            for job in jobs:
                self._clear_up(store, job.id, None)

    def _clear_up(self, store: BaseJobStore, job_id: str, stored: Job | None) -> None:
        if store._alias is not None and self._backlog.clear_up(store._alias, job_id, stored):
            self.has_run_ready = True

    def _fill_in(self, job: Job) -> bool:
        """Give the job the settings that it has not; tell whether it had no next run time."""
        missing = {name: value for name, value in self._defaults.items() if not hasattr(job, name)}
        keeps_time = not hasattr(job, "next_run_time")
        if keeps_time:
            missing["next_run_time"] = first_run_time(
                job.trigger, self._now, job.name, self._logger
            )
        for name, value in missing.items():
            setattr(job, name, value)

        if self._will_retry:
            self._filled.append((job, list(missing)))
        return keeps_time

    def _replace(self, store: BaseJobStore, jobs: Sequence[tuple[Job, bool]]) -> None:
        """Replace the jobs that are there; add the others. See also ``_overwrite()``."""
        for _ in range(REPLACE_ATTEMPTS):
            jobs = self._replace_existing(store, jobs)
            try:
                self._add_new(store, [job for job, _ in jobs])
                return
            except ConflictingIdError:  # another process has added one of them in the meantime
                continue

        # Or the store holds one that it does not give out, and does not say so.
        self._overwriting.append((store, [job for job, _ in jobs]))

    def _replace_existing(
        self, store: BaseJobStore, jobs: Sequence[tuple[Job, bool]]
    ) -> Sequence[tuple[Job, bool]]:
        """Replace the jobs that are there and can be restored; return those that are not there."""
        replaced: list[Job] = []
        replacing: list[Job] = []
        unrestorable: list[Job] = []
        missing: list[tuple[Job, bool]] = []
        stored = store.lookup_jobs([job.id for job, _ in jobs])
        for job, keeps_time in jobs:
            existing = stored.get(job.id)
            if existing is not None:
                self._clear_up(store, job.id, existing)
                replaced.append(existing)
                replacing.append(job)
                if keeps_time and job.trigger.is_same_schedule(existing.trigger):
                    self._go_on(store, job, existing)
            elif store.get_error_of_job(job.id) is not None:
                unrestorable.append(job)
            else:
                missing.append((job, keeps_time))

        if unrestorable:
            self._overwriting.append((store, unrestorable))
        if replacing:
            self._undo.append(lambda: store.update_jobs(replaced))
            gone = set(store.update_jobs(replacing))  # in the meantime
            missing += [entry for entry in jobs if entry[0].id in gone]

        return missing

    def _overwrite(self) -> None:
        """Replace jobs that cannot be restored: last of all, for this cannot be taken back."""
        for store, jobs in self._overwriting:
            gone = set(store.update_jobs(jobs))  # in the meantime
            self._add_new(store, [job for job in jobs if job.id in gone])

    def _go_on(self, store: BaseJobStore, job: Job, existing: Job) -> None:
        """Let a job with an unchanged schedule go on where the one that it replaces was."""
        trigger = job.trigger
        self._undo.append(lambda: setattr(job, "trigger", trigger))
        job.trigger = existing.trigger  # its interval counts from where it did
        job.next_run_time = existing.next_run_time
        self._going_on.add((store._alias, job.id))

    def __enter__(self) -> Adding:
        return self

    def __exit__(self, cls: type[BaseException] | None, *exc_info: object) -> None:
        if cls is not None:
            self._take_back()

    def _take_back(self) -> None:
        while self._undo:
            try:
                self._undo.pop()()
            except BaseException as exc:  # the first error is the one to raise
                if is_interrupt(exc):
                    raise
                with log_may_fail:
                    self._logger.exception("Taking back what was added before the error failed")

        if self._will_retry:
            self._empty_out()

    def _empty_out(self) -> None:
        """Take from the jobs what they were given: it is to be found out anew."""
        # Never for a job that might still be in a store, which would stumble over it.
        for job, names in self._filled:
            for name in names:
                delattr(job, name)


def _remove_own(store: BaseJobStore, jobs: Sequence[Job]) -> None:
    """Remove those of the jobs that a store in memory took in before it failed."""
    try:
        stored = store.lookup_jobs([job.id for job in jobs])
    except Exception:
        return  # it is down; nobody can know what it holds, and the first error says so

    held = [job.id for job in jobs if stored.get(job.id) is job]
    if held:
        store.remove_jobs(held)
