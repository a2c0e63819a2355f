"""Walk along the times of triggers that can only tell which time follows which.

Such a trigger is asked as 3.x did: for what follows a time of its own. So a walk begins with the
last of its own times that is known, and is remembered for as long as the trigger lives.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from threading import local
from typing import TYPE_CHECKING
from weakref import ref

from .._log import log_may_fail
from ._dates import instant_of

if TYPE_CHECKING:
    from .base import BaseTrigger

MAX_STEPS = 600_000  # in one search: a year of minutes, which take some tenths of a second

logger = logging.getLogger(__name__)


class _Mark:
    """Where the last search began: a time of the trigger's own, None if none is known."""

    __slots__ = ("time",)

    def __init__(self) -> None:
        self.time: datetime | None = None


class _Search(local):
    """What one search, of all triggers in it, has spent and reached."""

    def __init__(self) -> None:
        self.depth = 0
        self.steps_left = 0
        self.reached: dict[_Mark, datetime] = {}
        self.held: dict[int, tuple[BaseTrigger, _Mark]] = {}


_search = _Search()
# By id, because triggers may be equal, or have no hash.
_marks: dict[int, tuple[ref[BaseTrigger], _Mark]] = {}


@contextmanager
def one_search() -> Iterator[None]:
    """Let all walks inside share one budget, and each go on from where the one before ended."""
    if not _search.depth:
        _search.steps_left = MAX_STEPS
    _search.depth += 1
    try:
        yield
    finally:
        _search.depth -= 1
        if not _search.depth:
            _search.reached.clear()
            _search.held.clear()


def step_past(trigger: BaseTrigger, start: datetime, limit: datetime) -> datetime | None:
    """Return the trigger's first time later than a limit, if one comes in reach.

    :param start: a time of the trigger's own that is not later than the limit
    """
    with one_search():
        end, own, instant = instant_of(limit), start, instant_of(start)
        while _search.steps_left > 0:
            _search.steps_left -= 1
            following = trigger.get_next_fire_time(own, own)
            reached = None if following is None else instant_of(following)
            if following is None or reached is None or reached <= instant:  # it does not move on
                following = None
                break
            if reached > end:
                break
            own, instant = following, reached
        else:
            following = None
            with log_may_fail:
                logger.warning(
                    "%s was gone through up to %s, and is taken to have no time after %s: that is "
                    "too far away -- let its class have a get_first_fire_time() that computes the "
                    "time",
                    trigger,
                    own,
                    limit,
                )

        _remember(trigger, own)
        return following


def last_own_time(trigger: BaseTrigger, limit: datetime) -> datetime | None:
    """Return the latest time of the trigger's own that is known and not later than a limit."""
    mark = _mark_of(trigger)
    end = instant_of(limit)
    for time in (_search.reached.get(mark), mark.time):
        if time is not None and instant_of(time) <= end:
            return time

    return None


def latest_answer(trigger: BaseTrigger) -> datetime | None:
    """Return the time of the trigger's own that was remembered, whenever it is."""
    return _mark_of(trigger).time


def remember_first(trigger: BaseTrigger, time: datetime | None) -> None:
    """Remember the first time of a schedule, unless a later one is known."""
    mark = _mark_of(trigger)
    if time is not None and (mark.time is None or instant_of(time) > instant_of(mark.time)):
        mark.time = time


def remember_last(trigger: BaseTrigger, time: datetime) -> None:
    """Remember how far the times of a trigger have passed."""
    with one_search():
        _remember(trigger, time)


def share_mark(trigger: BaseTrigger, other: BaseTrigger) -> None:
    """Let two triggers with the same times remember the same one."""
    _keep(other, _mark_of(trigger))


def _remember(trigger: BaseTrigger, time: datetime) -> None:
    # What a search finds out beyond its first question is of no use to the next search, which
    # begins soon after the same time.
    mark = _mark_of(trigger)
    if mark not in _search.reached:
        mark.time = time
    _search.reached[mark] = time


def _mark_of(trigger: BaseTrigger) -> _Mark:
    key = id(trigger)
    known = _marks.get(key)
    if known is not None and known[0]() is trigger:
        return known[1]
    held = _search.held.get(key)
    return held[1] if held is not None else _keep(trigger, _Mark())


def _keep(trigger: BaseTrigger, mark: _Mark) -> _Mark:
    key = id(trigger)
    try:
        _marks[key] = ref(trigger, lambda _: _forget(key)), mark
    except TypeError:  # its class has __slots__ without __weakref__
        if _search.depth:
            _search.held[key] = trigger, mark

    return mark


def _forget(key: int) -> None:
    _marks.pop(key, None)
