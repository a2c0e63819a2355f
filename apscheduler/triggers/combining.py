"""Triggers made of others: when all of them run, or when any of them runs."""

from __future__ import annotations

import logging
from abc import abstractmethod
from collections.abc import Iterable
from datetime import date, datetime, timedelta
from typing import Any

from .._refs import obj_to_ref, ref_to_obj
from .._time import UTC, is_later
from .base import BaseTrigger, check_jitter, check_version
from .calendarinterval import LAST_MOMENT

MICROSECOND = timedelta(microseconds=1)
LONGEST_THRESHOLD = 86_400  # seconds: a day, beyond which nothing is "at the same time"

# A combined time, and the time beyond which jitter must not move it, if there is one.
Found = tuple[datetime, "datetime | None"]

logger = logging.getLogger(__name__)


class BaseCombiningTrigger(BaseTrigger):
    """What AndTrigger and OrTrigger share.

    :param triggers: the parts, as one list or as several arguments
    :param jitter: seconds by which each run may come later, chosen at random for each; None for 0
    :raises TypeError: a part is no trigger
    """

    __slots__ = ("jitter", "triggers")

    triggers: list[BaseTrigger]
    jitter: float | None

    def __init__(
        self,
        triggers: BaseTrigger | Iterable[BaseTrigger],
        *more: Any,
        jitter: float | None = None,
    ) -> None:
        parts = [triggers] if isinstance(triggers, BaseTrigger) else list(triggers)
        # In 3.x the second argument is the jitter.
        if len(more) == 1 and not isinstance(more[0], BaseTrigger):
            jitter, more = more[0], ()

        self.triggers = [_checked(part) for part in (*parts, *more)]
        self.jitter = check_jitter(jitter)
        # Parts without a start of their own begin together, not as far apart as they were made.
        self.start_from(datetime.now(UTC))

    def get_next_fire_time(
        self, previous_fire_time: datetime | None, now: datetime
    ) -> datetime | None:
        """Return the first combined time after the previous one, else from ``now`` on."""
        found = self._first_after(previous_fire_time, now) if self.triggers else None
        if found is None:
            return None

        fire_time, end = found
        return self._jittered(fire_time, self.jitter, end, now) if self.jitter else fire_time

    @abstractmethod
    def _first_after(self, after: datetime | None, now: datetime) -> Found | None:
        """Return the first combined time after one, without jitter, and the end of its parts."""

    def start_from(self, now: datetime) -> None:
        """Let each part count from ``now`` if it was built without a start of its own."""
        for trigger in self.triggers:
            trigger.start_from(now)

    def is_same_schedule(self, other: object) -> bool:
        """Tell whether both combine the same schedules in the same order."""
        return (
            type(other) is type(self)
            and self.jitter == other.jitter
            and len(self.triggers) == len(other.triggers)
            and all(map(_same_schedule, self.triggers, other.triggers))
        )

    def __getstate__(self) -> dict[str, Any]:
        return {
            "version": 1,
            "triggers": [dump_trigger(trigger) for trigger in self.triggers],
            "jitter": self.jitter,
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        state = check_version(self, state, 1)
        self.triggers = [load_trigger(*part) for part in state["triggers"]]
        self.jitter = state.get("jitter")

    def __repr__(self) -> str:
        jitter = f", jitter={self.jitter}" if self.jitter else ""
        return f"<{type(self).__name__}({self.triggers}{jitter})>"

    def _listed(self) -> str:
        return ", ".join(map(str, self.triggers))


class AndTrigger(BaseCombiningTrigger):
    """Run when all parts would run at the same time.

    :param threshold: times less than so many seconds apart count as the same, and the earliest
        is taken; with 0 they have to be equal
    :param max_iterations: after so many rounds without a common time the schedule has ended, and
        a warning says so
    """

    __slots__ = ("max_iterations", "threshold")

    threshold: float
    max_iterations: int

    def __init__(
        self,
        triggers: BaseTrigger | Iterable[BaseTrigger],
        *more: Any,
        jitter: float | None = None,
        threshold: float = 1,
        max_iterations: int = 10_000,
    ) -> None:
        super().__init__(triggers, *more, jitter=jitter)
        self.threshold = _checked_threshold(threshold)
        self.max_iterations = _checked_rounds(max_iterations)

    def _first_after(self, after: datetime | None, now: datetime) -> Found | None:
        match = self._first_match(after, now) if after is None else self._new_match(after, now)
        return None if match is None else (match, _earliest(map(_end_of, self.triggers)))

    def _new_match(self, after: datetime, now: datetime) -> datetime | None:
        """Return the first match after one, but none of times that an earlier match has used."""
        after, tolerance = _instant(after), self._tolerance
        match = self._first_match(after - tolerance - MICROSECOND, now)
        if match is None or is_later(match, after):
            return match

        # Times up to the tolerance after a match belong to it. Where matches are that close, the
        # one that was returned before is the one that counts.
        if is_later(after, match):
            again = self._first_match(after - MICROSECOND, now)
            match = match if again is None or is_later(again, after) else again

        return self._first_match(after, now, beyond=_instant(match) + tolerance)

    def _first_match(
        self, after: datetime | None, now: datetime, beyond: datetime | None = None
    ) -> datetime | None:
        """Return the first time at which, or less than the threshold after, all parts run."""
        tolerance = self._tolerance
        times = [trigger.get_first_fire_time(after, now) for trigger in self.triggers]
        if beyond is not None:
            times = [
                time
                if time is None or is_later(time, beyond)
                else trigger.get_first_fire_time(beyond, now)
                for trigger, time in zip(self.triggers, times, strict=True)
            ]
        for _ in range(self.max_iterations):
            instants = [time.astimezone(UTC) for time in times if time is not None]
            if len(instants) < len(times):
                return None

            latest_start = max(instants) - tolerance
            if min(instants) >= latest_start:
                return times[instants.index(min(instants))]

            # Whoever is too early goes on to the first time that may match the latest.
            times = [
                time
                if instant >= latest_start
                else trigger.get_first_fire_time(latest_start - MICROSECOND, now)
                for trigger, time, instant in zip(self.triggers, times, instants, strict=True)
            ]

        self._warn_of_no_match()
        return None

    def get_last_fire_time(self, previous_fire_time: datetime, now: datetime) -> datetime:
        """Return the last common time that is not later than ``now``."""
        if not self.triggers:
            return previous_fire_time

        # Go back to a match that no other is close before, and from there on as they are run.
        last = self._last_match(previous_fire_time, now)
        for _ in range(self.max_iterations):
            if not is_later(last, previous_fire_time):
                break

            earlier = self._last_match(previous_fire_time, _instant(last) - MICROSECOND)
            if _instant(last) - _instant(earlier) > self._tolerance:
                break
            last = earlier

        following = self._new_match(last, now)
        while following is not None and not is_later(following, now):
            last = following
            following = self._new_match(last, now)

        return last

    def _last_match(self, previous_fire_time: datetime, now: datetime) -> datetime:
        """Return the last match up to ``now``, or the previous fire time if none is later."""
        tolerance = self._tolerance
        last = max(self._last_times(previous_fire_time, now), key=_instant)
        for _ in range(self.max_iterations):
            if not is_later(last, previous_fire_time):
                return previous_fire_time

            # No common time is later than the earliest of these; it is one if it is `last`.
            limit = last.astimezone(UTC) + tolerance
            earliest = min(self._last_times(previous_fire_time, limit), key=_instant)
            if not is_later(last, earliest):
                return last
            last = earliest

        self._warn_of_no_match()
        return previous_fire_time

    @property
    def _tolerance(self) -> timedelta:
        """How far apart times that count as the same may be, at most."""
        return max(timedelta(seconds=self.threshold) - MICROSECOND, timedelta())

    def _last_times(self, previous_fire_time: datetime, limit: datetime) -> list[datetime]:
        return [part.get_last_fire_time(previous_fire_time, limit) for part in self.triggers]

    def _warn_of_no_match(self) -> None:
        logger.warning(
            "%s found no common time in %d rounds, so it is taken to have ended "
            "-- raise max_iterations to search on",
            self,
            self.max_iterations,
        )

    def is_same_schedule(self, other: object) -> bool:
        """Tell whether both combine the same schedules in the same order and manner."""
        return (
            super().is_same_schedule(other)
            and isinstance(other, AndTrigger)
            and self.threshold == other.threshold
        )

    def __getstate__(self) -> dict[str, Any]:
        return super().__getstate__() | {
            "threshold": self.threshold,
            "max_iterations": self.max_iterations,
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self.threshold = state.get("threshold", 1)
        self.max_iterations = state.get("max_iterations", 10_000)

    def __str__(self) -> str:
        return f"and[{self._listed()}]"


class OrTrigger(BaseCombiningTrigger):
    """Run whenever one of the parts would run; once where several would at the same instant."""

    __slots__ = ()

    def _first_after(self, after: datetime | None, now: datetime) -> Found | None:
        times = [trigger.get_first_fire_time(after, now) for trigger in self.triggers]
        first = min((time for time in times if time is not None), key=_instant, default=None)
        if first is None:
            return None

        running = [
            trigger
            for trigger, time in zip(self.triggers, times, strict=True)
            if time is not None and not is_later(time, first)
        ]
        return first, _latest(map(_end_of, running))

    def get_last_fire_time(self, previous_fire_time: datetime, now: datetime) -> datetime:
        """Return the last time of any part that is not later than ``now``."""
        times = (part.get_last_fire_time(previous_fire_time, now) for part in self.triggers)
        return max(times, key=_instant, default=previous_fire_time)

    def __str__(self) -> str:
        return f"or[{self._listed()}]"


def dump_trigger(trigger: BaseTrigger) -> tuple[str, Any]:
    """Return the reference of a trigger's class and its state, as they are stored."""
    # What pickle would store: not every custom trigger has a __getstate__ of its own.
    return obj_to_ref(type(trigger)), trigger.__reduce_ex__(2)[2]


def load_trigger(ref: str, state: Any) -> BaseTrigger:
    """Return the trigger that :func:`dump_trigger` stored."""
    cls = ref_to_obj(ref)
    trigger: BaseTrigger = cls.__new__(cls)
    set_state = getattr(trigger, "__setstate__", None)
    if set_state is not None:
        set_state(state)
        return trigger

    attributes, slots = state if isinstance(state, tuple) else (state, None)
    for name, value in {**(attributes or {}), **(slots or {})}.items():
        setattr(trigger, name, value)

    return trigger


def _checked(part: Any) -> BaseTrigger:
    if not isinstance(part, BaseTrigger):
        raise TypeError(f"Only triggers can be combined, not {part!r}")

    return part


def _checked_threshold(threshold: Any) -> float:
    if not isinstance(threshold, (int, float)):
        raise TypeError(f"threshold must be a number of seconds, not {threshold!r}")
    if threshold < 0:
        raise ValueError(f"threshold must not be negative, but is {threshold}")
    if not threshold <= LONGEST_THRESHOLD:
        raise ValueError(
            f"threshold must be at most a day ({LONGEST_THRESHOLD} seconds), but is {threshold}"
        )

    return threshold


def _checked_rounds(max_iterations: Any) -> int:
    if not isinstance(max_iterations, int):
        raise TypeError(f"max_iterations must be a whole number, not {max_iterations!r}")
    if max_iterations < 1:
        raise ValueError(f"max_iterations must be 1 or more, but is {max_iterations}")

    return max_iterations


def _end_of(trigger: BaseTrigger) -> datetime | None:
    """Return the instant after which a trigger must not run; None if it is not known to end."""
    if isinstance(trigger, AndTrigger):
        return _earliest(map(_end_of, trigger.triggers))
    if isinstance(trigger, OrTrigger):
        return _latest(map(_end_of, trigger.triggers))

    inner = getattr(trigger, "trigger", None)  # of an ExcludingTrigger
    if isinstance(inner, BaseTrigger):
        return _end_of(inner)

    end, tz = getattr(trigger, "end_date", None), getattr(trigger, "timezone", None)
    if isinstance(end, date) and not isinstance(end, datetime):
        end = datetime.combine(end, LAST_MOMENT, tz)

    return end if isinstance(end, datetime) and end.tzinfo is not None else None


def _earliest(ends: Iterable[datetime | None]) -> datetime | None:
    return min((end for end in ends if end is not None), key=_instant, default=None)


def _latest(ends: Iterable[datetime | None]) -> datetime | None:
    """Return the last end, None if one of them is none."""
    latest: datetime | None = None
    for end in ends:
        if end is None:
            return None
        if latest is None or is_later(end, latest):
            latest = end

    return latest


def _same_schedule(first: BaseTrigger, second: BaseTrigger) -> bool:
    return first.is_same_schedule(second)


def _instant(time: datetime) -> datetime:
    return time.astimezone(UTC)
