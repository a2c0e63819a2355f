"""Accounts for runs: each that is expected has to happen once, and no other."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timezone
from itertools import count
from threading import Lock
from weakref import WeakValueDictionary

import apscheduler

Run = tuple[str, float]  # job id, run time as a POSIX timestamp


class Ledger:
    """
    Notes runs against those that are expected. Its size does not change while it is used.

    A job notes its runs by calling :func:`note_run` with the ledger's ``number``: a job that is
    stored cannot hold the ledger itself.

    :param now: the clock that tells whether a run comes before its time
    """

    def __init__(self, now: Callable[[], datetime] = lambda: datetime.now(timezone.utc)) -> None:
        self.number = next(_numbers)
        self.unexpected: list[Run] = []
        self.early: list[Run] = []
        self._now = now
        self._position: dict[Run, int] = {}
        self._counts = bytearray()
        self._lock = Lock()
        _ledgers[self.number] = self

    def expect(self, expected: Mapping[str, Iterable[datetime]]) -> None:
        """Expect these run times, by job id, beside those expected before."""
        for job_id, run_times in expected.items():
            for run_time in run_times:
                self._position[job_id, run_time.timestamp()] = len(self._position)

        self._counts.extend(bytes(len(self._position) - len(self._counts)))

    def note(self, job_id: str, run_time: datetime) -> None:
        run = (job_id, run_time.timestamp())
        with self._lock:
            if self._now() < run_time:
                self.early.append(run)
            position = self._position.get(run)
            if position is None:
                self.unexpected.append(run)
            else:
                self._counts[position] += 1

    @property
    def expected(self) -> int:
        return len(self._counts)

    @property
    def runs(self) -> int:
        """How many runs have happened."""
        return sum(self._counts) + len(self.unexpected)

    @property
    def lost(self) -> list[Run]:
        """The runs that have not happened."""
        return [run for run, position in self._position.items() if not self._counts[position]]

    @property
    def repeated(self) -> list[Run]:
        """The runs that happened more than once."""
        return [run for run, position in self._position.items() if self._counts[position] > 1]

    @property
    def is_complete(self) -> bool:
        return all(self._counts)

    def check(self) -> None:
        """Fail unless each expected run happened once, and not before its time."""
        assert not self.unexpected
        assert not self.early
        assert not self.repeated
        assert not self.lost


def note_run(number: int) -> None:
    """Note the run that is going on in the ledger of this number; for use as a job."""
    job, run_time = apscheduler.current_job.get(), apscheduler.current_run_time.get()
    _ledgers[number].note(job.id, run_time)


_ledgers: WeakValueDictionary[int, Ledger] = WeakValueDictionary()
_numbers = count(1)
