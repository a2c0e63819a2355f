"""Clocks are set and computers sleep: no run comes twice, none is waited for in vain."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from time import monotonic
from typing import Any

import pytest
import time_machine

from apscheduler.events import EVENT_JOB_EXECUTED
from apscheduler.executors.debug import DebugExecutor
from apscheduler.jobstores.memory import MemoryJobStore
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.schedulers.base import BaseScheduler
from apscheduler.testing import ManualScheduler
from apscheduler.triggers.base import BaseTrigger
from apscheduler.triggers.calendarinterval import CalendarIntervalTrigger
from apscheduler.triggers.combining import OrTrigger
from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.excluding import ExcludingTrigger
from apscheduler.triggers.interval import IntervalTrigger
from tests.faults.faulty import (
    BytesStore,
    Fault,
    Faults,
    FaultyExecutor,
    FaultyStore,
    InjectedError,
)
from tests.faults.world import World, WorldScheduler
from tests.recorder import Recorder

MARCH_1 = datetime(2030, 3, 1, 8, tzinfo=timezone.utc)
HOUR = timedelta(hours=1)
TEN_YEARS = timedelta(days=3653)


@pytest.fixture
def world() -> World:
    return World(MARCH_1)


@pytest.fixture
def scheduler(world: World) -> WorldScheduler:
    return WorldScheduler(world)


def noting(scheduler: WorldScheduler) -> tuple[list[float], Callable[[], None]]:
    """Return a job and the list in which it notes when it runs, in seconds awake."""
    runs: list[float] = []
    return runs, lambda: runs.append(scheduler.world.awake)


SCHEDULES: dict[str, dict[str, Any] | None] = {
    "no job": None,
    "a paused job": {"trigger": "interval", "seconds": 1, "next_run_time": None},
    "a job in a year": {"trigger": "date", "run_date": MARCH_1 + timedelta(days=365)},
}


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_the_loop_never_waits_for_more_than_a_minute(
    scheduler: WorldScheduler, schedule: str
) -> None:
    options = SCHEDULES[schedule]
    if options is not None:
        scheduler.add_job(print, **options)

    scheduler.run(600)

    assert len(scheduler.world.waits) >= 10
    assert max(wait for wait in scheduler.world.waits if wait is not None) == 60
    assert None not in scheduler.world.waits


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_nor_does_the_timer_of_an_event_loop(schedule: str) -> None:
    class Watched(AsyncIOScheduler):
        def _call_later(self, seconds: float, func: Callable[[], object]) -> asyncio.TimerHandle:
            waits.append(seconds)
            return super()._call_later(seconds, func)

    async def live() -> None:
        options = SCHEDULES[schedule]
        async with Watched() as scheduler:
            if options is not None:
                scheduler.add_job(print, **options)
            await asyncio.sleep(0)

    waits: list[float] = []
    asyncio.run(live())
    assert waits
    assert max(waits) <= 60


def test_a_job_that_came_due_while_the_computer_slept_runs_within_a_minute(
    scheduler: WorldScheduler,
) -> None:
    runs, job = noting(scheduler)
    scheduler.add_job(job, "date", run_date=MARCH_1 + timedelta(minutes=30))
    scheduler.world.at(100, lambda: scheduler.world.suspend(HOUR))

    scheduler.run(1000)

    assert len(runs) == 1
    assert 100 <= runs[0] <= 160


def test_a_clock_set_forward_ten_years_makes_coalescing_jobs_run_once_each(
    scheduler: WorldScheduler,
) -> None:
    runs: Counter[str] = Counter()
    triggers: dict[str, dict[str, Any]] = {
        "interval": {"trigger": "interval", "hours": 1},
        "cron": {"trigger": "cron", "minute": 30},
        "calendarinterval": {"trigger": "calendarinterval", "days": 1},
        "date": {"trigger": "date", "run_date": MARCH_1 + HOUR},
    }
    for job_id, options in triggers.items():
        scheduler.add_job(runs.update, id=job_id, args=[[job_id]], **options)
    scheduler.world.at(100, lambda: scheduler.world.set_clock(TEN_YEARS))

    scheduler.run(165)

    assert runs == dict.fromkeys(triggers, 1)


class CountingTrigger(IntervalTrigger):
    """Counts how often it is asked."""

    asked = 0

    def get_next_fire_time(
        self, previous_fire_time: datetime | None, now: datetime
    ) -> datetime | None:
        CountingTrigger.asked += 1
        return super().get_next_fire_time(previous_fire_time, now)

    # A subclass that says how to go on is asked step by step, unless it says that this holds too.
    get_last_fire_time = IntervalTrigger.get_last_fire_time


def test_the_runs_missed_in_ten_years_are_not_gone_through_one_by_one(
    scheduler: WorldScheduler,
) -> None:
    for _ in range(1000):
        scheduler.add_job(lambda: None, CountingTrigger(seconds=1, start_date=MARCH_1))
    scheduler.world.at(0.5, lambda: scheduler.world.set_clock(TEN_YEARS))
    scheduler.world.at(0.5, lambda: setattr(CountingTrigger, "asked", 0))

    scheduler.run(1.5)  # one look, at which 315 million runs are due for each

    assert 0 < CountingTrigger.asked <= 3000


@pytest.mark.parametrize("seconds", [1, 10, 600, 3500, 7200])
def test_an_interval_is_never_longer_than_it_is_when_the_clock_is_set_back(
    scheduler: WorldScheduler, seconds: int
) -> None:
    runs, job = noting(scheduler)
    scheduler.add_job(job, "interval", seconds=seconds)
    scheduler.world.at(2.5 * seconds, lambda: scheduler.world.set_clock(-HOUR))

    scheduler.run(6.5 * seconds)

    gaps = [later - earlier for earlier, later in zip([0.0, *runs], runs, strict=False)]
    assert gaps[:3] == pytest.approx([seconds] * 3)
    assert max(gaps) == pytest.approx(seconds)
    # Where the hour is no multiple of it, one interval is cut short to come back to the grid.
    assert len([gap for gap in gaps if gap < 0.99 * seconds]) <= (HOUR.seconds % seconds > 0)


@pytest.mark.parametrize(
    "options",
    [
        {"trigger": "cron", "minute": "*"},
        {"trigger": "date", "run_date": MARCH_1 + timedelta(minutes=1)},
        {"trigger": "calendarinterval", "days": 1, "hour": 8, "minute": 1},
    ],
    ids=lambda options: options["trigger"],
)
def test_a_time_of_day_is_not_run_at_twice_when_the_clock_is_set_back(
    scheduler: WorldScheduler, options: dict[str, Any]
) -> None:
    instants: list[datetime] = []
    scheduler.add_job(lambda: instants.append(scheduler.world.wall), **options)
    scheduler.world.at(150, lambda: scheduler.world.set_clock(-HOUR))

    scheduler.run(2 * 3600)

    minutes = [instant.replace(second=0, microsecond=0) for instant in instants]
    assert minutes
    assert len(set(minutes)) == len(minutes)
    if options["trigger"] == "cron":  # it goes on when the clock comes to where it was
        assert minutes == [MARCH_1 + timedelta(minutes=step) for step in range(61)][: len(minutes)]
        assert len(minutes) > 30


TIMES_OF_DAY: dict[str, Callable[[], BaseTrigger]] = {
    "cron": lambda: CronTrigger(minute="*", timezone="UTC"),
    "cron with jitter": lambda: CronTrigger(minute="*", jitter=5, timezone="UTC"),
    "calendarinterval": lambda: CalendarIntervalTrigger(days=1, hour=8, minute=10, timezone="UTC"),
    "or": lambda: OrTrigger(
        CronTrigger(minute="*/2", timezone="UTC"), CronTrigger(minute="1-59/2", timezone="UTC")
    ),
    "or with an interval": lambda: OrTrigger(
        CronTrigger(minute="*", timezone="UTC"),
        IntervalTrigger(minutes=30, start_date=MARCH_1, timezone="UTC"),
    ),
    "excluding": lambda: ExcludingTrigger(
        CronTrigger(minute="*", timezone="UTC"), [MARCH_1.date() + timedelta(days=1)]
    ),
}


@pytest.mark.parametrize("coalesce", [True, False])
@pytest.mark.parametrize("name", TIMES_OF_DAY)
def test_a_clock_that_was_ahead_by_much_and_is_corrected_keeps_no_job_waiting_for_it(
    scheduler: WorldScheduler, name: str, coalesce: bool
) -> None:
    world = scheduler.world
    instants: list[datetime] = []
    scheduler.add_job(lambda: instants.append(world.wall), TIMES_OF_DAY[name](), coalesce=coalesce)
    leap = TEN_YEARS if coalesce else timedelta(days=3)  # all missed runs are made
    world.at(190, lambda: world.set_clock(leap))
    world.at(400, lambda: world.set_clock(-leap))
    world.at(400, instants.clear)

    scheduler.run(1000)

    minutes = [instant.replace(second=0, microsecond=0) for instant in instants]
    in_ten_minutes = [MARCH_1 + timedelta(minutes=step) for step in range(8, 17)]
    expected = [MARCH_1 + timedelta(minutes=10)] if "calendar" in name else in_ten_minutes
    # The correction is noticed within a minute.
    assert [minute for minute in minutes if minute >= expected[0]] == expected


@pytest.mark.parametrize("name", ["cron", "or", "excluding"])
def test_nor_is_it_run_twice_at_a_time_that_the_clock_shows_again(
    scheduler: WorldScheduler, name: str
) -> None:
    world = scheduler.world
    instants: list[datetime] = []
    scheduler.add_job(lambda: instants.append(world.wall), TIMES_OF_DAY[name]())
    world.at(190, lambda: world.set_clock(TEN_YEARS))
    world.at(400, lambda: world.set_clock(-TEN_YEARS - HOUR))  # it was an hour ahead before

    scheduler.run(2 * 3600)

    minutes = [instant.replace(second=0, microsecond=0) for instant in instants]
    assert len(set(minutes)) == len(minutes)
    this_year = sorted(minute for minute in minutes if minute.year == MARCH_1.year)
    # When it would have been four, the leap was noticed, and there was a run.
    steps = [0, 1, 2, 3, *range(5, len(this_year) + 1)]
    assert this_year == [MARCH_1 + timedelta(minutes=step) for step in steps]
    assert len(this_year) > 50


def test_a_scheduler_that_was_started_by_a_wrong_clock_goes_by_the_right_one(
    scheduler: WorldScheduler,
) -> None:
    world = scheduler.world
    world.set_clock(TEN_YEARS)
    instants: list[datetime] = []
    scheduler.add_job(lambda: instants.append(world.wall), "cron", minute="*")
    world.at(150, lambda: world.set_clock(-TEN_YEARS))

    scheduler.run(600)

    this_year = [instant for instant in instants if instant.year == MARCH_1.year]
    assert [instant.minute for instant in this_year] == list(range(4, 10))


def test_a_time_that_was_set_by_hand_is_waited_for_though_the_clock_is_corrected(
    scheduler: WorldScheduler,
) -> None:
    world = scheduler.world
    by_hand = MARCH_1 + TEN_YEARS + timedelta(days=500)
    scheduler.add_job(print, "cron", id="put off", next_run_time=by_hand, minute="*")
    world.at(190, lambda: world.set_clock(TEN_YEARS))
    world.at(400, lambda: world.set_clock(-TEN_YEARS))
    times: list[datetime] = []
    world.at(900, lambda: times.append(scheduler.get_job("put off").next_run_time))  # type: ignore[union-attr]

    scheduler.run(1000)

    assert times == [by_hand]


def test_a_clock_that_is_set_back_by_days_is_waited_for_if_it_was_right_before(
    scheduler: WorldScheduler,
) -> None:
    """It had shown the times that it shows again."""
    world = scheduler.world
    instants: list[datetime] = []
    scheduler.add_job(lambda: instants.append(world.wall), "cron", hour="*")
    world.at(3 * 86400, lambda: world.set_clock(timedelta(days=-2)))

    scheduler.run(6 * 86400)

    hours = [instant.replace(minute=0, second=0, microsecond=0) for instant in instants]
    assert len(set(hours)) == len(hours) == 4 * 24


def test_a_clock_that_is_corrected_by_a_little_moves_no_job(
    scheduler: WorldScheduler, caplog: pytest.LogCaptureFixture
) -> None:
    runs, job = noting(scheduler)
    scheduler.add_job(job, "interval", seconds=10, start_date=MARCH_1)
    for moment in range(15, 100, 10):
        scheduler.world.at(moment, lambda: scheduler.world.set_clock(timedelta(seconds=-0.1)))

    scheduler.run(100)

    assert len(runs) == 10
    assert "set back" not in caplog.text


@pytest.mark.parametrize("kind", Fault)
@pytest.mark.parametrize("store", [BytesStore, MemoryJobStore])
def test_jobs_are_moved_once_though_the_store_fails_while_they_are(
    world: World, store: type, kind: Fault
) -> None:
    faults = Faults(1, kinds=[kind], only=["update_jobs"], limit=0)
    scheduler = WorldScheduler(world, jobstore_retry_interval=5)
    scheduler.add_jobstore(FaultyStore(store(), faults))
    moments: list[tuple[int, float]] = []
    _moments[id(world)] = (world, moments)
    for number in range(4):
        # Six minutes apart, so that no run is due between the failure and what follows it.
        scheduler.add_job(note, "interval", [id(world), number], minutes=6)

    def set_back() -> None:
        faults.limit = 1
        world.set_clock(-HOUR)

    world.at(400, set_back)
    scheduler.run(1200)

    assert faults.injected.total() == 1
    for number in range(4):
        assert [moment for job, moment in moments if job == number] == pytest.approx(
            [360, 720, 1080]
        )


def test_a_job_that_was_changed_before_the_store_could_move_it_stays_as_it_was_changed(
    world: World,
) -> None:
    faults = Faults(1, kinds=[Fault.BEFORE], only=["update_jobs"], limit=0)
    scheduler = WorldScheduler(world, jobstore_retry_interval=30)
    scheduler.add_jobstore(FaultyStore(MemoryJobStore(), faults))
    runs, job = noting(scheduler)
    scheduler.add_job(job, "interval", id="changed", minutes=6)

    def set_back() -> None:
        faults.limit = 1
        world.set_clock(-HOUR)

    def change() -> None:
        scheduler.modify_job("changed", next_run_time=world.wall + timedelta(seconds=100))

    world.at(400, set_back)
    world.at(430, change)  # the clock was noticed at 420, and the store is tried again at 450
    scheduler.run(600)

    assert faults.injected.total() == 1
    assert runs == pytest.approx([360, 530])


def test_a_store_that_failed_is_not_left_alone_for_longer_because_the_clock_was_set_back(
    world: World,
) -> None:
    faults = Faults(1, kinds=[Fault.BEFORE], only=["get_due_jobs"], limit=0)
    scheduler = WorldScheduler(world, jobstore_retry_interval=30)
    scheduler.add_jobstore(FaultyStore(MemoryJobStore(), faults))
    runs, job = noting(scheduler)
    scheduler.add_job(job, "interval", minutes=1)

    def fail() -> None:
        faults.limit = 1

    world.at(30, fail)
    world.at(70, lambda: world.set_clock(-HOUR))  # the store failed at 60
    scheduler.run(140)

    assert faults.injected.total() == 1
    assert runs == pytest.approx([90, 120], abs=30)
    assert len(runs) == 2


def test_nor_is_a_run_that_its_executor_refused(scheduler: WorldScheduler) -> None:
    faults = Faults(0)
    scheduler.add_executor(FaultyExecutor(DebugExecutor(), faults), "refusing")
    runs, job = noting(scheduler)
    scheduler.add_job(job, "interval", minutes=1, executor="refusing")

    def go_on_an_hour_earlier() -> None:
        faults.probability = 0
        scheduler.world.set_clock(-HOUR)

    scheduler.world.at(30, lambda: setattr(faults, "probability", 1))
    scheduler.world.at(65, go_on_an_hour_earlier)  # the run was refused at 60
    scheduler.run(200)

    assert faults.injected.total() == 1
    assert runs == pytest.approx([70, 120, 180])


_moments: dict[int, tuple[World, list[tuple[int, float]]]] = {}


def note(world_id: int, number: int) -> None:
    world, moments = _moments[world_id]
    moments.append((number, world.awake))


SET_AFTERWARDS: dict[str, Callable[[WorldScheduler], object]] = {
    "added": lambda scheduler: scheduler.add_job(note, id="new", **_later(scheduler)),
    "added with others": lambda scheduler: scheduler.add_jobs(
        [{"func": note, "id": "new", **_later(scheduler)}]
    ),
    "replaced": lambda scheduler: scheduler.add_job(
        note, id="old", replace_existing=True, **{**_later(scheduler), "timezone": "Asia/Tokyo"}
    ),
    "set by hand": lambda scheduler: scheduler.modify_job(
        "old", next_run_time=scheduler.world.wall + HOUR / 2
    ),
    "rescheduled": lambda scheduler: scheduler.reschedule_job(
        "old", trigger="interval", minutes=30
    ),
}


def _later(scheduler: WorldScheduler) -> dict[str, Any]:
    return {"trigger": "interval", "minutes": 30, "args": [id(scheduler.world), 1]}


@pytest.mark.parametrize("is_store_down", [False, True])
@pytest.mark.parametrize("change", SET_AFTERWARDS)
def test_a_run_time_that_is_set_when_the_clock_was_set_back_already_does_not_follow_it(
    world: World, change: str, is_store_down: bool
) -> None:
    faults = Faults(0, only=["get_all_jobs"])  # what is asked to find out which jobs to move
    scheduler = WorldScheduler(world, jobstore_retry_interval=10)
    scheduler.add_jobstore(FaultyStore(MemoryJobStore(), faults))
    moments: list[tuple[int, float]] = []
    _moments[id(world)] = (world, moments)
    scheduler.add_job(note, "interval", [id(world), 1], id="old", minutes=30)
    scheduler.add_job(note, "interval", [id(world), 2], id="other", minutes=20)

    def set_back() -> None:
        faults.probability = float(is_store_down)
        world.set_clock(-HOUR)

    world.at(100, set_back)
    world.at(110, lambda: SET_AFTERWARDS[change](scheduler))  # the next look was to be at 120
    world.at(300, lambda: setattr(faults, "probability", 0))
    scheduler.run(2000)

    assert [moment for job, moment in moments if job == 2] == pytest.approx([1200], abs=10)
    runs = [moment for job, moment in moments if job == 1]
    old = [1800] if change.startswith("added") else []
    assert runs == pytest.approx([*old, 1910])


def test_nor_does_that_of_a_job_that_was_added_before_a_start_that_comes_later(
    scheduler: WorldScheduler,
) -> None:
    world = scheduler.world
    runs, job = noting(scheduler)
    scheduler.run(100)
    world.set_clock(-HOUR)
    scheduler.add_job(job, "interval", minutes=30)

    scheduler.run(2000)

    assert runs == pytest.approx([1900])


def test_a_job_that_goes_on_as_it_is_added_again_follows_a_clock_that_was_set_back(
    scheduler: WorldScheduler,
) -> None:
    world = scheduler.world
    runs, job = noting(scheduler)

    def add() -> None:
        scheduler.add_job(job, "interval", minutes=30, id="again", replace_existing=True)

    add()
    world.at(100, lambda: world.set_clock(-HOUR))
    world.at(110, add)

    scheduler.run(2000)

    assert runs == pytest.approx([1800])


def test_one_that_is_new_in_another_store_does_not_though_it_has_the_same_id(
    scheduler: WorldScheduler,
) -> None:
    world = scheduler.world
    scheduler.add_jobstore("memory", "other")
    runs: dict[str, list[float]] = {"default": [], "other": []}

    def note(alias: str) -> None:
        runs[alias].append(world.awake)

    def add(*aliases: str) -> None:
        same = {"trigger": "interval", "minutes": 30, "id": "again", "replace_existing": True}
        scheduler.add_jobs(
            {**same, "func": note, "args": [alias], "jobstore": alias} for alias in aliases
        )

    add("default")
    world.at(100, lambda: world.set_clock(-HOUR))
    world.at(110, lambda: add("default", "other"))

    scheduler.run(2000)

    assert runs == {"default": pytest.approx([1800]), "other": pytest.approx([1910])}


def test_a_run_time_follows_what_the_clock_was_set_back_by_after_it_was_set(
    world: World,
) -> None:
    faults = Faults(0, only=["get_all_jobs"])
    scheduler = WorldScheduler(world, jobstore_retry_interval=10)
    scheduler.add_jobstore(FaultyStore(MemoryJobStore(), faults))
    runs, job = noting(scheduler)

    def set_back() -> None:
        faults.probability = 1
        world.set_clock(-HOUR)

    world.at(100, set_back)
    world.at(110, lambda: scheduler.add_job(job, "interval", minutes=30))
    world.at(200, lambda: world.set_clock(-HOUR))
    world.at(300, lambda: setattr(faults, "probability", 0))
    scheduler.run(2000)

    assert runs == pytest.approx([1910])


def test_a_clock_that_is_set_back_and_forward_again_while_the_store_fails_moves_no_job(
    world: World,
) -> None:
    faults = Faults(0, only=["get_all_jobs"])
    scheduler = WorldScheduler(world, jobstore_retry_interval=10)
    scheduler.add_jobstore(FaultyStore(MemoryJobStore(), faults))
    runs, job = noting(scheduler)
    scheduler.add_job(job, "interval", hours=1, start_date=MARCH_1)

    def set_back() -> None:
        faults.probability = 1
        world.set_clock(-HOUR)

    world.at(1805, set_back)
    world.at(1900, lambda: world.set_clock(HOUR))
    world.at(2000, lambda: setattr(faults, "probability", 0))
    scheduler.run(3 * 3600 + 1)

    assert runs == pytest.approx([0, 3600, 7200, 10800])


def test_a_store_in_the_place_of_one_that_was_removed_does_not_follow_for_it(
    world: World,
) -> None:
    faults = Faults(0, only=["get_all_jobs"])
    scheduler = WorldScheduler(world, jobstore_retry_interval=10)
    scheduler.add_jobstore(FaultyStore(MemoryJobStore(), faults))
    other = MemoryJobStore()
    scheduler.add_jobstore(other, "other")
    runs, job = noting(scheduler)
    scheduler.add_job(print, "interval", minutes=30)

    def set_back() -> None:
        faults.probability = 1
        world.set_clock(-HOUR)

    def replace_store() -> None:
        scheduler.add_job(job, "interval", minutes=30, jobstore="other")
        scheduler.remove_jobstore("other", shutdown=False)
        scheduler.remove_jobstore("default")
        scheduler.add_jobstore(other)

    world.at(100, set_back)
    world.at(200, replace_store)
    scheduler.run(2100)

    assert runs == pytest.approx([2000])


def test_an_interval_does_not_follow_the_clock_to_before_the_start_that_was_given(
    scheduler: WorldScheduler,
) -> None:
    world = scheduler.world
    instants: list[datetime] = []
    start = MARCH_1 + timedelta(minutes=5)
    scheduler.add_job(
        lambda: instants.append(world.wall), "interval", minutes=10, start_date=start
    )
    world.at(100, lambda: world.set_clock(-HOUR))

    scheduler.run(2 * 3600)

    assert instants[0] == start
    assert instants == [start + step * timedelta(minutes=10) for step in range(len(instants))]


def test_a_job_that_follows_the_clock_is_not_taken_to_have_been_moved_on(world: World) -> None:
    """Its write failed, and the time that it would be moved to is the one to move on to."""
    writes = Faults(0, kinds=[Fault.BEFORE], only=["update_jobs"], limit=1)
    lookups = Faults(0, only=["lookup_job"])
    scheduler = WorldScheduler(world, jobstore_retry_interval=10)
    scheduler.add_jobstore(FaultyStore(FaultyStore(BytesStore(), writes), lookups))
    moments: list[tuple[int, float]] = []
    _moments[id(world)] = (world, moments)
    scheduler.add_job(note, "interval", [id(world), 1], minutes=30)

    def fail() -> None:
        writes.probability = lookups.probability = 1

    world.at(1790, fail)  # the run that is due at 1800 stays unclear
    world.at(1805, lambda: world.set_clock(timedelta(minutes=-15)))
    world.at(1850, lambda: setattr(lookups, "probability", 0))
    scheduler.run(3700)

    assert writes.injected.total() == 1
    assert [moment for _, moment in moments] == pytest.approx([1850, 3600], abs=10)


class TriggerThatFailsWhenSetBack(IntervalTrigger):
    def get_fire_time_after_set_back(
        self, next_fire_time: datetime, before: datetime, now: datetime
    ) -> datetime:
        raise InjectedError("a trigger")


@pytest.mark.usefixtures("failing_log")
def test_a_trigger_that_cannot_follow_the_clock_keeps_no_other_job_waiting(
    scheduler: WorldScheduler,
) -> None:
    runs, job = noting(scheduler)
    broken: BaseTrigger = TriggerThatFailsWhenSetBack(seconds=10, start_date=MARCH_1)
    scheduler.add_job(lambda: None, broken)
    scheduler.add_job(job, "interval", seconds=10)
    scheduler.world.at(25, lambda: scheduler.world.set_clock(-HOUR))

    scheduler.run(65)

    assert runs == pytest.approx([10, 20, 30, 40, 50, 60])


class TickedScheduler(BaseScheduler):
    """Looks when the test tells it to."""

    def wakeup(self) -> None:
        pass


class StubClock(datetime):
    """What a test suite puts in the place of datetime."""

    shown = MARCH_1

    @classmethod
    def now(cls, tz: Any = None) -> datetime:
        return cls.shown.astimezone(tz)


def test_a_clock_of_a_test_suite_is_not_taken_to_be_set_back(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("apscheduler.schedulers.base.datetime", StubClock)
    scheduler = TickedScheduler(timezone="UTC")
    scheduler.start()
    job = scheduler.add_job(print, IntervalTrigger(hours=1, start_date=MARCH_1 + HOUR))
    scheduler._process_jobs()
    monkeypatch.setattr(StubClock, "shown", MARCH_1 - HOUR / 2)
    scheduler._process_jobs()
    scheduler.shutdown()

    assert job.next_run_time == MARCH_1 + HOUR
    assert "set back" not in caplog.text


def test_nor_is_the_one_that_it_takes_the_place_of_for_a_while(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    scheduler = TickedScheduler(timezone="UTC")
    scheduler.start()
    job = scheduler.add_job(print, "interval", minutes=10)
    run_time = job.next_run_time
    with monkeypatch.context() as patch:
        patch.setattr(StubClock, "shown", MARCH_1 - TEN_YEARS)
        patch.setattr("apscheduler.schedulers.base.datetime", StubClock)
        scheduler.add_job(print, "interval", minutes=10)
        scheduler._process_jobs()
    scheduler._process_jobs()
    scheduler.shutdown()

    assert job.next_run_time == run_time
    assert "set back" not in caplog.text


def test_a_clock_that_stands_still_is_not_taken_to_be_set_back(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    scheduler = TickedScheduler(timezone="UTC")
    scheduler.start()
    with time_machine.travel(MARCH_1, tick=False):
        job = scheduler.add_job(print, IntervalTrigger(hours=1, start_date=MARCH_1 + HOUR))
        scheduler._process_jobs()
        for seconds_later in (600.0, 1200.0):
            monkeypatch.setattr(
                "apscheduler.schedulers.base.monotonic",
                lambda later=seconds_later: monotonic() + later,
            )
            scheduler._process_jobs()

    scheduler.shutdown()
    assert job.next_run_time == MARCH_1 + HOUR
    assert "set back" not in caplog.text


STEP = timedelta(seconds=1)


class StepTrigger(BaseTrigger):
    """A plugin of 3.x, which knows no more than the time after another one."""

    asked = 0

    def __init__(self, step: timedelta = STEP) -> None:
        self.step = step

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime:
        StepTrigger.asked += 1
        return MARCH_1 if previous_fire_time is None else previous_fire_time + self.step


def test_a_trigger_that_goes_step_by_step_lets_others_have_their_turn_between(
    scheduler: WorldScheduler,
) -> None:
    world = scheduler.world
    days = timedelta(days=1)  # 86,400 steps
    times: list[tuple[str, datetime]] = []
    most = 0

    def look() -> Any:
        nonlocal most
        StepTrigger.asked = 0
        answer = look_for_due_jobs()
        most = max(most, StepTrigger.asked)
        return answer

    look_for_due_jobs = scheduler._process_jobs
    scheduler._process_jobs = look  # type: ignore[method-assign]
    scheduler.add_listener(
        lambda event: times.append((event.job_id, event.scheduled_run_time)), EVENT_JOB_EXECUTED
    )
    scheduler.add_job(print, StepTrigger(), id="steps", next_run_time=MARCH_1 + 30 * STEP)
    scheduler.add_job(print, "interval", id="other", seconds=10, start_date=MARCH_1)
    world.at(25, lambda: world.set_clock(days))

    scheduler.run(45)

    assert 0 < most <= 5200
    names = [name for name, _ in times]
    assert names.index("steps") > names.index("other", 3)
    assert dict(reversed(times))["steps"] == MARCH_1 + days + 30 * STEP  # the last one missed


def test_a_job_that_is_rescheduled_while_its_missed_times_are_gone_through_begins_anew() -> None:
    scheduler = ManualScheduler(now=MARCH_1)
    recorder = Recorder(scheduler, EVENT_JOB_EXECUTED)
    scheduler.start()
    scheduler.add_job(print, StepTrigger(), id="steps")
    long_ago = MARCH_1 - timedelta(days=1)
    scheduler.modify_job("steps", next_run_time=long_ago)
    scheduler._process_jobs()
    scheduler.modify_job("steps", trigger=IntervalTrigger(hours=7, start_date=long_ago))

    scheduler.advance(0)

    assert [event.scheduled_run_time for event in recorder.events] == [
        MARCH_1 - timedelta(hours=3)
    ]


def replace_store(scheduler: ManualScheduler) -> None:
    scheduler.remove_jobstore("default")
    scheduler.add_jobstore("memory")


REMOVALS: dict[str, Callable[[ManualScheduler], None]] = {
    "job": lambda scheduler: scheduler.remove_job("steps"),
    "all jobs": lambda scheduler: scheduler.remove_all_jobs(),
    "its store": replace_store,
}


@pytest.mark.parametrize("removed", REMOVALS)
def test_a_job_that_takes_the_id_of_a_removed_one_begins_anew(removed: str) -> None:
    scheduler = ManualScheduler(now=MARCH_1)
    recorder = Recorder(scheduler, EVENT_JOB_EXECUTED)
    scheduler.start()
    long_ago = MARCH_1 - timedelta(days=1)
    scheduler.add_job(print, StepTrigger(), id="steps", next_run_time=long_ago)
    scheduler._process_jobs()
    REMOVALS[removed](scheduler)
    seven_hours = timedelta(hours=7)
    scheduler.add_job(print, StepTrigger(seven_hours), id="steps", next_run_time=long_ago)

    scheduler.advance(0)

    assert [event.scheduled_run_time for event in recorder.events] == [long_ago + 3 * seven_hours]
