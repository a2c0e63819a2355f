"""ManualScheduler: a scheduler whose clock the test moves."""

from __future__ import annotations

import threading
from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest

import apscheduler
from apscheduler.events import EVENT_JOB_MISSED
from apscheduler.schedulers import SchedulerNotRunningError
from apscheduler.testing import ManualScheduler
from apscheduler.triggers.combining import OrTrigger
from apscheduler.triggers.interval import IntervalTrigger
from tests import jobs
from tests.recorder import OUTCOMES, Recorder

MARCH_1 = datetime(2030, 3, 1, 8, tzinfo=timezone.utc)


@pytest.fixture
def scheduler() -> ManualScheduler:
    scheduler = ManualScheduler(now=MARCH_1)
    scheduler.start()
    return scheduler


class TestTheClock:
    def test_it_starts_where_the_test_says(self) -> None:
        assert ManualScheduler(now=MARCH_1).now == MARCH_1
        assert ManualScheduler(now="2030-03-01 08:00:00").now == MARCH_1

    def test_a_time_without_a_zone_is_one_of_the_scheduler(self) -> None:
        berlin = ZoneInfo("Europe/Berlin")
        scheduler = ManualScheduler(now="2030-03-01 09:00:00", timezone=berlin)
        assert scheduler.now == MARCH_1
        assert scheduler.now.tzinfo == berlin

    def test_it_starts_now_if_the_test_says_nothing(self) -> None:
        before = datetime.now(timezone.utc)
        assert before <= ManualScheduler().now <= datetime.now(timezone.utc)

    def test_it_stands_still_until_it_is_moved(self, scheduler: ManualScheduler) -> None:
        scheduler.run_due()
        assert scheduler.now == MARCH_1
        scheduler.advance(1.5)
        assert scheduler.now == MARCH_1 + timedelta(seconds=1.5)
        scheduler.advance(timedelta(days=1))
        assert scheduler.now == MARCH_1 + timedelta(days=1, seconds=1.5)

    def test_it_does_not_go_back(self, scheduler: ManualScheduler) -> None:
        with pytest.raises(ValueError, match="only be moved forward, got -1"):
            scheduler.advance(-1)

    def test_it_moves_only_while_the_scheduler_runs(self) -> None:
        scheduler = ManualScheduler()
        with pytest.raises(SchedulerNotRunningError, match=r"call start\(\) first"):
            scheduler.advance(1)


class TestJobs:
    def test_each_runs_at_its_exact_time_and_in_order(self, scheduler: ManualScheduler) -> None:
        runs: list[tuple[str, datetime]] = []

        def run(name: str) -> None:
            runs.append((name, scheduler.now))

        scheduler.add_job(run, "interval", ["three"], seconds=3)
        scheduler.add_job(run, "interval", ["two"], seconds=2)
        scheduler.add_job(run, "date", ["once"], run_date=MARCH_1 + timedelta(seconds=4.5))
        scheduler.advance(6)

        seconds = [(name, (time - MARCH_1).total_seconds()) for name, time in runs]
        assert seconds[:4] == [("two", 2), ("three", 3), ("two", 4), ("once", 4.5)]
        assert sorted(seconds[4:]) == [("three", 6), ("two", 6)]

    def test_they_run_in_the_calling_thread(self, scheduler: ManualScheduler) -> None:
        threads: list[threading.Thread] = []
        scheduler.add_job(lambda: threads.append(threading.current_thread()))
        scheduler.advance(0)
        assert threads == [threading.current_thread()]

    def test_a_year_of_a_daily_job_is_365_runs(self, scheduler: ManualScheduler) -> None:
        runs: list[datetime] = []
        scheduler.add_job(lambda: runs.append(scheduler.now), "cron", hour=9)
        scheduler.advance(timedelta(days=365))
        assert len(runs) == 365
        assert runs[0] == MARCH_1.replace(hour=9)
        assert runs[-1] == datetime(2031, 2, 28, 9, tzinfo=timezone.utc)

    def test_an_interval_counts_from_the_schedulers_own_clock(
        self, scheduler: ManualScheduler
    ) -> None:
        job = scheduler.add_job(jobs.nothing, "interval", hours=1)
        assert job.next_run_time == MARCH_1 + timedelta(hours=1)

    def test_a_coroutine_function_runs_to_its_end(self, scheduler: ManualScheduler) -> None:
        recorder = Recorder(scheduler, OUTCOMES)
        scheduler.add_job(jobs.give_later, args=["result"])
        scheduler.advance(0)
        assert [event.retval for event in recorder.events] == ["result"]

    def test_lateness_is_measured_on_the_schedulers_clock(
        self, scheduler: ManualScheduler
    ) -> None:
        recorder = Recorder(scheduler, OUTCOMES)
        late = MARCH_1 - timedelta(seconds=11)
        scheduler.add_job(jobs.nothing, "date", run_date=late, misfire_grace_time=10, id="missed")
        scheduler.add_job(jobs.nothing, "date", run_date=late, misfire_grace_time=11, id="run")
        scheduler.advance(0)
        assert [event.job_id for event in recorder.of(EVENT_JOB_MISSED)] == ["missed"]
        assert len(recorder.events) == 2

    def test_a_run_knows_its_job_its_time_and_its_scheduler(
        self, scheduler: ManualScheduler
    ) -> None:
        seen: list[tuple[object, ...]] = []

        def look() -> None:
            context = (apscheduler.current_job, apscheduler.current_run_time)
            seen.append((*(var.get() for var in context), apscheduler.current_scheduler.get()))

        job = scheduler.add_job(look, "date", run_date=MARCH_1)
        scheduler.advance(0)
        assert seen == [(job, MARCH_1, scheduler)]
        with pytest.raises(LookupError):
            apscheduler.current_job.get()

    def test_what_runs_make_due_runs_too(self, scheduler: ManualScheduler) -> None:
        runs: list[tuple[str, float]] = []

        def run(name: str) -> None:
            runs.append((name, (scheduler.now - MARCH_1).total_seconds()))
            if name == "first":
                scheduler.add_job(run, args=["at once"])
                scheduler.add_job(run, "interval", ["later"], seconds=10)

        scheduler.add_job(run, args=["first"])
        scheduler.advance(20)
        assert runs == [("first", 0), ("at once", 0), ("later", 10), ("later", 20)]

    def test_one_that_shuts_the_scheduler_down_stops_the_clock(
        self, scheduler: ManualScheduler
    ) -> None:
        scheduler.add_job(scheduler.shutdown, "date", run_date=MARCH_1 + timedelta(minutes=1))
        scheduler.advance(timedelta(hours=1))
        assert not scheduler.running
        assert scheduler.now == MARCH_1 + timedelta(minutes=1)


class TestRunDue:
    def test_it_runs_what_is_due_and_tells_when_to_look_again(
        self, scheduler: ManualScheduler
    ) -> None:
        runs: list[str] = []
        scheduler.add_job(runs.append, "interval", ["ran"], minutes=1, next_run_time=MARCH_1)
        assert scheduler.run_due() == 60
        assert runs == ["ran"]

    def test_without_jobs_there_is_no_need_to_look_again(self, scheduler: ManualScheduler) -> None:
        assert scheduler.run_due() is None

    def test_a_paused_scheduler_runs_nothing(self, scheduler: ManualScheduler) -> None:
        runs: list[str] = []
        scheduler.add_job(runs.append, args=["ran"])
        scheduler.pause()
        assert scheduler.run_due() is None
        scheduler.advance(10)
        assert runs == []
        scheduler.resume()
        scheduler.run_due()
        assert runs == ["ran"]


def test_clock_changes_are_those_of_the_zone() -> None:
    scheduler = ManualScheduler(now="2030-03-30 12:00:00", timezone="Europe/Berlin")
    runs: list[str] = []
    scheduler.add_job(lambda: runs.append(scheduler.now.isoformat()), "cron", hour=9)
    scheduler.start()
    scheduler.advance(timedelta(days=2))
    assert runs == ["2030-03-31T09:00:00+02:00", "2030-04-01T09:00:00+02:00"]


def test_a_preview_before_the_start_begins_on_the_schedulers_own_clock() -> None:
    scheduler = ManualScheduler(now=MARCH_1)
    job = scheduler.add_job(jobs.nothing, "cron", hour=9)
    assert job.next_run_times(1) == [MARCH_1.replace(hour=9)]


class TestJobsThatAreDueTogether:
    def test_they_run_in_the_order_in_which_they_were_added(
        self, scheduler: ManualScheduler
    ) -> None:
        ran: list[int] = []
        for number in range(20):
            scheduler.add_job(ran.append, "interval", args=[number], minutes=1)
        scheduler.add_jobs(
            {"func": ran.append, "trigger": "interval", "args": [number], "minutes": 1}
            for number in range(20, 40)
        )
        scheduler.advance(120)
        assert ran == [*range(40), *range(40)]

    def test_their_ids_are_unique_in_a_store_that_several_schedulers_use(self) -> None:
        ids = {ManualScheduler().add_job(jobs.nothing).id for _ in range(10)}
        assert len(ids) == 10

    def test_those_that_share_a_trigger_have_a_grid_each(self, scheduler: ManualScheduler) -> None:
        trigger = IntervalTrigger(minutes=10)
        first = scheduler.add_job(jobs.nothing, trigger)
        scheduler.advance(60)
        second = scheduler.add_job(jobs.nothing, trigger)
        minutes = [
            [(time - MARCH_1) // timedelta(minutes=1) for time in job.next_run_times(2)]
            for job in (first, second)
        ]
        assert minutes == [[10, 20], [11, 21]]

    def test_parts_of_classes_without_a_reference_can_be_combined(
        self, scheduler: ManualScheduler
    ) -> None:
        class Local(IntervalTrigger):
            pass

        job = scheduler.add_job(jobs.nothing, OrTrigger(Local(minutes=10)))
        assert job.next_run_time == MARCH_1 + timedelta(minutes=10)


class TestAnInterruptInAJob:
    def test_it_comes_out_after_its_event(self, scheduler: ManualScheduler) -> None:
        def interrupted() -> None:
            raise KeyboardInterrupt

        recorder = Recorder(scheduler, OUTCOMES)
        scheduler.add_job(interrupted, "interval", minutes=1)
        with pytest.raises(KeyboardInterrupt):
            scheduler.advance(300)

        assert recorder.names == ["JOB_ERROR"]
        assert scheduler.now == MARCH_1 + timedelta(minutes=1)
        scheduler.remove_all_jobs()
        assert scheduler.run_due() is None
