"""Cron triggers in every zone, beside a reference that looks at every minute."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, given, note
from hypothesis import strategies as st

from apscheduler.triggers.cron import CronTrigger

from . import reference
from .reference import ALL_ZONES, UTC

WEEKDAYS = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
FIELDS: dict[str, tuple[int, int, Callable[[datetime], int]]] = {
    "month": (1, 12, lambda local: local.month),
    "day": (1, 31, lambda local: local.day),
    "week": (1, 53, lambda local: local.isocalendar()[1]),
    "day_of_week": (0, 6, lambda local: local.weekday()),
    "hour": (0, 23, lambda local: local.hour),
    "minute": (0, 59, lambda local: local.minute),
}
# Not drawn with the others: years would hardly ever match, and seconds have a test of their own.
SECONDS: dict[str, tuple[int, int, Callable[[datetime], int]]] = {
    "second": (0, 59, lambda local: local.second)
}
YEARS_BEGIN = 1970


@dataclass
class Expression:
    text: str
    matches: Callable[[datetime], bool]

    def __repr__(self) -> str:
        return self.text


@st.composite
def expressions(draw: st.DrawFn, name: str) -> Expression:
    """An expression of one field, and what it means."""
    low, high, value_of = (FIELDS | SECONDS)[name]
    kind = draw(st.sampled_from(["*", "*/", "a", "a-b", "a-b/c", "a/c", "list", "name"]))
    first = draw(st.integers(low, high))
    last = draw(st.integers(first, high))
    step = draw(st.integers(1, max(1, last - first)))
    if kind == "*":
        return Expression("*", lambda local: True)
    if kind == "*/":
        step = draw(st.integers(1, high - low))
        return Expression(f"*/{step}", lambda local: (value_of(local) - low) % step == 0)
    if kind == "a-b":
        return Expression(f"{first}-{last}", lambda local: first <= value_of(local) <= last)
    if kind == "a-b/c" and step <= last - first:
        stepped = range(first, last + 1, step)
        return Expression(f"{first}-{last}/{step}", lambda local: value_of(local) in stepped)
    if kind == "a/c" and first < high:
        step = draw(st.integers(1, high - first))
        to_the_end = range(first, high + 1, step)
        return Expression(f"{first}/{step}", lambda local: value_of(local) in to_the_end)
    if kind == "list":
        values = draw(st.lists(st.integers(low, high), min_size=2, max_size=4))
        return Expression(",".join(map(str, values)), lambda local: value_of(local) in values)
    if kind == "name" and name in ("month", "day_of_week"):
        names = MONTHS if name == "month" else WEEKDAYS
        text = f"{names[first - low]}-{names[last - low]}"
        return Expression(text, lambda local: first <= value_of(local) <= last)
    if kind == "name" and name == "day":
        return draw(special_days())

    return Expression(str(first), lambda local: value_of(local) == first)


@st.composite
def special_days(draw: st.DrawFn) -> Expression:
    """The days that are counted from the end or by their weekday."""
    position = draw(st.sampled_from(["last day", "1st", "2nd", "3rd", "4th", "5th", "last"]))
    weekday = draw(st.sampled_from(range(7)))
    if position == "last day":
        return Expression("last", lambda local: (local + timedelta(days=1)).day == 1)

    text = f"{position} {WEEKDAYS[weekday]}"
    if position == "last":
        a_week_on = timedelta(days=7)
        return Expression(
            text,
            lambda local: local.weekday() == weekday and (local + a_week_on).month != local.month,
        )

    number = int(position[0])
    return Expression(
        text, lambda local: local.weekday() == weekday and (local.day + 6) // 7 == number
    )


@st.composite
def schedules(draw: st.DrawFn) -> tuple[dict[str, str], Callable[[datetime], bool]]:
    """Keyword fields of a trigger, and which local minutes match them."""
    names = draw(st.sets(st.sampled_from(sorted(FIELDS)), min_size=1))
    # Mostly schedules that run some time in a few days.
    if draw(st.booleans()):
        names = names - {"month", "week"} | {"hour"}
    # Fields below the least significant given one would be at their minimum.
    names |= {"hour", "minute"}
    chosen = {name: draw(expressions(name)) for name in sorted(names)}

    def matches(local: datetime) -> bool:
        return all(expression.matches(local) for expression in chosen.values())

    return {name: expression.text for name, expression in chosen.items()}, matches


@st.composite
def zones_and_starts(draw: st.DrawFn) -> tuple[ZoneInfo, datetime]:
    """A zone, and an instant from 2000 to 2040: half of them near a change of the clocks."""
    zone = ZoneInfo(draw(st.sampled_from(ALL_ZONES)))
    year = draw(st.integers(2000, 2039))
    changes = reference.near_changes(zone, year) if draw(st.booleans()) else []
    day = draw(st.sampled_from(changes)) if changes else datetime(year, 1, 1, tzinfo=UTC)
    days = draw(st.integers(-1, 1) if changes else st.integers(0, 364))
    seconds = draw(st.integers(0, 86_399))

    return zone, day + timedelta(days=days, seconds=seconds)


def steps(trigger: CronTrigger, start: datetime, end: datetime) -> list[datetime]:
    """The fire times of a trigger, asked for one after the other."""
    fire_times: list[datetime] = []
    fire_time = trigger.get_next_fire_time(None, start)
    while fire_time is not None and fire_time.astimezone(UTC) <= end:
        fire_times.append(fire_time)
        fire_time = trigger.get_next_fire_time(fire_time, fire_time)

    return fire_times


@given(schedule=schedules(), where=zones_and_starts())
def test_nothing_is_skipped_and_nothing_is_added(
    schedule: tuple[dict[str, str], Any], where: tuple[ZoneInfo, datetime]
) -> None:
    fields, matches = schedule
    zone, start = where
    end = start + timedelta(hours=30)
    trigger = CronTrigger(**fields, timezone=zone)
    note(f"{trigger!r} from {start.astimezone(zone)}")
    expected = reference.fire_times(matches, reference.shifted, zone, start, end)

    fire_times = steps(trigger, start.astimezone(zone), end)
    instants = [moment.astimezone(UTC) for moment in fire_times]

    assert instants == expected
    assert instants == sorted(set(instants)), "strictly increasing"
    assert all(reference.exists(moment) and moment.tzinfo is zone for moment in fire_times)
    if len(expected) > 1:
        for now in (end, expected[-1], expected[len(expected) // 2]):
            last = trigger.get_last_fire_time(fire_times[0], now.astimezone(zone))
            assert last.astimezone(UTC) == max(i for i in expected if i <= now)


@given(
    schedule=schedules(),
    second=expressions("second"),
    where=zones_and_starts(),
    hours=st.integers(0, 30),
)
def test_seconds_match_in_each_minute_that_does(
    schedule: tuple[dict[str, str], Any],
    second: Expression,
    where: tuple[ZoneInfo, datetime],
    hours: int,
) -> None:
    fields, matches = schedule
    zone, start = where
    start += timedelta(hours=hours)
    end = start + timedelta(minutes=90)
    trigger = CronTrigger(**fields, second=second.text, timezone=zone)
    note(f"{trigger!r} from {start.astimezone(zone)}")
    whole = start.replace(second=0)
    minutes = reference.fire_times(matches, reference.shifted, zone, whole, end)
    seconds = [n for n in range(60) if second.matches(datetime(2000, 1, 1, second=n))]
    expected = [minute + timedelta(seconds=n) for minute in minutes for n in seconds]

    instants = [moment.astimezone(UTC) for moment in steps(trigger, start, end)]

    assert instants == [instant for instant in expected if start <= instant <= end]


@st.composite
def years(draw: st.DrawFn, near: int) -> Expression:
    """An expression of years around one, and what it means."""
    first = near + draw(st.integers(-2, 1))
    last = first + draw(st.integers(0, 3))
    step = draw(st.integers(1, 3))
    kind = draw(st.sampled_from(["a", "a-b", "a-b/c", "a/c", "*/c", "list"]))
    if kind == "a-b":
        return Expression(f"{first}-{last}", lambda local: first <= local.year <= last)
    if kind == "a-b/c" and step <= last - first:
        return Expression(
            f"{first}-{last}/{step}", lambda local: local.year in range(first, last + 1, step)
        )
    if kind == "a/c":
        return Expression(
            f"{first}/{step}", lambda local: local.year in range(first, 10_000, step)
        )
    if kind == "*/c":
        return Expression(f"*/{step}", lambda local: (local.year - YEARS_BEGIN) % step == 0)
    if kind == "list":
        return Expression(f"{first},{last}", lambda local: local.year in (first, last))

    return Expression(str(first), lambda local: local.year == first)


@given(data=st.data(), zone=st.sampled_from(ALL_ZONES).map(ZoneInfo), near=st.integers(2001, 2039))
def test_years_match_by_the_clocks_of_the_zone(
    data: st.DataObject, zone: ZoneInfo, near: int
) -> None:
    year = data.draw(years(near))
    fields, matches = data.draw(schedules())
    start = datetime(near, 1, 1, tzinfo=UTC) - timedelta(minutes=data.draw(st.integers(0, 1800)))
    end = start + timedelta(hours=30)
    trigger = CronTrigger(**fields, year=year.text, timezone=zone)
    note(f"{trigger!r} from {start.astimezone(zone)}")

    instants = [moment.astimezone(UTC) for moment in steps(trigger, start, end)]

    assert instants == reference.fire_times(
        lambda local: year.matches(local) and matches(local), reference.shifted, zone, start, end
    )
    if instants:
        last = trigger.get_last_fire_time(instants[0], end)
        assert last.astimezone(UTC) == instants[-1]


@given(schedule=schedules(), where=zones_and_starts(), late=st.integers(0, 400 * 86_400))
def test_next_after_last_is_the_first_one_that_has_not_come(
    schedule: tuple[dict[str, str], Any], where: tuple[ZoneInfo, datetime], late: int
) -> None:
    fields, _ = schedule
    zone, start = where
    trigger = CronTrigger(**fields, timezone=zone)
    first = trigger.get_next_fire_time(None, start)
    assume(first is not None and first.year < 2100)
    assert first is not None
    now = first.astimezone(UTC) + timedelta(seconds=late)

    last = trigger.get_last_fire_time(first, now)
    following = trigger.get_next_fire_time(last, now)

    assert first.astimezone(UTC) <= last.astimezone(UTC) <= now
    assert reference.exists(last)
    assert following is None or following.astimezone(UTC) > now
    # It is a time of the trigger's own.
    just_before = last.astimezone(UTC) - timedelta(microseconds=1)
    assert trigger.get_next_fire_time(None, just_before) == last


CRONTAB = {"minute": (0, 59), "hour": (0, 23), "day": (1, 31), "month": (1, 12), "dow": (0, 7)}


@st.composite
def crontab_fields(draw: st.DrawFn, name: str) -> tuple[str, set[int]]:
    low, high = CRONTAB[name]
    kind = draw(st.sampled_from(["*", "*", "*/", "a", "a-b/c", "list"]))
    first = draw(st.integers(low, high))
    last = draw(st.integers(first, high))
    step = draw(st.integers(1, 15))
    if kind == "*":
        return "*", set(range(low, high + 1))
    if kind == "*/":
        return f"*/{step}", set(range(low, high + 1, step))
    if kind == "a-b/c":
        return f"{first}-{last}/{step}", set(range(first, last + 1, step))
    if kind == "list":
        return f"{first},{last}", {first, last}

    return str(first), {first}


@given(
    minute=crontab_fields("minute"),
    hour=crontab_fields("hour"),
    day=crontab_fields("day"),
    month=crontab_fields("month") | st.just(("*", set(range(1, 13)))),
    dow=crontab_fields("dow"),
    where=zones_and_starts(),
)
def test_crontab_lines_skip_and_add_nothing(
    minute: Any, hour: Any, day: Any, month: Any, dow: Any, where: tuple[ZoneInfo, datetime]
) -> None:
    zone, start = where
    end = start + timedelta(hours=30)
    line = " ".join(text for text, _ in (minute, hour, day, month, dow))
    either = not (day[0].startswith("*") or dow[0].startswith("*"))
    fixed = not (minute[0].startswith("*") or hour[0].startswith("*"))
    weekdays = {(value - 1) % 7 for value in dow[1]}

    def matches(local: datetime) -> bool:
        days = (local.day in day[1], local.weekday() in weekdays)
        return (
            local.minute in minute[1]
            and local.hour in hour[1]
            and local.month in month[1]
            and (any(days) if either else all(days))
        )

    trigger = CronTrigger.from_crontab(line, zone)
    note(f"{trigger!r} from {start.astimezone(zone)}")
    rule = reference.once if fixed else reference.shown

    fire_times = steps(trigger, start, end)

    assert [moment.astimezone(UTC) for moment in fire_times] == reference.fire_times(
        matches, rule, zone, start, end
    )
    assert all(reference.exists(moment) for moment in fire_times)


@pytest.mark.parametrize(
    "fields",
    [
        {"month": 2, "day": 30},
        {"month": "4,6,9,11", "day": 31},
        {"month": "jun", "week": 53},
        {"month": 2, "day": "5th sun", "year": "2021-2023"},
        {"year": "1970-1999"},
    ],
    ids=str,
)
def test_a_schedule_that_can_never_fire_has_no_next_time(fields: dict[str, Any]) -> None:
    trigger = CronTrigger(**fields, timezone="Europe/Berlin")

    assert trigger.get_next_fire_time(None, datetime(2024, 1, 1, tzinfo=UTC)) is None


def test_a_crontab_line_that_only_matches_within_gaps_has_no_next_time() -> None:
    # Sundays, 25 to 31 March, 2 o'clock: the hour that Berlin skips, every year.
    trigger = CronTrigger.from_crontab("*/5 2 25-31 3 */7", "Europe/Berlin")

    assert trigger.get_next_fire_time(None, datetime(2024, 1, 1, tzinfo=UTC)) is None
