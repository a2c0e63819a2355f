"""What a pass does with due jobs: late runs, limits, failures; none lost, none twice."""

from __future__ import annotations

import logging
import sys
from collections import Counter
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta, timezone
from threading import Condition, Event
from typing import Any

import pytest

from apscheduler.events import (
    EVENT_JOB_ERROR,
    EVENT_JOB_EXECUTED,
    EVENT_JOB_MAX_INSTANCES,
    EVENT_JOB_MISSED,
    EVENT_JOB_REMOVED,
    EVENT_JOB_SUBMITTED,
    JobEvent,
)
from apscheduler.executors.base import BaseExecutor
from apscheduler.executors.debug import DebugExecutor
from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.job import Job
from apscheduler.jobstores.base import JobLookupError
from apscheduler.jobstores.memory import MemoryJobStore
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.testing import ManualScheduler
from apscheduler.triggers.base import BaseTrigger
from apscheduler.triggers.interval import IntervalTrigger
from tests import jobs
from tests.recorder import NAMES, OUTCOMES, PATIENCE, Recorder

from .conftest import MARCH_1

TEN_YEARS = timedelta(days=3652)
MINUTE = timedelta(minutes=1)


def seconds(times: list[datetime]) -> list[float]:
    return [(time - MARCH_1).total_seconds() for time in times]


class TestLateRuns:
    """The scheduler was not running when jobs were due: here, it was paused."""

    @pytest.fixture
    def late(self, scheduler: ManualScheduler) -> Callable[[float], None]:
        """Lets so many seconds go by unnoticed, then looks for due jobs."""

        def late(after: float | timedelta) -> None:
            scheduler.pause()
            scheduler.advance(after)
            scheduler.resume()
            scheduler.run_due()

        return late

    def test_those_that_coalesce_become_one_the_latest(
        self, scheduler: ManualScheduler, recorder: Recorder, late: Callable[[float], None]
    ) -> None:
        job = scheduler.add_job(jobs.nothing, "interval", minutes=1)
        late(330)
        (submission,) = recorder.of(EVENT_JOB_SUBMITTED)
        assert seconds(submission.scheduled_run_times) == [300]
        assert [seconds([e.scheduled_run_time]) for e in recorder.of(OUTCOMES)] == [[300]]
        assert job.next_run_time == MARCH_1 + timedelta(minutes=6)

    def test_those_that_do_not_coalesce_are_all_made(
        self, scheduler: ManualScheduler, recorder: Recorder, late: Callable[[float], None]
    ) -> None:
        scheduler.add_job(jobs.nothing, "interval", minutes=1, coalesce=False)
        late(330)
        (submission,) = recorder.of(EVENT_JOB_SUBMITTED)
        assert seconds(submission.scheduled_run_times) == [60, 120, 180, 240, 300]
        executed = recorder.of(EVENT_JOB_EXECUTED)
        assert seconds([e.scheduled_run_time for e in executed]) == [60, 120, 180, 240, 300]

    def test_those_later_than_the_grace_time_are_missed(
        self, scheduler: ManualScheduler, recorder: Recorder, late: Callable[[float], None]
    ) -> None:
        scheduler.add_job(
            jobs.nothing, "interval", minutes=1, coalesce=False, misfire_grace_time=100
        )
        late(330)
        missed, executed = recorder.of(EVENT_JOB_MISSED), recorder.of(EVENT_JOB_EXECUTED)
        assert seconds([e.scheduled_run_time for e in missed]) == [60, 120, 180]
        assert seconds([e.scheduled_run_time for e in executed]) == [240, 300]

    def test_a_missed_run_is_logged(
        self,
        scheduler: ManualScheduler,
        late: Callable[[float], None],
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        scheduler.add_job(jobs.nothing, "date", run_date=MARCH_1, misfire_grace_time=1)
        late(5)
        assert 'Run time of job "nothing' in caplog.text
        assert "was missed by 0:00:05" in caplog.text

    def test_without_a_grace_time_a_run_is_made_however_late(
        self, scheduler: ManualScheduler, recorder: Recorder, late: Callable[[Any], None]
    ) -> None:
        scheduler.add_job(jobs.nothing, "interval", hours=1)
        late(TEN_YEARS)
        assert len(recorder.of(EVENT_JOB_EXECUTED)) == 1

    def test_the_settings_may_be_changed_later(
        self, scheduler: ManualScheduler, recorder: Recorder, late: Callable[[float], None]
    ) -> None:
        job = scheduler.add_job(jobs.nothing, "interval", minutes=1)
        job.modify(coalesce=False, misfire_grace_time=100)
        late(330)
        assert len(recorder.of(EVENT_JOB_MISSED)) == 3
        assert len(recorder.of(EVENT_JOB_EXECUTED)) == 2

    def test_ten_years_of_seconds_are_one_step_for_a_job_that_coalesces(
        self, scheduler: ManualScheduler, recorder: Recorder, late: Callable[[Any], None]
    ) -> None:
        job = scheduler.add_job(jobs.nothing, "interval", seconds=1)
        asked = Counter[str]()
        trigger = job.trigger

        class Watched(BaseTrigger):
            """Counts how often the schedule is asked."""

            def get_next_fire_time(self, previous_fire_time: Any, now: Any) -> Any:
                asked["next"] += 1
                return trigger.get_next_fire_time(previous_fire_time, now)

            def get_last_fire_time(self, previous_fire_time: Any, now: Any) -> Any:
                asked["last"] += 1
                return trigger.get_last_fire_time(previous_fire_time, now)

        job.modify(trigger=Watched())
        late(TEN_YEARS)
        (executed,) = recorder.of(EVENT_JOB_EXECUTED)
        assert executed.scheduled_run_time == MARCH_1 + TEN_YEARS
        assert asked.total() <= 4

    def test_a_long_backlog_is_worked_off_in_portions_and_nothing_is_skipped(
        self, scheduler: ManualScheduler, recorder: Recorder, late: Callable[[float], None]
    ) -> None:
        scheduler.add_job(jobs.nothing, "interval", seconds=1, coalesce=False)
        late(3500)
        for _ in range(3):
            scheduler.run_due()
        sizes = [len(e.scheduled_run_times) for e in recorder.of(EVENT_JOB_SUBMITTED)]
        assert sizes == [1000, 1000, 1000, 500]
        executed = recorder.of(EVENT_JOB_EXECUTED)
        assert seconds([e.scheduled_run_time for e in executed]) == list(range(1, 3501))

    def test_many_late_jobs_share_the_runs_of_a_pass_and_none_is_left_out(
        self, scheduler: ManualScheduler
    ) -> None:
        recorder = Recorder(scheduler, EVENT_JOB_SUBMITTED)
        start = scheduler.now - timedelta(seconds=599)
        for _ in range(5):
            trigger = IntervalTrigger(seconds=1, start_date=start)
            scheduler.add_job(jobs.nothing, trigger, coalesce=False, next_run_time=start)
        scheduler._process_jobs()

        sizes = [len(event.scheduled_run_times) for event in recorder.events]
        assert sizes == [600, 400, 1, 1, 1]
        while scheduler.run_due() == 0:
            pass
        runs = [time for event in recorder.events for time in event.scheduled_run_times]
        assert Counter(runs) == {start + timedelta(seconds=step): 5 for step in range(600)}

    def test_a_long_backlog_waits_for_room_and_does_not_keep_others_waiting(
        self, stopped: ManualScheduler
    ) -> None:
        class BusyExecutor(BaseExecutor):
            """Runs nothing by itself: as one whose threads are all busy."""

            def __init__(self) -> None:
                super().__init__()
                self.taken: list[tuple[Any, list[datetime]]] = []

            def _do_submit_job(self, job: Any, run_times: list[datetime]) -> None:
                self.taken.append((job, run_times))

            def finish(self) -> None:
                job, _ = self.taken[-1]
                self._run_job_success(job.id, [])

        busy = BusyExecutor()
        stopped.add_executor(busy, "busy")
        stopped.start()
        recorder = Recorder(stopped, EVENT_JOB_MAX_INSTANCES)
        stopped.add_job(jobs.nothing, "interval", seconds=1, coalesce=False, executor="busy")
        on_time: list[datetime] = []
        stopped.pause()
        stopped.advance(2500)
        stopped.resume()
        stopped.add_job(lambda: on_time.append(stopped.now), "interval", seconds=1, id="other")

        stopped.advance(3)
        assert seconds(on_time) == [2501, 2502, 2503]
        assert len(busy.taken) == 1
        for _ in range(2):
            busy.finish()
            stopped.advance(0.2)

        times = [time for _, run_times in busy.taken for time in run_times]
        assert seconds(times) == list(range(1, 2504))
        assert recorder.events == []


def test_a_job_that_is_to_coalesce_from_now_on_catches_up_at_once(
    stopped: ManualScheduler,
) -> None:
    class Busy(BaseExecutor):
        def _do_submit_job(self, job: Any, run_times: list[datetime]) -> None:
            """Go on for ever."""

    stopped.add_executor(Busy())
    stopped.start(paused=True)
    recorder = Recorder(stopped, EVENT_JOB_SUBMITTED | EVENT_JOB_MAX_INSTANCES)
    job = stopped.add_job(jobs.nothing, "interval", seconds=1, coalesce=False)
    stopped.advance(2500)
    stopped.resume()
    stopped.run_due()
    assert recorder.names == ["JOB_SUBMITTED"]  # of 1000 runs; the others wait for their end

    job.modify(coalesce=True)
    stopped.run_due()
    assert recorder.names == ["JOB_SUBMITTED", "JOB_MAX_INSTANCES"]
    assert job.next_run_time == stopped.now + timedelta(seconds=1)


class TestOrder:
    def test_at_one_time_jobs_run_in_the_order_in_which_they_were_added(
        self, scheduler: ManualScheduler
    ) -> None:
        runs: list[str] = []
        at = MARCH_1 + timedelta(seconds=10)
        scheduler.add_job(runs.append, "date", ["first"], run_date=at)
        scheduler.add_job(runs.append, "interval", ["second"], seconds=10)
        scheduler.add_job(runs.append, "date", ["third"], run_date=at)
        scheduler.advance(10)
        assert runs == ["first", "second", "third"]

    def test_late_runs_are_made_in_the_order_in_which_they_were_due(
        self, scheduler: ManualScheduler
    ) -> None:
        runs: list[str] = []
        scheduler.add_job(runs.append, "interval", [":05"], seconds=5)
        scheduler.add_job(runs.append, "date", [":01"], run_date=MARCH_1 + timedelta(seconds=1))
        scheduler.pause()
        scheduler.advance(6)
        scheduler.resume()
        scheduler.run_due()
        assert runs == [":01", ":05"]

    @pytest.mark.parametrize(("of_other", "of_default"), [(":01", ":05"), (":05", ":01")])
    def test_so_are_those_of_several_stores(
        self, scheduler: ManualScheduler, of_other: str, of_default: str
    ) -> None:
        runs: list[str] = []
        scheduler.add_jobstore(MemoryJobStore(), "other")
        for name, store in (of_other, "other"), (of_default, "default"):
            at = MARCH_1 + timedelta(seconds=int(name[1:]))
            scheduler.add_job(runs.append, "date", [name], run_date=at, jobstore=store)
        scheduler.pause()
        scheduler.advance(6)
        scheduler.resume()
        scheduler.run_due()
        assert runs == [":01", ":05"]

    def test_at_one_time_the_order_of_adding_counts_in_several_stores_too(
        self, scheduler: ManualScheduler
    ) -> None:
        runs: list[str] = []
        scheduler.add_jobstore(MemoryJobStore(), "other")
        for name, store in ("first", "other"), ("second", "default"), ("third", "other"):
            scheduler.add_job(runs.append, "interval", [name], seconds=5, jobstore=store)
        scheduler.advance(5)
        assert runs == ["first", "second", "third"]


class TestInstanceLimit:
    def test_a_run_too_many_is_refused_and_told(
        self, stopped: ManualScheduler, caplog: pytest.LogCaptureFixture
    ) -> None:
        class HoldingExecutor(BaseExecutor):
            def _do_submit_job(self, job: Any, run_times: list[datetime]) -> None:
                """Never end a run."""

        stopped.add_executor(HoldingExecutor())
        stopped.start()
        recorder = Recorder(stopped)
        stopped.add_job(jobs.nothing, "interval", seconds=1, max_instances=2, id="job")
        stopped.advance(3)
        assert recorder.names == [
            "JOB_ADDED",
            "JOB_SUBMITTED",
            "JOB_SUBMITTED",
            "JOB_MAX_INSTANCES",
        ]
        refused = recorder.events[-1]
        assert (refused.job_id, refused.jobstore) == ("job", "default")
        assert seconds(refused.scheduled_run_times) == [3]
        assert "maximum number of running instances reached (2)" in caplog.text


class TestErrorsOfJobs:
    def test_one_that_raises_is_told_with_its_traceback_and_goes_on(
        self, scheduler: ManualScheduler, recorder: Recorder, caplog: pytest.LogCaptureFixture
    ) -> None:
        scheduler.add_job(jobs.fail, "interval", ["no luck"], seconds=1)
        scheduler.advance(2)
        errors = recorder.of(EVENT_JOB_ERROR)
        assert [str(e.exception) for e in errors] == ["no luck", "no luck"]
        assert "in fail" in errors[0].traceback
        assert "raised an exception" in caplog.text

    @pytest.mark.parametrize("error", [SystemExit, GeneratorExit])
    def test_no_exception_of_a_job_ends_the_loop(
        self, scheduler: ManualScheduler, recorder: Recorder, error: type[BaseException]
    ) -> None:
        def leave() -> None:
            raise error

        scheduler.add_executor(DebugExecutor(), "debug")
        scheduler.add_job(leave, "interval", seconds=1, executor="debug")
        scheduler.advance(2)
        assert [type(e.exception) for e in recorder.of(EVENT_JOB_ERROR)] == [error, error]


class TestErrorsOfTriggers:
    class FailingTrigger(BaseTrigger):
        def __init__(self, start: datetime, following: Any) -> None:
            self.start = start
            self.following = following

        def get_next_fire_time(self, previous_fire_time: Any, now: Any) -> Any:
            if previous_fire_time is None:
                return self.start
            if isinstance(self.following, Exception):
                raise self.following

            return self.following

    @pytest.mark.parametrize(
        "following",
        [ZeroDivisionError("by zero"), MARCH_1, MARCH_1 - timedelta(seconds=1), "tomorrow"],
        ids=["raises", "stands still", "goes back", "is no time"],
    )
    @pytest.mark.parametrize("coalesce", [True, False])
    def test_the_run_is_made_the_job_is_paused_and_the_others_go_on(
        self,
        scheduler: ManualScheduler,
        recorder: Recorder,
        following: Any,
        coalesce: bool,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        runs: list[str] = []
        trigger = self.FailingTrigger(MARCH_1, following)
        job = scheduler.add_job(runs.append, trigger, ["failing"], id="failing", coalesce=coalesce)
        scheduler.add_job(runs.append, "interval", ["other"], seconds=1)
        scheduler.advance(2)
        assert runs == ["failing", "other", "other"]
        assert job.next_run_time is None
        assert scheduler.get_job("failing") is job
        assert "JOB_MODIFIED" in recorder.names
        assert "the job is paused after this run" in caplog.text


class TestUnknownExecutors:
    def test_the_job_stays_others_are_on_time_and_it_runs_once_the_executor_is_there(
        self, scheduler: ManualScheduler, recorder: Recorder, caplog: pytest.LogCaptureFixture
    ) -> None:
        runs: list[tuple[str, float]] = []

        def run(name: str) -> None:
            runs.append((name, (scheduler.now - MARCH_1).total_seconds()))

        scheduler.add_job(run, "date", ["waiting"], run_date=MARCH_1, executor="late", id="job")
        scheduler.add_job(run, "interval", ["other"], seconds=20)
        scheduler.advance(50)
        assert runs == [("other", 20), ("other", 40)]
        assert scheduler.get_job("job") is not None
        assert caplog.text.count("stays in job store") == 1  # said once

        scheduler.add_executor(DebugExecutor(), "late")
        scheduler.run_due()
        assert runs[-1] == ("waiting", 50)
        assert scheduler.get_job("job") is None

    def test_jobs_of_a_removed_executor_wait_for_the_next_one(
        self, scheduler: ManualScheduler
    ) -> None:
        runs: list[str] = []
        scheduler.add_executor(DebugExecutor(), "debug")
        scheduler.add_job(runs.append, "interval", ["ran"], seconds=1, executor="debug")
        scheduler.advance(1)
        scheduler.remove_executor("debug")
        scheduler.advance(10)
        assert runs == ["ran"]
        scheduler.add_executor(DebugExecutor(), "debug")
        scheduler.run_due()
        assert runs == ["ran", "ran"]


class LoggedErrors(logging.Handler):
    """Counts the errors of a logger, and lets tests wait for them."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self._count = 0
        self._has_come = Condition()

    def emit(self, record: logging.LogRecord) -> None:
        with self._has_come:
            self._count += 1
            self._has_come.notify_all()

    def wait_for(self, count: int) -> None:
        with self._has_come:
            assert self._has_come.wait_for(lambda: self._count >= count, PATIENCE)


class TestFailingExecutors:
    class FlakyExecutor(DebugExecutor):
        """Fails as often as it is told to, then works."""

        def __init__(self, failures: int) -> None:
            super().__init__()
            self.failures = failures

        def _do_submit_job(self, job: Any, run_times: list[datetime]) -> None:
            if self.failures:
                self.failures -= 1
                raise RuntimeError("can't start new thread")
            super()._do_submit_job(job, run_times)

    def test_the_run_is_handed_over_again_until_it_is_taken(
        self, stopped: ManualScheduler, caplog: pytest.LogCaptureFixture
    ) -> None:
        stopped.add_executor(self.FlakyExecutor(3))
        stopped.start()
        recorder = Recorder(stopped, EVENT_JOB_SUBMITTED | OUTCOMES)
        stopped.add_job(jobs.nothing, "date", run_date=MARCH_1, id="job")
        stopped.run_due()
        assert recorder.events == []
        stopped.advance(30)  # jobstore_retry_interval is 10 seconds
        assert recorder.names == ["JOB_SUBMITTED", "JOB_EXECUTED"]
        assert caplog.text.count("Error submitting job") == 3

    def test_the_runs_of_an_interval_job_meanwhile_are_not_lost(
        self, stopped: ManualScheduler
    ) -> None:
        stopped.add_executor(self.FlakyExecutor(2))
        stopped.start()
        recorder = Recorder(stopped, EVENT_JOB_EXECUTED)
        stopped.add_job(jobs.nothing, "interval", seconds=4, coalesce=False)
        stopped.advance(40)
        times = seconds([event.scheduled_run_time for event in recorder.events])
        assert times == list(range(4, 41, 4))

    @pytest.mark.parametrize(
        ("method", "trigger"),
        [
            ("remove_job", "interval"),
            ("remove_job", "date"),  # it has left its store with its last run
            ("remove_all_jobs", "interval"),
            ("remove_all_jobs", "date"),
            ("pause_job", "interval"),
        ],
    )
    def test_a_run_that_waits_is_dropped_and_told_if_its_job_is_removed_or_paused(
        self, stopped: ManualScheduler, method: str, trigger: str
    ) -> None:
        stopped.add_executor(self.FlakyExecutor(1))
        stopped.start()
        recorder = Recorder(stopped, EVENT_JOB_SUBMITTED | OUTCOMES)
        arguments = {"minutes": 1} if trigger == "interval" else {"run_date": MARCH_1 + MINUTE}
        stopped.add_job(jobs.nothing, trigger, id="job", **arguments)
        stopped.advance(60)
        getattr(stopped, method)(*([] if method == "remove_all_jobs" else ["job"]))
        stopped.advance(300)
        assert recorder.names == ["JOB_MISSED"]
        assert recorder.events[0].scheduled_run_time == MARCH_1 + MINUTE

    def test_after_a_run_that_had_to_wait_the_next_ones_are_on_time(
        self, stopped: ManualScheduler
    ) -> None:
        stopped.add_executor(self.FlakyExecutor(1))
        stopped.start()
        recorder = Recorder(stopped, EVENT_JOB_EXECUTED)
        stopped.add_job(jobs.nothing, "interval", seconds=1)
        stopped.advance(14)
        times = seconds([event.scheduled_run_time for event in recorder.events])
        assert times == [1, 11, 12, 13, 14]

    def test_a_run_that_waits_is_not_tried_while_the_scheduler_is_paused(
        self, stopped: ManualScheduler
    ) -> None:
        stopped.add_executor(self.FlakyExecutor(1))
        stopped.start()
        recorder = Recorder(stopped, OUTCOMES)
        stopped.add_job(jobs.nothing, "date", run_date=MARCH_1)
        stopped.run_due()
        stopped.pause()
        stopped.advance(60)
        assert stopped.now == MARCH_1 + MINUTE
        assert stopped.run_due() is None
        assert recorder.names == []
        stopped.resume()
        stopped.run_due()
        assert recorder.names == ["JOB_EXECUTED"]

    def test_a_run_that_fails_again_while_another_thread_has_it_tried_again_is_kept(self) -> None:
        """The thread that adds an executor waits at each line of what has runs tried again."""
        executor = self.BlockedExecutor()
        scheduler = BackgroundScheduler(jobstore_retry_interval=0.2, timezone=timezone.utc)
        scheduler.add_executor(executor)
        recorder = Recorder(scheduler, EVENT_JOB_EXECUTED)
        logged = LoggedErrors()
        scheduler._logger.addHandler(logged)
        scheduler.start()
        try:
            scheduler.add_job(jobs.nothing, id="fails")
            logged.wait_for(1)
            scheduler.add_job(jobs.nothing, id="blocks")
            assert executor.is_blocked.wait(PATIENCE)

            def trace(frame: Any, event: str, argument: Any) -> Any:
                if frame.f_code.co_name not in ("add_executor", "release_stuck"):
                    return None
                if event == "line" and scheduler._backlog.ready:
                    executor.go_on.set()  # the loop hands over what has been made ready
                    logged.wait_for(2)
                return trace

            sys.settrace(trace)
            try:
                scheduler.add_executor(DebugExecutor(), "other")
            finally:
                sys.settrace(None)
            executor.is_down = False
            events = recorder.wait_for(EVENT_JOB_EXECUTED, 2)
            assert {event.job_id for event in events} == {"blocks", "fails"}
        finally:
            scheduler._logger.removeHandler(logged)
            executor.go_on.set()
            scheduler.shutdown()

    class BlockedExecutor(ThreadPoolExecutor):
        """Refuses one job, and has the loop wait amid the other one."""

        def __init__(self) -> None:
            super().__init__()
            self.is_down = True
            self.is_blocked = Event()
            self.go_on = Event()

        def _do_submit_job(self, job: Any, run_times: list[datetime]) -> None:
            if job.id == "blocks":
                self.is_blocked.set()
                assert self.go_on.wait(PATIENCE)
            elif self.is_down:
                raise RuntimeError("can't start new thread")
            super()._do_submit_job(job, run_times)

    def test_a_run_that_waits_is_made_though_its_job_is_changed(
        self, stopped: ManualScheduler
    ) -> None:
        stopped.add_executor(self.FlakyExecutor(1))
        stopped.start()
        recorder = Recorder(stopped, OUTCOMES)
        stopped.add_job(jobs.nothing, "interval", minutes=1, id="job")
        stopped.advance(60)
        stopped.modify_job("job", name="other")
        stopped.advance(10)
        assert recorder.names == ["JOB_EXECUTED"]

    def test_an_executor_that_is_added_has_waiting_runs_tried_again_at_once(
        self, stopped: ManualScheduler
    ) -> None:
        stopped.add_executor(self.FlakyExecutor(1))
        stopped.start()
        recorder = Recorder(stopped, OUTCOMES)
        stopped.add_job(jobs.nothing, "interval", minutes=1)
        stopped.advance(60)
        stopped.add_executor(DebugExecutor(), "other")
        stopped.run_due()
        assert recorder.names == ["JOB_EXECUTED"]

    def test_a_run_that_was_never_taken_is_told_when_the_scheduler_stops(
        self, stopped: ManualScheduler, caplog: pytest.LogCaptureFixture
    ) -> None:
        stopped.add_executor(self.FlakyExecutor(99))
        stopped.start()
        recorder = Recorder(stopped, OUTCOMES)
        stopped.add_job(jobs.nothing, "date", run_date=MARCH_1, id="job")
        stopped.run_due()
        stopped.shutdown()
        assert [(e.job_id, e.code) for e in recorder.events] == [("job", EVENT_JOB_MISSED)]
        assert "was never handed to its executor" in caplog.text


class CopyingStore(MemoryJobStore):
    """Keeps copies of jobs, and gives out copies, as a database does."""

    def add_job(self, job: Job) -> None:
        super().add_job(copied(job))

    def update_job(self, job: Job) -> None:
        super().update_job(copied(job))

    def update_jobs(self, jobs: Iterable[Job]) -> list[str]:
        return super().update_jobs(map(copied, jobs))

    def lookup_job(self, job_id: str) -> Job | None:
        job = super().lookup_job(job_id)
        return copied(job) if job else None

    def get_due_jobs(self, now: datetime) -> list[Job]:
        return [copied(job) for job in super().get_due_jobs(now)]

    def get_all_jobs(self) -> list[Job]:
        return [copied(job) for job in super().get_all_jobs()]


def copied(job: Job) -> Job:
    twin = Job.__new__(Job)
    for name in Job.__slots__:
        if name != "__weakref__" and hasattr(job, name):
            setattr(twin, name, getattr(job, name))
    twin._jobstore_alias = "default"
    return twin


class FaultyStore(CopyingStore):
    """Raises at chosen operations, before they take effect or after."""

    def __init__(self) -> None:
        super().__init__()
        self.faults: list[tuple[str, str]] = []  # (operation, "before" or "after")

    def _guarded(self, name: str, operation: Callable[[], Any]) -> Any:
        fault = self.faults[0] if self.faults and self.faults[0][0] == name else None
        if fault:
            del self.faults[0]
            if fault[1] == "before":
                raise ConnectionError(f"{name} did not arrive")

        result = operation()
        if fault:
            raise ConnectionError(f"the answer to {name} was lost")

        return result

    def get_due_jobs(self, now: Any) -> Any:
        due = super().get_due_jobs
        return self._guarded("get_due_jobs", lambda: due(now))

    def get_next_run_time(self) -> Any:
        return self._guarded("get_next_run_time", super().get_next_run_time)

    def lookup_job(self, job_id: str) -> Any:
        lookup = super().lookup_job
        return self._guarded("lookup_job", lambda: lookup(job_id))

    def update_jobs(self, jobs: Any) -> Any:
        update, jobs = super().update_jobs, list(jobs)
        return self._guarded("update_jobs", lambda: update(jobs))

    def remove_jobs(self, job_ids: Any) -> Any:
        remove, job_ids = super().remove_jobs, list(job_ids)
        return self._guarded("remove_jobs", lambda: remove(job_ids))


class TestFailingStores:
    @pytest.fixture
    def store(self, stopped: ManualScheduler) -> FaultyStore:
        store = FaultyStore()
        stopped.add_jobstore(store)
        stopped.start()
        return store

    @pytest.mark.parametrize(
        "faults",
        [
            [("get_due_jobs", "before")],
            [("get_next_run_time", "before")],
            [("remove_jobs", "before")],
            [("remove_jobs", "after")],
            [("remove_jobs", "after"), ("lookup_job", "before")],
            [("remove_jobs", "before"), ("lookup_job", "before")],
            [("remove_jobs", "before"), ("remove_jobs", "after")],
            [("remove_jobs", "before"), ("remove_jobs", "before"), ("lookup_job", "after")],
        ],
        ids=str,
    )
    def test_a_job_that_runs_once_runs_once(
        self, stopped: ManualScheduler, store: FaultyStore, faults: list[tuple[str, str]]
    ) -> None:
        runs: list[str] = []
        stopped.add_job(runs.append, "date", ["ran"], run_date=MARCH_1)
        store.faults = list(faults)
        stopped.advance(60)
        assert store.faults == []
        assert runs == ["ran"]
        assert stopped.get_jobs() == []

    @pytest.mark.parametrize(
        "faults",
        [
            [("get_due_jobs", "before")],
            [("get_next_run_time", "after")],
            [("update_jobs", "before")],
            [("update_jobs", "after")],
            [("update_jobs", "before"), ("lookup_job", "before")],
            [("update_jobs", "after"), ("lookup_job", "before")],
            [("update_jobs", "before"), ("update_jobs", "after")],
            [("update_jobs", "before"), ("update_jobs", "before"), ("lookup_job", "after")],
        ],
        ids=str,
    )
    def test_a_job_that_repeats_runs_once_for_each_time(
        self, stopped: ManualScheduler, store: FaultyStore, faults: list[tuple[str, str]]
    ) -> None:
        recorder = Recorder(stopped, OUTCOMES)
        stopped.add_job(jobs.nothing, "interval", seconds=15, coalesce=False)
        store.faults = list(faults)
        stopped.advance(120)
        assert store.faults == []
        times = seconds([event.scheduled_run_time for event in recorder.events])
        assert times == list(range(15, 121, 15))

    @pytest.mark.parametrize("at_once", [False, True], ids=["one by one", "many at once"])
    @pytest.mark.parametrize("when", ["before", "after"])
    def test_a_due_run_is_not_lost_if_its_job_is_replaced_before_the_store_told_of_it(
        self, stopped: ManualScheduler, store: FaultyStore, when: str, at_once: bool
    ) -> None:
        runs: list[str] = []
        spec = {"func": runs.append, "trigger": "interval", "minutes": 1, "id": "job"}
        stopped.add_job(**spec, args=["old"])
        store.faults = [("update_jobs", when), *[("lookup_job", "before")] * 100]
        stopped.advance(60)
        assert runs == []
        store.faults = []

        new = {**spec, "args": ["new"], "replace_existing": True}
        if at_once:
            stopped.add_jobs([new])
        else:
            stopped.add_job(**new)
        stopped.advance(30)
        assert runs == (["old"] if when == "after" else ["new"])
        stopped.advance(30)
        assert runs[1:] == ["new"]

    @pytest.mark.parametrize("replacing", [False, True])
    def test_a_last_run_is_not_lost_if_its_id_is_given_to_another_job(
        self, stopped: ManualScheduler, store: FaultyStore, replacing: bool
    ) -> None:
        runs: list[str] = []
        stopped.add_job(runs.append, "date", ["last"], run_date=MARCH_1, id="job")
        store.faults = [("remove_jobs", "after"), *[("lookup_job", "before")] * 100]
        stopped.advance(1)
        assert runs == []
        store.faults = []

        stopped.add_job(
            runs.append, "interval", ["next"], hours=1, id="job", replace_existing=replacing
        )
        stopped.advance(60)
        assert runs == ["last"]

    def test_a_failure_is_logged_and_tried_again_after_the_retry_interval(
        self, stopped: ManualScheduler, store: FaultyStore, caplog: pytest.LogCaptureFixture
    ) -> None:
        stopped.add_job(jobs.nothing, "interval", hours=1)
        store.faults = [("get_due_jobs", "before")]
        with caplog.at_level(logging.ERROR):
            assert stopped.run_due() == 10
        assert 'Job store "default" failed -- trying again at 2030-03-01 08:00:10' in caplog.text
        assert "get_due_jobs did not arrive" in caplog.text

    def test_other_stores_are_not_kept_waiting(
        self, stopped: ManualScheduler, store: FaultyStore
    ) -> None:
        stopped.add_jobstore("memory", "other")
        runs: list[str] = []
        stopped.add_job(runs.append, "interval", ["ran"], seconds=1, jobstore="other")
        store.faults = [("get_due_jobs", "before")] * 100
        stopped.advance(35)
        assert runs == ["ran"] * 35
        assert len(store.faults) == 100 - 4  # each look may take as long as a server that hangs

    def test_one_that_answers_to_a_change_is_looked_into_at_once(
        self, stopped: ManualScheduler, store: FaultyStore
    ) -> None:
        runs: list[str] = []
        stopped.add_job(runs.append, "interval", ["modified"], hours=1, id="job")
        later = [stopped.now + timedelta(seconds=number) for number in (1, 2, 3)]
        store.faults = [("get_due_jobs", "before")]
        stopped.run_due()
        stopped.add_job(runs.append, "date", ["added"], run_date=later[0])
        stopped.advance(1)
        assert runs == ["added"]

        store.faults = [("get_due_jobs", "before")]
        stopped.run_due()
        stopped.modify_job("job", next_run_time=later[1])
        stopped.advance(1)
        assert runs == ["added", "modified"]

        store.faults = [("get_due_jobs", "before")]
        stopped.run_due()
        date = {"func": runs.append, "trigger": "date", "run_date": later[2]}
        stopped.add_jobs([{**date, "args": ["first"]}, {**date, "args": ["second"]}])
        stopped.advance(1)
        assert runs == ["added", "modified", "first", "second"]

    def test_an_unreachable_store_raises_its_own_error(
        self, stopped: ManualScheduler, store: FaultyStore
    ) -> None:
        stopped.add_job(jobs.nothing, "interval", hours=1, id="job")
        store.faults = [("lookup_job", "before")]
        with pytest.raises(ConnectionError, match="lookup_job did not arrive"):
            stopped.get_job("job")


class InterruptedStore(CopyingStore):
    """Ctrl+C comes once, in the middle of moving jobs on: before it took effect or after."""

    def __init__(self, when: str) -> None:
        super().__init__()
        self.when = when

    def update_jobs(self, jobs: Any) -> Any:
        when, self.when = self.when, ""
        if when == "before":
            raise KeyboardInterrupt
        missing = super().update_jobs(jobs)
        if when == "after":
            raise KeyboardInterrupt

        return missing


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_run_that_ctrl_c_interrupts_is_made_by_the_shutdown(
    stopped: ManualScheduler, when: str
) -> None:
    runs: list[str] = []
    stopped.add_jobstore(InterruptedStore(when))
    stopped.add_job(runs.append, "interval", ["ran"], minutes=1)
    stopped.start()
    with pytest.raises(KeyboardInterrupt):
        stopped.advance(60)

    stopped.shutdown()
    assert runs == ["ran"]


class TestFromInsideOfJobs:
    def test_a_job_may_change_itself(self, scheduler: ManualScheduler) -> None:
        runs: list[float] = []

        def slow_down() -> None:
            runs.append((scheduler.now - MARCH_1).total_seconds())
            scheduler.reschedule_job("job", trigger="interval", seconds=10)

        scheduler.add_job(slow_down, "interval", seconds=1, id="job")
        scheduler.advance(25)
        assert runs == [1, 11, 21]

    def test_a_job_may_pause_or_remove_itself_and_others(self, scheduler: ManualScheduler) -> None:
        runs: list[str] = []

        def first() -> None:
            runs.append("first")
            scheduler.remove_job("second")
            scheduler.pause_job("first")

        scheduler.add_job(first, "interval", seconds=1, id="first")
        scheduler.add_job(runs.append, "interval", ["second"], seconds=2, id="second")
        scheduler.advance(10)
        assert runs == ["first"]
        assert [job.id for job in scheduler.get_jobs()] == ["first"]

    def test_a_job_may_pause_another_one_that_is_due_with_it(
        self, scheduler: ManualScheduler, recorder: Recorder
    ) -> None:
        runs: list[str] = []
        scheduler.add_job(lambda: scheduler.pause_job("b"), "interval", seconds=5, id="a")
        scheduler.add_job(runs.append, "interval", ["b"], seconds=5, id="b")
        scheduler.advance(5)
        assert runs == []
        (missed,) = recorder.of(EVENT_JOB_MISSED)
        assert (missed.job_id, missed.scheduled_run_time) == ("b", scheduler.now)
        assert [e.job_id for e in recorder.of(EVENT_JOB_SUBMITTED)] == ["a"]

    def test_a_job_may_remove_another_one_whose_last_run_is_due_with_it(
        self, scheduler: ManualScheduler, recorder: Recorder
    ) -> None:
        runs: list[str] = []
        at = MARCH_1 + timedelta(seconds=5)
        scheduler.add_job(lambda: scheduler.remove_job("b"), "date", run_date=at, id="a")
        scheduler.add_job(runs.append, "date", ["b"], run_date=at, id="b")
        scheduler.advance(5)
        assert runs == []
        assert [e.job_id for e in recorder.of(EVENT_JOB_REMOVED)] == ["b", "a"]
        assert recorder.of(EVENT_JOB_ERROR) == []

    @pytest.mark.parametrize("method", ["resume", "shutdown"])
    def test_what_is_due_while_the_scheduler_is_paused_can_be_paused_and_removed(
        self, scheduler: ManualScheduler, recorder: Recorder, method: str
    ) -> None:
        runs: list[str] = []
        at = MARCH_1 + timedelta(seconds=5)
        scheduler.add_job(scheduler.pause, "date", run_date=at, id="a")
        scheduler.add_job(runs.append, "interval", ["b"], seconds=5, id="b")
        scheduler.add_job(runs.append, "date", ["c"], run_date=at, id="c")
        scheduler.advance(5)
        scheduler.pause_job("b")
        scheduler.remove_job("c")
        with pytest.raises(JobLookupError):
            scheduler.remove_job("c")
        getattr(scheduler, method)()
        if scheduler.running:
            scheduler.advance(60)
        assert runs == []
        assert [e.job_id for e in recorder.of(EVENT_JOB_MISSED)] == ["b"]
        assert [e.job_id for e in recorder.of(EVENT_JOB_REMOVED)] == ["a", "c"]

    def test_runs_that_a_pause_held_up_cost_their_jobs_no_more_time(
        self, scheduler: ManualScheduler, recorder: Recorder
    ) -> None:
        scheduler.add_job(scheduler.pause, "date", run_date=MARCH_1 + timedelta(seconds=2))
        scheduler.add_job(jobs.nothing, "interval", seconds=1, id="job")
        scheduler.advance(4)
        scheduler.resume()
        scheduler.advance(2)
        executed = [e for e in recorder.of(EVENT_JOB_EXECUTED) if e.job_id == "job"]
        assert seconds([e.scheduled_run_time for e in executed]) == [1, 2, 4, 5, 6]

    def test_a_job_that_is_removed_just_after_its_submission_is_told_as_submitted(
        self, scheduler: ManualScheduler, recorder: Recorder
    ) -> None:
        class FailingLate(DebugExecutor):
            def _do_submit_job(self, job: Any, run_times: list[datetime]) -> None:
                super()._do_submit_job(job, run_times)
                raise RuntimeError("too late: the job has run")

        class Removing(logging.Handler):
            def emit(self, record: logging.LogRecord) -> None:
                scheduler.remove_job("removed")

        scheduler.add_executor(FailingLate(), "late")
        scheduler.add_job(jobs.nothing, "interval", hours=1, id="other")
        scheduler.add_job(lambda: scheduler.remove_job("other"), "interval", seconds=5, id="first")
        scheduler.add_job(jobs.nothing, "interval", seconds=5, id="removed", executor="late")
        scheduler.add_job(jobs.nothing, "interval", seconds=5, id="still waiting")
        removing = Removing(logging.ERROR)
        scheduler._logger.addHandler(removing)
        try:
            scheduler.advance(5)
        finally:
            scheduler._logger.removeHandler(removing)
        events = [e for e in recorder.events if getattr(e, "job_id", None) == "removed"]
        names = [NAMES[event.code] for event in events]
        assert sorted(names) == ["JOB_ADDED", "JOB_EXECUTED", "JOB_REMOVED", "JOB_SUBMITTED"]
        assert [type(e) for e in events if e.code == EVENT_JOB_REMOVED] == [JobEvent]

    def test_a_job_may_pause_the_scheduler(self, scheduler: ManualScheduler) -> None:
        runs: list[str] = []
        scheduler.add_job(scheduler.pause, "interval", seconds=5)
        scheduler.add_job(runs.append, "interval", ["ran"], seconds=2)
        scheduler.advance(60)
        assert runs == ["ran", "ran"]


def test_a_removed_job_does_not_run_though_it_was_due(scheduler: ManualScheduler) -> None:
    runs: list[str] = []
    scheduler.add_job(runs.append, args=["ran"], id="job")
    scheduler.remove_job("job")
    scheduler.run_due()
    assert runs == []


def test_a_store_may_change_a_job_through_the_scheduler_while_it_moves_it_on(
    stopped: ManualScheduler,
) -> None:
    class Renaming(MemoryJobStore):
        def update_jobs(self, jobs: Iterable[Job]) -> list[str]:
            missing = super().update_jobs(jobs)
            if not runs:
                stopped.modify_job("a", name="another")
            return missing

    runs: Counter[str] = Counter()
    stopped.add_jobstore(Renaming())
    stopped.start()
    for job_id in "ab":
        stopped.add_job(runs.update, "interval", [[job_id]], seconds=60, id=job_id)
    stopped.advance(90)

    assert runs == {"a": 1, "b": 1}
