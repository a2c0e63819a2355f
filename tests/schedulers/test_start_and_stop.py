"""While a scheduler starts and stops: what listeners, jobs and impatient people may do."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from threading import Event, Thread, current_thread
from time import monotonic
from typing import Any

import pytest
from sqlalchemy import event as sqlalchemy_event

from apscheduler.events import (
    EVENT_EXECUTOR_ADDED,
    EVENT_JOB_ADDED,
    EVENT_JOB_EXECUTED,
    EVENT_JOBSTORE_ADDED,
    EVENT_SCHEDULER_START,
    JobEvent,
    SchedulerEvent,
)
from apscheduler.executors.base import BaseExecutor
from apscheduler.executors.debug import DebugExecutor
from apscheduler.job import Job
from apscheduler.jobstores.base import ConflictingIdError
from apscheduler.jobstores.memory import MemoryJobStore
from apscheduler.jobstores.sqlalchemy import SQLAlchemyJobStore
from apscheduler.schedulers import SchedulerAlreadyRunningError
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.schedulers.base import STATE_RUNNING
from apscheduler.schedulers.blocking import BlockingScheduler
from apscheduler.testing import ManualScheduler
from apscheduler.triggers.combining import OrTrigger
from apscheduler.triggers.date import DateTrigger
from tests import jobs
from tests.recorder import PATIENCE, Recorder

CHANGES: dict[str, Callable[[ManualScheduler, str], object]] = {
    "removes it": lambda scheduler, job_id: scheduler.remove_job(job_id),
    "pauses it": lambda scheduler, job_id: scheduler.pause_job(job_id),
    "changes it": lambda scheduler, job_id: scheduler.modify_job(job_id, args=["changed"]),
}


@pytest.mark.parametrize("store", ["memory", "sqlalchemy"])
@pytest.mark.parametrize("what", CHANGES)
def test_a_listener_may_change_a_job_that_the_start_has_just_added(
    stopped: ManualScheduler, what: str, store: str, tmp_path: Path
) -> None:
    options = {"url": f"sqlite:///{tmp_path}/jobs.sqlite"} if store == "sqlalchemy" else {}
    stopped.add_jobstore(store, **options)
    recorder = Recorder(stopped, EVENT_JOB_EXECUTED)

    def change(event: JobEvent) -> None:
        if event.job_id == "first":
            CHANGES[what](stopped, event.job_id)

    stopped.add_listener(change, EVENT_JOB_ADDED)
    stopped.add_job(jobs.give, "interval", ["as added"], seconds=10, id="first")
    stopped.add_job(jobs.give, "interval", ["other"], seconds=10, id="second")
    stopped.start()
    stopped.advance(10)

    outcome = {event.job_id: event.retval for event in recorder.events}
    assert outcome.pop("second") == "other"
    assert outcome == ({"first": "changed"} if what == "changes it" else {})
    stopped.shutdown()


def test_pending_jobs_go_to_their_store_in_one_transaction(
    stopped: ManualScheduler, tmp_path: Path
) -> None:
    store = SQLAlchemyJobStore(f"sqlite:///{tmp_path}/jobs.sqlite")
    stopped.add_jobstore(store)
    commits: list[Any] = []
    stopped.add_jobs({"func": jobs.nothing, "trigger": "interval"} for _ in range(50))
    stopped.add_job(jobs.nothing, "interval", id="late", replace_existing=True)

    sqlalchemy_event.listen(store.engine, "commit", commits.append)
    stopped.start()

    assert len(stopped.get_jobs()) == 51
    assert len(commits) <= 4
    stopped.shutdown()


def test_a_start_that_fails_for_one_pending_job_stores_none_of_them(
    stopped: ManualScheduler, tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path}/jobs.sqlite"
    stopped.add_jobstore("sqlalchemy", url=url)
    stopped.add_job(jobs.nothing, "interval", id="taken")
    stopped.start()
    stopped.shutdown()

    stopped.add_job(jobs.nothing, "interval", id="new")
    stopped.add_job(jobs.nothing, "interval", id="taken")
    with pytest.raises(ConflictingIdError, match="taken"):
        stopped.start()
    assert [job.id for job in stopped.get_jobs()] == ["new", "taken"]

    stopped.remove_job("taken")
    stopped.start()
    assert {job.id for job in stopped.get_jobs()} == {"new", "taken"}
    stopped.shutdown()


@pytest.mark.parametrize("type_", ["memory", "sqlalchemy"])
def test_a_start_that_fails_for_a_job_added_meanwhile_keeps_the_others_for_the_next_one(
    stopped: ManualScheduler, tmp_path: Path, type_: str
) -> None:
    def add_more(event: JobEvent) -> None:
        if event.job_id == "removed":
            stopped.remove_job("removed")
            stopped.modify_job("first", args=["changed"])
            stopped.add_job(
                jobs.give, "interval", ["second"], seconds=10, id="second", jobstore="missing"
            )

    options = {"url": f"sqlite:///{tmp_path}/jobs.sqlite"} if type_ == "sqlalchemy" else {}
    stopped.add_jobstore(type_, **options)
    for name in ("first", "removed"):
        stopped.add_job(jobs.give, "interval", [name], seconds=10, id=name)
    stopped.add_listener(add_more, EVENT_JOB_ADDED)
    with pytest.raises(KeyError, match="No such job store: missing"):
        stopped.start()
    assert [job.id for job in stopped.get_jobs()] == ["first", "second"]
    assert all(job.pending for job in stopped.get_jobs())

    stopped.add_jobstore("memory", "missing")
    stopped.start()
    recorder = Recorder(stopped, EVENT_JOB_EXECUTED)
    stopped.advance(10)
    assert [event.retval for event in recorder.events] == ["changed", "second"]


def test_pending_jobs_may_replace_each_other(stopped: ManualScheduler) -> None:
    for args in (["first"], ["second"]):
        stopped.add_job(jobs.give, "interval", args, id="same", replace_existing=True)
    stopped.start()

    [job] = stopped.get_jobs()
    assert job.args == ("second",)


def test_two_threads_cannot_both_start_a_scheduler() -> None:
    class SlowStore(MemoryJobStore):
        def start(self, scheduler: Any, alias: str) -> None:
            started.set()
            assert proceed.wait(PATIENCE)
            super().start(scheduler, alias)

    started, proceed = Event(), Event()
    scheduler = BackgroundScheduler(jobstores={"default": SlowStore()})
    thread = Thread(target=scheduler.start)
    thread.start()
    assert started.wait(PATIENCE)
    second = Thread(target=proceed.set)  # the store is let go while the second start waits
    second.start()
    with pytest.raises(SchedulerAlreadyRunningError):
        scheduler.start()

    thread.join(PATIENCE)
    assert scheduler.running
    scheduler.shutdown()


def test_a_job_sees_its_store_while_the_shutdown_waits_for_it() -> None:
    scheduler = BackgroundScheduler()
    running, leaving = Event(), Event()
    seen: list[Any] = []

    def last_act() -> None:
        running.set()
        assert leaving.wait(PATIENCE)
        seen.append([job.id for job in scheduler.get_jobs()])
        scheduler.remove_job("mine")
        seen.append(scheduler.get_job("mine"))

    scheduler.start()
    scheduler.add_job(last_act, "interval", seconds=60, id="mine", next_run_time=datetime.now())
    assert running.wait(PATIENCE)
    shutdown = Thread(target=scheduler.shutdown)
    shutdown.start()
    while scheduler.running:
        pass
    leaving.set()
    shutdown.join(PATIENCE)

    assert seen == [["mine"], None]


@pytest.mark.parametrize(
    ("wait", "error"),
    [("no", TypeError), (None, TypeError), (-1, ValueError), (float("inf"), ValueError)],
)
def test_what_says_not_how_long_to_wait_leaves_the_scheduler_running(
    scheduler: ManualScheduler, wait: Any, error: type[Exception]
) -> None:
    with pytest.raises(error, match=r"wait must be .*number of seconds"):
        scheduler.shutdown(wait)

    assert scheduler.running
    scheduler.shutdown()


class InterruptedExecutor(BaseExecutor):
    """Ctrl+C strikes while a run is handed over."""

    interrupted = False

    def _do_submit_job(self, job: Job, run_times: list[datetime]) -> None:
        if not self.interrupted:
            self.interrupted = True
            raise KeyboardInterrupt

        self._run(job, run_times)


def test_no_run_is_lost_to_a_ctrl_c_while_it_is_handed_over() -> None:
    scheduler = BlockingScheduler(executors={"default": InterruptedExecutor()})
    recorder = Recorder(scheduler, EVENT_JOB_EXECUTED)
    for number in range(3):
        scheduler.add_job(jobs.give, args=[number])

    with pytest.raises(KeyboardInterrupt):
        scheduler.start()

    assert sorted(event.retval for event in recorder.events) == [0, 1, 2]
    scheduler.shutdown()


def test_a_second_ctrl_c_stops_the_other_parts_all_the_same() -> None:
    class ImpatientlyStopped(BaseExecutor):
        def _do_submit_job(self, job: Job, run_times: list[datetime]) -> None:
            raise AssertionError("no job is due")

        def shutdown(self, wait: bool | float = True) -> None:
            stopped.append(wait)
            if len(stopped) == 1:
                raise KeyboardInterrupt

    class Store(MemoryJobStore):
        def shutdown(self) -> None:
            stopped.append("store")

    stopped: list[Any] = []
    scheduler = BackgroundScheduler(
        executors={"default": ImpatientlyStopped(), "other": ImpatientlyStopped()},
        jobstores={"default": Store()},
    )
    scheduler.start()
    thread = scheduler._thread
    assert thread is not None
    with pytest.raises(KeyboardInterrupt):
        scheduler.shutdown()

    assert stopped == [True, False, "store"]
    thread.join(PATIENCE)
    assert not thread.is_alive()


def test_a_job_that_can_never_run_is_refused_before_the_start_too(
    stopped: ManualScheduler,
) -> None:
    with pytest.raises(ValueError, match="would never run"):
        stopped.add_job(jobs.nothing, "cron", month=2, day=30)
    with pytest.raises(ValueError, match="would never run"):
        stopped.add_jobs([{"func": jobs.nothing, "trigger": "cron", "month": 2, "day": 30}])

    stopped.start()
    assert stopped.get_jobs() == []


@pytest.mark.parametrize(
    ("trigger", "every_hour"), [("interval", {"hours": 1}), ("cron", {"minute": 0})]
)
def test_a_schedule_whose_end_has_passed_is_added_paused(
    stopped: ManualScheduler, trigger: str, every_hour: dict[str, int]
) -> None:
    before = stopped.add_job(jobs.nothing, trigger, end_date="2020-01-01", **every_hour)
    stopped.start()
    after = stopped.add_job(jobs.nothing, trigger, end_date="2020-01-01", **every_hour)
    assert [before.next_run_time, after.next_run_time] == [None, None]


def test_a_date_that_was_run_at_is_not_run_at_again_after_a_pause(
    scheduler: ManualScheduler,
) -> None:
    recorder = Recorder(scheduler, EVENT_JOB_EXECUTED)
    dates = [DateTrigger(scheduler.now + timedelta(seconds=seconds)) for seconds in (1, 100)]
    job = scheduler.add_job(jobs.nothing, OrTrigger(dates))
    scheduler.advance(10)
    job.pause()
    job.resume()
    scheduler.advance(1000)

    assert len(recorder.events) == 2


def test_a_date_that_passed_during_the_pause_is_run_at_when_the_job_is_resumed(
    scheduler: ManualScheduler,
) -> None:
    recorder = Recorder(scheduler, EVENT_JOB_EXECUTED)
    job = scheduler.add_job(jobs.nothing, "date", run_date=scheduler.now + timedelta(seconds=1))
    job.pause()
    scheduler.advance(10)
    job.resume()
    scheduler.advance(0)

    assert len(recorder.events) == 1


@pytest.mark.parametrize("by_event", [EVENT_EXECUTOR_ADDED, EVENT_JOBSTORE_ADDED, EVENT_JOB_ADDED])
def test_what_a_listener_adds_during_the_start_is_started_once(by_event: int) -> None:
    class Store(MemoryJobStore):
        starts = 0

        def start(self, scheduler: Any, alias: str) -> None:
            self.starts += 1
            super().start(scheduler, alias)

    class Executor(DebugExecutor):
        starts = 0

        def start(self, scheduler: Any, alias: str) -> None:
            self.starts += 1
            super().start(scheduler, alias)

    def add(event: SchedulerEvent) -> None:
        scheduler.remove_listener(add)
        scheduler.add_executor(executor, "late")
        scheduler.add_jobstore(store, "late")

    executor, store, scheduler = Executor(), Store(), BackgroundScheduler()
    scheduler.add_job(jobs.nothing, "interval", hours=1)
    scheduler.add_listener(add, by_event)
    scheduler.start()
    assert (executor.starts, store.starts) == (1, 1)

    recorder = Recorder(scheduler)
    scheduler.add_job(jobs.nothing, executor="late", jobstore="late")
    recorder.wait_for(EVENT_JOB_EXECUTED)
    scheduler.shutdown()

    assert not scheduler._executors_are_open
    idle = Executor()
    scheduler.add_executor(idle, "idle")
    assert idle.starts == 0


def test_a_start_that_fails_for_an_unknown_store_names_the_job(stopped: ManualScheduler) -> None:
    stopped.add_job(jobs.nothing, "interval", id="fine")
    stopped.add_job(jobs.nothing, "interval", id="lost", jobstore="defualt")
    with pytest.raises(KeyError) as caught:
        stopped.start()
    assert caught.value.args[0] == (
        'Cannot add job "nothing" (id lost): No such job store: defualt; did you mean "default"?'
    )
    assert [job.id for job in stopped.get_jobs()] == ["fine", "lost"]


@pytest.fixture
def being_shut_down() -> Iterator[BackgroundScheduler]:
    """A scheduler whose shutdown waits for a job, which ends with the test."""
    scheduler = BackgroundScheduler()
    begun, release = Event(), Event()
    scheduler.start()
    scheduler.add_job(lambda: (begun.set(), release.wait(PATIENCE)))
    assert begun.wait(PATIENCE)
    shutdown = Thread(target=scheduler.shutdown)
    shutdown.start()
    deadline = monotonic() + PATIENCE
    while scheduler.running:
        assert monotonic() < deadline
    yield scheduler
    release.set()
    shutdown.join(PATIENCE)
    assert not shutdown.is_alive()


def test_a_start_that_is_refused_does_not_hold_up_the_shutdown_that_is_going_on(
    being_shut_down: BackgroundScheduler,
) -> None:
    with pytest.raises(SchedulerAlreadyRunningError, match="still shutting down"):
        being_shut_down.start()


def test_while_it_shuts_down_it_is_not_configured_anew(
    being_shut_down: BackgroundScheduler,
) -> None:
    with pytest.raises(SchedulerAlreadyRunningError, match="still shutting down"):
        being_shut_down.configure(timezone="UTC")


def test_while_it_starts_it_is_not_configured_anew() -> None:
    class Store(MemoryJobStore):
        def start(self, scheduler: Any, alias: str) -> None:
            with pytest.raises(SchedulerAlreadyRunningError):
                scheduler.configure(timezone="UTC")
            super().start(scheduler, alias)

    store = Store()
    scheduler = ManualScheduler(jobstores={"default": store})
    scheduler.start()
    assert scheduler._jobstores == {"default": store}


def test_a_start_that_is_overtaken_by_another_leaves_that_one_its_loop() -> None:
    class HeldUp(BackgroundScheduler):
        def _create_event(self) -> Any:
            event = super()._create_event()
            if current_thread() is late:
                reached.set()
                assert proceed.wait(PATIENCE)
            return event

    def start_late() -> None:
        with suppress(SchedulerAlreadyRunningError):
            scheduler.start()

    reached, proceed = Event(), Event()
    scheduler, late = HeldUp(), Thread(target=start_late)
    recorder = Recorder(scheduler, EVENT_JOB_EXECUTED)
    late.start()
    assert reached.wait(PATIENCE)
    scheduler.start()
    scheduler.add_job(jobs.nothing)
    recorder.wait_for()
    proceed.set()
    late.join(PATIENCE)

    scheduler.add_job(jobs.nothing)
    recorder.wait_for(count=2)
    scheduler.shutdown()


def test_a_start_listener_may_restart_the_scheduler_which_has_one_loop_then() -> None:
    def loops() -> set[Thread]:
        return {thread for thread in threading.enumerate() if thread.name == "APScheduler"}

    def restart(event: SchedulerEvent) -> None:
        scheduler.remove_listener(restart)
        scheduler.shutdown()
        scheduler.start()
        scheduler.add_job(jobs.nothing)
        recorder.wait_for()  # so the loop has begun

    before = loops()
    scheduler = BackgroundScheduler()
    recorder = Recorder(scheduler, EVENT_JOB_EXECUTED)
    scheduler.add_listener(restart, EVENT_SCHEDULER_START)
    scheduler.start()
    loop = scheduler._thread
    assert loop is not None
    for thread in loops() - before - {loop}:
        thread.join(PATIENCE)
    assert loops() - before == {loop}

    scheduler.shutdown()
    assert not loops() - before


def test_a_start_listener_may_shut_the_scheduler_down_which_has_no_thread_then() -> None:
    scheduler = BackgroundScheduler()
    scheduler.add_listener(lambda event: scheduler.shutdown(), EVENT_SCHEDULER_START)
    scheduler.start()
    assert not scheduler.running
    assert scheduler._thread is None


@pytest.mark.parametrize("kind", [BackgroundScheduler, BlockingScheduler])
def test_after_ctrl_c_in_a_start_listener_it_runs_as_after_one_that_strikes_later(
    kind: type[BlockingScheduler],
) -> None:
    def interrupt(event: SchedulerEvent) -> None:
        raise KeyboardInterrupt

    scheduler = kind()
    recorder = Recorder(scheduler, EVENT_JOB_EXECUTED)
    scheduler.add_listener(interrupt, EVENT_SCHEDULER_START)
    with pytest.raises(KeyboardInterrupt):
        scheduler.start()

    assert scheduler.running
    if kind is BackgroundScheduler:
        scheduler.add_job(jobs.nothing)
        recorder.wait_for()
    scheduler.shutdown()


class FailingExecutor(BaseExecutor):
    def _do_submit_job(self, job: Job, run_times: list[datetime]) -> None:
        raise OSError("down")


def test_a_run_that_could_not_be_handed_over_does_not_keep_a_paused_loop_busy() -> None:
    scheduler = ManualScheduler(executors={"default": FailingExecutor()})
    scheduler.start()
    scheduler.add_job(jobs.nothing)
    scheduler.advance(0)
    scheduler.pause()
    scheduler._clock += timedelta(seconds=scheduler.jobstore_retry_interval)

    assert scheduler.run_due() is None
    scheduler.resume()
    assert scheduler.run_due() == scheduler.jobstore_retry_interval


def test_a_scheduler_whose_state_was_assigned_takes_jobs_and_shows_them() -> None:
    scheduler = BackgroundScheduler()
    scheduler.state = STATE_RUNNING
    scheduler.add_jobstore(MemoryJobStore())
    job = scheduler.add_job(jobs.nothing, "interval", hours=1, id="added")

    assert not job.pending
    assert scheduler.get_job("added") == job
    assert scheduler.get_jobs() == [job]
    scheduler.shutdown()
    assert scheduler.get_jobs() == []


def test_a_part_that_fails_to_shut_down_is_removed_and_told_of(scheduler: ManualScheduler) -> None:
    class Store(MemoryJobStore):
        def shutdown(self) -> None:
            raise OSError("gone")

    class Executor(DebugExecutor):
        def shutdown(self, wait: bool | float = True) -> None:
            raise OSError("gone")

    scheduler.add_jobstore(Store(), "failing")
    scheduler.add_executor(Executor(), "failing")
    recorder = Recorder(scheduler)
    with pytest.raises(OSError, match="gone"):
        scheduler.remove_jobstore("failing")
    with pytest.raises(OSError, match="gone"):
        scheduler.remove_executor("failing")

    assert recorder.names == ["JOBSTORE_REMOVED", "EXECUTOR_REMOVED"]
    scheduler.add_jobstore("memory", "failing")
    scheduler.add_executor("debug", "failing")
