"""Notice that somebody has set the clock back, and have the jobs of each store follow it."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, NamedTuple

from .._log import log_may_fail
from .._time import is_later, is_same_instant
from ..triggers.base import jitter_of
from ._interrupts import is_interrupt

if TYPE_CHECKING:
    from ..job import Job
    from ..jobstores.base import BaseJobStore
    from ..triggers.base import BaseTrigger

# A clock that is corrected by less is not taken to be set back.
_TOLERANCE = timedelta(seconds=1)
_TOLERANCE_SECONDS = _TOLERANCE.total_seconds()

# A clock that was wrong by more is corrected, one that is set by less may have been right: it
# shows some times again, and these are not to be run at twice.
_MUCH = timedelta(days=1)


class Span(NamedTuple):
    """Times that the clock has shown one after the other, in UTC."""

    first: datetime
    last: datetime


class ClockWatch:
    """
    Compares the wall clock, from look to look, with a clock that nobody can set.

    :ivar shown: what the clock had shown when it was set the last time; not what it passed over
        when it was set forward by much
    """

    def __init__(self) -> None:
        self._last: tuple[float, float] | None = None  # both clocks at the last look, in seconds
        self._since: datetime | None = None  # the clock has not been set since it showed this
        self.shown: list[Span] = []

    def set_back_by(self, now: datetime, elapsed: float | None) -> timedelta | None:
        """
        Return by how much the clock was set back since the last look; None if it was not set.

        It is negative if the clock was set forward.

        :param now: the time on the wall clock
        :param elapsed: seconds on the clock that nobody can set; None if there is no such clock
        """
        if elapsed is None:
            self._last = None
            return None

        seconds = now.timestamp()
        last, self._last = self._last, (seconds, elapsed)
        if last is None or self._since is None:
            self._since = now.astimezone(timezone.utc)
            return None

        # In plain numbers, as this is asked for each job that is added.
        lag = (elapsed - last[1]) - (seconds - last[0])
        if abs(lag) <= _TOLERANCE_SECONDS:
            return None
        if seconds == last[0]:
            return None  # a clock that stands still is one that a test has stopped

        now, behind = now.astimezone(timezone.utc), timedelta(seconds=lag)
        if behind > _TOLERANCE or -behind > _MUCH:
            self.shown = _joined(self.shown, Span(self._since, now + behind))
            self._since = now

        return behind


def _joined(spans: Iterable[Span], new: Span) -> list[Span]:
    """Return the spans with a new one, which takes in those that it touches."""
    apart = []
    for span in spans:
        if span.last < new.first or new.last < span.first:
            apart.append(span)
        else:
            new = Span(min(span.first, new.first), max(span.last, new.last))

    return [*apart, new]


class _Move(NamedTuple):
    old: datetime
    new: datetime


class _Note:
    """
    What a store has not taken in yet of a clock that was set.

    :ivar by: how far it has been set back
    :ivar shown: what it had shown before
    :ivar since: how far it had been set back already when the run times of these jobs were set
    """

    __slots__ = ("by", "shown", "since")

    def __init__(self) -> None:
        self.by = timedelta(0)
        self.shown: Sequence[Span] = ()
        self.since: dict[str, timedelta] = {}


class SetBacks:
    """
    Keeps jobs that count real time from waiting for a clock that was set back.

    What a store has not taken in yet is kept until it has. A write that failed may have landed in
    part, so moves are decided once: a job is moved only while it still has its old time.
    """

    def __init__(self) -> None:
        # By alias of the store.
        self._notes: dict[str, _Note] = {}
        self._moves: dict[str, dict[str, _Move]] = {}  # by alias of the store, then by job id

    def __bool__(self) -> bool:
        """Whether a store has still something to take in."""
        return bool(self._notes or self._moves)

    def note(self, aliases: Iterable[str], by: timedelta, shown: Sequence[Span]) -> None:
        """
        Note that the clock was set back, for the stores of these aliases.

        :param by: negative if it was set forward, which makes up for what is noted already
        :param shown: what the clock had shown before
        """
        for alias in aliases:
            note = self._notes.get(alias) or _Note()
            note.by += by
            note.shown = shown
            if note.by > _TOLERANCE:
                self._notes[alias] = note
            else:
                self._notes.pop(alias, None)

    def leave_out(self, alias: str, job_ids: Iterable[str]) -> None:
        """Do not move jobs whose run times are set now: by the clock as it is now."""
        note = self._notes.get(alias)
        if note is not None:
            note.since.update(dict.fromkeys(job_ids, note.by))

    def forget(self, alias: str) -> None:
        """Move no jobs of a store that was removed."""
        self._notes.pop(alias, None)
        self._moves.pop(alias, None)

    def follow(
        self, alias: str, store: BaseJobStore, now: datetime, logger: logging.Logger
    ) -> None:
        """
        Move the jobs of a store whose triggers want it.

        :raises Exception: what the store raises; then what is not done yet is kept
        """
        self._write(alias, store)
        note = self._notes.get(alias)
        if note is not None:
            self._moves[alias] = _decide(store.get_all_jobs(), note, now, logger)
            del self._notes[alias]
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
    jobs: Iterable[Job], note: _Note, now: datetime, logger: logging.Logger
) -> dict[str, _Move]:
    moves = {}
    for job in jobs:
        by = note.by - note.since[job.id] if job.id in note.since else note.by
        if (old := job.next_run_time) is None or by <= _TOLERANCE:
            continue
        before = now + by
        try:
            new = job.trigger.get_fire_time_after_set_back(old, before, now)
            if by > _MUCH and (is_same_instant(new, old) or not is_later(before, new)):
                new = _first_new_time(job.trigger, new, before, now, note.shown)
        except BaseException as exc:
            if is_interrupt(exc):
                raise
            with log_may_fail:
                logger.exception('The trigger of job "%s" failed -- its run time stays', job)
        else:
            if not is_same_instant(new, old):
                moves[job.id] = _Move(old, new)

    return moves


def _first_new_time(
    trigger: BaseTrigger,
    waited_for: datetime,
    before: datetime,
    now: datetime,
    shown: Sequence[Span],
) -> datetime:
    """Return the trigger's first time that the clock has not shown yet."""
    if _is_set_by_hand(trigger, waited_for, before):
        return waited_for

    first = trigger.get_first_fire_time(_end_of_shown(shown, now), now)
    return waited_for if first is None or is_later(first, waited_for) else first


def _end_of_shown(shown: Iterable[Span], now: datetime) -> datetime:
    """Return from when on the clock shows new times, at least for long."""
    end = now
    for span in sorted(shown):
        if span.first - _MUCH <= end < span.last:
            end = span.last

    return end


def _is_set_by_hand(trigger: BaseTrigger, waited_for: datetime, before: datetime) -> bool:
    """Tell whether a time lies further away than the trigger would have set it."""
    first = trigger.get_first_fire_time(before, before)
    # Jitter may have put off the first one, but hardly to beyond the second.
    second = None if first is None else trigger.get_next_fire_time(first, first)
    if second is None:
        return False

    return waited_for.timestamp() > second.timestamp() + jitter_of(trigger)


def _has_old_time(job: Job, moves: dict[str, _Move]) -> bool:
    return is_same_instant(job.next_run_time, moves[job.id].old)
