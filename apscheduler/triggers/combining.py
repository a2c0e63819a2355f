"""Triggers made of others: when all of them run, or when any of them runs."""

from __future__ import annotations

import logging
from abc import abstractmethod
from collections.abc import Iterable
from datetime import datetime, timedelta, tzinfo
from operator import is_
from typing import Any, TypeVar

from .._log import log_may_fail
from .._refs import obj_to_ref, ref_to_obj
from .._time import UTC, datetime_utc_add, is_later
from ._dates import just_before
from ._walk import one_search
from .base import BaseTrigger, check_jitter, check_version, jitter_of, twin

MICROSECOND = timedelta(microseconds=1)
MAX_MATCHES = 5_000  # gone through at once, which takes some tenths of a second
MAX_CLOSE_MATCHES = 500  # one close after the other: going back over them takes longer
LONGEST_THRESHOLD = 86_400  # seconds: a day, beyond which nothing is "at the same time"

Combination = TypeVar("Combination", bound="BaseCombiningTrigger")

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
        return self._first_after(previous_fire_time, now) if self.triggers else None

    def get_first_fire_time(self, after: datetime | None, now: datetime) -> datetime | None:
        """Return the first combined time later than ``after``, or else from ``now`` on."""
        return self.get_next_fire_time(after, after or now)

    @abstractmethod
    def _first_after(self, after: datetime | None, now: datetime) -> datetime | None:
        """Return the first combined time after one, moved by jitter."""

    def _without_jitter(self: Combination) -> Combination:
        parts = [part._without_jitter() for part in self.triggers]
        if not self.jitter and all(map(is_, parts, self.triggers)):
            return self

        return twin(self, jitter=None, triggers=parts)

    def _counts_real_time(self) -> bool:
        return all(part._counts_real_time() for part in self.triggers)

    def _is_stepped(self) -> bool:
        return any(part._is_stepped() for part in self.triggers)

    def _zones(self) -> set[tzinfo | None]:
        return {zone for part in self.triggers for zone in part._zones()}

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

    :param triggers: the parts, as one list or as several arguments
    :param jitter: seconds by which each run may come later, chosen at random for each; None for 0
    :param threshold: times less than so many seconds apart count as the same, and the earliest
        is taken; with 0 they have to be equal
    :param max_iterations: after so many rounds without a common time the schedule has ended, and
        a warning says so
    :raises TypeError: a part is no trigger, or another argument no number
    :raises ValueError: jitter or threshold is negative, threshold more than a day, or
        max_iterations below 1
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

    def _first_after(self, after: datetime | None, now: datetime) -> datetime | None:
        # Parts are compared by their times without jitter: draws hardly ever meet.
        unmoved = self._without_jitter()
        with one_search():
            match = (
                unmoved._first_match(after, now)
                if after is None
                else unmoved._new_match(after, now)
            )
            if match is None or unmoved is self:
                return match

            return self._moved(match, after, now, None)

    def _moved(
        self, fire_time: datetime, after: datetime | None, now: datetime, before: datetime | None
    ) -> datetime:
        # Each part's jitter moves its own time; the longest delay is that of the match.
        delays = (_delay_by(part, fire_time, now, before) for part in self.triggers)
        delay = max(delays, default=timedelta())
        end = self._schedule_end()
        moved = fire_time
        if delay:
            moved = datetime_utc_add(fire_time, delay)
            if end is not None and is_later(moved, end):
                moved = max(fire_time, end.astimezone(fire_time.tzinfo), key=_instant)

        return self._moved_within(moved, jitter_of(self), end, before=before, now=now)

    def _schedule_end(self) -> datetime | None:
        return _earliest(part._schedule_end() for part in self.triggers)

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
        """Return the last common time that is not later than ``now``.

        Where it cannot be computed, so many matches are gone through at once; then the answer is
        the last of these.
        """
        if not self.triggers:
            return previous_fire_time

        unmoved = self._without_jitter()
        with one_search():
            if self._is_stepped():
                return unmoved._last_from(previous_fire_time, now)

            last = unmoved._last_match(previous_fire_time, now)
            start = unmoved._last_start(previous_fire_time, last)
            return last if start is last else unmoved._last_from(start, now)

    def _last_start(self, previous_fire_time: datetime, last: datetime) -> datetime:
        """Return a late match that no other is close before: it counts, whatever came before.

        :param last: the last match of all
        """
        for _ in range(MAX_CLOSE_MATCHES):
            if not is_later(last, previous_fire_time) or not self._runs_close_before(last):
                break

            earlier = self._last_match(previous_fire_time, _instant(last) - MICROSECOND)
            if _instant(last) - _instant(earlier) > self._tolerance:
                break
            last = earlier

        return last

    def _runs_close_before(self, match: datetime) -> bool:
        """Tell whether a part runs so soon before a match that another match may be there."""
        start = _instant(match) - self._tolerance - MICROSECOND
        times = (part.get_first_fire_time(start, match) for part in self.triggers)
        return any(time is not None and is_later(match, time) for time in times)

    def _last_from(self, last: datetime, now: datetime) -> datetime:
        """Return the last match up to ``now``, or as far as so many go, from one on."""
        for _ in range(MAX_MATCHES):
            following = self._new_match(last, now)
            if following is None or is_later(following, now):
                break
            last = following

        return last

    def _last_match(self, previous_fire_time: datetime, now: datetime) -> datetime:
        """Return the last match up to ``now``, or the previous fire time if none is later."""
        tolerance = self._tolerance
        times = self._last_times(previous_fire_time, _instant(now) + tolerance)
        last = min(times, key=_instant)
        if is_later(last, now):  # all run once more right after now, when it may be no match
            last = max(self._last_times(previous_fire_time, now), key=_instant)
        for _ in range(self.max_iterations):
            if not is_later(last, previous_fire_time):
                return previous_fire_time

            # No common time is later than the earliest of these; it is one if it is `last`.
            limit = _instant(last) + tolerance
            times = [
                _last_of(part, previous_fire_time, limit) if is_later(time, limit) else time
                for part, time in zip(self.triggers, times, strict=True)
            ]
            earliest = min(times, key=_instant)
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
        return [_last_of(part, previous_fire_time, limit) for part in self.triggers]

    def get_fire_time_after_set_back(
        self, next_fire_time: datetime, before: datetime, now: datetime
    ) -> datetime:
        """Return the first common time from ``now`` on if all parts count real time."""
        if not self._counts_real_time():
            return next_fire_time

        waited_for = self._without_jitter().get_first_fire_time(before, before)
        latest = waited_for and datetime_utc_add(waited_for, _longest_delay(self))
        first = self.get_first_fire_time(just_before(now), now)
        # A time further away was set by hand, and is waited for.
        if first is None or latest is None or is_later(next_fire_time, latest):
            return next_fire_time

        return min(first, next_fire_time, key=_instant)

    def _warn_of_no_match(self) -> None:
        with log_may_fail:
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
    """Run whenever one of the parts would run; once where several would at the same instant.

    :param triggers: the parts, as one list or as several arguments
    :param jitter: seconds by which each run may come later, chosen at random for each; None for 0
    :raises TypeError: a part is no trigger, or jitter no number
    :raises ValueError: jitter is negative
    """

    __slots__ = ()

    def _first_after(self, after: datetime | None, now: datetime) -> datetime | None:
        unmoved = self._without_jitter()
        with one_search():
            first = unmoved._first_of_parts(after, now)
            if first is None or unmoved is self:
                return first

            # Jitter ends where the next time begins. So the time that was handed out tells which
            # of the parts' times have had their run: those up to it, and no other.
            following = unmoved._first_of_parts(first, now)
            return self._moved(first, after, now, following)

    def _first_of_parts(self, after: datetime | None, now: datetime) -> datetime | None:
        times = (part.get_first_fire_time(after, now) for part in self.triggers)
        return min((time for time in times if time is not None), key=_instant, default=None)

    def _moved(
        self, fire_time: datetime, after: datetime | None, now: datetime, before: datetime | None
    ) -> datetime:
        running = [part for part in self.triggers if _runs_at(fire_time, part, after, now)]
        times = (part._moved(fire_time, after, now, before) for part in running)
        moved = min(times, key=_instant, default=fire_time)
        end = _latest(part._schedule_end() for part in running)

        return self._moved_within(moved, jitter_of(self), end, before=before, now=now)

    def _alternatives(self) -> list[BaseTrigger]:
        return [other for part in self.triggers for other in part._alternatives()]

    def _schedule_end(self) -> datetime | None:
        return _latest(part._schedule_end() for part in self.triggers)

    def get_last_fire_time(self, previous_fire_time: datetime, now: datetime) -> datetime:
        """Return the last time of any part that is not later than ``now``."""
        times = (_last_of(part, previous_fire_time, now) for part in self.triggers)
        return max(times, key=_instant, default=previous_fire_time)

    def get_fire_time_after_set_back(
        self, next_fire_time: datetime, before: datetime, now: datetime
    ) -> datetime:
        """Return when the parts that count real time run first, but no earlier than is safe.

        What follows a time is later than it in all parts. So a time is safe if those parts that
        wait for the clock to come to their times again have none from there up to ``before``.
        """
        moved = self._times_after_set_back(next_fire_time, before, now)
        if not moved:
            return next_fire_time

        start = just_before(min(_instant(time) for _, time in moved))
        waiting = (part for part in self.triggers if not part._counts_real_time())
        passed = max(
            (_last_of(part, start, before) for part in waiting), key=_instant, default=start
        )
        safe = [
            time if is_later(time, passed) else part.get_first_fire_time(passed, now)
            for part, time in moved
        ]
        return min((time for time in (next_fire_time, *safe) if time is not None), key=_instant)

    def _times_after_set_back(
        self, next_fire_time: datetime, before: datetime, now: datetime
    ) -> list[tuple[BaseTrigger, datetime]]:
        """Return the parts that count real time with their times; none if that is not sure."""
        parts = self._without_jitter().triggers
        limit = just_before(next_fire_time)
        waited_for = [(part, part.get_first_fire_time(limit, now)) for part in parts]
        moving = [
            (part, time)
            for part, time in waited_for
            if time is not None and part._counts_real_time()
        ]
        if all(time is None or is_later(time, next_fire_time) for _, time in waited_for):
            # It was moved, by jitter or by hand, and nothing tells whose run it is.
            if not self._counts_real_time():
                return []
            moving += [(part, next_fire_time) for part in parts]

        return [
            (part, part.get_fire_time_after_set_back(time, before, now)) for part, time in moving
        ]

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


def _runs_at(
    fire_time: datetime, part: BaseTrigger, after: datetime | None, now: datetime
) -> bool:
    """Tell whether a time that was found is one of this part, before its jitter."""
    own = part._without_jitter().get_first_fire_time(after, now)
    return own is not None and _instant(own) == _instant(fire_time)


def _delay_by(
    part: BaseTrigger, match: datetime, now: datetime, before: datetime | None
) -> timedelta:
    """Return by how much a part's jitter delays its run in a match of all parts."""
    unmoved, start = part._without_jitter(), just_before(match)
    own = None if unmoved is part else unmoved.get_first_fire_time(start, now)
    if own is None:
        return timedelta()

    return max(_instant(part._moved(own, start, now, before)) - _instant(own), timedelta())


def _longest_delay(trigger: BaseTrigger) -> timedelta:
    """Return by how much jitter may move a run at most, that of the parts included."""
    parts = trigger.triggers if isinstance(trigger, BaseCombiningTrigger) else []
    longest = max(map(_longest_delay, parts), default=timedelta())

    return longest + timedelta(seconds=jitter_of(trigger))


def _last_of(part: BaseTrigger, previous_fire_time: datetime, now: datetime) -> datetime:
    """Return a part's last time up to ``now``, or the combined time given if none is later."""
    # Parts are asked to go on from a time of their own, which the combined one need not be.
    unmoved = part._without_jitter()
    first = unmoved.get_first_fire_time(previous_fire_time, now)
    if first is None or is_later(first, now):
        return previous_fire_time

    return unmoved.get_last_fire_time(first, now)


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
