"""Jobs kept in this process: the default job store."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timezone
from operator import itemgetter

from ..job import Job
from ._heaps import Entry
from ._run_times import RunTimes
from .base import BaseJobStore, ConflictingIdError, JobLookupError

_FEW = 8  # so many are put one by one: the loops for many have to be set up, too


class MemoryJobStore(BaseJobStore):
    """Keeps jobs in a dict, and their run times in heaps. They are gone when the program ends."""

    def __init__(self) -> None:
        self._run_times = RunTimes()
        self._entries = self._run_times.entries

    def may_block(self) -> bool:
        return type(self) is not MemoryJobStore  # what a subclass does is not known here

    def lookup_job(self, job_id: str) -> Job | None:
        entry = self._entries.get(job_id)
        return entry[2] if entry else None

    def lookup_jobs(self, job_ids: Sequence[str]) -> dict[str, Job]:
        entries = self._entries
        return {job_id: entries[job_id][2] for job_id in job_ids if job_id in entries}

    def get_due_jobs(self, now: datetime) -> list[Job]:
        due = self._run_times.up_to(now.timestamp())
        due.sort()
        return [entry[2] for entry in due]

    def get_next_run_time(self) -> datetime | None:
        first = self._run_times.first()
        return _run_time(first) if first else None

    def get_next_run_time_after(self, now: datetime) -> datetime | None:
        first = self._run_times.first_after(now.timestamp())
        return _run_time(first) if first else None

    def get_all_jobs(self) -> list[Job]:
        entries = list(self._entries.values())  # a signal handler may change them
        waiting = [entry for entry in entries if entry[0] is not None]
        paused = [entry for entry in entries if entry[0] is None]
        waiting.sort(key=itemgetter(0, 1))
        return [entry[2] for entry in waiting + paused]

    def add_job(self, job: Job) -> None:
        if job.id in self._entries:
            raise ConflictingIdError(job.id)

        self._put(job)

    def add_jobs(self, jobs: Sequence[Job]) -> None:
        ids = {job.id for job in jobs}
        if len(ids) < len(jobs) or not ids.isdisjoint(self._entries):
            raise ConflictingIdError(self._first_conflict(jobs))

        self._put_many(jobs)

    def _first_conflict(self, jobs: Iterable[Job]) -> str:
        seen = set(self._entries)
        for job in jobs:
            if job.id in seen:
                return job.id
            seen.add(job.id)

        raise AssertionError("no two of the ids are equal")

    def update_job(self, job: Job) -> None:
        if job.id not in self._entries:
            raise JobLookupError(job.id)

        self._put(job)

    def update_jobs(self, jobs: Iterable[Job]) -> list[str]:
        jobs, entries = list(jobs), self._entries
        missing = [job.id for job in jobs if job.id not in entries]
        self._put_many([job for job in jobs if job.id in entries] if missing else jobs)
        return missing

    def _put(self, job: Job) -> None:
        self._run_times.put(_entry(job))

    def _put_many(self, jobs: Sequence[Job]) -> None:
        if len(jobs) < _FEW:
            for job in jobs:
                self._put(job)
            return

        self._run_times.put_many({job.id: _entry(job) for job in jobs})

    def remove_job(self, job_id: str) -> None:
        if self._run_times.remove(job_id) is None:
            raise JobLookupError(job_id)

    def remove_all_jobs(self) -> None:
        self._run_times.clear()

    def shutdown(self) -> None:
        self.remove_all_jobs()


def _run_time(entry: Entry) -> datetime | None:
    timestamp, _, job = entry
    run_time = job.next_run_time
    if timestamp is None or (run_time is not None and run_time.timestamp() == timestamp):
        return run_time

    # The job was put back, as a subclass of the store had failed to write it; the entry was not.
    return datetime.fromtimestamp(timestamp, timezone.utc)


def _entry(job: Job) -> Entry:
    run_time = job.next_run_time
    return None if run_time is None else run_time.timestamp(), job.id, job
