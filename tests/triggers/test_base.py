"""The methods that a trigger has when it writes get_next_fire_time() only."""

from __future__ import annotations

from datetime import date, datetime, timedelta, timezone, tzinfo
from itertools import islice
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from apscheduler.triggers.base import BaseTrigger
from apscheduler.triggers.calendarinterval import CalendarIntervalTrigger
from apscheduler.triggers.combining import OrTrigger
from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.date import DateTrigger
from apscheduler.triggers.interval import IntervalTrigger

UTC = timezone.utc
BERLIN = ZoneInfo("Europe/Berlin")
NEW_YORK = ZoneInfo("America/New_York")
TOKYO = ZoneInfo("Asia/Tokyo")
NOON = datetime(2024, 6, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.mark.parametrize(
    ("start", "end", "error", "words"),
    [
        ("2030-01-01", None, TypeError, "start must be a datetime with a time zone, got '2030"),
        (date(2030, 1, 1), None, TypeError, r"got datetime\.date\(2030, 1, 1\) \(date\)"),
        (datetime(2030, 1, 1), None, ValueError, "start must have a time zone, got"),
        (NOON, "2030-01-01", TypeError, "end must be a datetime with a time zone"),
    ],
)
def test_a_preview_refuses_at_once_what_is_no_instant(
    start: Any, end: Any, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        CronTrigger(hour=3).iter_fire_times(start, end)


class Hourly(BaseTrigger):
    """A trigger as plugins for 3.x are written."""

    def __init__(self, times: int = 1_000) -> None:
        self.times = times

    def get_next_fire_time(
        self, previous_fire_time: datetime | None, now: datetime
    ) -> datetime | None:
        if previous_fire_time is None:
            return now
        if previous_fire_time >= NOON + self.times * HOUR:
            return None

        return previous_fire_time + HOUR


class Stuck(Hourly):
    """One that never moves on."""

    def get_next_fire_time(
        self, previous_fire_time: datetime | None, now: datetime
    ) -> datetime | None:
        return NOON


def test_a_trigger_has_to_say_when_it_fires_next() -> None:
    with pytest.raises(TypeError, match="get_next_fire_time"):
        BaseTrigger()  # type: ignore[abstract]


def test_the_first_time_of_a_custom_trigger_is_its_next_one() -> None:
    assert Hourly().get_first_fire_time(None, NOON) == NOON
    assert Hourly().get_first_fire_time(NOON, NOON - HOUR) == NOON + HOUR


class Listed(BaseTrigger):
    """One whose times are at set distances from noon, whenever it is asked."""

    def __init__(self, *hours: float) -> None:
        self.times = [NOON + hour * HOUR for hour in hours]

    def get_next_fire_time(
        self, previous_fire_time: datetime | None, now: datetime
    ) -> datetime | None:
        if previous_fire_time is None:
            return self.times[0]
        if previous_fire_time not in self.times[:-1]:
            return None

        return self.times[self.times.index(previous_fire_time) + 1]


class SoonThenHourly(Hourly):
    """One that begins five minutes from whenever it is asked."""

    def get_next_fire_time(
        self, previous_fire_time: datetime | None, now: datetime
    ) -> datetime | None:
        if previous_fire_time is None:
            return now + HOUR / 12

        return super().get_next_fire_time(previous_fire_time, now)


def test_a_custom_trigger_is_asked_on_its_own_grid() -> None:
    trigger = Listed(0, 2, 5)

    assert trigger.get_first_fire_time(NOON - HOUR, NOON) == NOON
    assert trigger.get_first_fire_time(NOON + HOUR, NOON) == NOON + 2 * HOUR
    assert trigger.get_first_fire_time(NOON + 2 * HOUR, NOON) == NOON + 5 * HOUR
    assert trigger.get_first_fire_time(NOON + 5 * HOUR, NOON) is None
    # A job that is added late is run late, as in 3.x.
    assert trigger.get_first_fire_time(None, NOON + HOUR) == NOON


def test_a_custom_trigger_without_a_grid_goes_on_from_the_time_that_it_is_told() -> None:
    assert SoonThenHourly().get_first_fire_time(NOON, NOON) == NOON + HOUR
    assert SoonThenHourly(times=0).get_first_fire_time(NOON, NOON) is None


class Minutely(BaseTrigger):
    """One with a fixed start, that counts how often it is asked."""

    def __init__(self, start: datetime) -> None:
        self.start = start
        self.asked = 0

    def get_next_fire_time(
        self, previous_fire_time: datetime | None, now: datetime
    ) -> datetime | None:
        self.asked += 1
        return previous_fire_time + HOUR / 60 if previous_fire_time else self.start


class SlottedMinutely(BaseTrigger):
    """One that nothing can be remembered about."""

    __slots__ = ()

    def get_next_fire_time(
        self, previous_fire_time: datetime | None, now: datetime
    ) -> datetime | None:
        start = NOON - timedelta(days=30, seconds=7)
        return previous_fire_time + HOUR / 60 if previous_fire_time else start


@pytest.mark.parametrize(
    "trigger", [Minutely(NOON - timedelta(days=30, seconds=7)), SlottedMinutely()]
)
def test_a_grid_that_began_long_ago_is_kept_to(trigger: BaseTrigger) -> None:
    first = NOON + 53 * HOUR / 3600

    assert trigger.get_first_fire_time(NOON, NOON) == first
    assert trigger.get_first_fire_time(NOON + HOUR, NOON) == first + HOUR
    assert trigger.get_first_fire_time(NOON, NOON) == first


def test_a_grid_is_not_gone_through_from_its_start_each_time() -> None:
    trigger = Minutely(NOON - timedelta(days=30))
    trigger.get_first_fire_time(NOON, NOON)
    trigger.asked = 0

    assert trigger.get_first_fire_time(NOON, NOON) == NOON + HOUR / 60
    assert trigger.get_last_fire_time(NOON, NOON + HOUR) == NOON + HOUR
    assert trigger.get_first_fire_time(NOON + HOUR, NOON) == NOON + 61 * HOUR / 60
    assert trigger.asked < 70


def test_a_grid_that_began_too_long_ago_is_given_up_with_a_warning(
    caplog: pytest.LogCaptureFixture,
) -> None:
    trigger = Minutely(NOON - timedelta(days=400_000))

    assert trigger.get_first_fire_time(NOON, NOON) is None
    assert trigger.asked < 1_000_000
    assert "let its class have a get_first_fire_time()" in caplog.text


def test_a_time_that_was_named_is_not_put_off_by_asking_again() -> None:
    trigger = SoonThenHourly()
    named = trigger.get_first_fire_time(None, NOON)

    assert trigger.get_first_fire_time(NOON + HOUR / 60, NOON + HOUR / 60) == named
    assert named is not None
    assert trigger.get_first_fire_time(NOON + HOUR, NOON + HOUR) == named + HOUR


def test_the_last_time_of_a_custom_trigger_is_stepped_to() -> None:
    now = NOON + timedelta(hours=50, minutes=5)

    assert Hourly().get_last_fire_time(NOON, now) == NOON + 50 * HOUR
    assert Hourly().get_last_fire_time(NOON, NOON + HOUR / 2) == NOON
    assert Hourly(times=3).get_last_fire_time(NOON, now) == NOON + 3 * HOUR


def test_a_custom_trigger_that_does_not_move_on_holds_nothing_up() -> None:
    assert Stuck().get_last_fire_time(NOON, NOON + 100 * HOUR) == NOON
    assert list(Stuck().iter_fire_times(NOON)) == [NOON]


def test_stepping_compares_instants_where_an_hour_is_repeated() -> None:
    class HourlyInBerlin(Hourly):
        def get_next_fire_time(
            self, previous_fire_time: datetime | None, now: datetime
        ) -> datetime | None:
            previous = (previous_fire_time or now).astimezone(UTC)
            return (previous + HOUR).astimezone(BERLIN)

    start = datetime(2024, 10, 27, 1, 30, tzinfo=BERLIN)
    now = datetime(2024, 10, 27, 2, 10, tzinfo=BERLIN, fold=1)
    last = HourlyInBerlin().get_last_fire_time(start, now)
    coming = list(islice(HourlyInBerlin().iter_fire_times(start), 3))

    assert (last.hour, last.minute, last.fold) == (2, 30, 0)
    assert [(time.hour, time.fold) for time in coming] == [(2, 0), (2, 1), (3, 0)]


def test_previews_begin_with_the_start_and_end_with_the_end() -> None:
    trigger = CronTrigger(hour="*", timezone="UTC")
    times = list(trigger.iter_fire_times(NOON, NOON + 2 * HOUR))

    assert times == [NOON, NOON + HOUR, NOON + 2 * HOUR]
    assert list(trigger.iter_fire_times(NOON, NOON - HOUR)) == []
    assert next(trigger.iter_fire_times(NOON + HOUR / 2)) == NOON + HOUR


def test_previews_leave_out_what_has_passed() -> None:
    assert list(DateTrigger(NOON).iter_fire_times(NOON + HOUR)) == []
    assert list(DateTrigger(NOON).iter_fire_times(NOON)) == [NOON]


def test_a_custom_trigger_counts_from_wherever_it_does() -> None:
    trigger = Hourly()
    trigger.start_from(NOON)

    assert trigger.get_next_fire_time(None, NOON) == NOON


def test_custom_triggers_with_equal_state_are_the_same_schedule() -> None:
    assert Hourly(5).is_same_schedule(Hourly(5))
    assert not Hourly(5).is_same_schedule(Hourly(6))
    assert not Hourly(5).is_same_schedule(Stuck(5))
    assert not Hourly(5).is_same_schedule(None)


def test_jitter_moves_a_time_later_by_so_many_seconds_at_most() -> None:
    trigger = Hourly()
    delays = [trigger._apply_jitter(NOON, 5, NOON) for _ in range(200)]

    assert all(delay is not None and NOON <= delay <= NOON + 5 * HOUR / 3600 for delay in delays)
    assert len(set(delays)) > 100
    assert trigger._apply_jitter(NOON, 0, NOON) is NOON
    assert trigger._apply_jitter(NOON, None, NOON) is NOON
    assert trigger._apply_jitter(None, 5, NOON) is None


@pytest.mark.parametrize(
    ("moment", "zone"),
    [("23:59:59", UTC), ("08:59:59", UTC), ("23:59:59", BERLIN), ("23:59:59", NEW_YORK)],
)
@pytest.mark.parametrize("jitter", [10, 1e300])
def test_jitter_does_not_reach_past_the_end_of_the_calendar(
    moment: str, zone: tzinfo, jitter: float
) -> None:
    last = datetime.fromisoformat(f"9999-12-31 {moment}").replace(tzinfo=zone)
    in_tokyo = last.astimezone(TOKYO) if moment == "14:59:59" else last

    for _ in range(20):
        moved = Hourly()._apply_jitter(in_tokyo, jitter, NOON)
        assert moved is not None
        assert in_tokyo <= moved <= datetime.max.replace(tzinfo=zone)


def test_the_last_day_of_the_calendar_may_end_a_schedule_with_jitter() -> None:
    trigger = CalendarIntervalTrigger(
        days=1, start_date="9999-12-30", end_date="9999-12-31", timezone=NEW_YORK, jitter=5
    )
    times = list(trigger.iter_fire_times(NOON))

    assert [time.day for time in times] == [30, 31]


def test_jitter_is_real_time_where_clocks_change() -> None:
    just_before = datetime(2024, 3, 31, 1, 59, 59, 999_999, tzinfo=BERLIN)
    trigger = IntervalTrigger(days=1, start_date=just_before, jitter=3)
    fire_time = trigger.get_next_fire_time(None, just_before)

    assert fire_time is not None
    assert fire_time.hour != 2
    assert fire_time.astimezone(UTC) - just_before.astimezone(UTC) <= timedelta(seconds=3)


@pytest.mark.parametrize(
    "make",
    [
        lambda jitter: IntervalTrigger(hours=1, jitter=jitter),
        lambda jitter: CalendarIntervalTrigger(days=1, jitter=jitter),
        lambda jitter: CronTrigger(hour=1, jitter=jitter),
        lambda jitter: OrTrigger(CronTrigger(hour=1), jitter=jitter),
    ],
    ids=["interval", "calendarinterval", "cron", "or"],
)
def test_a_jitter_that_is_none_is_refused_in_words(make: Any) -> None:
    for jitter in (None, 0, 5, 0.5):
        assert make(jitter).jitter == jitter

    with pytest.raises(ValueError, match="jitter must be 0 or more seconds, but is -5"):
        make(-5)
    with pytest.raises(TypeError, match="jitter must be a number of seconds or None, not '5'"):
        make("5")


class TestTriggersThatOverrideOneMethodOfOurs:
    """As programs for 3.x do, which had but one method to override."""

    SATURDAY = datetime(2024, 6, 1, 9, tzinfo=UTC)

    class WithoutSundays(CronTrigger):
        def get_next_fire_time(
            self, previous_fire_time: datetime | None, now: datetime
        ) -> datetime | None:
            fire_time = super().get_next_fire_time(previous_fire_time, now)
            while fire_time is not None and fire_time.weekday() == 6:
                fire_time = super().get_next_fire_time(fire_time, now)
            return fire_time

    class Unchanged(WithoutSundays):
        pass

    class AnHourLater:
        """A mixin, which is no trigger by itself."""

        def get_next_fire_time(
            self, previous_fire_time: datetime | None, now: datetime
        ) -> datetime | None:
            fire_time = super().get_next_fire_time(previous_fire_time, now)  # type: ignore[misc]
            return fire_time and fire_time + HOUR  # type: ignore[no-any-return]

    class LaterDate(AnHourLater, DateTrigger):
        pass

    class LaterCalendar(CalendarIntervalTrigger):
        def get_next_fire_time(
            self, previous_fire_time: datetime | None, now: datetime
        ) -> datetime | None:
            return super().get_next_fire_time(previous_fire_time, now)

    class HourLaterCalendar(AnHourLater, CalendarIntervalTrigger):
        pass

    class ImmediateCalendar(CalendarIntervalTrigger):
        def get_next_fire_time(
            self, previous_fire_time: datetime | None, now: datetime
        ) -> datetime | None:
            if previous_fire_time is None:
                return now
            return super().get_next_fire_time(previous_fire_time, now)

    class Direct(WithoutSundays):
        """One that names its last time by itself."""

        def get_next_fire_time(
            self, previous_fire_time: datetime | None, now: datetime
        ) -> datetime | None:
            return super().get_next_fire_time(previous_fire_time, now)

        def get_last_fire_time(self, previous_fire_time: datetime, now: datetime) -> datetime:
            return NOON

    @pytest.mark.parametrize("cls", [WithoutSundays, Unchanged])
    def test_their_rule_holds_for_the_last_time(self, cls: type[CronTrigger]) -> None:
        trigger = cls(hour=9, timezone=UTC)
        sunday_noon = NOON + timedelta(days=1)
        assert trigger.get_last_fire_time(self.SATURDAY, sunday_noon) == self.SATURDAY

    def test_their_rule_holds_after_the_clock_was_set_back(self) -> None:
        class NotAtNine(IntervalTrigger):
            def get_next_fire_time(
                self, previous_fire_time: datetime | None, now: datetime
            ) -> datetime | None:
                fire_time = super().get_next_fire_time(previous_fire_time, now)
                while fire_time is not None and fire_time.hour == 9:
                    fire_time = super().get_next_fire_time(fire_time, now)
                return fire_time

        trigger = NotAtNine(minutes=10, start_date=self.SATURDAY, timezone=UTC)
        before = self.SATURDAY + 65 * HOUR / 60
        waited_for = self.SATURDAY + 70 * HOUR / 60

        assert trigger.get_first_fire_time(before, before) == waited_for
        again = trigger.get_fire_time_after_set_back(waited_for, before, before - HOUR)
        assert again == waited_for

    def test_their_rule_holds_for_the_first_time(self) -> None:
        assert self.LaterDate(NOON).get_first_fire_time(None, NOON) == NOON + HOUR

    def test_they_may_ask_the_method_that_they_override(self) -> None:
        trigger = self.LaterCalendar(days=1, start_date=NOON, hour=12, timezone=UTC)
        assert trigger.get_first_fire_time(NOON, NOON) == NOON + timedelta(days=1)
        assert trigger.get_last_fire_time(NOON, NOON + 50 * HOUR) == NOON + 48 * HOUR

    def test_a_direct_method_of_their_own_is_kept(self) -> None:
        trigger = self.Direct(hour=9, timezone=UTC)
        assert trigger.get_last_fire_time(self.SATURDAY, NOON + 50 * HOUR) == NOON

    def test_a_calendar_begins_with_its_first_time_from_now_on(self) -> None:
        long_ago = NOON - timedelta(days=3_000)
        for cls, hour in [(self.LaterCalendar, 0), (self.HourLaterCalendar, 1)]:
            trigger = cls(days=2, start_date=long_ago, hour=12, timezone=UTC)
            at = NOON + hour * HOUR
            assert trigger.get_first_fire_time(None, at - 3 * HOUR) == at
            assert trigger.get_first_fire_time(None, at) == at
            assert trigger.get_first_fire_time(at - HOUR / 2, at) == at
            assert trigger.get_first_fire_time(at, at) == at + timedelta(days=2)
            # A direct call has the answer of 3.x.
            assert trigger.get_next_fire_time(None, at) == long_ago + hour * HOUR

    def test_a_calendar_that_begins_at_once_does(self) -> None:
        trigger = self.ImmediateCalendar(days=2, start_date=NOON - 480 * HOUR, timezone=UTC)

        assert trigger.get_first_fire_time(None, NOON) == NOON
        assert trigger.get_first_fire_time(NOON, NOON) == NOON + 36 * HOUR

    @pytest.mark.parametrize(
        "cls", [DateTrigger, IntervalTrigger, CalendarIntervalTrigger, CronTrigger, OrTrigger]
    )
    def test_ours_keep_their_direct_methods(self, cls: type[BaseTrigger]) -> None:
        assert cls.get_last_fire_time is not BaseTrigger.get_last_fire_time
