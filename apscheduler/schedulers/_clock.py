"""Notice that somebody has set the clock back, and have the jobs of each store follow it."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, NamedTuple

from ._interrupts import is_interrupt

if TYPE_CHECKING:
    from ..job import Job
    from ..jobstores.base import BaseJobStore

# A clock that is corrected by less is not taken to be set back.
_TOLERANCE = timedelta(seconds=1)


class ClockWatch:
    """Compares the wall clock, from look to look, with a clock that nobody can set."""

    def __init__(self) -> None:
        self._last: tuple[datetime, float] | None = None

    def set_back_by(self, now: datetime, elapsed: float) -> timedelta | None:
        """
        Return by how much the clock was set back since the last look; None if it was not.

        :param now: the time on the wall clock
        :param elapsed: seconds on the clock that nobody can set
        """
        last, self._last = self._last, (now.astimezone(timezone.utc), elapsed)
        if last is None or self._last[0] == last[0]:
            return None  # a clock that stands still is one that a test has stopped

        expected = last[0] + timedelta(seconds=elapsed - last[1])
        behind = expected - self._last[0]
        return behind if behind > _TOLERANCE else None


class _Move(NamedTuple):
    old: datetime
    new: datetime


class SetBacks:
    """
    Keeps jobs that count real time from waiting for a clock that was set back.

    What a store has not taken in yet is kept until it has. A write that failed may have landed in
    part, so moves are decided once: a job is moved only while it still has its old time.
    """

    def __init__(self) -> None:
        self._set_back_by: dict[str, timedelta] = {}  # by alias of the store
        self._moves: dict[str, dict[str, _Move]] = {}  # by alias of the store, then by job id

    def note(self, aliases: Iterable[str], by: timedelta) -> None:
        """Note that the clock was set back, for the stores of these aliases."""
        for alias in aliases:
            self._set_back_by[alias] = self._set_back_by.get(alias, timedelta()) + by

    def follow(
        self, alias: str, store: BaseJobStore, now: datetime, logger: logging.Logger
    ) -> None:
        """
        Move the jobs of a store whose triggers want it.

        :raises Exception: what the store raises; then what is not done yet is kept
        """
        self._write(alias, store)
        by = self._set_back_by.get(alias)
        if by is not None:
            self._moves[alias] = _decide(store.get_all_jobs(), now + by, now, logger)
            del self._set_back_by[alias]
            self._write(alias, store)

    def _write(self, alias: str, store: BaseJobStore) -> None:
        moves = self._moves.get(alias)
        if moves is None:
            return

        moving = [
            job for job in store.get_all_jobs() if job.id in moves and _has_old_time(job, moves)
        ]
        for job in moving:
            job.next_run_time = moves[job.id].new
        try:
            store.update_jobs(moving)
        except BaseException:
            for job in moving:  # the store may hold these very jobs
                job.next_run_time = moves[job.id].old
            raise

        del self._moves[alias]


def _decide(
    jobs: Iterable[Job], before: datetime, now: datetime, logger: logging.Logger
) -> dict[str, _Move]:
    moves = {}
    for job in jobs:
        if (old := job.next_run_time) is None:
            continue
        try:
            new = job.trigger.get_fire_time_after_set_back(old, before, now)
        except BaseException as exc:
            if is_interrupt(exc):
                raise
            logger.exception('The trigger of job "%s" failed -- its run time stays', job)
        else:
            if new.timestamp() != old.timestamp():
                moves[job.id] = _Move(old, new)

    return moves


def _has_old_time(job: Job, moves: dict[str, _Move]) -> bool:
    run_time = job.next_run_time
    return run_time is not None and run_time.timestamp() == moves[job.id].old.timestamp()
