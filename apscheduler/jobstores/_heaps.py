"""Entries by their run times, in heaps: which come first is told without a look at the others."""

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


class Heaps:
    """
    One heap for each period with run times, and one of these periods.

    In a single heap, each entry would sift past all those that are not due for hours.

    An entry counts only while it is the current one of its job; outdated ones are dropped when
    they come to the top, or all at once when they are the greater part.

    :param current: the current entries of all jobs by id, which somebody else keeps
    :ivar size: how many entries there are, the outdated ones included
    :ivar signature: a mark of who has used them last
    """

    def __init__(self, current: Mapping[str, Entry]) -> None:
        self.size = 0
        self.signature = object()
        self._current = current
        self._by_period: dict[int, list[Entry]] = {}
        self._periods: list[int] = []

    def are_mostly_outdated(self) -> bool:
        # Twice the number of jobs, and some: the cost is spread over as many changes.
        return self.size > 2 * len(self._current) + 64

    def push(self, entry: Entry) -> None:
        if entry[0] is not None:
            heappush(self._heap_of(_period(entry[0])), entry)
            self.size += 1

    def push_many(self, entries: Iterable[Entry]) -> None:
        by_period: defaultdict[int, list[Entry]] = defaultdict(list)
        for entry in entries:
            if entry[0] is not None:
                by_period[_period(entry[0])].append(entry)

        for period, new in by_period.items():
            self._add_to_heap(self._heap_of(period), new)

    def _heap_of(self, period: int) -> list[Entry]:
        heap = self._by_period.get(period)
        if heap is None:
            heap = self._by_period[period] = []
            heappush(self._periods, period)

        return heap

    def _add_to_heap(self, heap: list[Entry], new: list[Entry]) -> None:
        # One by one costs the depth of the heap each, and again for what becomes outdated.
        if len(new) * 4 < len(heap):
            for entry in new:
                heappush(heap, entry)
            self.size += len(new)
        else:
            self._replace_outdated(heap, new)

    def _replace_outdated(self, heap: list[Entry], new: list[Entry]) -> None:
        kept = list(filter(self._is_current, heap))
        kept += new
        heapify(kept)
        self.size += len(kept) - len(heap)
        heap[:] = kept

    def _is_current(self, entry: Entry) -> bool:
        return self._current.get(entry[1]) is entry

    def first(self) -> Entry | None:
        """Return the earliest entry, or None if there is none."""
        current = self._current
        while self._periods:
            heap = self._by_period[self._periods[0]]
            # Not by _is_current(): this is asked twice in each pass.
            while heap and current.get(heap[0][1]) is not heap[0]:
                if self._is_current(heap[-1]):
                    heappop(heap)
                    self.size -= 1
                else:  # and so are most of them, after many jobs have moved on
                    self._replace_outdated(heap, [])
            if heap:
                return heap[0]

            del self._by_period[heappop(self._periods)]

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
            for entry in _before(self._by_period[period], bound)
            if self._is_current(entry)
        ]

    def first_after(self, timestamp: float) -> Entry | None:
        """Return the earliest entry that is later, or None if there is none."""
        last_due = _period(timestamp)
        for period in sorted(period for period in self._periods if period >= last_due):
            first = min(self._border(self._by_period[period], timestamp), default=None)
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
