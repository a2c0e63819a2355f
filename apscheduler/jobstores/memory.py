"""Jobs kept in this process: the default job store."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from heapq import heapify, heappop, heappush
from operator import itemgetter

from ..job import Job
from .base import BaseJobStore, ConflictingIdError, JobLookupError

# Run time as a POSIX timestamp (None while paused), id, job. Jobs are equal by id, so that
# comparing entries never comes to comparing what cannot be ordered.
Entry = tuple[float | None, str, Job]


class MemoryJobStore(BaseJobStore):
    """
    Keeps jobs in a dict, and their run times in a heap. They are gone when the program ends.

    An entry of the heap counts only while it is the one in the dict; outdated entries are dropped
    when they come to the top, or all at once when they are the greater part.
    """

    def __init__(self) -> None:
        self._entries: dict[str, Entry] = {}
        self._heap: list[Entry] = []

    def may_block(self) -> bool:
        return type(self) is not MemoryJobStore  # what a subclass does is not known here

    def lookup_job(self, job_id: str) -> Job | None:
        entry = self._entries.get(job_id)
        return entry[2] if entry else None

    def get_due_jobs(self, now: datetime) -> list[Job]:
        due = self._due_entries(now.timestamp())
        due.sort()
        return [entry[2] for entry in due]

    def _due_entries(self, timestamp: float) -> list[Entry]:
        """Walk down the heap, level by level, as far as run times are due."""
        heap, entries = self._heap, self._entries
        size = len(heap)
        due: list[Entry] = []
        level = [0] if heap else []
        while level:
            # No entry of the heap is paused, and none is before its parent.
            level = [position for position in level if heap[position][0] <= timestamp]  # type: ignore[operator]
            due += [heap[position] for position in level]
            level = [
                child
                for position in level
                for child in (2 * position + 1, 2 * position + 2)
                if child < size
            ]

        return [entry for entry in due if entries.get(entry[1]) is entry]

    def get_next_run_time(self) -> datetime | None:
        heap, entries = self._heap, self._entries
        while heap and entries.get(heap[0][1]) is not heap[0]:
            heappop(heap)

        return heap[0][2].next_run_time if heap else None

    def get_next_run_time_after(self, now: datetime) -> datetime | None:
        border = self._first_entries_after(now.timestamp())
        earliest = min(border, key=itemgetter(0, 1), default=None)
        return earliest[2].next_run_time if earliest else None

    def _first_entries_after(self, timestamp: float) -> Iterator[Entry]:
        """The entries at the border of what is due: the earliest later one is among them."""
        heap, entries = self._heap, self._entries
        positions = [0] if heap else []
        for position in positions:
            entry = heap[position]
            outdated = entries.get(entry[1]) is not entry
            if outdated or entry[0] <= timestamp:  # type: ignore[operator]
                child = 2 * position + 1
                positions.extend(range(child, min(child + 2, len(heap))))
            else:
                yield entry

    def get_all_jobs(self) -> list[Job]:
        waiting = [entry for entry in self._entries.values() if entry[0] is not None]
        paused = [entry for entry in self._entries.values() if entry[0] is None]
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
        known: list[Job] = []
        missing: list[str] = []
        for job in jobs:
            if job.id in self._entries:
                known.append(job)
            else:
                missing.append(job.id)

        self._put_many(known)
        return missing

    def _put(self, job: Job) -> None:
        entry = _entry(job)
        self._entries[job.id] = entry
        if entry[0] is not None:
            heappush(self._heap, entry)

        self._drop_outdated()

    def _put_many(self, jobs: Sequence[Job]) -> None:
        # One by one costs the depth of the heap each, and again for what becomes outdated.
        if len(jobs) * 4 < len(self._entries):
            for job in jobs:
                self._put(job)
        else:
            self._entries.update({job.id: _entry(job) for job in jobs})
            self._rebuild_heap()

    def remove_job(self, job_id: str) -> None:
        if self._entries.pop(job_id, None) is None:
            raise JobLookupError(job_id)

        self._drop_outdated()

    def _drop_outdated(self) -> None:
        # Twice the number of jobs, and some: the cost of a rebuild is spread over as many changes.
        if len(self._heap) > 2 * len(self._entries) + 64:
            self._rebuild_heap()

    def _rebuild_heap(self) -> None:
        self._heap = [entry for entry in self._entries.values() if entry[0] is not None]
        heapify(self._heap)

    def remove_all_jobs(self) -> None:
        self._entries.clear()
        self._heap.clear()

    def shutdown(self) -> None:
        self.remove_all_jobs()


def _entry(job: Job) -> Entry:
    run_time = job.next_run_time
    return None if run_time is None else run_time.timestamp(), job.id, job
