"""Grids of dates that are so many months and so many days apart, and the calendar's ends.

A grid begins with its start; each date follows from the one before by adding the months, passing
over months that do not have the day, then the days.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, time, timedelta

from .._time import UTC

MICROSECOND = timedelta(microseconds=1)
LAST_MOMENT = time(23, 59, 59, 999999)


def instant_of(time: datetime) -> datetime:
    """Return a time in UTC; beyond the ends of the calendar there, the last (or first) moment."""
    try:
        return time.astimezone(UTC)
    except OverflowError:
        end = datetime.min if time.year == 1 else datetime.max
        return end.replace(tzinfo=UTC)


def just_before(time: datetime) -> datetime:
    """Return the last instant, in UTC, before a time; the first moment of all is its own."""
    instant = instant_of(time)
    return instant if instant == datetime.min.replace(tzinfo=UTC) else instant - MICROSECOND


def dates_from(floor: date, start: date, months: int, days: int) -> Iterator[date]:
    """Iterate over the dates of a grid that are not before ``floor``, as far as dates go."""
    if not months:
        return _days_from(floor, start, days)
    if not days:
        return _months_from(floor, start, months)

    return (day for day in _mixed(start, months, days) if day >= floor)


def dates_until(ceiling: date, start: date, months: int, days: int) -> Iterator[date]:
    """Iterate backwards over the dates of a grid that are not after ``ceiling``."""
    if not months:
        return _days_until(ceiling, start, days)
    if not days:
        return _months_until(ceiling, start, months)

    # Where one date stands depends on all before it, so these are stepped through, one a month
    # at most.
    passed = []
    for day in _mixed(start, months, days):
        if day > ceiling:
            break
        passed.append(day)

    return reversed(passed)


def _days_from(floor: date, start: date, days: int) -> Iterator[date]:
    ordinal, first = start.toordinal(), floor.toordinal()
    if first > ordinal:
        ordinal = first + (ordinal - first) % days

    return map(date.fromordinal, range(ordinal, date.max.toordinal() + 1, days))


def _days_until(ceiling: date, start: date, days: int) -> Iterator[date]:
    ordinal, last = start.toordinal(), ceiling.toordinal()
    last -= (last - ordinal) % days

    return map(date.fromordinal, range(last, ordinal - 1, -days))


def _months_from(floor: date, start: date, months: int) -> Iterator[date]:
    number, first = _month_number(start), _month_number(floor)
    if first > number:
        number = first + (number - first) % months

    numbers = range(number, _month_number(date.max) + 1, months)
    return (day for day in _existing(numbers, start.day) if day >= floor)


def _months_until(ceiling: date, start: date, months: int) -> Iterator[date]:
    number, last = _month_number(start), _month_number(ceiling)
    last -= (last - number) % months

    numbers = range(last, number - 1, -months)
    return (day for day in _existing(numbers, start.day) if day <= ceiling)


def _mixed(start: date, months: int, days: int) -> Iterator[date]:
    """Yield the dates of a grid of months and days one by one: each depends on the one before.

    That is a date a month at most, so that centuries take milliseconds.
    """
    day: date | None = start
    while day is not None:
        yield day
        numbers = range(_month_number(day) + months, _month_number(date.max) + 1, months)
        day = next(_existing(numbers, day.day), None)
        if day is not None:
            day = day + timedelta(days) if (date.max - day).days >= days else None


def _month_number(day: date) -> int:
    return day.year * 12 + day.month - 1


def _existing(month_numbers: range, day_of_month: int) -> Iterator[date]:
    """Yield the date with one day of the month in each month that has it."""
    for number in month_numbers:
        try:
            yield date(number // 12, number % 12 + 1, day_of_month)
        except ValueError:
            continue  # 30 February and the like
