"""The run times of many jobs, which no signal that strikes amid a change brings out of order."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

from ._heaps import Entry, Heaps

Answer = TypeVar("Answer")


class RunTimes:
    """
    The current entries of jobs, and heaps of them that tell which come first.

    Ctrl+C can strike amid a change, or a signal handler that changes something itself. So each
    use of the heaps leaves a mark before, and signs them with it afterwards. While the last mark
    is another one they are stale: who changes an entry lets them be so, and who asks makes them
    anew of the current entries.

    :ivar entries: the current entries of all jobs by id
    """

    def __init__(self) -> None:
        self.entries: dict[str, Entry] = {}
        self._heaps = Heaps(self.entries)
        self._last_mark = self._heaps.signature

    def __len__(self) -> int:
        """Return how many entries there are, the outdated ones included."""
        return self._heaps.size

    def put(self, entry: Entry) -> None:
        """Make an entry the current one of its job."""
        heaps, mark = self._take()
        self.entries[entry[1]] = entry
        if heaps is not None:
            heaps.push(entry)
        self._give_back(heaps, mark)

    def put_many(self, entries: Mapping[str, Entry]) -> None:
        """Make entries, by id, the current ones of their jobs."""
        heaps, mark = self._take()
        self.entries.update(entries)
        if heaps is not None:
            heaps.push_many(entries.values())
        self._give_back(heaps, mark)

    def remove(self, job_id: str) -> Entry | None:
        """Take out the entry of a job; None if there is none."""
        entry = self.entries.pop(job_id, None)
        if self._heaps.are_mostly_outdated():
            self._last_mark = object()
        return entry

    def clear(self) -> None:
        self._last_mark = object()
        self.entries.clear()
        self._heaps = Heaps(self.entries)

    def first(self) -> Entry | None:
        """Return the earliest entry, or None if there is none."""
        return self._ask(Heaps.first)

    def up_to(self, timestamp: float) -> list[Entry]:
        """Return the entries that are not later, in any order."""
        return self._ask(lambda heaps: heaps.up_to(timestamp))

    def first_after(self, timestamp: float) -> Entry | None:
        """Return the earliest entry that is later, or None if there is none."""
        return self._ask(lambda heaps: heaps.first_after(timestamp))

    def _ask(self, question: Callable[[Heaps], Answer]) -> Answer:
        while True:
            heaps, mark = self._take()
            if heaps is None:
                heaps = Heaps(self.entries)
                heaps.push_many(list(self.entries.values()))
            answer = question(heaps)
            if self._give_back(heaps, mark):
                return answer

    def _take(self) -> tuple[Heaps | None, object]:
        """Return the heaps, None if they are stale, and the mark to give them back with."""
        mark = object()
        before, self._last_mark = self._last_mark, mark
        heaps = self._heaps  # last: what strikes before has them bear another signature
        return heaps if heaps.signature is before else None, mark

    def _give_back(self, heaps: Heaps | None, mark: object) -> bool:
        """Sign the heaps; return whether nothing was changed since they were taken."""
        if heaps is not None and not heaps.are_mostly_outdated():
            heaps.signature = mark
            self._heaps = heaps
        if self._last_mark is mark:
            return True

        # Whoever has changed something may have made heaps anew, before all of this was done.
        self._last_mark = object()
        return False
