"""AndTrigger and OrTrigger."""

from __future__ import annotations

import logging
from datetime import date, datetime, timedelta
from itertools import islice, pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apscheduler.triggers.base import BaseTrigger
from apscheduler.triggers.calendarinterval import CalendarIntervalTrigger
from apscheduler.triggers.combining import AndTrigger, OrTrigger
from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.date import DateTrigger
from apscheduler.triggers.excluding import ExcludingTrigger
from apscheduler.triggers.interval import IntervalTrigger
from tests.faults.world import World, WorldScheduler

from .reference import UTC

BERLIN = ZoneInfo("Europe/Berlin")
START = datetime(2024, 1, 1, tzinfo=UTC)
SECOND = timedelta(seconds=1)


class Weekly(BaseTrigger):
    """A trigger as plugins for 3.x are written: no state methods, one slot-less attribute."""

    def __init__(self, weekday: int) -> None:
        self.weekday = weekday

    def get_next_fire_time(
        self, previous_fire_time: datetime | None, now: datetime
    ) -> datetime | None:
        fire_time = previous_fire_time + SECOND if previous_fire_time else now
        while fire_time.weekday() != self.weekday or fire_time.time() != START.time():
            fire_time = (fire_time + timedelta(days=1)).replace(hour=0, minute=0, second=0)

        return fire_time


def every(seconds: float, **options: Any) -> IntervalTrigger:
    return IntervalTrigger(seconds=seconds, start_date=START, timezone=UTC, **options)


def seconds_of(trigger: BaseTrigger, count: int) -> list[float]:
    times = islice(trigger.iter_fire_times(START), count)
    return [(time - START).total_seconds() for time in times]


@pytest.mark.parametrize("kind", [AndTrigger, OrTrigger])
def test_parts_come_as_a_list_or_as_several_arguments(kind: Any) -> None:
    parts = [every(2), every(3)]

    assert kind(*parts).is_same_schedule(kind(parts))
    assert kind(iter(parts)).triggers == parts
    assert kind(parts, 5).jitter == 5
    assert kind(*parts, jitter=5).jitter == 5
    assert kind(parts[0]).triggers == parts[:1]
    assert kind(parts[0]).jitter is None


@pytest.mark.parametrize("parts", [["interval"], [None], [every(2), 5]])
def test_only_triggers_can_be_combined(parts: list[Any]) -> None:
    with pytest.raises(TypeError, match="Only triggers can be combined, not"):
        OrTrigger(parts)


def test_or_fires_whenever_a_part_does() -> None:
    assert seconds_of(OrTrigger(every(2), every(3)), 6) == [0, 2, 3, 4, 6, 8]


def test_or_of_two_dates_fires_twice() -> None:
    first, second = START, START + timedelta(days=1)
    trigger = OrTrigger(DateTrigger(second), DateTrigger(first))

    assert list(trigger.iter_fire_times(START)) == [first, second]
    assert trigger.get_last_fire_time(first, second + SECOND) == second
    assert trigger.get_last_fire_time(first, first + SECOND) == first


def test_or_never_drifts_an_interval() -> None:
    trigger = OrTrigger(every(60), DateTrigger(START + 90 * SECOND))

    assert seconds_of(trigger, 5) == [0, 60, 90, 120, 180]


def test_or_keeps_instants_in_order_where_an_hour_is_repeated() -> None:
    start = datetime(2024, 10, 27, 2, 20, tzinfo=BERLIN)
    trigger = OrTrigger(
        CronTrigger(minute=10, timezone=BERLIN), CronTrigger(minute=30, timezone=BERLIN)
    )

    times = [f"{time:%H:%M%z}" for time in islice(trigger.iter_fire_times(start), 4)]
    assert times == ["02:30+0200", "02:10+0100", "02:30+0100", "03:10+0100"]


def test_or_goes_on_when_a_part_has_ended() -> None:
    trigger = OrTrigger(DateTrigger(START), every(60))

    assert seconds_of(trigger, 3) == [0, 60, 120]
    assert OrTrigger(DateTrigger(START)).get_next_fire_time(START, START) is None


@pytest.mark.parametrize("kind", [AndTrigger, OrTrigger])
def test_nothing_combined_never_fires(kind: Any) -> None:
    assert kind([]).get_next_fire_time(None, START) is None
    assert kind([]).get_last_fire_time(START, START + SECOND) == START


def test_and_fires_when_all_parts_do() -> None:
    assert seconds_of(AndTrigger(every(2), every(3)), 4) == [0, 6, 12, 18]


def test_and_of_intervals_without_a_start_has_one_start_for_all() -> None:
    trigger = AndTrigger([IntervalTrigger(seconds=2), IntervalTrigger(seconds=3)])
    now = datetime.now(UTC)
    times = list(islice(trigger.iter_fire_times(now), 4))

    assert [later - first for first, later in pairwise(times)] == [6 * SECOND] * 3
    assert trigger.get_last_fire_time(times[0], times[3] + SECOND) == times[3]


def test_one_match_within_the_threshold_fires_once() -> None:
    uneven = IntervalTrigger(seconds=1, start_date=START + 0.3 * SECOND, timezone=UTC)
    trigger = AndTrigger(uneven, CronTrigger(minute=0, timezone=UTC))
    hour = 3600 * SECOND
    first = START + hour - 0.7 * SECOND

    times = list(islice(trigger.iter_fire_times(START + SECOND), 3))
    assert times == [first, first + hour, first + 2 * hour]
    assert trigger.get_last_fire_time(first, first + 2 * SECOND) == first
    assert trigger.get_last_fire_time(first, first + 2 * hour + SECOND) == times[2]
    # A run that was moved a little, as jitter does, has used the same match.
    assert trigger.get_next_fire_time(first + 0.5 * SECOND, first) == first + hour


def test_a_match_right_after_an_exclusion_is_not_lost() -> None:
    hourly = AndTrigger(every(3600), CronTrigger(minute=0, timezone=UTC))
    trigger = ExcludingTrigger(hourly, between=("01:00", "05:00"))
    nested = AndTrigger(hourly, every(1800))

    assert seconds_of(trigger, 3) == [0, 5 * 3600, 6 * 3600]
    assert seconds_of(nested, 3) == [0, 3600, 7200]


def test_and_takes_its_parts_on_their_own_grids() -> None:
    months = CalendarIntervalTrigger(months=2, hour=10, start_date="2022-06-07", timezone=BERLIN)
    weekdays = CronTrigger(day_of_week="mon-fri", hour=10, timezone=BERLIN)
    now = datetime(2022, 6, 7, 9, tzinfo=BERLIN)

    times = islice(AndTrigger(months, weekdays).iter_fire_times(now), 3)
    assert [time.date() for time in times] == [
        date(2022, 6, 7),
        date(2022, 10, 7),  # 2022-08-07 is a Sunday
        date(2022, 12, 7),
    ]


def test_and_ends_with_the_first_part_that_ends() -> None:
    end = START + 10 * SECOND
    trigger = AndTrigger(every(2), every(3, end_date=end))

    assert seconds_of(trigger, 9) == [0, 6]
    assert trigger.get_last_fire_time(START, START + 60 * SECOND) == START + 6 * SECOND


@pytest.mark.parametrize(
    ("threshold", "expected"),
    [(0, [600, 1200]), (1, [600, 1200]), (2, [59, 600, 659, 1200]), (0.5, [600, 1200])],
)
def test_times_less_than_the_threshold_apart_are_the_same(
    threshold: float, expected: list[float]
) -> None:
    # Ten minutes; and at every tenth minute and a second less than one minute after.
    first = OrTrigger(every(600), IntervalTrigger(minutes=10, start_date=START + 59 * SECOND))
    second = OrTrigger(every(600), IntervalTrigger(minutes=10, start_date=START + 60 * SECOND))
    trigger = AndTrigger(first, second, threshold=threshold)
    times = [
        (time - START).total_seconds()
        for time in trigger.iter_fire_times(START + SECOND, START + 1200 * SECOND)
    ]

    assert times == expected


def test_parts_that_never_meet_are_given_up_with_a_warning(
    caplog: pytest.LogCaptureFixture,
) -> None:
    odd = IntervalTrigger(seconds=10, start_date=START + 5 * SECOND)
    trigger = AndTrigger(every(10), odd, max_iterations=50)

    with caplog.at_level(logging.WARNING):
        assert trigger.get_next_fire_time(None, START) is None
        assert trigger.get_last_fire_time(START, START + timedelta(days=1)) == START

    assert "found no common time in 50 rounds" in caplog.text
    assert "raise max_iterations" in caplog.text


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"threshold": -1}, ValueError, "threshold must not be negative, but is -1"),
        ({"threshold": "1"}, TypeError, "threshold must be a number of seconds, not '1'"),
        ({"threshold": float("inf")}, ValueError, "threshold must be at most a day .* is inf"),
        ({"threshold": float("nan")}, ValueError, "threshold must be at most a day .* is nan"),
        ({"max_iterations": "x"}, TypeError, "max_iterations must be a whole number, not 'x'"),
        ({"max_iterations": 0}, ValueError, "max_iterations must be 1 or more, but is 0"),
    ],
)
def test_options_that_cannot_be_are_refused(
    options: dict[str, Any], error: Any, words: str
) -> None:
    with pytest.raises(error, match=words):
        AndTrigger(every(1), **options)


intervals = st.integers(1, 12)


@given(
    first=intervals,
    second=intervals,
    offset=st.integers(0, 11),
    now=st.integers(0, 600),
    threshold=st.sampled_from([0, 1, 2, 3.5]),
    kind=st.sampled_from(["and", "or"]),
)
def test_the_last_time_is_the_one_that_stepping_reaches(
    first: int, second: int, offset: int, now: int, threshold: float, kind: str
) -> None:
    other = IntervalTrigger(seconds=second, start_date=START + offset * SECOND, timezone=UTC)
    trigger: BaseTrigger = OrTrigger(every(first), other)
    if kind == "and":
        trigger = AndTrigger(every(first), other, threshold=threshold, max_iterations=1000)
    previous = trigger.get_next_fire_time(None, START)
    if previous is None:
        return
    moment = previous + now * SECOND / 2

    stepped = BaseTrigger.get_last_fire_time(trigger, previous, moment)
    assert trigger.get_last_fire_time(previous, moment) == stepped


def test_dense_matches_are_not_all_gone_through_to_find_the_last() -> None:
    class Counted(IntervalTrigger):
        asked = 0

        def get_first_fire_time(self, after: datetime | None, now: datetime) -> datetime | None:
            Counted.asked += 1
            return super().get_first_fire_time(after, now)

        def get_last_fire_time(self, previous_fire_time: datetime, now: datetime) -> datetime:
            Counted.asked += 1
            return super().get_last_fire_time(previous_fire_time, now)

    dense = Counted(seconds=1, start_date=START, timezone=UTC)
    trigger = AndTrigger(dense, CronTrigger(second="*", timezone=UTC), threshold=5)
    now = START + timedelta(days=365)
    last = trigger.get_last_fire_time(START, now)

    assert now - 5 * SECOND <= last <= now
    assert Counted.asked < 10_000


def test_custom_triggers_can_be_combined() -> None:
    first_of_month = CronTrigger(day=1, timezone=UTC)
    trigger = AndTrigger(Weekly(0), first_of_month)
    times = list(islice(trigger.iter_fire_times(START), 3))

    assert [time.date() for time in times] == [
        date(2024, 1, 1),
        date(2024, 4, 1),
        date(2024, 7, 1),
    ]
    assert trigger.get_last_fire_time(START, times[2] + SECOND) == times[2]


def test_custom_triggers_are_stored_with_what_they_are_part_of() -> None:
    trigger = OrTrigger(Weekly(3), every(3600))
    copy = OrTrigger.__new__(OrTrigger)
    copy.__setstate__(trigger.__getstate__())

    assert copy.is_same_schedule(trigger)
    assert seconds_of(copy, 50) == seconds_of(trigger, 50)


def test_parts_without_a_start_begin_with_the_clock_of_the_scheduler() -> None:
    trigger = OrTrigger(IntervalTrigger(hours=1, timezone=UTC), every(7200))
    trigger.start_from(START)

    assert seconds_of(trigger, 3) == [0, 3600, 7200]


def test_the_same_parts_are_the_same_schedule() -> None:
    hourly = IntervalTrigger(hours=1, timezone=UTC)
    daily = CronTrigger(hour=0, timezone=UTC)

    assert OrTrigger(hourly, daily).is_same_schedule(
        OrTrigger(IntervalTrigger(hours=1, timezone=UTC), daily)
    )
    assert not OrTrigger(hourly, daily).is_same_schedule(AndTrigger(hourly, daily))
    assert not OrTrigger(hourly, daily).is_same_schedule(OrTrigger(hourly))
    assert not OrTrigger(hourly, daily).is_same_schedule(OrTrigger(daily, hourly))
    assert not OrTrigger(hourly).is_same_schedule(OrTrigger(hourly, jitter=5))
    assert not AndTrigger(hourly).is_same_schedule(AndTrigger(hourly, threshold=5))
    assert not AndTrigger(hourly).is_same_schedule(hourly)


def test_jitter_comes_on_top_of_the_combined_time() -> None:
    trigger = OrTrigger(every(60), jitter=5)
    delays = {trigger.get_next_fire_time(None, START) for _ in range(20)}

    assert len(delays) > 10
    assert all(time is not None and START <= time <= START + 5 * SECOND for time in delays)


def test_jitter_does_not_reach_past_the_end_of_the_parts_that_run() -> None:
    end = START + 3600 * SECOND
    last = CronTrigger(minute=0, end_date=end, timezone=UTC)
    half = CronTrigger(minute=30, timezone=UTC)
    day = CalendarIntervalTrigger(
        days=1, hour=23, minute=59, end_date=START.date(), start_date=START.date(), timezone=UTC
    )
    midnight = START + timedelta(days=1)

    for trigger, due, limit in [
        (OrTrigger(last, jitter=600), end, end),
        (OrTrigger(last, half, jitter=600), end, end),
        (AndTrigger(last, every(1800), jitter=600), end, end),
        (OrTrigger(AndTrigger(last, every(60)), jitter=600), end, end),
        (OrTrigger(ExcludingTrigger(OrTrigger(last)), jitter=600), end, end),
        (OrTrigger(day, jitter=600), midnight - 60 * SECOND, midnight),
    ]:
        before = due - SECOND
        times = [trigger.get_next_fire_time(before, before) for _ in range(20)]
        assert all(time is not None and due <= time <= limit for time in times)

    onwards = OrTrigger(last, half, jitter=600)
    assert len({onwards.get_next_fire_time(end, end) for _ in range(20)}) > 10


class Offset(CronTrigger):
    """One with an attribute that is not stored, as those that live in memory only may have."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.offset = timedelta()

    def get_next_fire_time(
        self, previous_fire_time: datetime | None, now: datetime
    ) -> datetime | None:
        fire_time = super().get_next_fire_time(previous_fire_time, now)
        return fire_time and fire_time + self.offset


class Unfixed(Weekly):
    """One whose jitter nobody can set."""

    @property
    def jitter(self) -> float:
        return 60


jitters = st.sampled_from([None, 0.5, 7, 1000])


@given(
    seconds=st.tuples(st.integers(1, 20), st.integers(1, 20)),
    jitters=st.tuples(jitters, jitters, jitters, jitters),
    cls=st.sampled_from([CronTrigger, Offset]),
    start=st.integers(0, 100),
)
def test_jitter_loses_no_run_of_another_part_and_doubles_none(
    seconds: tuple[int, int], jitters: tuple[Any, ...], cls: type[CronTrigger], start: int
) -> None:
    def combined(jitters: tuple[Any, ...]) -> OrTrigger:
        first = every(seconds[0], jitter=jitters[0])
        second = cls(second=f"*/{seconds[1]}", jitter=jitters[1], timezone=UTC)
        third = ExcludingTrigger(every(17, jitter=jitters[2]), between=("00:01", "00:02"))
        return OrTrigger(first, OrTrigger(second, third), jitter=jitters[3])

    now = START + start * SECOND
    unmoved = list(islice(combined((None,) * 4).iter_fire_times(now), 40))
    moved = list(islice(combined(jitters).iter_fire_times(now), 39))

    assert all(map(datetime.__le__, unmoved, moved))
    assert all(map(datetime.__lt__, moved, unmoved[1:]))
    longest = sum(jitter or 0 for jitter in jitters) * SECOND
    assert all(late - due <= longest for due, late in zip(unmoved, moved, strict=False))


def test_jitter_that_has_to_end_early_is_spread_over_the_time_that_is_left() -> None:
    trigger = OrTrigger(every(60, jitter=3600), DateTrigger(START + 10 * SECOND))
    delays = [trigger.get_next_fire_time(None, START) for _ in range(200)]

    assert all(delay is not None and delay < START + 10 * SECOND for delay in delays)
    assert len(set(delays)) > 150


def test_jitter_of_a_part_that_cannot_be_taken_off_is_left_to_it() -> None:
    assert OrTrigger(Unfixed(0)).get_next_fire_time(None, START) == START


def test_jitter_of_an_exclusion_does_not_reach_into_the_window() -> None:
    hourly = CronTrigger(minute=0, jitter=3600, timezone=UTC)
    quiet = ExcludingTrigger(hourly, between=("00:00:01", "06:00"))
    trigger = OrTrigger(quiet, DateTrigger(START + 7 * 3600 * SECOND))

    assert {trigger.get_next_fire_time(None, START) for _ in range(50)} == {START}


def test_a_custom_part_runs_after_another_part_has() -> None:
    class Later(DateTrigger):
        def get_next_fire_time(
            self, previous_fire_time: datetime | None, now: datetime
        ) -> datetime | None:
            return super().get_next_fire_time(previous_fire_time, now)

    class EveryTwo(BaseTrigger):
        """One that goes on from the time before, as in 3.x."""

        def get_next_fire_time(
            self, previous_fire_time: datetime | None, now: datetime
        ) -> datetime | None:
            return previous_fire_time + 2 * SECOND if previous_fire_time else START

    once = START + 4.5 * SECOND
    trigger = OrTrigger(EveryTwo(), every(3), Later(once))
    times = list(islice(trigger.iter_fire_times(START), 7))

    assert [(time - START).total_seconds() for time in times] == [0, 2, 3, 4, 4.5, 6, 8]
    assert trigger.get_last_fire_time(START, once + SECOND / 10) == once
    both = AndTrigger(EveryTwo(), every(3))
    assert seconds_of(both, 3) == [0, 6, 12]
    assert both.get_last_fire_time(START, START + 13 * SECOND) == START + 12 * SECOND


class TestJitterOfAnd:
    """Parts meet by their times without jitter; then the run is moved, once."""

    WEEKDAYS = CronTrigger(hour=10, day_of_week="mon-fri", timezone=UTC)
    LATE = CronTrigger(hour=10, jitter=300, timezone=UTC)

    @pytest.mark.parametrize("nested", [False, True])
    def test_no_run_is_lost_and_each_is_moved(self, nested: bool) -> None:
        trigger: BaseTrigger = AndTrigger(self.LATE, self.WEEKDAYS, jitter=60)
        if nested:
            trigger = OrTrigger(trigger)
        unmoved = list(self.WEEKDAYS.iter_fire_times(START, START + timedelta(days=30)))
        moved = list(islice(trigger.iter_fire_times(START), len(unmoved)))
        delays = [(late - due).total_seconds() for due, late in zip(unmoved, moved, strict=True)]

        assert len(delays) == 22
        assert all(0 <= delay <= 360 for delay in delays)
        assert len(set(delays)) == 22
        assert sum(delays) > 22 * 30

    def test_the_last_time_is_one_without_jitter(self) -> None:
        trigger = AndTrigger(self.LATE, self.WEEKDAYS)
        first = START + timedelta(hours=10, seconds=77)

        assert trigger.get_last_fire_time(first, START + timedelta(days=3)) == (
            START + timedelta(days=2, hours=10)
        )

    def test_parts_that_are_combined_themselves_keep_their_jitter(self) -> None:
        either = OrTrigger(self.LATE, CronTrigger(hour=18, timezone=UTC))
        trigger = AndTrigger(self.WEEKDAYS, AndTrigger(either, every(3600)))
        times = {trigger.get_next_fire_time(None, START) for _ in range(20)}

        assert len(times) == 20
        assert all(time is not None and time - START < timedelta(hours=10.1) for time in times)

    def test_the_end_of_any_part_is_the_end(self) -> None:
        end = START + timedelta(hours=10, seconds=5)
        weekdays = CronTrigger(hour=10, end_date=end, timezone=UTC)
        trigger = AndTrigger(self.LATE, weekdays, jitter=300)
        times = [trigger.get_next_fire_time(None, START) for _ in range(20)]

        assert all(time is not None and time <= end for time in times)


class Grid(BaseTrigger):
    """One of 3.x, which goes on from the time before, with a start that is long ago."""

    def __init__(self, seconds: int, start: datetime = START - timedelta(days=8)) -> None:
        self.start = start
        self.step = seconds * SECOND
        self.asked = 0

    def get_next_fire_time(
        self, previous_fire_time: datetime | None, now: datetime
    ) -> datetime | None:
        self.asked += 1
        return previous_fire_time + self.step if previous_fire_time else self.start


class TestPartsThatBeganLongAgo:
    """A grid of minutes that began 11,520 of them ago."""

    ONCE = DateTrigger(START + 90 * SECOND)

    def test_or_keeps_to_their_grid(self) -> None:
        trigger = OrTrigger(Grid(60), self.ONCE)
        due = START
        times = []
        for _ in range(4):
            due = trigger.get_next_fire_time(due, due)  # type: ignore[assignment]
            times.append((due - START).total_seconds())

        assert times == [60, 90, 120, 180]
        assert trigger.get_last_fire_time(START, START + 100 * SECOND) == START + 90 * SECOND
        assert trigger.get_last_fire_time(START, START + 190 * SECOND) == START + 180 * SECOND

    def test_and_keeps_to_their_grid(self) -> None:
        trigger = AndTrigger(Grid(60), CronTrigger(minute="*/5", timezone=UTC))

        yearly = AndTrigger(Grid(60), CronTrigger(month=1, timezone=UTC))

        assert yearly.get_next_fire_time(START, START) == datetime(2025, 1, 1, tzinfo=UTC)
        assert trigger.get_next_fire_time(START, START) == START + 300 * SECOND
        assert trigger.get_last_fire_time(START, START + 700 * SECOND) == START + 600 * SECOND

    def test_those_with_jitter_keep_to_their_grid(self) -> None:
        part = Grid(60)
        part.jitter = 5  # type: ignore[attr-defined]
        trigger = OrTrigger(part, self.ONCE)
        first = trigger.get_next_fire_time(START, START)
        part.asked = 0

        assert first is not None
        assert START + 60 * SECOND <= first <= START + 65 * SECOND
        assert trigger.get_next_fire_time(first, first) == self.ONCE.run_date
        # They are not gone through from the start again.
        assert part.asked < 100

    def test_and_of_a_part_that_never_meets_ends_soon(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        part = Grid(1)
        trigger = AndTrigger(part, CronTrigger(hour=5, second=30, minute=1, timezone=UTC))
        part.start += 0.5 * SECOND
        trigger.threshold = 0

        assert trigger.get_next_fire_time(None, START) is None
        assert trigger.get_last_fire_time(START, START + timedelta(days=365)) == START
        assert part.asked < 3_000_000
        assert caplog.text


class TestWhenTheClockIsSetBack:
    """What a job waits for when somebody sets the clock from 10:45:30 back to 09:45:30."""

    BEFORE = datetime(2024, 1, 1, 10, 45, 30, tzinfo=UTC)
    NOW = BEFORE - timedelta(hours=1)
    MINUTE = timedelta(minutes=1)

    def after(self, trigger: BaseTrigger, waited_for: datetime | None = None) -> str:
        old = waited_for or trigger.get_first_fire_time(self.BEFORE, self.BEFORE)
        assert old is not None
        new = trigger.get_fire_time_after_set_back(old, self.BEFORE, self.NOW)
        assert self.NOW <= new <= old

        return f"{new:%H:%M:%S}"

    def test_combined_intervals_go_on(self) -> None:
        assert self.after(OrTrigger(every(600), every(420))) == "09:50:00"
        assert self.after(OrTrigger(every(3600), every(420))) == "09:51:00"
        assert self.after(AndTrigger(every(600), every(120))) == "09:50:00"
        assert self.after(AndTrigger(every(120), every(180), jitter=1))[:5] == "09:48"
        assert self.after(ExcludingTrigger(every(600), dates=["2024-02-01"])) == "09:50:00"
        assert self.after(OrTrigger(AndTrigger(every(600), every(120)), every(3600))) == "09:50:00"

    def test_intervals_with_jitter_go_on(self) -> None:
        trigger = OrTrigger(every(600, jitter=300), every(3600))
        moved = self.BEFORE + 2 * self.MINUTE

        assert self.after(trigger, moved) == "09:47:30"

    def test_what_waits_for_the_clock_waits(self) -> None:
        hour = CronTrigger(minute=0, timezone=UTC)

        assert self.after(OrTrigger(hour, CronTrigger(minute=50, timezone=UTC))) == "10:50:00"
        assert self.after(AndTrigger(every(600), hour)) == "11:00:00"
        assert self.after(ExcludingTrigger(hour, between=("00:00", "01:00"))) == "11:00:00"

    @pytest.mark.parametrize(
        ("other", "expected"),
        [
            (CronTrigger(minute=55, timezone=UTC), "10:00:00"),  # has run at 09:55
            (CronTrigger(minute=30, timezone=UTC), "10:40:00"),
            (CronTrigger(hour=5, timezone=UTC), "09:50:00"),
            (DateTrigger(BEFORE - 45 * MINUTE), "10:10:00"),
            (DateTrigger(BEFORE + 45 * MINUTE), "09:50:00"),
            (CronTrigger(minute=47, timezone=UTC), "09:50:00"),
            (CronTrigger(minute="*", timezone=UTC), "10:46:00"),
        ],
    )
    def test_no_time_of_a_part_that_waits_is_run_at_twice(
        self, other: BaseTrigger, expected: str
    ) -> None:
        assert self.after(OrTrigger(every(600), other)) == expected

    def test_a_run_with_jitter_that_may_be_that_of_a_part_that_waits_is_waited_for(self) -> None:
        trigger = OrTrigger(every(600), CronTrigger(minute=44, jitter=300, timezone=UTC))

        assert self.after(trigger, self.BEFORE + self.MINUTE) == "10:46:30"

    def test_exclusions_hold(self) -> None:
        for between, expected in [
            (("09:48", "09:52"), "10:00:00"),
            (("09:48", "10:48"), "10:50:00"),
            (("10:48", "16:00"), "09:50:00"),
        ]:
            assert self.after(ExcludingTrigger(every(600), between=between)) == expected

    def test_a_time_set_by_hand_is_waited_for(self) -> None:
        noon = datetime(2024, 1, 1, 12, tzinfo=UTC)
        for trigger in (
            OrTrigger(every(600), every(420)),
            OrTrigger(every(600), CronTrigger(minute="*/7", timezone=UTC)),
            AndTrigger(every(600), every(120)),
            ExcludingTrigger(every(600), between=("10:48", "10:52")),
            ExcludingTrigger(every(600), between=("01:00", "02:00")),
        ):
            assert self.after(trigger, noon + self.MINUTE) == "12:01:00"

    def test_what_has_ended_stays_ended(self) -> None:
        end = self.BEFORE + 10 * self.MINUTE
        short = every(600, end_date=end)

        assert self.after(AndTrigger(short, every(300))) == "09:50:00"
        assert self.after(AndTrigger(short, every(300)), end + self.MINUTE) == "10:56:30"
        assert self.after(OrTrigger([]), self.BEFORE) == "10:45:30"
        never = ExcludingTrigger(every(600), between=("00:00", "10:47"))
        assert self.after(never) == "10:50:00"


def test_the_job_of_a_combined_interval_keeps_running_when_the_clock_is_set_back() -> None:
    world = World(START)
    scheduler = WorldScheduler(world)
    runs: list[datetime] = []
    trigger = OrTrigger(every(600), CronTrigger(hour=0, minute=30, timezone=UTC))
    scheduler.add_job(lambda: runs.append(world.wall), trigger)
    world.at(4530, lambda: world.set_clock(-timedelta(hours=1)))  # 01:15:30 becomes 00:15:30

    scheduler.run(4 * 3600)

    half_past = START + 1800 * SECOND
    assert runs.count(half_past) == 1
    # Not at 00:20, after which the other part would run at 00:30 again.
    at = runs.index(START + 4200 * SECOND)
    assert [time - START for time in runs[at + 1 : at + 3]] == [2400 * SECOND, 3000 * SECOND]


def test_they_tell_their_parts() -> None:
    parts = [every(5), CronTrigger(hour=5, timezone=UTC)]

    assert str(OrTrigger(parts)) == "or[interval[0:00:05], cron[hour='5']]"
    assert str(AndTrigger(parts)) == "and[interval[0:00:05], cron[hour='5']]"
    assert repr(OrTrigger(parts[1:], 5)) == (
        "<OrTrigger([<CronTrigger (hour='5', timezone='UTC')>], jitter=5)>"
    )
