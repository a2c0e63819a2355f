"""CalendarIntervalTrigger: dates that are years, months, weeks and days apart."""

from __future__ import annotations

from calendar import monthrange
from datetime import date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import pytz
import time_machine
from hypothesis import example, given
from hypothesis import strategies as st

from apscheduler.triggers.calendarinterval import CalendarIntervalTrigger

from . import reference
from .reference import ALL_ZONES, UTC

BERLIN = ZoneInfo("Europe/Berlin")
NOW = datetime(2024, 6, 1, 12, tzinfo=BERLIN)


def grid(start: date, months: int, days: int, until: date) -> list[date]:
    """The dates, each reached from the one before."""
    dates = [start]
    while dates[-1] <= until:
        year, month, day = dates[-1].year, dates[-1].month, dates[-1].day
        while months:
            month += months
            year, month = year + (month - 1) // 12, (month - 1) % 12 + 1
            if day <= monthrange(year, month)[1]:
                break
        dates.append(date(year, month, day) + timedelta(days=days))

    return dates


@given(
    zone=st.sampled_from(ALL_ZONES).map(ZoneInfo),
    months=st.sampled_from([0, 0, 1, 2, 5, 12]),
    days=st.sampled_from([0, 0, 1, 7, 10]),
    start=st.dates(date(2000, 1, 1), date(2036, 12, 31)),
    at=st.times().map(lambda at: at.replace(microsecond=0)),
    now=st.integers(-100, 1_400),
)
@example(  # in the repeated hour
    zone=ZoneInfo("Europe/Berlin"), months=0, days=3, start=date(2024, 10, 27), at=time(2), now=0
)
def test_it_fires_on_each_date_of_the_grid_that_has_the_time(
    zone: ZoneInfo, months: int, days: int, start: date, at: time, now: int
) -> None:
    days = days if months or days else 3
    trigger = CalendarIntervalTrigger(
        months=months,
        days=days,
        hour=at.hour,
        minute=at.minute,
        second=at.second,
        start_date=start,
        timezone=zone,
    )
    moment = datetime.combine(start + timedelta(days=now), time(11, 59), UTC)
    dates = grid(start, months, days, moment.date() + timedelta(days=400))
    expected = [
        instants[0]
        for day in dates
        if (instants := reference.instants_named(datetime.combine(day, at), zone))
    ]
    coming = [instant for instant in expected if instant >= moment]
    passed = [instant for instant in expected if instant <= moment]

    first = trigger.get_first_fire_time(None, moment.astimezone(zone))
    fire_times = [first]
    for _ in range(3):
        assert fire_times[-1] is not None
        fire_times.append(trigger.get_next_fire_time(fire_times[-1], moment))
    instants = [fire_time.astimezone(UTC) for fire_time in fire_times if fire_time is not None]

    assert instants[: len(coming)] == coming[: len(instants)]
    assert all(time is not None and reference.exists(time) for time in fire_times)
    if passed:
        of_all = trigger.get_next_fire_time(None, moment)
        # As instants: a time in a repeated hour is unequal to any of another zone (PEP 495).
        assert of_all is not None
        assert of_all.astimezone(UTC) == expected[0]
        previous = expected[0].astimezone(zone)
        last = trigger.get_last_fire_time(previous, moment.astimezone(zone))
        assert last.astimezone(UTC) == passed[-1]


@pytest.mark.parametrize(
    ("interval", "start", "expected"),
    [
        ({"days": 5}, "2024-01-01", ["2024-01-06", "2024-01-11"]),
        ({"weeks": 2}, "2024-01-01", ["2024-01-15", "2024-01-29"]),
        ({"months": 1}, "2024-01-31", ["2024-03-31", "2024-05-31"]),
        ({"months": 1}, "2024-01-30", ["2024-03-30", "2024-04-30"]),
        ({"years": 1}, "2024-02-29", ["2028-02-29", "2032-02-29"]),
        ({"years": 1, "months": 6}, "2024-01-15", ["2025-07-15", "2027-01-15"]),
        ({"months": 1, "days": 1}, "2024-01-31", ["2024-04-01", "2024-05-02"]),
        ({"weeks": 1, "days": 1}, "2024-01-01", ["2024-01-09", "2024-01-17"]),
        ({"years": 4}, "2096-02-29", ["2104-02-29", "2108-02-29"]),
    ],
)
def test_dates_that_do_not_exist_are_passed_over(
    interval: dict[str, int], start: str, expected: list[str]
) -> None:
    trigger = CalendarIntervalTrigger(**interval, start_date=start, timezone="UTC")
    fire_time = trigger.get_next_fire_time(None, NOW)
    assert fire_time is not None
    assert str(fire_time.date()) == start

    for day in expected:
        assert fire_time is not None
        fire_time = trigger.get_next_fire_time(fire_time, NOW)
        assert fire_time is not None
        assert str(fire_time.date()) == day


def test_a_new_job_begins_with_the_grids_first_date_from_now_on() -> None:
    trigger = CalendarIntervalTrigger(days=5, hour=10, start_date="2020-01-01", timezone=BERLIN)
    first = trigger.get_first_fire_time(None, NOW)

    assert first is not None
    assert first >= NOW
    assert (first.date() - date(2020, 1, 1)).days % 5 == 0
    assert first - NOW < timedelta(days=5)
    # A direct call has the answer of 3.x.
    assert trigger.get_next_fire_time(None, NOW) == datetime(2020, 1, 1, 10, tzinfo=BERLIN)


def test_a_moved_run_is_followed_by_the_next_date_of_the_grid() -> None:
    trigger = CalendarIntervalTrigger(days=5, start_date="2024-01-01", timezone="UTC")
    moved = datetime(2024, 1, 4, 15, tzinfo=UTC)

    assert trigger.get_next_fire_time(moved, moved) == datetime(2024, 1, 6, tzinfo=UTC)


def test_the_last_day_is_the_end_date() -> None:
    trigger = CalendarIntervalTrigger(
        days=1, hour=10, start_date="2024-05-01", end_date="2024-05-03", timezone="UTC"
    )
    last = datetime(2024, 5, 3, 10, tzinfo=UTC)

    assert list(trigger.iter_fire_times(datetime(2024, 5, 2, tzinfo=UTC))) == [
        datetime(2024, 5, 2, 10, tzinfo=UTC),
        last,
    ]
    assert trigger.get_last_fire_time(datetime(2024, 5, 1, 10, tzinfo=UTC), NOW) == last
    assert trigger.get_first_fire_time(None, NOW) is None


def test_a_schedule_ends_with_the_calendar() -> None:
    for interval in ({"days": 1}, {"months": 1}, {"months": 1, "days": 40}):
        trigger = CalendarIntervalTrigger(**interval, start_date="9999-12-01", timezone="UTC")
        last = datetime(9999, 12, 31, tzinfo=UTC)
        assert trigger.get_next_fire_time(last, last) is None


@pytest.mark.parametrize("zone", ["America/New_York", "Asia/Tokyo", "UTC"])
def test_the_ends_of_the_calendar_are_no_errors(zone: str) -> None:
    tz = ZoneInfo(zone)
    trigger = CalendarIntervalTrigger(days=1, hour=23, start_date="2024-01-01", timezone=tz)
    last = datetime(9999, 12, 30, 23, tzinfo=tz)

    for end in (datetime.max.replace(tzinfo=UTC), datetime.max.replace(tzinfo=tz)):
        assert trigger.get_first_fire_time(None, end) is None
        assert trigger.get_last_fire_time(last - timedelta(days=9), end) >= last
    for first in (datetime.min.replace(tzinfo=UTC), datetime.min.replace(tzinfo=tz)):
        assert trigger.get_first_fire_time(None, first) == datetime(2024, 1, 1, 23, tzinfo=tz)


def test_without_a_start_date_it_begins_today() -> None:
    with time_machine.travel(datetime(2024, 6, 1, 23, tzinfo=UTC), tick=False):
        trigger = CalendarIntervalTrigger(days=3, timezone=BERLIN)

    assert trigger.start_date == date(2024, 6, 2)
    trigger.start_from(datetime(2030, 1, 1, 23, 30, tzinfo=UTC))
    assert trigger.start_date == date(2030, 1, 2)


def test_a_given_start_date_stays() -> None:
    trigger = CalendarIntervalTrigger(days=3, start_date="2024-01-01")
    trigger.start_from(NOW)

    assert trigger.start_date == date(2024, 1, 1)


def test_jitter_does_not_leave_the_last_day() -> None:
    trigger = CalendarIntervalTrigger(
        days=1,
        hour=23,
        minute=59,
        second=58,
        start_date="2024-05-01",
        end_date="2024-05-01",
        timezone="UTC",
        jitter=5,
    )
    for _ in range(50):
        fire_time = trigger.get_next_fire_time(None, NOW)
        assert fire_time is not None
        assert fire_time >= datetime(2024, 5, 1, 23, 59, 58, tzinfo=UTC)
        assert fire_time.day == 1
        assert trigger.get_next_fire_time(fire_time, fire_time) is None


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({}, ValueError, "interval must be at least 1 day long"),
        ({"days": -1}, ValueError, "days must not be negative, but is -1"),
        ({"days": 1, "hour": 25}, ValueError, r"25:0:0 -- hour must be in 0\.\.23"),
        ({"days": 1.5}, TypeError, "days must be a whole number, not 1.5"),
        ({"days": 1, "start_date": "soon"}, ValueError, 'Invalid date "soon" -- give it as'),
        ({"days": 1, "start_date": 5}, TypeError, "Expected a date or a string .*, got int"),
        ({"days": 1, "start_date": "2024-01-02", "end_date": "2024-01-01"}, ValueError, "earlier"),
        ({"days": 1, "timezone": "Mars/Base"}, KeyError, "No time zone found with key"),
    ],
)
def test_mistakes_get_words(arguments: dict[str, Any], error: Any, words: str) -> None:
    with pytest.raises(error, match=words):
        CalendarIntervalTrigger(**arguments)


def test_the_same_definition_is_the_same_schedule() -> None:
    today = CalendarIntervalTrigger(days=3, timezone="UTC")
    with time_machine.travel(NOW):
        that_day = CalendarIntervalTrigger(days=3, timezone="UTC")
    given_day = CalendarIntervalTrigger(days=3, start_date="2024-06-01", timezone="UTC")

    assert today.is_same_schedule(that_day)
    assert not given_day.is_same_schedule(that_day)
    assert not today.is_same_schedule(CalendarIntervalTrigger(days=3, hour=1, timezone="UTC"))
    assert not today.is_same_schedule(CalendarIntervalTrigger(weeks=3, timezone="UTC"))
    assert not today.is_same_schedule(CalendarIntervalTrigger(days=3, timezone=BERLIN))
    assert not today.is_same_schedule(3)


def test_a_pytz_zone_is_read_as_the_zone_that_it_means() -> None:
    zone = pytz.timezone("Europe/Berlin")
    trigger = CalendarIntervalTrigger(days=1, start_date="2024-01-01", timezone=zone)

    assert trigger.get_next_fire_time(None, NOW) == datetime(2024, 1, 1, tzinfo=BERLIN)
    assert trigger.timezone is BERLIN


def test_it_tells_its_definition() -> None:
    trigger = CalendarIntervalTrigger(
        years=1, months=2, weeks=3, days=4, hour=5, start_date="2020-01-01", timezone=BERLIN
    )
    assert repr(trigger) == str(trigger)
    assert repr(trigger) == (
        "CalendarIntervalTrigger(years=1, months=2, weeks=3, days=4, time='05:00:00', "
        "start_date='2020-01-01', timezone='Europe/Berlin')"
    )
