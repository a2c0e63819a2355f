"""What all job stores share that keep jobs as bytes: jobs to bytes, bytes to jobs, and parking."""

from __future__ import annotations

import pickle
from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime, timezone
from itertools import takewhile
from math import inf
from operator import itemgetter
from types import NoneType
from typing import TYPE_CHECKING, Any, NamedTuple

from .._log import log_may_fail
from .._refs import unwatch_aliases, watch_aliases
from .._time import datetime_to_utc_timestamp, utc_timestamp_to_datetime
from ..job import Job
from ..triggers.base import BaseTrigger
from .base import BaseJobStore, ConflictingIdError, JobLookupError, TransientJobError

if TYPE_CHECKING:
    from ..schedulers.base import BaseScheduler

# The newest protocol of the oldest Python that APScheduler 3.11 runs on: any of them reads it.
PICKLE_PROTOCOL = 5

# Seconds that a server may take to let us in, and to answer once it did. Passes visit one store
# after another: a server that hangs must not keep the others for long.
CONNECT_TIMEOUT = 10
ANSWER_TIMEOUT = 30

# What a stored setting must be, lest the loop stumble over it or a run is lost. Its value is
# left alone: 3.x took some as defaults that are refused when they are given, such as 0 seconds.
_TYPES: dict[str, tuple[type, ...]] = {
    "trigger": (BaseTrigger,),
    "executor": (str,),
    "args": (tuple, list),
    "kwargs": (Mapping,),
    "name": (str,),
    "misfire_grace_time": (int, float, NoneType),
    "max_instances": (int,),
    "next_run_time": (datetime, NoneType),
}

# Later than any datetime: jobs that somebody put there by hand are never due.
_END_OF_CALENDAR = datetime.max.replace(tzinfo=timezone.utc).timestamp()

# A job as a store returns it: id, POSIX time that is stored beside the state (None: paused), bytes
Row = tuple[str, float | None, bytes]


class Record(NamedTuple):
    """A job as a store keeps it."""

    id: str
    timestamp: float | None  # POSIX time of the next run; None while paused
    data: bytes


class Parked(NamedTuple):
    """What is known of a stored job that cannot be restored."""

    reason: str
    error: Exception
    # Of which bytes, and with which function aliases, this is known.
    attempt: tuple[int, int]


class PersistentJobStore(BaseJobStore):
    """
    Keeps jobs as bytes in a place that outlives the program.

    A subclass reads and writes records by the ``_read_*`` and ``_write_*`` methods below; what it
    reads goes through :meth:`_restore_row`. Each write happens as a whole or not at all, and what
    the driver raises is raised as it is.

    The time that is stored beside a state says whether the job is paused, for it is what jobs are
    looked up by. Both are written together: they differ only if somebody changed one by hand.

    A job whose bytes cannot be restored, or that cannot be stored again when it moves on, is
    *parked*: logged once, left out of all answers, and never touched. It is tried again when its
    bytes change, when a function alias is added, and after a restart. It can be removed and
    replaced like any other.

    :param pickle_protocol: protocol of :mod:`pickle` for what is written; any is read
    """

    def __init__(self, pickle_protocol: int = PICKLE_PROTOCOL) -> None:
        self.pickle_protocol = pickle_protocol
        self._parked: dict[str, Parked] = {}
        self._still_parked: set[str] = set()  # those met since ids were looked for last
        self._doubtful: set[str] = set()  # jobs that perhaps can be restored, but not stored again
        self._alias_generation = 0

    def start(self, scheduler: BaseScheduler, alias: str) -> None:
        super().start(scheduler, alias)
        watch_aliases(self)

    def shutdown(self) -> None:
        unwatch_aliases(self)
        self._parked.clear()

    def function_alias_added(self) -> None:
        """Try parked jobs again. Called from any thread."""
        self._alias_generation += 1
        if self._parked and self._scheduler is not None:
            self._scheduler.wakeup()

    # --- what each backend writes --------------------------------------------------------------

    @abstractmethod
    def _read(self, job_id: str) -> Job | None:
        """Return one job, or None if there is no such job."""

    def _read_many(self, job_ids: Sequence[str]) -> list[Job]:
        """Return those of the jobs that are there, in any order. The default reads each alone."""
        return [job for job_id in job_ids if (job := self._read(job_id)) is not None]

    @abstractmethod
    def _read_due(self, timestamp: float) -> list[Job]:
        """Return the jobs, in any order, whose stored time is not later than the given one."""

    @abstractmethod
    def _read_first(self, after: float | None, limit: int) -> Sequence[tuple[str, float, bytes]]:
        """
        Return id, time and bytes of the jobs that run first, in order, without paused ones.

        :param after: only times later than this one; None: any time
        :param limit: how many to return, unless there are fewer
        """

    @abstractmethod
    def _read_all(self) -> list[Job]:
        """Return all jobs, in any order."""

    @abstractmethod
    def _write_new(self, records: Sequence[Record]) -> None:
        """
        Take in records with ids that differ from each other: all or none.

        :raises ConflictingIdError: if one of the ids is taken
        """

    @abstractmethod
    def _write_changed(self, records: Sequence[Record]) -> list[str]:
        """Replace records; return the ids of those that are not there."""

    @abstractmethod
    def _delete(self, job_ids: Sequence[str]) -> list[str]:
        """Remove records; return the ids of those that are not there."""

    @abstractmethod
    def _delete_all(self) -> None:
        """Remove all records."""

    # --- jobs to bytes and back ----------------------------------------------------------------

    def _dump(self, job: Job) -> bytes:
        return pickle.dumps(job.__getstate__(), self.pickle_protocol)

    def _load(self, data: bytes) -> Job:
        return self._reconstitute_job(data)

    def _reconstitute_job(self, job_state: Any) -> Job:
        """Make a job of its pickled state. Programs override this to look at jobs as they come."""
        return self._revive(pickle.loads(job_state))

    def _revive(self, state: dict[str, Any]) -> Job:
        job = Job.__new__(Job)
        job.__setstate__(state)
        job._scheduler = self._scheduler  # type: ignore[assignment]  # the store was started
        job._jobstore_alias = self._alias
        return job

    def _record(self, job: Job) -> Record:
        if job.func_ref is None:
            raise TransientJobError(job.id)

        # One reading of the run time: what is stored in two places is the same.
        return Record(job.id, datetime_to_utc_timestamp(job.next_run_time), self._dump(job))

    def _restore(self, job_id: str, data: bytes) -> Job | None:
        """Make a job of its bytes, or park it and return None."""
        generation = self._alias_generation
        if self._parked and self._is_still_parked(job_id, data):
            return None

        try:
            job = self._load(data)
            _check(job, job_id)
            if job_id in self._doubtful:
                self._doubtful.discard(job_id)
                self._dump(job)
        except KeyboardInterrupt:
            raise
        except BaseException as exc:  # a module may call sys.exit() when it is imported
            self._park(job_id, _as_exception(exc), (hash(data), generation))
            return None

        if job_id in self._parked:
            del self._parked[job_id]
            with log_may_fail:
                self._logger.info('Job "%s" can be restored again', job_id)

        return job

    def _is_still_parked(self, job_id: str, data: bytes) -> bool:
        """Tell whether nothing has changed since the job was found to be broken."""
        known = self._parked.get(job_id)
        if known is None or known.attempt != (hash(data), self._alias_generation):
            return False

        self._still_parked.add(job_id)
        return True

    def _restore_all(self, items: Iterable[tuple[str, bytes]]) -> list[Job]:
        """Make jobs of ids and bytes, and park those that cannot be restored."""
        return [job for item in items if (job := self._restore(*item)) is not None]

    def _restore_row(self, job_id: str, stored: float | None, data: bytes) -> Job | None:
        """Make a job of its bytes, paused or not as its stored time says; or park it."""
        job = self._restore(job_id, data)
        if job is None or (stored is None) is (job.next_run_time is None):
            return job

        with suppress(TypeError, ValueError, OverflowError, OSError):  # no time of this calendar
            job.next_run_time = utc_timestamp_to_datetime(stored)
        return job

    def _restore_rows(self, rows: Iterable[Row]) -> list[Job]:
        return [job for row in rows if (job := self._restore_row(*row)) is not None]

    def _park(self, job_id: str, exc: Exception, attempt: tuple[int, int]) -> None:
        reason = f"{type(exc).__name__}: {exc}"
        if exc.__cause__ is not None:
            reason += f" ({type(exc.__cause__).__name__}: {exc.__cause__})"

        known = self._parked.get(job_id)
        if known is None or known.reason != reason:
            with log_may_fail:
                self._logger.error(
                    'Job "%s" in job store "%s" cannot be restored and will not run; '
                    "it is kept as it is -- %s",
                    job_id,
                    self._alias,
                    reason,
                )
        _drop_tracebacks(exc)
        self._parked[job_id] = Parked(reason, exc, attempt)
        self._still_parked.add(job_id)

    @contextmanager
    def _all_or_none(self) -> Iterator[list[str]]:
        """Yield a list for the ids of what was written; remove that if writing the rest fails."""
        written: list[str] = []
        try:
            yield written
        except BaseException:
            self._take_back(written)
            raise

    @contextmanager
    def _unless_landed(
        self,
        records: Sequence[Record],
        read: Callable[[Sequence[str]], Iterable[tuple[str, bytes]]],
        *errors: type[Exception],
    ) -> Iterator[None]:
        """
        Pass over errors by which the answer to a write may be lost, if the records are all there.

        :param read: returns ids and bytes of those that are there
        """
        try:
            yield
        except ConflictingIdError:
            raise
        except errors:
            if len(self._landed(records, read)) < len(records):
                raise

    def _landed(
        self,
        records: Sequence[Record],
        read: Callable[[Sequence[str]], Iterable[tuple[str, bytes]]],
    ) -> list[str]:
        """Return the ids of the records that are there, up to the first one that is not."""
        try:
            found = dict(read([record.id for record in records]))
        except Exception:  # the error of the write is the one to raise
            return []

        return [
            record.id
            for record in takewhile(lambda record: found.get(record.id) == record.data, records)
        ]

    def _take_back(self, job_ids: Sequence[str]) -> None:
        try:
            self._delete(job_ids)
        except Exception:  # the first error is the one to raise
            with log_may_fail:
                self._logger.exception(
                    "%d jobs stay that were to be added together with others, which failed",
                    len(job_ids),
                )

    @contextmanager
    def _forgetting(self, job_ids: Iterable[str]) -> Iterator[None]:
        """Forget those of the parked jobs that are not met meanwhile: others have removed them."""
        self._still_parked.clear()
        yield
        self._forget(set(job_ids) - self._still_parked)

    def _forget(self, job_ids: Iterable[str]) -> None:
        """Drop the notes on parked jobs that were replaced or removed."""
        if self._parked:
            for job_id in job_ids:
                self._parked.pop(job_id, None)

    # --- the public side -----------------------------------------------------------------------

    def lookup_job(self, job_id: str) -> Job | None:
        with self._forgetting([job_id]):
            return self._read(job_id)

    def lookup_jobs(self, job_ids: Sequence[str]) -> dict[str, Job]:
        if not job_ids:
            return {}

        with self._forgetting(job_ids):
            return {job.id: job for job in self._read_many(job_ids)}

    def get_error_of_job(self, job_id: str) -> Exception | None:
        note = self._parked.get(job_id)
        return None if note is None else note.error

    def get_due_jobs(self, now: datetime) -> list[Job]:
        timestamp = now.timestamp()
        timed = [(*_order(job), job) for job in self._read_due(timestamp)]
        # The states have the last word: somebody may have changed a stored time by hand.
        due = [entry for entry in timed if entry[0] <= timestamp]
        due.sort(key=itemgetter(0, 1))
        return [job for _, _, job in due]

    def get_next_run_time(self) -> datetime | None:
        return utc_timestamp_to_datetime(self._first_timestamp(None))

    def get_next_run_time_after(self, now: datetime) -> datetime | None:
        return utc_timestamp_to_datetime(self._first_timestamp(now.timestamp()))

    def _first_timestamp(self, after: float | None) -> float | None:
        """Return when the first job runs that is not parked."""
        limit = len(self._parked) + 1
        while True:
            rows = self._read_first(after, limit)
            earliest = self._earliest(rows)
            # What was not read is no earlier than the last row that was.
            if len(rows) < limit or (earliest is not None and earliest <= rows[-1][1]):
                return earliest

            limit *= 2

    def _earliest(self, rows: Iterable[tuple[str, float, bytes]]) -> float | None:
        earliest: float | None = None
        for job_id, stored, data in rows:
            if earliest is not None and earliest <= stored:
                break
            if not stored < _END_OF_CALENDAR:  # nor is "not a number" a time
                break
            job = self._restore_row(job_id, stored, data)
            time = None if job is None else _timestamp(job)
            if time is not None:
                # Whichever is later: before that, get_due_jobs() does not return the job.
                time = max(time, stored)
                earliest = time if earliest is None else min(earliest, time)

        return earliest

    def get_all_jobs(self) -> list[Job]:
        jobs = self._census()
        jobs.sort(key=_order)
        return jobs

    def get_unrestorable_jobs(self) -> list[tuple[str, Exception]]:
        """
        Return id and error of each stored job that cannot be restored at present.

        All jobs of the store are read and tried.
        """
        self._census()
        return [(job_id, note.error) for job_id, note in self._parked.items()]

    def _census(self) -> list[Job]:
        """Read all jobs."""
        with self._forgetting(list(self._parked)):
            return self._read_all()

    def add_job(self, job: Job) -> None:
        self._write_new([self._record(job)])

    def add_jobs(self, jobs: Sequence[Job]) -> None:
        records = {}
        for job in jobs:
            if job.id in records:
                raise ConflictingIdError(job.id)
            records[job.id] = self._record(job)

        if records:
            self._write_new(list(records.values()))

    def update_job(self, job: Job) -> None:
        # Not by self: there, it may be the loop that calls this method.
        if PersistentJobStore.update_jobs(self, [job]):
            raise JobLookupError(job.id)

    def update_jobs(self, jobs: Iterable[Job]) -> list[str]:
        jobs = list(jobs)
        try:
            records = {job.id: self._record(job) for job in jobs}  # of two with one id, the later
        except Exception:
            self._doubtful.update(job.id for job in jobs)
            raise

        if not records:
            return []

        missing = self._write_changed(list(records.values()))
        self._forget(records)
        return missing

    def remove_job(self, job_id: str) -> None:
        if PersistentJobStore.remove_jobs(self, [job_id]):
            raise JobLookupError(job_id)

    def remove_jobs(self, job_ids: Iterable[str]) -> list[str]:
        unique = list(dict.fromkeys(job_ids))
        if not unique:
            return []

        missing = self._delete(unique)
        self._forget(unique)
        return missing

    def remove_all_jobs(self) -> None:
        self._delete_all()
        self._parked.clear()


def chunks(records: Sequence[Record], count: int, size: int) -> Iterator[Sequence[Record]]:
    """Split records into parts of at most so many records and bytes, but one record at least."""
    part: list[Record] = []
    total = 0
    for record in records:
        if part and (len(part) == count or total + len(record.data) > size):
            yield part
            part, total = [], 0
        part.append(record)
        total += len(record.data)

    if part:
        yield part


def _timestamp(job: Job) -> float | None:
    return datetime_to_utc_timestamp(job.next_run_time)


def _order(job: Job) -> tuple[float, str]:
    """Return what jobs are sorted by: run time and id; paused jobs come last."""
    timestamp = datetime_to_utc_timestamp(job.next_run_time)
    return inf if timestamp is None else timestamp, job.id


def _check(job: Job, job_id: str) -> None:
    """
    Refuse a state by which other records would change, or the loop stumble.

    :raises ValueError: if it is that of another job
    :raises TypeError: if a setting is of a wrong type
    """
    if job.id != job_id:
        raise ValueError(f'The bytes stored under "{job_id}" are those of job "{job.id}"')

    for name, types in _TYPES.items():
        value = getattr(job, name)
        if not isinstance(value, types):
            allowed = " or ".join(allowed.__name__ for allowed in types)
            raise TypeError(f"The stored {name} is a {type(value).__name__}, not a {allowed}")


def _as_exception(exc: BaseException) -> Exception:
    """Return the error itself, or one in its place that does not end threads and programs."""
    if isinstance(exc, Exception):
        return exc

    error = RuntimeError(f"Restoring the job raised {type(exc).__name__}")
    error.__cause__ = exc
    return error


def _drop_tracebacks(exc: BaseException | None) -> None:
    """Let go of the frames that an error holds, and of the bytes in them."""
    while exc is not None:
        exc.__traceback__ = None
        exc = exc.__cause__ or exc.__context__
