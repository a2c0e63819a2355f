"""The local times that match all fields of a cron trigger, compiled for finding the next one."""

from __future__ import annotations

from bisect import bisect_left
from calendar import isleap
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from functools import lru_cache

from .expressions import MAX_VALUES, MIN_VALUES
from .fields import BaseField

# After so many years the days of the months fall on the same days of the week again.
CYCLE = 400
LENGTHS = (0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
NONE = -1


class CronCalendar:
    """Finds the next local time that matches; knows nothing of zones and changing clocks.

    :param fields: the fields of the trigger, by name
    :param either_day: whether one of ``day`` and ``day_of_week`` has to match, rather than both
    """

    __slots__ = (
        "_day",
        "_day_masks",
        "_either_day",
        "_every_year",
        "_hours",
        "_minutes",
        "_month_in_view",
        "_months",
        "_seconds",
        "_weekdays",
        "_weeks",
        "_years",
    )

    def __init__(self, fields: Mapping[str, BaseField], either_day: bool) -> None:
        self._hours = _from_each(_values(fields["hour"]))
        self._minutes = _from_each(_values(fields["minute"]))
        self._seconds = _from_each(_values(fields["second"]))
        self._months = _from_each(_values(fields["month"]))
        self._years = _values(fields["year"])
        self._every_year = len(self._years) == MAX_VALUES["year"] - MIN_VALUES["year"] + 1
        weeks = _values(fields["week"])
        self._weeks = () if len(weeks) == MAX_VALUES["week"] else weeks  # (): all of them
        self._weekdays = frozenset(_values(fields["day_of_week"]))
        self._day = fields["day"]
        self._either_day = either_day
        # The days that match, as bits, by first weekday and length of the month.
        self._day_masks: dict[tuple[int, int], int] = {}
        # Year, month and matching days of the month that was asked for last.
        self._month_in_view = (0, 0, 0)

    def next_after(self, local: datetime) -> datetime | None:
        """Return the first matching time later than the one that ``local`` shows, to the second.

        It is handed out in the zone of ``local``, whether or not it exists there. None if there
        is no such time up to the year 9999.
        """
        year, month, day = local.year, local.month, local.day
        known_year, known_month, days = self._month_in_view
        if month != known_month or year != known_year:
            days = self._view(year, month)

        if days >> day & 1:
            hour = local.hour
            next_hour = self._hours[hour]
            if next_hour == hour:
                minute = local.minute
                next_minute = self._minutes[minute]
                if next_minute == minute:
                    second = self._seconds[local.second + 1]
                    if second != NONE:
                        return datetime(year, month, day, hour, minute, second, 0, local.tzinfo)
                    next_minute = self._minutes[minute + 1]
                if next_minute != NONE:
                    second = self._seconds[0]
                    return datetime(year, month, day, hour, next_minute, second, 0, local.tzinfo)
                next_hour = self._hours[hour + 1]
            if next_hour != NONE:
                minute, second = self._minutes[0], self._seconds[0]
                return datetime(year, month, day, next_hour, minute, second, 0, local.tzinfo)

        later_day = self._next_day(year, month, day, days)
        if later_day is None:
            return None

        hour, minute, second = self._hours[0], self._minutes[0], self._seconds[0]
        return datetime(*later_day, hour, minute, second, 0, local.tzinfo)

    def _next_day(self, year: int, month: int, day: int, days: int) -> tuple[int, int, int] | None:
        days >>= day + 1
        if days:
            return year, month, day + 1 + _lowest(days)

        # If there is none in a whole cycle of the calendar, there never is.
        last_year = year + CYCLE if self._every_year else MAX_VALUES["year"]
        if year not in self._years:
            month = 12
        while not days:
            month = self._months[month + 1]
            if month == NONE:
                year, month = self._year_after(year), self._months[0]
                if year == NONE or year > last_year:
                    return None
            days = self._matching_days(year, month)

        self._month_in_view = (year, month, days)
        return year, month, _lowest(days)

    def _year_after(self, year: int) -> int:
        following = year + 1
        if following in self._years:
            return following

        position = bisect_left(self._years, following)
        return self._years[position] if position < len(self._years) else NONE

    def _view(self, year: int, month: int) -> int:
        """Return the matching days of a month as bits, and remember them for the next call."""
        matches = self._months[month] == month and year in self._years
        days = self._matching_days(year, month) if matches else 0
        self._month_in_view = (year, month, days)

        return days

    def _matching_days(self, year: int, month: int) -> int:
        weekday, length = date(year, month, 1).weekday(), _length(year, month)
        days = self._day_masks.get((weekday, length))
        if days is None:
            days = self._days_by_day(year, month, weekday, length)
            self._day_masks[weekday, length] = days

        return days & self._days_of_weeks(year, month) if self._weeks else days

    def _days_by_day(self, year: int, month: int, weekday: int, length: int) -> int:
        expressions = self._day.expressions
        of_month = _bits(day for item in expressions for day in item.days(year, month))
        of_week = _bits(
            day for day in range(1, length + 1) if (weekday + day - 1) % 7 in self._weekdays
        )

        return of_month | of_week if self._either_day else of_month & of_week

    def _days_of_weeks(self, year: int, month: int) -> int:
        days = range(1, _length(year, month) + 1)
        return _bits(day for day in days if date(year, month, day).isocalendar()[1] in self._weeks)


def calendar_of(fields: Iterable[BaseField], either_day: bool) -> CronCalendar:
    """Return the compiled form of fields; triggers with equal fields share it."""
    return _shared_calendar(
        tuple((field.name, type(field), str(field)) for field in fields), either_day
    )


@lru_cache(maxsize=1024)
def _shared_calendar(
    spec: tuple[tuple[str, type[BaseField], str], ...], either_day: bool
) -> CronCalendar:
    return CronCalendar({name: cls(name, exprs) for name, cls, exprs in spec}, either_day)


def _values(field: BaseField) -> Sequence[int]:
    """Return the matching values of a field, from the least to the greatest."""
    minimum, maximum = MIN_VALUES[field.name], MAX_VALUES[field.name]
    ranges = [expression.values(minimum, maximum) for expression in field.expressions]

    return ranges[0] if len(ranges) == 1 else sorted(set().union(*ranges))


def _from_each(values: Sequence[int]) -> tuple[int, ...]:
    """Return a table whose n-th item is the first of the values from n on, for n from 0 to 60."""
    following = []
    for number in range(61):
        position = bisect_left(values, number)
        following.append(values[position] if position < len(values) else NONE)

    return tuple(following)


def _bits(numbers: Iterable[int]) -> int:
    bits = 0
    for number in numbers:
        bits |= 1 << number

    return bits


def _length(year: int, month: int) -> int:
    return 29 if month == 2 and isleap(year) else LENGTHS[month]


def _lowest(bits: int) -> int:
    return (bits & -bits).bit_length() - 1
