"""A trigger without the times that fall on given dates or into daily windows."""

from __future__ import annotations

import logging
from collections.abc import Container, Iterable, Mapping, Sequence, Sized
from datetime import date, datetime, time, timedelta, tzinfo
from typing import Any, cast

from .._log import log_may_fail
from .._time import UTC, asdate, astimezone, exists, is_later, localize
from ._dates import instant_of, just_before
from ._walk import one_search
from .base import BaseTrigger, check_version, twin
from .combining import dump_trigger, load_trigger
from .cron._clock import clock_of

DAY = timedelta(days=1)
MAX_EXCLUSIONS = 10_000  # one after the other, such as 27 years of a window that leaves no time
MAX_DAYS = 400  # looked at on either side of an excluded day

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
        unmoved = self.trigger._without_jitter()
        parts = unmoved._alternatives()
        if len(parts) > 1 or parts[0] is not unmoved:
            return self.get_first_fire_time(previous_fire_time, now)

        with one_search():
            first = unmoved.get_next_fire_time(previous_fire_time, now)
            return self._with_jitter(self._skip(unmoved, first, now), previous_fire_time, now)

    def get_first_fire_time(self, after: datetime | None, now: datetime) -> datetime | None:
        """Return the other trigger's first time later than ``after`` that is not excluded."""
        with one_search():
            return self._with_jitter(self._first_allowed(after, now), after, now)

    def _first_allowed(self, after: datetime | None, now: datetime) -> datetime | None:
        """Return the first time that is not excluded, before jitter."""
        # Each part by itself: where an exclusion ends for one, another is in the middle of it,
        # or in another zone.
        times = [
            self._skip(part, part.get_first_fire_time(after, now), now)
            for part in self.trigger._without_jitter()._alternatives()
        ]
        return min((time for time in times if time is not None), key=instant_of, default=None)

    def _with_jitter(
        self, fire_time: datetime | None, after: datetime | None, now: datetime
    ) -> datetime | None:
        if fire_time is None or self.trigger._without_jitter() is self.trigger:
            return fire_time

        # As in OrTrigger, jitter ends where the next time of any part begins.
        has_parts = len(self.trigger._alternatives()) > 1
        following = self._first_allowed(fire_time, now) if has_parts else None
        return self._moved(fire_time, after, now, following)

    def get_last_fire_time(self, previous_fire_time: datetime, now: datetime) -> datetime:
        """Return the other trigger's last time up to ``now`` that is not excluded."""
        with one_search():
            return max(
                (
                    self._last_allowed(part, previous_fire_time, now)
                    for part in self.trigger._without_jitter()._alternatives()
                ),
                key=instant_of,
                default=previous_fire_time,
            )

    def _last_allowed(
        self, part: BaseTrigger, previous_fire_time: datetime, now: datetime
    ) -> datetime:
        # A part is asked to go on from a time of its own, which the previous one need not be.
        first = part.get_first_fire_time(previous_fire_time, now)
        if first is None or is_later(first, now):
            return previous_fire_time
        if part._is_stepped():
            return self._stepped_to_last(part, previous_fire_time, first, now)

        limit = now
        while not is_later(first, limit):
            last = part.get_last_fire_time(first, limit)
            exclusion = self._exclusion(last)
            if exclusion is None:
                return last

            start = _earlier(last, exclusion[0]) if _has_one_zone(part) else last
            limit = just_before(start)
            if limit == instant_of(start):  # the calendar begins there
                break

        return previous_fire_time

    def _stepped_to_last(
        self, part: BaseTrigger, last: datetime, first: datetime, now: datetime
    ) -> datetime:
        fire_time: datetime | None = first
        while fire_time is not None and not is_later(fire_time, now):
            if self._exclusion(fire_time) is None:
                last = fire_time
            fire_time = part._following(fire_time)

        return last

    def _skip(
        self, part: BaseTrigger, fire_time: datetime | None, now: datetime
    ) -> datetime | None:
        """Return a time of a part, or the first one after it that is not excluded."""
        for _ in range(MAX_EXCLUSIONS):
            exclusion = None if fire_time is None else self._exclusion(fire_time)
            if fire_time is None or exclusion is None:
                return fire_time

            limit = _later(fire_time, *exclusion) if _has_one_zone(part) else fire_time
            fire_time = part.get_first_fire_time(limit, now)

        with log_may_fail:
            logger.warning(
                "%s excludes %d times on end, so it is taken to have ended", self, MAX_EXCLUSIONS
            )
        return None

    def _exclusion(self, fire_time: datetime) -> tuple[datetime, datetime] | None:
        """Return the wall-clock times between which a time is excluded, None if it is not."""
        day, time_of_day = fire_time.date(), fire_time.time()
        if day in self.dates:
            return self._excluded_days(day)

        for start, end in self.between:
            first, last = datetime.combine(day, start), datetime.combine(day, end)
            if start < end:
                if start <= time_of_day < end:
                    return first, last
            elif time_of_day >= start:
                return first, last + DAY if day < date.max else datetime.max
            elif time_of_day < end:
                return first - DAY if day > date.min else datetime.min, last

        return None

    def _excluded_days(self, day: date) -> tuple[datetime, datetime]:
        """Return when the excluded days around one begin and end, in wall-clock time."""
        first, last = day, day
        for _ in range(MAX_DAYS):
            if first == date.min or first - DAY not in self.dates:
                break
            first -= DAY
        for _ in range(MAX_DAYS):
            if last == date.max or last + DAY not in self.dates:
                break
            last += DAY

        end = datetime.max if last == date.max else datetime.combine(last + DAY, time())
        return datetime.combine(first, time()), end

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
            own = unmoved.get_first_fire_time(limit, now)
            if own is None or instant_of(own) != instant_of(next_fire_time):
                return next_fire_time
            waited_for = following

        moved = self.trigger.get_fire_time_after_set_back(waited_for, before, now)
        if instant_of(moved) == instant_of(waited_for):
            return next_fire_time

        first = self.get_first_fire_time(moved, now) if self._exclusion(moved) else moved
        return next_fire_time if first is None or is_later(first, next_fire_time) else first

    def _without_jitter(self) -> ExcludingTrigger:
        inner = self.trigger._without_jitter()
        return self if inner is self.trigger else twin(self, trigger=inner)

    def _moved(
        self, fire_time: datetime, after: datetime | None, now: datetime, before: datetime | None
    ) -> datetime:
        # What decides is the time before jitter, so that no draw loses a run; a draw that lands
        # in an excluded time is not taken. (The times between were excluded, so the other trigger
        # is asked for this one.)
        moved = self.trigger._moved(fire_time, just_before(fire_time), now, before)
        return fire_time if self._exclusion(moved) else moved

    def _alternatives(self) -> Sequence[BaseTrigger]:
        parts = self.trigger._alternatives()
        return [self] if len(parts) == 1 else [twin(self, trigger=part) for part in parts]

    def _zones(self) -> set[tzinfo | None]:
        return self.trigger._zones()

    def _is_stepped(self) -> bool:
        return self.trigger._is_stepped()

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


def _has_one_zone(trigger: BaseTrigger) -> bool:
    """Tell whether an excluded time tells of all times around it that they are excluded."""
    return len(trigger._zones() - {None}) < 2


def _later(fire_time: datetime, start: datetime, end: datetime) -> datetime:
    """Return the instant after which an exclusion has ended that a time falls into."""
    # When clocks go back to before the start, it comes again, and times before it are allowed.
    if is_later(_last_turn(start, fire_time), fire_time):
        return fire_time

    # The end may come twice, too: it is the one that lies ahead.
    for fold in (0, 1):
        try:
            resumed = _first_from(end.replace(fold=fold), fire_time.tzinfo)
        except OverflowError:  # it ends with the calendar
            return datetime.max.replace(tzinfo=UTC)
        if is_later(resumed, fire_time):
            return just_before(resumed)

    return fire_time


def _first_from(local: datetime, tz: tzinfo | None) -> datetime:
    """Return when clocks show a time; if a gap leaves it out, when they first show a later one."""
    zone = astimezone(cast("tzinfo", tz))
    named = local.replace(tzinfo=zone)
    change = None if exists(named) else clock_of(zone).change_near(named)
    return localize(local, zone) if change is None else change.at


def _earlier(fire_time: datetime, start: datetime) -> datetime:
    """Return the instant from which on, up to a time, all is excluded."""
    begun = _last_turn(start, fire_time)
    return fire_time if is_later(begun, fire_time) else begun


def _last_turn(start: datetime, fire_time: datetime) -> datetime:
    """Return when the clocks of a time's zone show another time, for the last time."""
    turns = (
        localize(start.replace(fold=fold), cast("tzinfo", fire_time.tzinfo)) for fold in (0, 1)
    )
    return max(turns, key=instant_of)


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
