"""Crontab lines: what they mean, beside the oracle cronsim, and what is refused."""

from __future__ import annotations

import random
from datetime import datetime, timedelta, timezone
from itertools import islice
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from cronsim import CronSim, CronSimError

from apscheduler.triggers.cron import CronTrigger

from .conftest import EXHAUSTIVE
from .reference import UTC

# Cronsim is asked where its answers are those of cron. It is not where clocks change by half an
# hour or at midnight (Lord Howe, Sao Paulo, St. John's): it sets minutes, hours to 0 on the way,
# which there is another time, one that does not exist, or one in the other turn of a repeated
# hour, and it stops for good or returns that one. The reference in test_cron_properties covers
# these. Nor does it apply cron's rules for clock changes to lines with seconds, which ours do if
# the time is fixed; and it takes a-a/c for a/c.
ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Sydney"]
LINES = 300
FIRES = 1_000 if EXHAUSTIVE else 100
LIMITS = {"minute": (0, 59), "hour": (0, 23), "day": (1, 31), "month": (1, 12), "dow": (0, 7)}


def random_field(chance: random.Random, name: str) -> str:
    low, high = LIMITS[name]
    first = chance.randint(low, high - 1)
    last = chance.randint(first + 1, high)
    kinds = ["*", "*", f"*/{chance.randint(1, 20)}", f"{first}", f"{first}-{last}"]
    kinds += [f"{first}-{last}/{chance.randint(1, 9)}", f"{first}/{chance.randint(1, 9)}"]
    kinds += [",".join(str(chance.randint(low, high)) for _ in range(3)), f"{last},{first}-{last}"]
    if name == "day":
        kinds += ["L", "1,L"]
    if name == "month":
        kinds += ["jan-mar,OCT", "Feb"]
    if name == "dow":
        kinds += ["sun", "MON-fri", "sat,sun", "7", "5-7", "0-3/2"]

    return chance.choice(kinds)


def random_lines() -> list[str]:
    chance = random.Random(20240331)
    return [" ".join(random_field(chance, name) for name in LIMITS) for _ in range(LINES)]


def zone_named(name: str) -> timezone | ZoneInfo:
    return UTC if name == "UTC" else ZoneInfo(name)  # cronsim knows UTC as this object only


@pytest.mark.parametrize("zone_name", ZONES)
def test_lines_fire_at_the_instants_of_cronsim(zone_name: str) -> None:
    zone = zone_named(zone_name)
    compared = 0
    for number, line in enumerate(random_lines()):
        start = datetime(2000 + number % 40, 1 + number % 12, 26, tzinfo=zone)
        compared += compare(line, start)

    assert compared > LINES * FIRES * 0.9


@pytest.mark.parametrize("seconds", ["0", "*/7", "5-40/9", "13,59", "*"])
def test_lines_with_seconds_fire_at_the_instants_of_cronsim(seconds: str) -> None:
    assert all(compare(f"{seconds} {line}", datetime(2024, 2, 26, tzinfo=UTC)) for line in LINES_6)


LINES_6 = ["* * * * *", "*/5 3 * * *", "59 23 L * *", "0 0 13 * 5", "30 4-8/2 * feb-mar mon"]


def compare(line: str, start: datetime) -> int:
    """Compare the fire times of one line; the number of equal ones."""
    trigger = CronTrigger.from_crontab(line, start.tzinfo)
    try:
        oracle = CronSim(line, start)
    except CronSimError:  # it refuses what can never fire
        assert trigger.get_next_fire_time(start, start) is None, line
        return FIRES

    fire_time: datetime | None = start
    for count in range(FIRES):
        assert fire_time is not None
        previous = fire_time
        fire_time = trigger.get_next_fire_time(previous, previous)
        expected = next(oracle, None)
        if expected is None:  # it gives up after fifty years
            assert fire_time is None or fire_time.year > previous.year + 50
            return count

        assert fire_time is not None
        assert fire_time.astimezone(UTC) == expected.astimezone(UTC), (line, previous)

    return FIRES


def next_days(line: str, count: int) -> list[str]:
    start = datetime(2024, 1, 1, tzinfo=UTC)  # a Monday
    times = CronTrigger.from_crontab(line, "UTC").iter_fire_times(start)
    return [f"{next(times):%a %d %H:%M:%S}" for _ in range(count)]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("0 9 * * 1-5", ["Mon 01 09:00:00", "Tue 02 09:00:00"]),
        ("0 9 * * 0", ["Sun 07 09:00:00", "Sun 14 09:00:00"]),
        ("0 9 * * 7", ["Sun 07 09:00:00", "Sun 14 09:00:00"]),
        ("0 9 * * sun", ["Sun 07 09:00:00", "Sun 14 09:00:00"]),
        ("0 9 * * 5-7", ["Fri 05 09:00:00", "Sat 06 09:00:00", "Sun 07 09:00:00"]),
        ("0 0 5 * wed", ["Wed 03 00:00:00", "Fri 05 00:00:00", "Wed 10 00:00:00"]),
        ("0 0 */2 * wed", ["Wed 03 00:00:00", "Wed 17 00:00:00"]),
        ("0 0 L * *", ["Wed 31 00:00:00", "Thu 29 00:00:00"]),
        ("@hourly", ["Mon 01 00:00:00", "Mon 01 01:00:00"]),
        ("@daily", ["Mon 01 00:00:00", "Tue 02 00:00:00"]),
        ("@Midnight", ["Mon 01 00:00:00", "Tue 02 00:00:00"]),
        ("@weekly", ["Sun 07 00:00:00", "Sun 14 00:00:00"]),
        ("@monthly", ["Mon 01 00:00:00", "Thu 01 00:00:00"]),
        ("@yearly", ["Mon 01 00:00:00", "Wed 01 00:00:00"]),
        ("@annually", ["Mon 01 00:00:00", "Wed 01 00:00:00"]),
        ("*/20 0 9 * * *", ["Mon 01 09:00:00", "Mon 01 09:00:20", "Mon 01 09:00:40"]),
        ("  5   4 * *\tsun ", ["Sun 07 04:05:00"]),
        ("*/61 * * * *", ["Mon 01 00:00:00", "Mon 01 01:00:00"]),
    ],
)
def test_a_line_means_what_it_means_to_cron(line: str, expected: list[str]) -> None:
    assert next_days(line, len(expected)) == expected


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("* * * *", r'Wrong number of fields in crontab line "\* \* \* \*"; got 4, expected 5'),
        ("* * * * * * *", "got 7, expected 5"),
        ("", "got 0, expected 5"),
        ("@reboot", 'Unrecognized crontab line "@reboot" -- the aliases are @hourly, @daily'),
        ("60 * * * *", 'field "minute", expression "60": 60 is out of range .* 0 to 59'),
        ("* 24 * * *", 'field "hour", expression "24"'),
        ("* * 0 * *", 'field "day", expression "0": 0 is out of range .* 1 to 31, L'),
        ("* * * 13 *", 'field "month", expression "13".* 1 to 12, jan to dec'),
        ("* * * * 8", r'field "day_of_week", expression "8".* \(0 and 7 are Sunday\)'),
        ("* * * * fri-mon", 'expression "fri-mon": the first value of a range must not be'),
        ("* * * * 5-0", 'expression "5-0": the first value of a range must not be'),
        ("5-1 * * * *", 'expression "5-1": the first value of a range must not be higher'),
        ("*/0 * * * *", r'expression "\*/0": the step must be higher than 0'),
        ("1,,2 * * * *", 'field "minute", expression "": it cannot be read'),
        ("x * * * *", 'field "minute", expression "x": it cannot be read'),
        ("* * * foo *", 'field "month", expression "foo": it cannot be read'),
        ("-1 * * * *", 'expression "-1": it cannot be read'),
        ("1- * * * *", 'expression "1-": it cannot be read'),
        ("*/ * * * *", r'expression "\*/": it cannot be read'),
        ("² * * * *", 'expression "²": it cannot be read'),
    ],
)
def test_a_line_that_cannot_be_read_is_refused_in_words(line: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        CronTrigger.from_crontab(line)


@pytest.mark.parametrize(
    ("line", "allowed"),
    [
        ("x 0 * * *", r"allowed are \*, a, a-b, \*/c, a/c, a-b/c and lists .* 0 to 59$"),
        ("0 0 * foo *", r"1 to 12, jan to dec \(also in ranges and lists\)$"),
        ("0 0 * * foo", r"sun to sat \(also in ranges and lists\)$"),
    ],
)
def test_an_error_tells_all_that_is_allowed(line: str, allowed: str) -> None:
    with pytest.raises(ValueError, match=allowed):
        CronTrigger.from_crontab(line, "UTC")


def test_what_errors_allow_is_taken() -> None:
    line = CronTrigger.from_crontab("5/20 0 * jan,mar-may/2 sun,tue-thu", "UTC")
    values = CronTrigger.from_crontab("5,25,45 0 * 1,3,5 0,2,3,4", "UTC")
    start = datetime(2024, 1, 1, tzinfo=UTC)

    times = list(islice(line.iter_fire_times(start), 200))
    assert times == list(islice(values.iter_fire_times(start), 200))


@pytest.mark.parametrize("line", [None, 5])
def test_a_line_that_is_no_string_is_refused_in_words(line: Any) -> None:
    with pytest.raises(TypeError, match=f"A crontab line must be a string such as .* not {line}"):
        CronTrigger.from_crontab(line)


def test_the_two_dialects_are_told_apart() -> None:
    line = CronTrigger.from_crontab("0 9 * * 0", "UTC")
    keywords = CronTrigger(hour=9, minute=0, day_of_week="sun", timezone="UTC")

    assert str(line) == "cron[crontab='0 9 * * 0']"
    assert repr(line) == "<CronTrigger (crontab='0 9 * * 0', timezone='UTC')>"
    assert repr(keywords) == (
        "<CronTrigger (day_of_week='sun', hour='9', minute='0', timezone='UTC')>"
    )
    assert line.is_same_schedule(CronTrigger.from_crontab("0  9 * * 0", "UTC"))
    # The next run of a job stays, unless the words mean other days in the other dialect.
    assert line.is_same_schedule(keywords)
    either_day = CronTrigger.from_crontab("0 9 13 * 0", "UTC")
    both_days = CronTrigger(hour=9, minute=0, day=13, day_of_week="sun", timezone="UTC")
    assert not either_day.is_same_schedule(both_days)


def test_the_fields_of_a_line_are_there_to_be_read() -> None:
    fields = CronTrigger.from_crontab("*/5 8-17 L,15 jan-mar 1-5").fields

    assert {field.name: str(field) for field in fields} == {
        "year": "*",
        "month": "jan-mar",
        "day": "15,last",
        "week": "*",
        "day_of_week": "mon-fri",
        "hour": "8-17",
        "minute": "*/5",
        "second": "0",
    }


def test_a_subclass_makes_its_own_kind_of_a_line() -> None:
    class Mine(CronTrigger):
        pass

    assert type(Mine.from_crontab("@daily")) is Mine


def test_a_line_takes_the_zone_of_the_computer_by_default() -> None:
    now = datetime(2024, 1, 1, 0, 30, tzinfo=UTC)
    fire_time = CronTrigger.from_crontab("* * * * *").get_next_fire_time(None, now)

    assert fire_time == now
    assert fire_time.tzinfo is CronTrigger().timezone


def test_a_fixed_line_does_not_run_again_in_the_second_turn_of_an_hour() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    second_turn = datetime(2024, 10, 27, 2, 10, tzinfo=berlin, fold=1)
    trigger = CronTrigger.from_crontab("30 2 * * *", berlin)

    fire_time = trigger.get_next_fire_time(None, second_turn)

    assert fire_time == datetime(2024, 10, 28, 2, 30, tzinfo=berlin)
    assert second_turn.astimezone(UTC) + timedelta(hours=24, minutes=20) == fire_time
