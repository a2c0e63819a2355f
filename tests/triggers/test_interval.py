"""IntervalTrigger: the instants start_date + k * interval."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import pytz
import time_machine
from hypothesis import given
from hypothesis import strategies as st

import apscheduler.triggers.interval as interval_module
from apscheduler.triggers.interval import IntervalTrigger

from . import reference
from .reference import ALL_ZONES, UTC

BERLIN = ZoneInfo("Europe/Berlin")
START = datetime(2024, 1, 1, tzinfo=UTC)
NOW = datetime(2024, 6, 1, 12, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)

instants = st.datetimes(datetime(2000, 1, 1), datetime(2040, 1, 1), timezones=st.just(UTC))


@given(
    zone=st.sampled_from(ALL_ZONES).map(ZoneInfo),
    start=instants,
    interval=st.timedeltas(MICROSECOND, timedelta(days=400)),
    previous=instants,
    late=st.timedeltas(timedelta(0), timedelta(days=1_000)),
)
def test_the_next_time_is_the_grids_next_point(
    zone: ZoneInfo, start: datetime, interval: timedelta, previous: datetime, late: timedelta
) -> None:
    trigger = IntervalTrigger(seconds=0, start_date=start.astimezone(zone), timezone=zone)
    trigger.interval = interval
    fire_time = trigger.get_next_fire_time(previous.astimezone(zone), previous)
    first = trigger.get_first_fire_time(None, previous)
    assert fire_time is not None
    assert first is not None
    instant, first_instant = fire_time.astimezone(UTC), first.astimezone(UTC)

    assert (instant - start) % interval == timedelta(0), "on the grid"
    assert instant == start if previous < start else previous < instant <= previous + interval
    assert first_instant in (previous, instant)
    assert (first_instant - start) % interval == timedelta(0)
    assert reference.exists(fire_time)
    assert fire_time.tzinfo is zone

    now = instant + late
    last = trigger.get_last_fire_time(fire_time, now.astimezone(zone))
    following = trigger.get_next_fire_time(last, last)
    assert following is not None
    assert last.astimezone(UTC) <= now < following.astimezone(UTC)
    assert (last.astimezone(UTC) - start) % interval == timedelta(0)


def test_an_interval_never_drifts_however_small_it_is() -> None:
    trigger = IntervalTrigger(seconds=0.1, start_date=START, timezone=BERLIN)
    fire_time = trigger.get_next_fire_time(None, START + timedelta(days=10_000))
    for count in range(1, 1_000):
        assert fire_time is not None
        fire_time = trigger.get_next_fire_time(fire_time, fire_time)
        assert fire_time == START + timedelta(days=10_000, milliseconds=100 * count)


def test_a_moved_run_is_followed_by_the_next_point_of_the_grid() -> None:
    trigger = IntervalTrigger(minutes=10, start_date=START)
    moved = START + timedelta(minutes=3)

    assert trigger.get_next_fire_time(moved, moved) == START + timedelta(minutes=10)
    assert trigger.get_next_fire_time(START - timedelta(days=1), NOW) == START


def test_the_first_time_is_the_start_or_the_first_point_from_now_on() -> None:
    trigger = IntervalTrigger(minutes=7, start_date=START, timezone="UTC")

    assert trigger.get_next_fire_time(None, START - timedelta(days=1)) is trigger.start_date
    assert trigger.get_next_fire_time(None, START) == START
    assert trigger.get_next_fire_time(None, START + MICROSECOND) == START + timedelta(minutes=7)
    assert trigger.get_first_fire_time(START, NOW) == START + timedelta(minutes=7)


def test_a_schedule_ends_with_its_end_date() -> None:
    end = START + timedelta(minutes=20)
    trigger = IntervalTrigger(minutes=10, start_date=START, end_date=end)

    assert trigger.get_next_fire_time(START + timedelta(minutes=10), START) == end
    assert trigger.get_next_fire_time(end, end) is None
    assert trigger.get_last_fire_time(START, NOW) == end
    assert trigger.get_next_fire_time(None, NOW) is None


def test_a_schedule_ends_with_the_calendar() -> None:
    start = datetime(9999, 12, 31, 12, tzinfo=UTC)
    trigger = IntervalTrigger(days=1, start_date=start)

    assert trigger.get_next_fire_time(start, start) is None


def test_a_late_job_finds_its_last_time_without_stepping() -> None:
    trigger = IntervalTrigger(seconds=1, start_date=START)
    ten_years = timedelta(days=3_650)

    late = START + ten_years + timedelta(milliseconds=900)
    assert trigger.get_last_fire_time(START, late) == START + ten_years
    assert trigger.get_last_fire_time(START, START + timedelta(milliseconds=1)) == START


@pytest.mark.parametrize(
    ("lengths", "seconds"),
    [
        ({"weeks": 1}, 604_800),
        ({"days": 1, "hours": 2, "minutes": 3, "seconds": 4}, 93_784),
        ({"seconds": 0.25}, 0.25),
        ({"minutes": 1, "seconds": -30}, 30),
        ({}, 1),
        ({"seconds": 0}, 1),
    ],
)
def test_lengths_add_up_and_zero_is_one_second(lengths: dict[str, Any], seconds: float) -> None:
    trigger = IntervalTrigger(**lengths, start_date=START)

    assert trigger.interval_length == seconds
    assert trigger.get_next_fire_time(START, START) == START + timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("lengths", "words"),
    [
        ({"seconds": 1e-7}, "The smallest interval is 1 microsecond, but .*seconds=1e-07 add up"),
        ({"hours": float("inf")}, "No interval can be made of .*hours=inf.* -- give finite"),
        ({"days": float("nan")}, "No interval can be made of .*days=nan"),
        ({"days": 10**10}, "No interval can be made of .*days=10000000000.* at most 999999999"),
        ({"days": 10**7}, "One interval of 10000000 days.* is beyond the year 9999"),
    ],
)
def test_an_interval_that_cannot_be_is_refused_in_words(
    lengths: dict[str, Any], words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        IntervalTrigger(**lengths)


def test_a_negative_interval_is_refused_in_words() -> None:
    with pytest.raises(ValueError, match=r"must not be negative, but .* add up to -5 seconds"):
        IntervalTrigger(seconds=-5)


@pytest.mark.parametrize(
    ("arguments", "zone"),
    [
        ({"timezone": "Europe/Berlin"}, BERLIN),
        ({"timezone": pytz.timezone("Europe/Berlin")}, BERLIN),
        ({"timezone": pytz.utc}, ZoneInfo("UTC")),
        ({"timezone": "UTC"}, UTC),
        ({"start_date": datetime(2024, 1, 1, tzinfo=BERLIN)}, BERLIN),
        ({"start_date": pytz.timezone("Europe/Berlin").localize(datetime(2024, 1, 1))}, BERLIN),
        ({"end_date": datetime(2044, 1, 1, tzinfo=BERLIN)}, BERLIN),
        ({"timezone": "UTC", "start_date": datetime(2024, 1, 1, tzinfo=BERLIN)}, UTC),
    ],
)
def test_times_are_named_in_the_zone_of_the_trigger(arguments: dict[str, Any], zone: Any) -> None:
    trigger = IntervalTrigger(minutes=5, **arguments)
    fire_time = trigger.get_next_fire_time(None, NOW)

    assert trigger.timezone == zone
    assert fire_time is not None
    assert fire_time.tzinfo is trigger.timezone
    assert not isinstance(trigger.start_date.tzinfo, pytz.tzinfo.BaseTzInfo)


def test_without_a_start_it_begins_one_interval_after_it_was_made() -> None:
    # Half an hour before the clocks go on in Berlin.
    with time_machine.travel(datetime(2024, 3, 31, 0, 30, tzinfo=UTC), tick=False):
        trigger = IntervalTrigger(hours=1, timezone=BERLIN)

    assert trigger.start_date == datetime(2024, 3, 31, 3, 30, tzinfo=BERLIN)


def test_a_schedule_without_a_start_begins_with_the_clock_of_its_scheduler() -> None:
    trigger = IntervalTrigger(hours=1, timezone=BERLIN)
    given_start = IntervalTrigger(hours=1, start_date=START)
    for one in (trigger, given_start):
        one.start_from(NOW)

    assert trigger.get_first_fire_time(None, NOW) == NOW + timedelta(hours=1)
    assert given_start.start_date == START


def test_the_clock_is_read_through_a_name_that_tests_replace(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Frozen:
        @staticmethod
        def now(tz: Any = None) -> datetime:
            return NOW.astimezone(tz)

    monkeypatch.setattr(interval_module, "datetime", Frozen)
    trigger = IntervalTrigger(
        minutes=1, timezone="UTC", end_date=NOW + timedelta(days=1), jitter=1
    )

    assert trigger.start_date == NOW + timedelta(minutes=1)
    assert trigger.get_next_fire_time(NOW, NOW) is not None


def test_jitter_stays_within_the_limits_and_never_accumulates() -> None:
    end = START + timedelta(minutes=10, seconds=2)
    trigger = IntervalTrigger(minutes=1, start_date=START, end_date=end, jitter=30)
    for _ in range(50):
        fire_time = trigger.get_next_fire_time(None, START)
        minute = 0
        while fire_time is not None:
            delay = fire_time - (START + timedelta(minutes=minute))
            assert timedelta(0) <= delay <= timedelta(seconds=30)
            assert fire_time <= end
            fire_time, minute = trigger.get_next_fire_time(fire_time, fire_time), minute + 1

        assert minute == 11


def test_the_same_interval_is_the_same_schedule_however_often_it_is_made() -> None:
    hourly = IntervalTrigger(hours=1, timezone="UTC")
    with time_machine.travel(NOW):
        later = IntervalTrigger(hours=1, timezone="UTC")
    stored = IntervalTrigger.__new__(IntervalTrigger)
    state = hourly.__getstate__()
    del state["start_given"]
    stored.__setstate__(state)

    assert hourly.is_same_schedule(later)
    assert stored.is_same_schedule(later)
    assert later.is_same_schedule(stored)
    assert IntervalTrigger(hours=1, start_date=hourly.start_date).is_same_schedule(stored)


@pytest.mark.parametrize(
    "change",
    [
        {"hours": 2},
        {"start_date": None},
        {"start_date": START + timedelta(seconds=1)},
        {"end_date": NOW},
        {"timezone": "Europe/Berlin"},
        {"jitter": 5},
    ],
    ids=str,
)
def test_another_definition_is_another_schedule(change: dict[str, Any]) -> None:
    definition: dict[str, Any] = {"hours": 1, "start_date": START, "timezone": "UTC"}

    trigger = IntervalTrigger(**definition)
    assert trigger.is_same_schedule(IntervalTrigger(**definition))
    assert not trigger.is_same_schedule(IntervalTrigger(**definition | change))


def test_it_tells_its_definition() -> None:
    trigger = IntervalTrigger(
        minutes=1, start_date="2020-01-01", end_date="2020-01-02", timezone=BERLIN, jitter=5
    )

    assert str(trigger) == "interval[0:01:00]"
    assert repr(trigger) == (
        "<IntervalTrigger (interval=datetime.timedelta(seconds=60), "
        "start_date='2020-01-01 00:00:00 CET', end_date='2020-01-02 00:00:00 CET', jitter=5, "
        "timezone='Europe/Berlin')>"
    )


@pytest.mark.parametrize("seconds", [100, 110, 111])
def test_a_clock_that_is_set_back_moves_times_that_jitter_may_have_put_off(seconds: int) -> None:
    """What is further away than interval and jitter was set by hand."""
    trigger = IntervalTrigger(seconds=60, jitter=50, start_date=START)
    hour = timedelta(hours=1)
    waited_for = NOW + timedelta(seconds=seconds)

    moved = trigger.get_fire_time_after_set_back(waited_for, NOW, NOW - hour)

    assert moved == (waited_for - hour if seconds <= 110 else waited_for)
