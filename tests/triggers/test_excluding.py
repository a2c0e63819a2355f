"""ExcludingTrigger."""

from __future__ import annotations

import logging
import pickle
from collections import ChainMap, OrderedDict, deque
from datetime import date, datetime, time, timedelta, timezone
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
from .test_cron_properties import zones_and_starts

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


@pytest.mark.parametrize(
    ("zone", "day", "between", "resumed"),
    [
        # 02:00 to 05:00 is left out; 03:00 is never shown.
        ("Antarctica/Casey", date(2009, 10, 18), ("00:00", "03:00"), "05:00"),
        ("America/New_York", date(2030, 3, 10), ("01:00", "02:30"), "03:00"),
        ("America/Havana", date(2030, 3, 10), ("22:00", "00:30"), "01:00"),
    ],
)
def test_a_window_that_ends_in_a_gap_ends_with_the_gap(
    zone: str, day: date, between: tuple[str, str], resumed: str
) -> None:
    start = datetime.combine(day, time(), tzinfo=timezone.utc) - timedelta(hours=12)
    inner = IntervalTrigger(minutes=1, start_date=start, timezone=zone)
    trigger = ExcludingTrigger(inner, between=between)
    first = datetime.combine(day, time.fromisoformat(resumed), tzinfo=ZoneInfo(zone))
    assert first in list(trigger.iter_fire_times(start, start + timedelta(days=2)))


windows = st.tuples(st.integers(0, 23), st.integers(0, 23)).filter(lambda w: w[0] != w[1])


@given(
    where=zones_and_starts(),
    window=windows,
    skipped=st.sets(st.integers(-2, 9), max_size=5),
    minutes=st.sampled_from([7, 30, 60, 90]),
    late=st.integers(0, 4 * 1440),
)
def test_exactly_the_excluded_times_are_missing(
    where: tuple[ZoneInfo, datetime],
    window: tuple[int, int],
    skipped: set[int],
    minutes: int,
    late: int,
) -> None:
    zone, start = where
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


zones = st.sampled_from(ALL_ZONES).map(ZoneInfo)


@given(
    zones=st.tuples(zones, zones),
    start=st.datetimes(datetime(2000, 1, 1), datetime(2039, 1, 1), timezones=st.just(UTC)),
    window=windows.filter(lambda w: (w[1] - w[0]) % 24 <= 8),  # some time of each is left
    skipped=st.sets(st.integers(-1, 4), max_size=4),
    hours=st.tuples(st.integers(1, 7), st.integers(1, 7)),
    jitter=st.booleans(),
)
def test_each_part_of_several_zones_is_excluded_by_its_own_clock(
    zones: tuple[ZoneInfo, ZoneInfo],
    start: datetime,
    window: tuple[int, int],
    skipped: set[int],
    hours: tuple[int, int],
    jitter: bool,
) -> None:
    dates = {start.date() + timedelta(days=day) for day in skipped}
    first, last = (time(hour) for hour in window)
    crons = [
        CronTrigger(hour=f"*/{step}", minute=index, timezone=zone)
        for index, (step, zone) in enumerate(zip(hours, zones, strict=True))
    ]
    inner = OrTrigger(crons)
    trigger = ExcludingTrigger(inner, dates=dates, between=(first, last))
    apart = OrTrigger([ExcludingTrigger(part, dates, (first, last)) for part in crons])
    end = start + timedelta(days=3)
    times = list(trigger.iter_fire_times(start, end))

    assert times == list(apart.iter_fire_times(start, end))
    assert times == list(ExcludingTrigger(trigger).iter_fire_times(start, end))
    assert set(times) <= set(inner.iter_fire_times(start, end))
    if times:
        assert trigger.get_last_fire_time(times[0], end) == times[-1]
    if times and jitter:
        moved = ExcludingTrigger(OrTrigger(crons, jitter=3600), dates, (first, last))
        drawn = list(islice(moved.iter_fire_times(start), max(len(times) - 1, 1)))
        # As instants: the wall-clock times of a repeated hour do not tell which is earlier.
        unmoved, moved_to = (
            [time.astimezone(timezone.utc) for time in each] for each in (times, drawn)
        )
        assert all(map(datetime.__le__, unmoved, moved_to))
        assert all(map(datetime.__lt__, moved_to, unmoved[1:]))


def test_the_end_of_an_exclusion_in_one_zone_hides_no_time_of_another() -> None:
    new_york = CronTrigger(hour=18, timezone="America/New_York")  # 23:00 in UTC
    berlin = CronTrigger(hour=1, timezone=BERLIN)  # midnight in UTC
    trigger = ExcludingTrigger(OrTrigger(new_york, berlin), dates=["2030-12-25"])
    start = datetime(2030, 12, 24, 12, tzinfo=UTC)
    times = list(islice(trigger.iter_fire_times(start), 4))

    assert [f"{moment.astimezone(UTC):%d %H}" for moment in times] == [
        "24 23",
        "26 00",
        "26 23",
        "27 00",
    ]
    assert trigger.get_last_fire_time(start, times[1] + HOUR) == times[1]


@pytest.mark.parametrize("nested", [False, True])
def test_the_time_before_jitter_decides(nested: bool) -> None:
    hourly = CronTrigger(minute=0, jitter=600, timezone=BERLIN)
    alone = ExcludingTrigger(hourly, between=[("22:00", "22:05"), ("21:03", "21:10")])
    trigger = OrTrigger(alone) if nested else alone
    evening = START + 20.5 * HOUR

    first = [trigger.get_next_fire_time(evening, evening) for _ in range(60)]
    # A draw that lands in an excluded time is not taken.
    assert all(moment is not None and moment.hour == 21 for moment in first)
    assert all(moment is not None and not 3 <= moment.minute < 10 for moment in first)
    assert START + 21 * HOUR in first
    assert len(set(first)) > 5

    later = START + 21.5 * HOUR
    second = [trigger.get_next_fire_time(later, later) for _ in range(60)]
    assert all(moment is not None and moment.hour == 23 for moment in second)


def test_years_of_excluded_days_are_passed_over_at_once(caplog: pytest.LogCaptureFixture) -> None:
    days = [START.date() + timedelta(days=day) for day in range(1, 11_601)]
    trigger = ExcludingTrigger(CronTrigger(second="*", timezone=BERLIN), dates=days)
    last = START + 24 * HOUR - timedelta(seconds=1)
    following = datetime(2056, 3, 6, tzinfo=BERLIN)

    assert trigger.get_next_fire_time(last, last) == following
    assert trigger.get_last_fire_time(START, following - HOUR) == last
    assert not caplog.text


@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Asia/Tokyo"])
def test_the_last_day_of_the_calendar_may_be_excluded(zone: str) -> None:
    trigger = ExcludingTrigger(
        CronTrigger(hour="*", timezone=zone), dates=["9999-12-31"], between=("22:00", "01:00")
    )
    start = datetime(9999, 12, 30, 21, tzinfo=ZoneInfo(zone))

    assert trigger.get_next_fire_time(None, start) == start
    assert trigger.get_next_fire_time(start, start) is None


def test_parts_of_ones_own_are_excluded_from_on_their_grid() -> None:
    class TenMinutes(BaseTrigger):
        def get_next_fire_time(
            self, previous_fire_time: datetime | None, now: datetime
        ) -> datetime | None:
            if previous_fire_time is None:
                return START - 1000 * HOUR
            return previous_fire_time + HOUR / 6

    trigger = ExcludingTrigger(TenMinutes(), between=("00:05", "02:05"))

    assert coming(trigger, 2, START) == ["01 00:00", "01 02:10"]
    assert trigger.get_last_fire_time(START, START + 2 * HOUR) == START
    assert trigger.get_last_fire_time(START, START + 3 * HOUR) == START + 3 * HOUR


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
