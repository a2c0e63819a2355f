"""CronTrigger by keyword fields: the meaning of 3.x, in words that help."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from itertools import islice
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import pytz

from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.cron.expressions import (
    AllExpression,
    LastDayOfMonthExpression,
    MonthRangeExpression,
    RangeExpression,
    WeekdayPositionExpression,
    WeekdayRangeExpression,
)
from apscheduler.triggers.cron.fields import (
    BaseField,
    DayOfMonthField,
    DayOfWeekField,
    MonthField,
    WeekField,
)

from .reference import UTC

BERLIN = ZoneInfo("Europe/Berlin")
START = datetime(2024, 1, 1, tzinfo=UTC)  # a Monday, week 1


def coming(count: int, start: datetime = START, **fields: Any) -> list[str]:
    trigger = CronTrigger(**{"timezone": "UTC"} | fields)
    return [
        f"{moment:%Y-%m-%d %H:%M:%S}" for moment in islice(trigger.iter_fire_times(start), count)
    ]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"hour": 5}, ["2024-01-01 05:00:00", "2024-01-02 05:00:00"]),
        ({"minute": "*/20"}, ["2024-01-01 00:00:00", "2024-01-01 00:20:00"]),
        ({"second": "5/30"}, ["2024-01-01 00:00:05", "2024-01-01 00:00:35"]),
        ({"month": 5}, ["2024-05-01 00:00:00", "2025-05-01 00:00:00"]),
        ({"year": 2026}, ["2026-01-01 00:00:00"]),
        ({"year": "2025-2030/3", "month": "feb"}, ["2025-02-01 00:00:00", "2028-02-01 00:00:00"]),
        ({"week": 2}, ["2024-01-08 00:00:00", "2024-01-09 00:00:00"]),
        ({"week": 1, "day_of_week": "mon"}, ["2024-01-01 00:00:00", "2024-12-30 00:00:00"]),
        ({"week": 53, "day_of_week": 6}, ["2027-01-03 00:00:00", "2033-01-02 00:00:00"]),
        ({"day_of_week": 0}, ["2024-01-01 00:00:00", "2024-01-08 00:00:00"]),
        ({"day_of_week": "Sun,wed"}, ["2024-01-03 00:00:00", "2024-01-07 00:00:00"]),
        ({"day": "last"}, ["2024-01-31 00:00:00", "2024-02-29 00:00:00"]),
        ({"day": "1st mon, LAST fri"}, ["2024-01-01 00:00:00", "2024-01-26 00:00:00"]),
        ({"day": "5th Wed", "hour": 1}, ["2024-01-31 01:00:00", "2024-05-29 01:00:00"]),
        ({"day": "*/10"}, ["2024-01-01 00:00:00", "2024-01-11 00:00:00"]),
        ({"day": 31, "month": "1-6"}, ["2024-01-31 00:00:00", "2024-03-31 00:00:00"]),
        ({"day": 13, "day_of_week": "fri"}, ["2024-09-13 00:00:00", "2024-12-13 00:00:00"]),
        ({"month": 2, "day": 29}, ["2024-02-29 00:00:00", "2028-02-29 00:00:00"]),
        ({}, ["2024-01-01 00:00:00", "2024-01-01 00:00:01"]),
    ],
    ids=str,
)
def test_fields_mean_what_they_mean_in_3_x(fields: dict[str, Any], expected: list[str]) -> None:
    assert coming(len(expected), **fields) == expected


def test_a_year_that_is_no_leap_year_by_the_rule_of_centuries_is_none() -> None:
    start = datetime(2097, 1, 1, tzinfo=UTC)
    assert coming(1, start, month=2, day=29) == ["2104-02-29 00:00:00"]


def test_the_calendar_ends_with_the_year_9999() -> None:
    start = datetime(9999, 12, 30, 12, tzinfo=UTC)

    assert coming(9, start, hour=5) == ["9999-12-31 05:00:00"]
    assert coming(9, start, hour=5, timezone=BERLIN) == ["9999-12-31 05:00:00"]


@pytest.mark.parametrize("zone", ["America/New_York", "Asia/Tokyo", "UTC", "Etc/GMT+12"])
@pytest.mark.parametrize("crontab", [False, True])
def test_the_last_hours_of_the_calendar_end_the_schedule(zone: str, crontab: bool) -> None:
    trigger = CronTrigger(year=9999, month=12, day=31, hour="*", timezone=zone)
    if crontab:
        trigger = CronTrigger.from_crontab("0 * 31 12 *", timezone=zone)
    end = datetime.max.replace(tzinfo=UTC)
    start = datetime(9999, 12, 30, tzinfo=UTC)

    times = list(trigger.iter_fire_times(start))
    day = [start + timedelta(hours=hour) for hour in range(48)]
    assert times == [at for at in day if _is_31(at, zone)]
    for now in (end, end.replace(tzinfo=ZoneInfo(zone))):
        assert trigger.get_last_fire_time(times[0], now) == times[-1]
    assert trigger.get_next_fire_time(None, end) is None
    assert trigger.get_next_fire_time(None, datetime.max.replace(tzinfo=ZoneInfo(zone))) is None


def _is_31(instant: datetime, zone: str) -> bool:
    try:
        return instant.astimezone(ZoneInfo(zone)).day == 31
    except OverflowError:  # that is next year there
        return False


@pytest.mark.parametrize("zone", ["America/New_York", "Asia/Tokyo", "UTC"])
def test_a_schedule_may_be_asked_from_the_first_moment_of_the_calendar_on(zone: str) -> None:
    tz = ZoneInfo(zone)
    trigger = CronTrigger(hour=5, timezone=tz)

    for first in (datetime.min.replace(tzinfo=UTC), datetime.min.replace(tzinfo=tz)):
        expected = datetime(1970, 1, 1, 5, tzinfo=tz)
        assert trigger.get_next_fire_time(None, first) == expected
        assert trigger.get_next_fire_time(first, first) == expected


def test_times_begin_with_1970() -> None:
    start = datetime(1960, 1, 1, tzinfo=UTC)
    assert coming(1, start, month=2) == ["1970-02-01 00:00:00"]


def test_the_limits_belong_to_the_schedule() -> None:
    limits = {"start_date": "2024-01-02 05:00:00", "end_date": "2024-01-04 05:00:00"}
    days = [f"2024-01-0{day} 05:00:00" for day in (2, 3, 4)]

    assert coming(9, hour=5, **limits) == days
    trigger = CronTrigger(hour=5, timezone=UTC, **limits)  # type: ignore[arg-type]
    late = datetime(2024, 2, 1, tzinfo=UTC)
    assert trigger.get_last_fire_time(trigger.start_date or late, late) == trigger.end_date
    # A run that was moved before the start is followed by the start.
    assert trigger.get_next_fire_time(START, START) == trigger.start_date
    assert trigger.get_last_fire_time(START, START + timedelta(days=1)) == START


def test_the_next_time_is_later_than_the_previous_one_whatever_the_clock_says() -> None:
    trigger = CronTrigger(hour=5, timezone=UTC)
    previous = datetime(2024, 6, 1, 5, tzinfo=UTC)
    expected = previous + timedelta(days=1)

    for now in (previous - timedelta(days=30), previous, previous + timedelta(days=30)):
        assert trigger.get_next_fire_time(previous, now) == expected


def test_fractions_of_a_second_are_rounded_up() -> None:
    start = START + timedelta(microseconds=1)
    assert coming(1, start) == ["2024-01-01 00:00:01"]


def test_times_are_named_in_the_zone_of_the_trigger() -> None:
    for zone in ("Europe/Berlin", pytz.timezone("Europe/Berlin"), BERLIN):
        trigger = CronTrigger(hour=5, timezone=zone)
        for now in (START, START.astimezone(ZoneInfo("Asia/Tokyo")), START.astimezone(BERLIN)):
            fire_time = trigger.get_next_fire_time(None, now)
            assert fire_time == datetime(2024, 1, 1, 5, tzinfo=BERLIN)
            assert fire_time.tzinfo is BERLIN
            assert trigger.get_next_fire_time(now, now) == fire_time


def test_the_zone_is_that_of_the_limits_if_none_is_given() -> None:
    assert CronTrigger(start_date=datetime(2024, 1, 1, tzinfo=BERLIN)).timezone is BERLIN
    assert CronTrigger(end_date=datetime(2024, 1, 1, tzinfo=BERLIN)).timezone is BERLIN


def test_a_late_job_finds_its_last_time_without_stepping() -> None:
    trigger = CronTrigger(second="*", timezone=BERLIN)
    now = START + timedelta(days=3_650, milliseconds=700)

    assert trigger.get_last_fire_time(START, now) == now.replace(microsecond=0)
    assert trigger.get_last_fire_time(START, START + timedelta(milliseconds=900)) == START
    # A run that came later by its jitter, or by hand, need not be at a whole second.
    moved = START + timedelta(milliseconds=500)
    second_later = START + timedelta(seconds=1)
    assert trigger.get_last_fire_time(moved, START + timedelta(milliseconds=900)) == moved
    assert trigger.get_last_fire_time(moved, second_later) == second_later


def test_jitter_stays_within_the_limits() -> None:
    end = START + timedelta(minutes=3)
    trigger = CronTrigger(minute="*", timezone=UTC, end_date=end, jitter=30)
    for _ in range(50):
        times = list(trigger.iter_fire_times(START))
        assert len(times) == 4
        for minute, moment in enumerate(times):
            delay = moment - START - timedelta(minutes=minute)
            assert timedelta(0) <= delay <= timedelta(seconds=30)
        assert times[-1] == end


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"hour": 25}, r"'25' for field \"hour\": the last value \(25\) is higher than the maxim"),
        ({"hour": "x"}, r'Unrecognized expression "x" for field "hour" -- allowed are \*, \*/a'),
        ({"hour": ""}, 'Unrecognized expression "" for field "hour"'),
        ({"hour": "1,,2"}, 'Unrecognized expression "" for field "hour"'),
        ({"hour": "*/0"}, r'"hour": Increment must be higher than 0 .*with values 0 to 23'),
        ({"hour": "*/25"}, r"the step value \(25\) is higher than the total range .* \(23\)"),
        ({"hour": "5-3"}, 'field "hour": The minimum value in a range must not be higher'),
        ({"hour": "1-5/10"}, r"the step value \(10\) is higher than the total range .* \(4\)"),
        ({"hour": "1 - 2"}, 'Unrecognized expression "1 - 2"'),
        ({"hour": -1}, 'Unrecognized expression "-1"'),
        ({"day": 0}, r'field "day": the first value \(0\) is lower than the minimum value \(1\)'),
        ({"day": 32}, r"the last value \(32\) is higher than the maximum value \(31\)"),
        ({"day": "6th mon"}, '"6th mon" for field "day" -- allowed are .* "1st mon"'),
        ({"day": "2nd foo"}, 'Invalid weekday name "foo" -- allowed are mon, tue'),
        ({"day": "lastfri"}, 'Unrecognized expression "lastfri" for field "day"'),
        ({"month": "foo"}, 'field "month": Invalid month name "foo" -- allowed are jan, feb'),
        ({"month": "dec-jan"}, "The minimum value in a range must not be higher"),
        ({"day_of_week": 7}, r"the last value \(7\) is higher than the maximum value \(6\)"),
        ({"day_of_week": "mon-2"}, 'Unrecognized expression "mon-2" for field "day_of_week"'),
        ({"day_of_week": "mon-fri/2"}, 'Unrecognized expression "mon-fri/2"'),
        ({"week": 54}, r"higher than the maximum value \(53\)"),
        ({"year": 1969}, r"lower than the minimum value \(1970\)"),
        ({"start_date": "soon"}, 'Invalid date string for start_date: "soon"'),
    ],
    ids=str,
)
def test_mistakes_get_words(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        CronTrigger(**fields)


def test_it_tells_the_fields_that_were_given() -> None:
    trigger = CronTrigger(
        day="2nd mon", month="jan-mar", week="1-5", year="2020-2030/2", second="*/5,7",
        start_date="2020-01-01", end_date="2021-01-01", timezone=BERLIN, jitter=5,
    )  # fmt: skip

    assert str(CronTrigger(hour="5", minute="*/5", day_of_week="mon-fri")) == (
        "cron[day_of_week='mon-fri', hour='5', minute='*/5']"
    )
    assert str(CronTrigger()) == "cron[]"
    assert repr(trigger) == (
        "<CronTrigger (year='2020-2030/2', month='jan-mar', day='2nd mon', week='1-5', "
        "second='*/5,7', start_date='2020-01-01 00:00:00 CET', "
        "end_date='2021-01-01 00:00:00 CET', jitter=5, timezone='Europe/Berlin')>"
    )


@pytest.mark.parametrize(
    "change",
    [{"hour": 6}, {"timezone": "UTC"}, {"jitter": 1}, {"start_date": "2024-01-01"}],
    ids=str,
)
def test_the_same_fields_are_the_same_schedule(change: dict[str, Any]) -> None:
    definition: dict[str, Any] = {"hour": 5, "minute": "*/5", "timezone": BERLIN}
    trigger = CronTrigger(**definition)

    assert trigger.is_same_schedule(CronTrigger(**definition))
    assert not trigger.is_same_schedule(CronTrigger(**definition | change))
    assert not trigger.is_same_schedule(5)


# --- fields and expressions, which programs read -----------------------------------------------


@pytest.mark.parametrize(
    ("field", "noon", "expected"),
    [
        (BaseField("hour", "*/5"), 12, 15),
        (BaseField("hour", "1-5"), 12, None),
        (BaseField("hour", "13"), 12, 13),
        (BaseField("hour", "1-20/4,14"), 12, 13),
        (MonthField("month", "jan-mar,oct"), 12, 10),
        (DayOfMonthField("day", "last"), 12, 30),
        (DayOfMonthField("day", "2nd mon"), 12, 10),
        (DayOfMonthField("day", "31"), 12, None),
        (DayOfWeekField("day_of_week", "mon-fri"), 12, None),
        (DayOfWeekField("day_of_week", "sun"), 12, 6),
        (WeekField("week", "*"), 12, 22),
    ],
    ids=repr,
)
def test_a_field_tells_its_next_value(field: BaseField, noon: int, expected: int | None) -> None:
    assert field.get_next_value(datetime(2024, 6, 1, noon)) == expected


@pytest.mark.parametrize(
    "expression",
    [
        AllExpression(),
        AllExpression(5),
        RangeExpression(1),
        RangeExpression(1, 5),
        RangeExpression(1, 5, 2),
        RangeExpression(1, None, 5),
        MonthRangeExpression("jan"),
        MonthRangeExpression("jan", "mar"),
        WeekdayRangeExpression("mon"),
        WeekdayRangeExpression("mon", "fri"),
        WeekdayPositionExpression("1st", "mon"),
        WeekdayPositionExpression("last", "sun"),
        LastDayOfMonthExpression(),
    ],
    ids=repr,
)
def test_the_repr_of_an_expression_makes_an_equal_one(expression: AllExpression) -> None:
    assert eval(repr(expression)) == expression
    assert expression != AllExpression(7)


def test_expressions_are_written_as_they_are_read() -> None:
    texts = ["*", "*/5", "1-5", "1-20/4", "1/4", "last", "2nd mon", "last fri"]
    field = DayOfMonthField("day", ", ".join(texts))

    assert str(field) == ",".join(texts)
    assert field == DayOfMonthField("day", ",".join(texts), True)
    assert field != DayOfMonthField("day", "1")
    assert field != "day"
    assert repr(DayOfMonthField("day", "1-5")) == "DayOfMonthField('day', '1-5')"


def test_fields_know_their_limits() -> None:
    february = date(2023, 2, 5)

    assert DayOfMonthField("day", "*").get_max(february) == 28
    assert WeekField("week", "*").get_value(february) == 5
    assert (
        BaseField("hour", "*").get_min(february),
        BaseField("hour", "*").get_max(february),
    ) == (
        0,
        23,
    )


@pytest.mark.parametrize(("first", "last"), [(5, 3), (0, 5), (1, 32)])
def test_a_range_outside_the_limits_is_refused(first: int, last: int) -> None:
    with pytest.raises(ValueError, match="value"):
        RangeExpression(first, last).validate_range("day")
