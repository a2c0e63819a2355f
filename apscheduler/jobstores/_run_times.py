"""The run times of many jobs: which come first is told without a look at the others."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from heapq import heapify, heappop, heappush
from math import inf, nextafter
from typing import Any, TypeVar

from ..job import Job

# Run time as a POSIX timestamp (None while paused), id, job. Jobs are equal by id, so that
# comparing entries never comes to comparing what cannot be ordered.
Entry = tuple["float | None", str, Job]

Item = TypeVar("Item", int, Entry)

PERIOD = 60  # seconds


class RunTimes:
    """
    Entries in heaps: one for each period with run times, and one of these periods.

    In a single heap, each entry would sift past all those that are not due for hours.

    An entry counts only while it is the current one of its job; outdated ones are dropped when
    they come to the top, or all at once when they are the greater part.

    Ctrl+C can strike amid a change. Then the heaps are stale, and whoever asks next makes them
    anew of the current entries.

    :ivar entries: the current entries of all jobs by id
    """

    def __init__(self) -> None:
        self.entries: dict[str, Entry] = {}
        self.clear()

    def clear(self) -> None:
        self._are_stale = True
        self.entries.clear()
        self._drop_heaps()
        self._are_stale = False

    def _drop_heaps(self) -> None:
        self._heaps: dict[int, list[Entry]] = {}  # by number of the period
        self._periods: list[int] = []
        self._size = 0

    def __len__(self) -> int:
        """Return how many entries there are, the outdated ones included."""
        return self._size

    def put(self, entry: Entry) -> None:
        """Make an entry the current one of its job."""
        if self._are_stale:
            self.entries[entry[1]] = entry
            return

        self._are_stale = True  # until all is done
        self.entries[entry[1]] = entry
        if entry[0] is not None:
            heappush(self._heap_of(_period(entry[0])), entry)
            self._size += 1
        self._are_stale = self._are_mostly_outdated()

    def put_many(self, entries: Mapping[str, Entry]) -> None:
        """Make entries, by id, the current ones of their jobs."""
        if self._are_stale:
            self.entries.update(entries)
            return

        self._are_stale = True
        self.entries.update(entries)
        self._push(entries.values())
        self._are_stale = self._are_mostly_outdated()

    def remove(self, job_id: str) -> Entry | None:
        """Take out the entry of a job; None if there is none."""
        entry = self.entries.pop(job_id, None)
        if self._are_mostly_outdated():
            self._are_stale = True
        return entry

    def _are_mostly_outdated(self) -> bool:
        # Twice the number of jobs, and some: the cost is spread over as many changes.
        return self._size > 2 * len(self.entries) + 64

    def _refresh(self) -> None:
        self._drop_heaps()
        self._push(self.entries.values())
        self._are_stale = False

    def _push(self, entries: Iterable[Entry]) -> None:
        by_period: defaultdict[int, list[Entry]] = defaultdict(list)
        for entry in entries:
            if entry[0] is not None:
                by_period[_period(entry[0])].append(entry)

        for period, new in by_period.items():
            self._add_to_heap(self._heap_of(period), new)

    def _add_to_heap(self, heap: list[Entry], new: list[Entry]) -> None:
        # One by one costs the depth of the heap each, and again for what becomes outdated.
        if len(new) * 4 < len(heap):
            for entry in new:
                heappush(heap, entry)
            self._size += len(new)
        else:
            self._replace_outdated(heap, new)

    def _replace_outdated(self, heap: list[Entry], new: list[Entry]) -> None:
        kept = list(filter(self._is_current, heap))
        kept += new
        heapify(kept)
        self._size += len(kept) - len(heap)
        heap[:] = kept

    def _heap_of(self, period: int) -> list[Entry]:
        heap = self._heaps.get(period)
        if heap is None:
            heap = self._heaps[period] = []
            heappush(self._periods, period)

        return heap

    def _is_current(self, entry: Entry) -> bool:
        return self.entries.get(entry[1]) is entry

    def first(self) -> Entry | None:
        """Return the earliest entry, or None if there is none."""
        if self._are_stale:
            self._refresh()
        current = self.entries
        while self._periods:
            heap = self._heaps[self._periods[0]]
            # Not by _is_current(): this is asked twice in each pass.
            while heap and current.get(heap[0][1]) is not heap[0]:
                if self._is_current(heap[-1]):
                    self._are_stale = True  # jobs are compared if times and ids are the same
                    heappop(heap)
                    self._size -= 1
                    self._are_stale = False
                else:  # and so are most of them, after many jobs have moved on
                    self._replace_outdated(heap, [])
            if heap:
                return heap[0]

            self._are_stale = True  # until both are gone
            period = heappop(self._periods)
            del self._heaps[period]
            self._are_stale = False

        return None

    def up_to(self, timestamp: float) -> list[Entry]:
        """Return the entries that are not later, in any order."""
        first = self.first()
        if first is None or first[0] > timestamp:  # type: ignore[operator]
            return []

        bound = (nextafter(timestamp, inf),)
        return [
            entry
            for period in _before(self._periods, _period(timestamp) + 1)
            for entry in _before(self._heaps[period], bound)
            if self._is_current(entry)
        ]

    def first_after(self, timestamp: float) -> Entry | None:
        """Return the earliest entry that is later, or None if there is none."""
        if self._are_stale:
            self._refresh()
        last_due = _period(timestamp)
        for period in sorted(period for period in self._periods if period >= last_due):
            first = min(self._border(self._heaps[period], timestamp), default=None)
            if first is not None:
                return first

        return None

    def _border(self, heap: list[Entry], timestamp: float) -> Iterator[Entry]:
        """Iterate over the first later entries on each way down: the earliest is among them."""
        positions = [0] if heap else []
        for position in positions:
            entry = heap[position]
            if entry[0] <= timestamp or not self._is_current(entry):  # type: ignore[operator]
                child = 2 * position + 1
                positions.extend(range(child, min(child + 2, len(heap))))
            else:
                yield entry


def _period(timestamp: float) -> int:
    return int(timestamp // PERIOD)


def _before(heap: list[Item], bound: Any) -> list[Item]:
    """Walk down a heap as far as its items are before the bound."""
    size = len(heap)
    positions = [0] if heap and heap[0] < bound else []
    for position in positions:
        left, right = 2 * position + 1, 2 * position + 2
        if left < size and heap[left] < bound:
            positions.append(left)
        if right < size and heap[right] < bound:
            positions.append(right)

    return [heap[position] for position in positions]
