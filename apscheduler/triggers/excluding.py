"""A trigger without the times that fall on given dates or into daily windows."""

from __future__ import annotations

import logging
from collections.abc import Container, Iterable, Mapping, Sized
from datetime import date, datetime, time, timedelta, tzinfo
from typing import Any, cast

from .._time import UTC, asdate, is_later, localize
from ._dates import instant_of, just_before
from .base import BaseTrigger, check_version, twin
from .combining import dump_trigger, load_trigger

DAY = timedelta(days=1)
MICROSECOND = timedelta(microseconds=1)
MAX_EXCLUSIONS = 10_000  # one after the other, such as 27 years in which no day is left

Window = tuple[time, time]

logger = logging.getLogger(__name__)


class ExcludingTrigger(BaseTrigger):
    """Run when another trigger would, but not on some dates and not at some times of day.

    Dates and times of day are read in the zone of the times that the other trigger hands out.

    :param trigger: the other trigger
    :param dates: dates to skip: an iterable of dates or "YYYY-MM-DD", or a calendar that computes
        them: anything that tells whether a date is in it, such as one of the package ``holidays``
    :param between: daily windows to skip, as pairs of times of day or "HH:MM[:SS]": one pair, or
        an iterable of pairs. The first time is in the window, the second one is not; a window
        whose second time is not later than the first reaches over midnight
    :param of: the other trigger by a name that is free in ``add_job(func, "excluding", of=...)``
    :raises TypeError: no trigger, or a time of day of another type
    :raises ValueError: a string that is no date or no time of day
    """

    __slots__ = ("between", "dates", "trigger")

    trigger: BaseTrigger
    dates: Container[Any]
    between: tuple[Window, ...]

    def __init__(
        self,
        trigger: BaseTrigger | None = None,
        dates: Any = (),
        between: Any = (),
        *,
        of: BaseTrigger | None = None,
    ) -> None:
        if trigger is not None and of is not None:
            raise TypeError("trigger and of name the same thing -- give one of them")

        inner = of if trigger is None else trigger
        if not isinstance(inner, BaseTrigger):
            raise TypeError(f"Only a trigger can have exclusions, not {inner!r}")

        self.trigger = inner
        self.dates = _container_of_dates(dates)
        self.between = _windows(between)

    def get_next_fire_time(
        self, previous_fire_time: datetime | None, now: datetime
    ) -> datetime | None:
        """Return the other trigger's next time that is not excluded."""
        return self._skip(self.trigger.get_next_fire_time(previous_fire_time, now), now)

    def get_first_fire_time(self, after: datetime | None, now: datetime) -> datetime | None:
        """Return the other trigger's first time later than ``after`` that is not excluded."""
        return self._skip(self.trigger.get_first_fire_time(after, now), now)

    def get_last_fire_time(self, previous_fire_time: datetime, now: datetime) -> datetime:
        """Return the other trigger's last time up to ``now`` that is not excluded."""
        last = self.trigger.get_last_fire_time(previous_fire_time, now)
        while is_later(last, previous_fire_time):
            exclusion = self._exclusion(last)
            if exclusion is None:
                return last

            limit = _earlier(last, exclusion[0]) - MICROSECOND
            last = self.trigger.get_last_fire_time(previous_fire_time, limit)

        return previous_fire_time

    def _skip(self, fire_time: datetime | None, now: datetime) -> datetime | None:
        """Return the time, or the first one after it that is not excluded."""
        for _ in range(MAX_EXCLUSIONS):
            exclusion = None if fire_time is None else self._exclusion(fire_time)
            if fire_time is None or exclusion is None:
                return fire_time

            limit = _later(fire_time, exclusion[1])
            fire_time = self.trigger.get_first_fire_time(limit, now)

        logger.warning(
            "%s excludes %d times on end, so it is taken to have ended", self, MAX_EXCLUSIONS
        )
        return None

    def _exclusion(self, fire_time: datetime) -> tuple[datetime, datetime] | None:
        """Return the wall-clock times between which a time is excluded, None if it is not."""
        day, time_of_day = fire_time.date(), fire_time.time()
        if day in self.dates:
            midnight = datetime.combine(day, time())
            return midnight, midnight + DAY

        for start, end in self.between:
            first, last = datetime.combine(day, start), datetime.combine(day, end)
            if start < end:
                if start <= time_of_day < end:
                    return first, last
            elif time_of_day >= start:
                return first, last + DAY
            elif time_of_day < end:
                return first - DAY, last

        return None

    def get_fire_time_after_set_back(
        self, next_fire_time: datetime, before: datetime, now: datetime
    ) -> datetime:
        """Return the other trigger's answer, or the first time after it that is not excluded."""
        waited_for = next_fire_time
        unmoved = self._without_jitter()
        limit = min(just_before(next_fire_time), instant_of(before))
        following = unmoved.trigger.get_first_fire_time(limit, now)
        if following is not None and self._exclusion(following):
            # After a set-back there may be time for it. What was set by hand is waited for.
            own = unmoved._skip(following, now)
            if own is None or instant_of(own) != instant_of(next_fire_time):
                return next_fire_time
            waited_for = following

        moved = self.trigger.get_fire_time_after_set_back(waited_for, before, now)
        if instant_of(moved) == instant_of(waited_for):
            return next_fire_time

        first = self._skip(moved, now)
        return next_fire_time if first is None or is_later(first, next_fire_time) else first

    def _without_jitter(self) -> ExcludingTrigger:
        inner = self.trigger._without_jitter()
        return self if inner is self.trigger else twin(self, trigger=inner)

    def _moved(
        self, fire_time: datetime, after: datetime | None, now: datetime, before: datetime | None
    ) -> datetime:
        # The times between were excluded, so the other trigger is asked for this one.
        moved = self.trigger._moved(fire_time, just_before(fire_time), now, before)
        return fire_time if self._exclusion(moved) else moved

    def _schedule_end(self) -> datetime | None:
        return self.trigger._schedule_end()

    def _counts_real_time(self) -> bool:
        return self.trigger._counts_real_time()

    def start_from(self, now: datetime) -> None:
        """Let the other trigger count from ``now`` if it was built without a start of its own."""
        self.trigger.start_from(now)

    def is_same_schedule(self, other: object) -> bool:
        """Tell whether both exclude the same from the same schedule."""
        return (
            type(other) is type(self)
            and self.trigger.is_same_schedule(other.trigger)
            and self.between == other.between
            and _same_dates(self.dates, other.dates)
        )

    def __getstate__(self) -> dict[str, Any]:
        return {
            "version": 1,
            "trigger": dump_trigger(self.trigger),
            "dates": self.dates,
            "between": self.between,
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        state = check_version(self, state, 1)
        self.trigger = load_trigger(*state["trigger"])
        self.dates = state["dates"]
        self.between = state["between"]

    def __str__(self) -> str:
        return f"excluding[{self.trigger}{self._exclusions()}]"

    def __repr__(self) -> str:
        return f"<{type(self).__name__}({self.trigger!r}{self._exclusions()})>"

    def _exclusions(self) -> str:
        windows = "".join(f", between {start} and {end}" for start, end in self.between)
        if isinstance(self.dates, Sized) and not self.dates:
            return windows

        # Too many to show, or, in a calendar that computes them, without number.
        count = f"{len(self.dates)} " if isinstance(self.dates, frozenset) else ""
        return f", {count}dates{windows}"


def _later(fire_time: datetime, end: datetime) -> datetime:
    """Return the instant after which an exclusion has ended that a time falls into."""
    # The end may come twice, when clocks go back: it is the one that lies ahead.
    for fold in (0, 1):
        resumed = localize(end.replace(fold=fold), cast("tzinfo", fire_time.tzinfo))
        if is_later(resumed, fire_time):
            return resumed.astimezone(UTC) - MICROSECOND

    return fire_time


def _earlier(fire_time: datetime, start: datetime) -> datetime:
    """Return an instant from which on up to a time all is excluded: the start, if it is sure."""
    # After clocks were put back, times before the change may be later in the day, and allowed.
    instant = localize(start, cast("tzinfo", fire_time.tzinfo))
    certain = not fire_time.fold and is_later(fire_time, instant)

    return (instant if certain else fire_time).astimezone(UTC)


def _container_of_dates(dates: Any) -> Container[Any]:
    computed = isinstance(dates, Container) and _computes_dates(dates)
    if isinstance(dates, (str, bytes, date)) or not (computed or isinstance(dates, Iterable)):
        raise TypeError(f"dates must be a container or an iterable of dates, not {dates!r}")

    given: Any = dates
    return cast("Container[Any]", given) if computed else frozenset(map(asdate, given))


def _computes_dates(dates: Any) -> bool:
    """Tell whether a container may hold dates that it does not list, such as those to come."""
    if not isinstance(dates, Mapping):
        return not (isinstance(dates, Iterable) and isinstance(dates, Sized))

    # Calendars are often dicts that compute a year when they are asked about it. Mappings of
    # the standard library (dict, OrderedDict, ChainMap and others) hold what they list.
    asked = next(cls for cls in type(dates).__mro__ if "__contains__" in vars(cls))
    return asked.__module__ not in ("builtins", "collections")


def _same_dates(first: Container[Any], second: Container[Any]) -> bool:
    """Tell whether two containers hold the same dates, however many of them they computed yet."""
    if first == second:
        return True
    if not (isinstance(first, Mapping) and type(first) is type(second)):
        return False

    assert isinstance(second, Mapping), "they are of one class"
    # Both are asked about what either has listed, which may be nothing: so the options, too.
    return (
        _options(first) == _options(second)
        and all(day in second for day in list(first))
        and all(day in first for day in list(second))
    )


def _options(calendar: Mapping[Any, Any]) -> dict[str, Any]:
    """Return the public attributes that a user sets: texts, numbers and collections of texts."""
    attributes = getattr(calendar, "__dict__", {})
    return {name: value for name, value in attributes.items() if _is_option(name, value)}


def _is_option(name: str, value: Any) -> bool:
    if name.startswith("_"):
        return False
    if isinstance(value, (set, frozenset, list, tuple)):
        # Numbers are the years that it has computed.
        return all(isinstance(item, str) for item in value) and len(value) > 0

    return value is None or isinstance(value, (str, int, float))


def _windows(between: Any) -> tuple[Window, ...]:
    if isinstance(between, str) or not isinstance(between, Iterable):
        raise TypeError(
            f'between must be a pair of times of day, such as ("22:00", "06:00"), '
            f"or an iterable of pairs, not {between!r}"
        )

    windows = list(between)
    if len(windows) == 2 and all(isinstance(item, (str, time)) for item in windows):
        windows = [windows]

    return tuple(map(_window, windows))


def _window(pair: Any) -> Window:
    if not isinstance(pair, (tuple, list)) or len(pair) != 2:
        raise ValueError(f"Expected a pair of times of day, not {pair!r}")

    first, last = map(_time_of_day, pair)
    if first == last:
        raise ValueError(
            f"A window from {first} to {last} would leave no time at all -- "
            f"give two different times of day"
        )

    return first, last


def _time_of_day(value: Any) -> time:
    if isinstance(value, time):
        return value.replace(tzinfo=None)
    if not isinstance(value, str):
        raise TypeError(f"Expected a time of day or a string HH:MM, not {value!r}")

    try:
        return time.fromisoformat(value).replace(tzinfo=None)
    except ValueError as exc:
        raise ValueError(f'Invalid time of day "{value}" -- give it as HH:MM or HH:MM:SS') from exc
