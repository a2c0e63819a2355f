"""What every trigger is: a rule that names the next time to run."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta, tzinfo
from types import MemberDescriptorType
from typing import Any, TypeVar, cast

from .._overriding import keep_to_overridden
from .._time import UTC, is_later
from ._dates import LAST_MOMENT, instant_of
from ._walk import (
    last_own_time,
    latest_answer,
    remember_first,
    remember_last,
    share_mark,
    step_past,
)

Trigger = TypeVar("Trigger", bound="BaseTrigger")

# What our triggers derive from their own rule for the next time.
_DERIVED = (
    "get_first_fire_time",
    "get_last_fire_time",
    "get_fire_time_after_set_back",
    "_alternatives",
)


class BaseTrigger(ABC):
    """A schedule. Only :meth:`get_next_fire_time` has to be written; the rest have defaults.

    All times are aware datetimes. A trigger hands out strictly increasing instants, each by a
    local time that exists in its zone.
    """

    __slots__ = ()

    def __init_subclass__(cls, **options: Any) -> None:
        """Let no method that is faster bypass a get_next_fire_time() that overrides its class's.

        Triggers of 3.x override that one alone, also those that subclass a trigger of ours.
        """
        super().__init_subclass__(**options)
        keep_to_overridden(cls, BaseTrigger, "get_next_fire_time", _DERIVED)

    @abstractmethod
    def get_next_fire_time(
        self, previous_fire_time: datetime | None, now: datetime
    ) -> datetime | None:
        """Return the next time to run, or None if there is none.

        :param previous_fire_time: the time this method returned before, None the first time
        :param now: the current time
        """

    def get_first_fire_time(self, after: datetime | None, now: datetime) -> datetime | None:
        """Return the first time to run later than ``after``, on the trigger's own grid.

        The scheduler asks this instead of :meth:`get_next_fire_time` when a job is added, resumed
        or rescheduled; combining triggers ask it of their parts, and ``after`` may be the time of
        another part. The default goes on from the last time of the trigger's own that it knows,
        else from the first one of all.

        :param after: None for the first time of a schedule that begins at ``now``
        :param now: the current time
        """
        if after is None:
            first = self._first_of_all(now)
            remember_first(self, first)
            return first

        own = last_own_time(self, after)
        if own is not None:
            following = self._following(own)
            if following is not None and is_later(following, after):
                return following

        first = self.get_next_fire_time(None, after)
        begins_later = first is not None and is_later(first, after)
        if begins_later and first is not None and self._has(first):
            return first
        if own is not None:
            return step_past(self, own, after)
        if first is not None and not begins_later:
            return self._step_past(first, after)

        return self._without_grid(after)

    def get_last_fire_time(self, previous_fire_time: datetime, now: datetime) -> datetime:
        """Return the last time to run that is not later than ``now``.

        This is how a late job catches up with one run. The default steps through the missed
        times; a trigger that can name the last one directly should.

        :param previous_fire_time: a time to run that has come (at most ``now``); it is the answer
            when none follows up to ``now``
        :param now: the current time
        """
        last = previous_fire_time
        following = self._following(last)
        while following is not None and not is_later(following, now):
            last = following
            following = self._following(last)

        remember_last(self, last)
        return last

    def iter_fire_times(self, start: datetime, end: datetime | None = None) -> Iterator[datetime]:
        """Iterate over the times to run from ``start`` on, for previews.

        :param start: times before it are left out (it need not be a time to run itself)
        :param end: the last time that may come out; None for no end
        :raises TypeError: if one of them is no datetime
        :raises ValueError: if one of them has no time zone
        """
        _check_instant(start, "start")
        if end is not None:
            _check_instant(end, "end")
        return self._iter_fire_times(start, end)

    def _iter_fire_times(self, start: datetime, end: datetime | None) -> Iterator[datetime]:
        fire_time = self.get_first_fire_time(None, start)
        while fire_time is not None and not (end is not None and is_later(fire_time, end)):
            if not is_later(start, fire_time):
                yield fire_time
            fire_time = self._following(fire_time)

    def get_fire_time_after_set_back(
        self, next_fire_time: datetime, before: datetime, now: datetime
    ) -> datetime:
        """Return when to run after the clock was set back, instead of at ``next_fire_time``.

        The default is to run at that time all the same, when the clock comes to it again: so no
        time of the wall clock is run at twice. A trigger that counts real time should not wait.

        :param next_fire_time: the time that was waited for
        :param before: what time it would be, had the clock not been set back
        :param now: the current time
        """
        return next_fire_time

    def start_from(self, now: datetime) -> None:  # noqa: B027 - an honest default
        """Count from ``now`` where the trigger was built without a start of its own.

        Schedulers whose clock is not the wall clock call this when a job is added.
        """

    def is_same_schedule(self, other: object) -> bool:
        """Tell whether another trigger defines the same schedule.

        A job that is added again with the same schedule keeps its next run time. The default
        compares the class and the state.
        """
        return type(self) is type(other) and self.__reduce_ex__(2) == other.__reduce_ex__(2)

    def _apply_jitter(
        self, next_fire_time: datetime | None, jitter: float | None, now: datetime
    ) -> datetime | None:
        """Return the time moved later by 0 to ``jitter`` seconds, chosen at random."""
        if next_fire_time is None or not jitter:
            return next_fire_time

        from random import uniform  # slow to import, and most programs have no jitter

        tz = next_fire_time.tzinfo
        try:
            delay = timedelta(seconds=uniform(0, jitter))
            return (next_fire_time.astimezone(UTC) + delay).astimezone(tz)
        except OverflowError:  # the calendar ends before that
            return next_fire_time

    def _jittered(
        self, fire_time: datetime, jitter: float, end: datetime | None, now: datetime
    ) -> datetime | None:
        """Return the time with its jitter applied, not moved past the end."""
        moved = self._apply_jitter(fire_time, jitter, now)
        if moved is None or end is None or instant_of(moved) <= instant_of(end):
            return moved

        return end.astimezone(fire_time.tzinfo)

    def _without_jitter(self: Trigger) -> Trigger:
        """Return a trigger with the times of this one before jitter moves them."""
        if not jitter_of(self):
            return self

        try:
            unmoved = twin(self, jitter=0)
        except AttributeError:  # a custom trigger that lets nobody set it
            return self

        if self._is_stepped():
            share_mark(self, unmoved)
        return unmoved

    def _moved(
        self, fire_time: datetime, after: datetime | None, now: datetime, before: datetime | None
    ) -> datetime:
        """Return a time moved by the trigger's jitter, but not as far as to ``before``.

        :param fire_time: what the trigger without its jitter answered to ``after`` and ``now``
        """
        return self._moved_within(
            fire_time, jitter_of(self), self._schedule_end(), before=before, now=now
        )

    def _moved_within(
        self,
        fire_time: datetime,
        jitter: float,
        end: datetime | None,
        *,
        before: datetime | None,
        now: datetime,
    ) -> datetime:
        if not jitter:
            return fire_time

        first = instant_of(fire_time)
        limit = None if before is None else instant_of(before)
        if limit is not None:
            jitter = min(jitter, (limit - first).total_seconds())
        moved = self._jittered(fire_time, jitter, end, now)
        if moved is None or instant_of(moved) < first:
            return fire_time

        return moved if limit is None or instant_of(moved) < limit else fire_time

    def _schedule_end(self) -> datetime | None:
        """Return the instant after which it must not run; None if it is not known to end."""
        end, tz = getattr(self, "end_date", None), getattr(self, "timezone", None)
        if isinstance(end, date) and not isinstance(end, datetime) and isinstance(tz, tzinfo):
            end = datetime.combine(end, LAST_MOMENT, tz)

        return end if isinstance(end, datetime) and end.tzinfo is not None else None

    def _counts_real_time(self) -> bool:
        """Tell whether all its times follow when the clock is set back, so that none waits."""
        default = BaseTrigger.get_fire_time_after_set_back
        return type(self).get_fire_time_after_set_back is not default

    def _is_stepped(self) -> bool:
        """Tell whether its last time can only be found by going through those before."""
        return type(self).get_last_fire_time is BaseTrigger.get_last_fire_time

    def _alternatives(self) -> Sequence[BaseTrigger]:
        """Return the triggers each of whose times is one of this, and the other way round."""
        return [self]

    def _zones(self) -> set[tzinfo | None]:
        """Return the zones of its times."""
        return {getattr(self, "timezone", None)}

    def _first_of_all(self, now: datetime) -> datetime | None:
        return self.get_next_fire_time(None, now)

    def _has(self, fire_time: datetime) -> bool:
        """Tell whether a first time is on the trigger's own grid, whenever it is asked."""
        again = self.get_next_fire_time(None, fire_time)
        return again is not None and instant_of(again) == instant_of(fire_time)

    def _step_past(self, first: datetime, limit: datetime) -> datetime | None:
        """Return the first time later than a limit; the first one of all is not."""
        return step_past(self, first, limit)

    def _without_grid(self, after: datetime) -> datetime | None:
        """Return what follows a time, for one whose first time depends on when it is asked."""
        # A time that it has named already is not put off because others run before it.
        named, following = latest_answer(self), self._following(after)
        if named is None or not is_later(named, after):
            return following

        return named if following is None or is_later(following, named) else following

    def _following(self, fire_time: datetime) -> datetime | None:
        """Return the next time to run after one; None also if the trigger does not move on."""
        following = self.get_next_fire_time(fire_time, fire_time)
        moves_on = following is not None and is_later(following, fire_time)

        return following if moves_on else None


def _check_instant(value: Any, name: str) -> None:
    """Refuse what is no instant, with words for what was meant."""
    if not isinstance(value, datetime):
        raise TypeError(
            f"{name} must be a datetime with a time zone, got {value!r} ({type(value).__name__}) "
            f"instead"
        )
    if value.tzinfo is None:
        raise ValueError(
            f"{name} must have a time zone, got {value!r}; give it one by "
            f"{name}.replace(tzinfo=...), or by {name}.astimezone() for that of the computer"
        )


def jitter_of(trigger: BaseTrigger) -> float:
    """Return by how many seconds a trigger's times may come later, 0 if it has no such option."""
    jitter = getattr(trigger, "jitter", None)
    return jitter if isinstance(jitter, (int, float)) else 0


def twin(trigger: Trigger, /, **changes: Any) -> Trigger:
    """Return a shallow copy of a trigger with some attributes changed."""
    # Not by its stored state: subclasses may have attributes that the state leaves out.
    copy = object.__new__(type(trigger))
    for cls in type(trigger).__mro__:
        for name, slot in vars(cls).items():
            if isinstance(slot, MemberDescriptorType) and hasattr(trigger, name):
                slot.__set__(copy, slot.__get__(trigger))
    if hasattr(trigger, "__dict__"):
        vars(copy).update(vars(trigger))
    for name, value in changes.items():
        setattr(copy, name, value)

    return copy


def check_jitter(jitter: Any) -> float | None:
    """Return a jitter that was given, in seconds; refuse what cannot be one."""
    if jitter is not None and not isinstance(jitter, (int, float)):
        raise TypeError(f"jitter must be a number of seconds or None, not {jitter!r}")
    if jitter is not None and not 0 <= jitter < float("inf"):
        raise ValueError(f"jitter must be 0 or more seconds, but is {jitter}")

    return jitter


def check_version(trigger: BaseTrigger, state: Any, newest: int) -> dict[str, Any]:
    """Return a stored state as a dict; refuse one that a newer release wrote."""
    if isinstance(state, tuple):  # release 3.0 stored (None, state)
        state = state[1]
    if state.get("version", 1) > newest:
        raise ValueError(
            f"Got serialized data for version {state['version']} of {type(trigger).__name__}, "
            f"but only versions up to {newest} can be handled"
        )

    return cast("dict[str, Any]", state)


# Whether the start was given by the user (None: the state does not tell), and the start.
Start = tuple["bool | None", "date"]


def same_start(first: Start, second: Start) -> bool:
    """Tell whether two triggers start alike: both when they were made, or at the same time."""
    given, other_given = first[0], second[0]
    if given is not None and other_given is not None and given is not other_given:
        return False

    both_left_out = given is False or other_given is False
    return both_left_out or same_time(first[1], second[1])


def same_time(first: date | None, second: date | None) -> bool:
    """Tell whether two dates, either of which may be missing, are the same date or instant."""
    if isinstance(first, datetime) and isinstance(second, datetime):
        # As instants: times in a repeated hour are unequal to any of another zone.
        return first.astimezone(UTC) == second.astimezone(UTC)

    return first == second
