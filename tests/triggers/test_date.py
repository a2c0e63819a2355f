"""DateTrigger."""

from __future__ import annotations

from datetime import date, datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import pytz
import time_machine

import apscheduler.triggers.date as date_module
from apscheduler.triggers.date import DateTrigger

UTC = timezone.utc
BERLIN = ZoneInfo("Europe/Berlin")
NOW = datetime(2024, 6, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("run_date", "zone", "expected"),
    [
        ("2030-01-02", BERLIN, datetime(2030, 1, 2, tzinfo=BERLIN)),
        ("2030-01-02 03:04:05", "Europe/Berlin", datetime(2030, 1, 2, 3, 4, 5, tzinfo=BERLIN)),
        (date(2030, 1, 2), BERLIN, datetime(2030, 1, 2, tzinfo=BERLIN)),
        (datetime(2030, 1, 2, 3), BERLIN, datetime(2030, 1, 2, 3, tzinfo=BERLIN)),
        (datetime(2030, 1, 2, 3, tzinfo=UTC), BERLIN, datetime(2030, 1, 2, 3, tzinfo=UTC)),
        (datetime(2024, 3, 31, 2, 30), BERLIN, datetime(2024, 3, 31, 3, 30, tzinfo=BERLIN)),
        ("2030-01-02", pytz.timezone("Europe/Berlin"), datetime(2030, 1, 2, tzinfo=BERLIN)),
    ],
)
def test_a_run_date_is_read_in_the_given_zone(run_date: Any, zone: Any, expected: Any) -> None:
    fire_time = DateTrigger(run_date, zone).get_next_fire_time(None, NOW)

    assert fire_time == expected
    assert fire_time.tzinfo is expected.tzinfo


def test_it_fires_once() -> None:
    trigger = DateTrigger(NOW)

    assert trigger.get_next_fire_time(None, NOW) is trigger.run_date
    assert trigger.get_next_fire_time(NOW, NOW) is None
    assert trigger.get_last_fire_time(NOW, NOW + timedelta(days=9)) == NOW


def test_a_passed_run_date_is_still_the_first_time() -> None:
    trigger = DateTrigger(NOW)
    later, earlier = NOW + timedelta(hours=1), NOW - timedelta(hours=1)

    assert trigger.get_first_fire_time(None, later) == NOW
    assert trigger.get_first_fire_time(earlier, earlier) == NOW
    assert trigger.get_first_fire_time(NOW, later) is None


def test_without_a_run_date_it_is_now() -> None:
    with time_machine.travel(NOW, tick=False):
        assert DateTrigger(timezone="UTC").run_date == NOW
        assert DateTrigger(timezone=BERLIN).run_date.tzinfo is BERLIN


def test_a_schedule_without_a_run_date_begins_with_the_clock_of_its_scheduler() -> None:
    trigger, given = DateTrigger(timezone=BERLIN), DateTrigger("2030-01-02", BERLIN)
    for one in (trigger, given):
        one.start_from(NOW)

    assert trigger.run_date == NOW
    assert trigger.run_date.tzinfo is BERLIN
    assert given.run_date == datetime(2030, 1, 2, tzinfo=BERLIN)


def test_the_clock_is_read_through_a_name_that_tests_replace(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Frozen:
        @staticmethod
        def now(tz: Any = None) -> datetime:
            return NOW.astimezone(tz)

    monkeypatch.setattr(date_module, "datetime", Frozen)

    assert DateTrigger(timezone="UTC").run_date == NOW
    assert DateTrigger("2030-01-02", "UTC").get_next_fire_time(None, NOW) is not None


def test_the_same_date_is_the_same_schedule() -> None:
    now, later = DateTrigger(), DateTrigger()
    stored = DateTrigger.__new__(DateTrigger)
    stored.__setstate__({"version": 1, "run_date": NOW})

    assert now.is_same_schedule(later)
    assert DateTrigger(NOW).is_same_schedule(DateTrigger(NOW.astimezone(BERLIN)))
    assert not DateTrigger(NOW).is_same_schedule(now)
    assert not DateTrigger(NOW).is_same_schedule(DateTrigger(NOW + timedelta(seconds=1)))
    assert stored.is_same_schedule(now)
    assert stored.is_same_schedule(DateTrigger(NOW))
    assert not DateTrigger("2030-01-01").is_same_schedule(stored)
    assert not now.is_same_schedule("date")


def test_it_tells_its_date() -> None:
    trigger = DateTrigger("2030-01-02", BERLIN)

    assert str(trigger) == "date[2030-01-02 00:00:00 CET]"
    assert repr(trigger) == "<DateTrigger (run_date='2030-01-02 00:00:00 CET')>"


@pytest.mark.parametrize(
    ("run_date", "zone", "error", "words"),
    [
        (5, None, TypeError, "Unsupported type for run_date: int"),
        ("soon", None, ValueError, 'Invalid date string for run_date: "soon" -- give YYYY-MM-DD'),
        ("2030-13-01", None, ValueError, "2030-13-01.*month must be in 1..12"),
        ("2030-01-01", "Europe/Berlim", KeyError, 'did you mean "Europe/Berlin"?'),
        ("2030-01-01", 5, TypeError, "Expected tzinfo, got int instead"),
    ],
)
def test_mistakes_get_words(run_date: Any, zone: Any, error: Any, words: str) -> None:
    with pytest.raises(error, match=words.replace("?", r"\?")):
        DateTrigger(run_date, zone)
