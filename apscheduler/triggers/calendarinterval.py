"""Run every so many years, months, weeks and days, at a time of day."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta, tzinfo
from typing import Any

from .._time import (
    UTC,
    asdate,
    astimezone,
    choose_timezone,
    exists,
    is_later,
    same_zone,
    timezone_repr,
)
from ._dates import dates_from, dates_until, instant_of, just_before
from .base import BaseTrigger, check_jitter, check_version, same_start

DAY = timedelta(days=1)


class CalendarIntervalTrigger(BaseTrigger):
    """Run on dates that are years, months, weeks and days apart, at a wall-clock time.

    The dates form a grid that begins with ``start_date``: each follows from the one before by
    adding the years and months first (a date that its month does not have is passed over: the
    31st, 29 February), then the weeks and days. A date on which the time of day does not exist
    (spring forward) is left out; where it comes twice, the earlier one is meant.

    :param years: these four are whole numbers that add up; at least one of them is not 0
    :param hour: time of day, with minute and second, in the zone
    :param start_date: a date or "YYYY-MM-DD"; None for the day on which the trigger is made
    :param end_date: the last date that may be run on; None for no end
    :param timezone: zone or its name; None for the computer's
    :param jitter: seconds by which each run may come later, chosen at random for each; None for 0
    :raises TypeError: an interval that is no whole number, or a value of another type
    :raises ValueError: a negative or no interval, a time of day that is none, an end before the
        start, or a string that is no date
    """

    __slots__ = (
        "_given",
        "_time",
        "days",
        "end_date",
        "jitter",
        "months",
        "start_date",
        "timezone",
        "weeks",
        "years",
    )

    start_date: date
    end_date: date | None
    timezone: tzinfo
    jitter: float | None
    _time: time
    _given: bool | None  # whether start_date was; None: read from a state that does not tell

    def __init__(
        self,
        *,
        years: int = 0,
        months: int = 0,
        weeks: int = 0,
        days: int = 0,
        hour: int = 0,
        minute: int = 0,
        second: int = 0,
        start_date: date | str | None = None,
        end_date: date | str | None = None,
        timezone: str | tzinfo | None = None,
        jitter: int | None = None,
    ) -> None:
        self._set_interval(years=years, months=months, weeks=weeks, days=days)
        try:
            self._time = time(hour, minute, second)
        except ValueError as exc:
            raise ValueError(f"No time of day is {hour}:{minute}:{second} -- {exc}") from exc

        self.timezone = choose_timezone(timezone, start_date, end_date)
        self.jitter = check_jitter(jitter)
        self._given = start_date is not None
        self.start_date = asdate(start_date) or datetime.now(self.timezone).date()
        self.end_date = asdate(end_date)
        if self.end_date is not None and self.end_date < self.start_date:
            raise ValueError(
                f"end_date cannot be earlier than start_date, "
                f"but {self.end_date} is earlier than {self.start_date}"
            )

    def _set_interval(self, **parts: int) -> None:
        for name, value in parts.items():
            if not isinstance(value, int):
                raise TypeError(f"{name} must be a whole number, not {value!r}")
            if value < 0:
                raise ValueError(f"{name} must not be negative, but is {value}")
        if not any(parts.values()):
            raise ValueError(
                "interval must be at least 1 day long -- give years, months, weeks or days"
            )

        self.years, self.months = parts["years"], parts["months"]
        self.weeks, self.days = parts["weeks"], parts["days"]

    def get_next_fire_time(
        self, previous_fire_time: datetime | None, now: datetime
    ) -> datetime | None:
        """Return the first time on the grid after the previous one.

        Without a previous time it is the first one of all, whatever ``now`` is, as in 3.x.
        """
        if previous_fire_time is None:
            return self._first_from(self.start_date, None, now)

        return self._first_later(previous_fire_time, now)

    def get_first_fire_time(self, after: datetime | None, now: datetime) -> datetime | None:
        """Return the first time on the grid later than ``after``, or else not before ``now``."""
        return self._first_later(just_before(now) if after is None else after, now)

    def _first_later(self, limit: datetime, now: datetime) -> datetime | None:
        return self._first_from(self._local_date(limit), instant_of(limit), now)

    def _first_from(self, floor: date, after: datetime | None, now: datetime) -> datetime | None:
        for day in dates_from(floor, *self._grid):
            if self.end_date is not None and day > self.end_date:
                return None

            fire_time = self._on(day)
            if fire_time is not None and (after is None or is_later(fire_time, after)):
                return self._with_jitter(fire_time, now)

        return None

    def _with_jitter(self, fire_time: datetime, now: datetime) -> datetime | None:
        if not self.jitter:
            return fire_time

        return self._jittered(fire_time, self.jitter, self._schedule_end(), now)

    # The next two are asked only of a subclass that overrides get_next_fire_time() alone.

    def _first_of_all(self, now: datetime) -> datetime | None:
        first = self.get_next_fire_time(None, now)
        if first is None or not is_later(now, first):
            return first

        return self._step_past(first, just_before(now))

    def _step_past(self, first: datetime, limit: datetime) -> datetime | None:
        # From two dates before the limit: an override may move the time of the last one past it.
        last = CalendarIntervalTrigger.get_last_fire_time(self, first, limit)
        start = CalendarIntervalTrigger.get_last_fire_time(self, first, just_before(last))
        return super()._step_past(start, limit)

    def get_last_fire_time(self, previous_fire_time: datetime, now: datetime) -> datetime:
        """Return the last time on the grid that is not later than ``now``."""
        # A day on: when clocks go back over midnight, a first 00:00 lies before the second 23:30.
        now = instant_of(now)
        today = self._local_date(now)
        ceiling = today if today == date.max else today + DAY
        if self.end_date is not None:
            ceiling = min(ceiling, self.end_date)

        for day in dates_until(ceiling, *self._grid):
            fire_time = self._on(day)
            if fire_time is not None and not is_later(fire_time, now):
                moved_on = is_later(fire_time, previous_fire_time)
                return fire_time if moved_on else previous_fire_time

        return previous_fire_time

    @property
    def _grid(self) -> tuple[date, int, int]:
        return self.start_date, self.years * 12 + self.months, self.weeks * 7 + self.days

    def _on(self, day: date) -> datetime | None:
        """Return the time to run on a date, or None if the clocks (or UTC) do not have it."""
        fire_time = datetime.combine(day, self._time, self.timezone)
        try:
            fire_time.astimezone(UTC)
            return fire_time if exists(fire_time) else None
        except OverflowError:  # the calendar of UTC begins, or ends, on that day
            return None

    def _local_date(self, instant: datetime) -> date:
        try:
            return instant.astimezone(UTC).astimezone(self.timezone).date()
        except OverflowError:
            return date.min if instant.year == 1 else date.max

    def start_from(self, now: datetime) -> None:
        """Begin with the date of ``now`` if no start date was given."""
        if self._given is False:
            self.start_date = self._local_date(now)

    def is_same_schedule(self, other: object) -> bool:
        """Tell whether both define the same grid; two without a start date may be days apart."""
        return (
            type(other) is type(self)
            and self._definition() == other._definition()
            and same_zone(self.timezone, other.timezone)
            and same_start((self._given, self.start_date), (other._given, other.start_date))
        )

    def _definition(self) -> tuple[Any, ...]:
        years, months, weeks, days = self.years, self.months, self.weeks, self.days
        return years, months, weeks, days, self._time, self.end_date, self.jitter

    def __getstate__(self) -> dict[str, Any]:
        return {
            "version": 1,
            "interval": [self.years, self.months, self.weeks, self.days],
            "time": [self._time.hour, self._time.minute, self._time.second],
            "start_date": self.start_date,
            "end_date": self.end_date,
            "timezone": self.timezone,
            "jitter": self.jitter,
            "start_given": self._given,
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        state = check_version(self, state, 1)
        self.years, self.months, self.weeks, self.days = state["interval"]
        self._time = time(*state["time"])
        self.start_date = asdate(state["start_date"])
        self.end_date = asdate(state["end_date"])
        self.timezone = astimezone(state["timezone"])
        self.jitter = state.get("jitter")
        self._given = state.get("start_given")

    def __repr__(self) -> str:
        options = [
            f"{name}={value}"
            for name in ("years", "months", "weeks", "days")
            if (value := getattr(self, name))
        ]
        options += [f"time='{self._time}'", f"start_date='{self.start_date}'"]
        if self.end_date:
            options.append(f"end_date='{self.end_date}'")
        if self.jitter:
            options.append(f"jitter={self.jitter}")

        options.append(f"timezone={timezone_repr(self.timezone)!r}")
        return f"{type(self).__name__}({', '.join(options)})"
