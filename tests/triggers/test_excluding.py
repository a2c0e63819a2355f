"""ExcludingTrigger."""

from __future__ import annotations

import logging
import pickle
from collections import ChainMap, OrderedDict, deque
from datetime import date, datetime, time, timedelta
from itertools import islice
from types import MappingProxyType
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from apscheduler.testing import ManualScheduler
from apscheduler.triggers.base import BaseTrigger
from apscheduler.triggers.calendarinterval import CalendarIntervalTrigger
from apscheduler.triggers.combining import OrTrigger
from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.date import DateTrigger
from apscheduler.triggers.excluding import ExcludingTrigger
from apscheduler.triggers.interval import IntervalTrigger

from .reference import ALL_ZONES, UTC

BERLIN = ZoneInfo("Europe/Berlin")
START = datetime(2024, 6, 1, tzinfo=BERLIN)  # a Saturday
HOUR = timedelta(hours=1)


class Saturdays:
    """A calendar that computes its dates, as those of the package holidays do."""

    def __contains__(self, day: object) -> bool:
        return isinstance(day, date) and day.weekday() == 5

    def __eq__(self, other: object) -> bool:
        return type(other) is Saturdays

    __hash__ = None  # type: ignore[assignment]


class NewYears(dict[date, str]):
    """A calendar that fills itself with the years that it is asked about."""

    def __init__(self, country: str, day: int = 1) -> None:
        super().__init__()
        self.country = country
        self.years: set[int] = set()
        self._year = 0  # the last one that was asked about
        self.day = (day, 1)  # of no type that options have

    def __contains__(self, day: object) -> bool:
        assert isinstance(day, date)
        self._year = day.year
        self.years.add(day.year)
        self[date(day.year, 1, self.day[0])] = "New Year"

        return super().__contains__(day)

    def __reduce__(self) -> Any:
        return (
            NewYears,
            (self.country, self.day[0]),
            {"years": self.years},
            None,
            iter(self.items()),
        )


def hourly() -> CronTrigger:
    return CronTrigger(hour="*", timezone=BERLIN)


def daily() -> CronTrigger:
    return CronTrigger(hour=10, timezone=BERLIN)


def coming(trigger: BaseTrigger, count: int, start: datetime = START) -> list[str]:
    return [f"{moment:%d %H:%M}" for moment in islice(trigger.iter_fire_times(start), count)]


@pytest.mark.parametrize(
    "dates",
    [
        [date(2024, 6, 2), date(2024, 6, 3)],
        {date(2024, 6, 2), date(2024, 6, 3)},
        ("2024-06-02", datetime(2024, 6, 3, 12)),
        iter(["2024-06-02", "2024-06-03"]),
        {date(2024, 6, 2): "a holiday", date(2024, 6, 3): "another"},
        {"2024-06-02": "a holiday", "2024-06-03": "another"},
        {"2024-06-02": "a holiday", "2024-06-03": "another"}.keys(),
        OrderedDict.fromkeys(["2024-06-02", "2024-06-03"]),
        ChainMap({"2024-06-02": 1}, {"2024-06-03": 2}),
        MappingProxyType({"2024-06-02": 1, "2024-06-03": 2}),
        deque(["2024-06-02", "2024-06-03"]),
        deque([datetime(2024, 6, 2, 8), datetime(2024, 6, 3, 12)]),
    ],
    ids=lambda dates: type(dates).__name__,
)
def test_dates_are_skipped(dates: Any) -> None:
    trigger = ExcludingTrigger(daily(), dates=dates)

    for copy in (trigger, pickle.loads(pickle.dumps(trigger))):
        assert coming(copy, 3) == ["01 10:00", "04 10:00", "05 10:00"]


def test_dates_may_be_computed() -> None:
    trigger = ExcludingTrigger(daily(), dates=Saturdays())

    assert coming(trigger, 7)[5:] == ["07 10:00", "09 10:00"]
    assert str(trigger) == "excluding[cron[hour='10'], dates]"


@pytest.mark.parametrize(
    ("between", "expected"),
    [
        (("02:00", "05:00"), ["00:00", "01:00", "05:00", "06:00"]),
        ((time(2), time(5)), ["00:00", "01:00", "05:00", "06:00"]),
        ([("01:00", "02:00"), ("03:00:00", "04:00:01")], ["00:00", "02:00", "05:00", "06:00"]),
        (("22:00", "06:00"), ["06:00", "07:00", "08:00", "09:00"]),
        (["23:00", "01:00"], ["01:00", "02:00", "03:00", "04:00"]),
        ([("00:00", "02:00"), ("02:00", "04:00")], ["04:00", "05:00", "06:00", "07:00"]),
    ],
)
def test_daily_windows_are_skipped(between: Any, expected: list[str]) -> None:
    times = coming(ExcludingTrigger(hourly(), between=between), 4)

    assert times == [f"01 {moment}" for moment in expected]


def test_windows_are_read_in_the_zone_of_the_trigger() -> None:
    start = START.astimezone(UTC)
    trigger = ExcludingTrigger(hourly(), between=("00:00", "08:00"))

    assert coming(trigger, 1, start) == ["01 08:00"]


windows = st.tuples(st.integers(0, 23), st.integers(0, 23)).filter(lambda w: w[0] != w[1])


@given(
    zone=st.sampled_from(ALL_ZONES).map(ZoneInfo),
    start=st.datetimes(datetime(2000, 1, 1), datetime(2039, 1, 1), timezones=st.just(UTC)),
    window=windows,
    skipped=st.sets(st.integers(-2, 9), max_size=5),
    minutes=st.sampled_from([7, 30, 60, 90]),
    late=st.integers(0, 4 * 1440),
)
def test_exactly_the_excluded_times_are_missing(
    zone: ZoneInfo,
    start: datetime,
    window: tuple[int, int],
    skipped: set[int],
    minutes: int,
    late: int,
) -> None:
    dates = {start.date() + timedelta(days=day) for day in skipped}
    first, last = (time(hour) for hour in window)
    inner = IntervalTrigger(minutes=minutes, start_date=start, timezone=zone)
    trigger = ExcludingTrigger(inner, dates=dates, between=(first, last))
    end = start + timedelta(days=4)

    def allowed(moment: datetime) -> bool:
        at = moment.time()
        inside = first <= at < last if first < last else at >= first or at < last
        return moment.date() not in dates and not inside

    times = list(trigger.iter_fire_times(start, end))
    expected = [moment for moment in inner.iter_fire_times(start, end) if allowed(moment)]
    assert [(t, t.fold) for t in times] == [(t, t.fold) for t in expected]

    assume(times)
    now = start + timedelta(minutes=late)
    passed = [moment for moment in times if moment.astimezone(UTC) <= now]
    last_time = trigger.get_last_fire_time(times[0], now)
    assert last_time == (passed or times)[-1 if passed else 0]


def test_everything_excluded_ends_with_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    trigger = ExcludingTrigger(daily(), between=[("00:00", "12:00"), ("12:00", "00:00")])

    with caplog.at_level(logging.WARNING):
        assert trigger.get_next_fire_time(None, START) is None
    assert trigger.get_last_fire_time(START, START + timedelta(days=9)) == START
    assert "excludes 10000 times on end" in caplog.text


def test_it_works_within_and_around_other_triggers() -> None:
    workdays = ExcludingTrigger(daily(), dates=Saturdays())
    both = OrTrigger(workdays, DateTrigger(START + 2 * HOUR))
    around = ExcludingTrigger(OrTrigger(daily(), DateTrigger(START)), between=("00:00", "01:00"))

    assert coming(both, 2) == ["01 02:00", "02 10:00"]
    assert coming(around, 2) == ["01 10:00", "02 10:00"]


def test_the_first_time_is_that_of_the_other_trigger() -> None:
    inner = CalendarIntervalTrigger(days=2, start_date="2020-01-01", timezone=BERLIN)
    trigger = ExcludingTrigger(inner, dates=["2024-06-02"])
    first = trigger.get_first_fire_time(None, START)

    assert first is not None
    assert first.date() in (date(2024, 6, 1), date(2024, 6, 3), date(2024, 6, 4))


def test_a_trigger_without_a_start_begins_with_the_clock_of_its_scheduler() -> None:
    trigger = ExcludingTrigger(
        IntervalTrigger(hours=1, timezone=BERLIN), between=("01:00", "03:00")
    )
    trigger.start_from(START)

    assert coming(trigger, 2) == ["01 03:00", "01 04:00"]


def test_the_same_exclusions_are_the_same_schedule() -> None:
    trigger = ExcludingTrigger(daily(), dates=["2024-06-02"], between=("01:00", "02:00"))
    same = ExcludingTrigger(daily(), dates=[date(2024, 6, 2)], between=[(time(1), time(2))])

    assert trigger.is_same_schedule(same)
    assert not trigger.is_same_schedule(ExcludingTrigger(daily(), dates=["2024-06-02"]))
    assert not trigger.is_same_schedule(
        ExcludingTrigger(hourly(), ["2024-06-02"], ("01:00", "02:00"))
    )
    assert not trigger.is_same_schedule(daily())
    assert ExcludingTrigger(daily(), Saturdays()).is_same_schedule(
        pickle.loads(pickle.dumps(ExcludingTrigger(daily(), Saturdays())))
    )


def test_a_calendar_that_filled_itself_is_the_same_as_a_fresh_one() -> None:
    used = ExcludingTrigger(daily(), NewYears("DE"))
    coming(used, 400)
    stored = pickle.loads(pickle.dumps(used))

    assert len(used.dates) == 2  # type: ignore[arg-type]
    assert stored.is_same_schedule(ExcludingTrigger(daily(), NewYears("DE")))
    assert ExcludingTrigger(daily(), NewYears("DE")).is_same_schedule(stored)
    assert not stored.is_same_schedule(ExcludingTrigger(daily(), NewYears("FR")))
    assert not stored.is_same_schedule(ExcludingTrigger(daily(), NewYears("DE", day=2)))
    assert not stored.is_same_schedule(ExcludingTrigger(daily(), Saturdays()))


def test_a_job_is_added_by_the_alias_and_what_it_is_an_exclusion_of() -> None:
    with ManualScheduler(now=START) as scheduler:
        job = scheduler.add_job(
            "operator:add",
            "excluding",
            args=(1, 2),
            of=CronTrigger(hour=5, timezone=BERLIN),
            dates=["2024-06-01", "2024-06-02"],
        )

        assert job.next_run_time == START + timedelta(days=2, hours=5)


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"trigger": "cron"}, TypeError, "Only a trigger can have exclusions, not 'cron'"),
        ({"trigger": None}, TypeError, "Only a trigger can have exclusions, not None"),
        ({"of": CronTrigger()}, TypeError, "trigger and of name the same thing"),
        ({"dates": None}, TypeError, "dates must be a container or an iterable .* not None"),
        ({"dates": 5}, TypeError, "dates must be a container or an iterable of dates, not 5"),
        ({"between": None}, TypeError, "between must be a pair of times of day.* not None"),
        ({"between": 5}, TypeError, "between must be a pair of times of day.* not 5"),
        ({"dates": "2024-06-02"}, TypeError, "dates must be a container or an iterable of dates"),
        ({"dates": date(2024, 6, 2)}, TypeError, "dates must be a container or an iterable"),
        ({"dates": ["2 June"]}, ValueError, 'Invalid date "2 June" -- give it as YYYY-MM-DD'),
        ({"between": ("2 am", "3 am")}, ValueError, 'Invalid time of day "2 am" -- give it as'),
        ({"between": [(2, 3)]}, TypeError, "Expected a time of day or a string HH:MM, not 2"),
        (
            {"between": [("02:00",)]},
            ValueError,
            r"Expected a pair of times of day, not \('02:00',",
        ),
        ({"between": ("02:00", "02:00")}, ValueError, "would leave no time at all"),
    ],
)
def test_mistakes_get_words(arguments: dict[str, Any], error: Any, words: str) -> None:
    with pytest.raises(error, match=words):
        ExcludingTrigger(**{"trigger": daily()} | arguments)


def test_it_tells_its_exclusions() -> None:
    trigger = ExcludingTrigger(daily(), dates=["2024-06-02"], between=("22:00", "06:00"))

    assert str(trigger) == "excluding[cron[hour='10'], 1 dates, between 22:00:00 and 06:00:00]"
    assert repr(ExcludingTrigger(daily())) == (
        "<ExcludingTrigger(<CronTrigger (hour='10', timezone='Europe/Berlin')>)>"
    )
