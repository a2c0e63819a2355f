"""How every scheduler behaves, as tests that run on the scheduler's real loop."""

from __future__ import annotations

import time
from asyncio import CancelledError
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta, timezone
from functools import partial
from threading import Thread
from typing import Any

import pytest

from .. import current_job, current_run_time, current_scheduler, events
from ..job import Job
from ..jobstores.memory import MemoryJobStore
from ..schedulers import SchedulerAlreadyRunningError, SchedulerNotRunningError
from ..schedulers.base import BaseScheduler
from ..triggers.base import BaseTrigger

PATIENCE = 30.0  # seconds; a test that waits so long has failed

_NAMES = {
    code: name.removeprefix("EVENT_")
    for name, code in vars(events).items()
    if name.startswith("EVENT_") and name not in ("EVENT_ALL", "EVENT_SCHEDULER_STARTED")
}

Action = Callable[[], object]

at_any_moment = pytest.mark.parametrize(
    "moment", ["before the start", "while running", "from another thread", "inside a job"]
)


class SchedulerContract:
    """
    What every scheduler does, whichever loop it runs on. Derive a class of tests from it::

        class TestMyScheduler(SchedulerContract):
            def create_scheduler(self, **options):
                return MyScheduler(**options)

    The tests run in one thread and the loop, if there is one, in another: override :meth:`call`
    so that it does something in the thread of the loop. What a scheduler cannot do is named in
    ``unsupported``; the tests of it are skipped.
    """

    #: of "overlap" (runs go on beside each other and beside the scheduler) and "start returns"
    unsupported: frozenset[str] = frozenset()

    def create_scheduler(self, **options: Any) -> BaseScheduler:
        """Return a new scheduler."""
        raise NotImplementedError("Override create_scheduler() to return a new scheduler")

    def call(self, func: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Call a function in the thread of the loop, and return what it returns."""
        return func(*args, **kwargs)

    def start(self, scheduler: BaseScheduler, paused: bool = False) -> None:
        """Start a scheduler on its loop; return while it runs."""
        self.call(scheduler.start, paused=paused)

    def finish(self, result: Any) -> None:
        """Wait for what ``shutdown()`` returned, in a thread other than that of the loop."""

    def as_job(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """Return a job function that calls this one, such as a coroutine function."""
        return func

    def long_job(self, is_over: Callable[[], bool]) -> Callable[[], Any]:
        """Return a job function whose run goes on until it is over."""

        def job() -> None:
            while not is_over():
                time.sleep(0.002)

        return job

    def now(self, scheduler: BaseScheduler) -> datetime:
        """Return the time on the clock of the scheduler."""
        return datetime.now(timezone.utc)

    def until(self, scheduler: BaseScheduler, condition: Callable[[], bool]) -> None:
        """Let the loop run until the condition holds."""
        deadline = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < deadline, f"waited in vain; events were {self.names}"
            time.sleep(0.002)

    # --- each test has a scheduler, what it told, and what its jobs said -----------------------

    def setup_method(self) -> None:
        self.events: list[Any] = []
        self.said: list[Any] = []
        self.is_over = False
        self.threads: list[Thread] = []
        self.scheduler = self.create_scheduler()
        self.scheduler.add_listener(self.events.append)

    def teardown_method(self) -> None:
        self.is_over = True
        if self.scheduler.running:
            self.finish(self.call(self.scheduler.shutdown))
        for thread in self.threads:
            thread.join(PATIENCE)
            assert not thread.is_alive()

    @property
    def names(self) -> list[str]:
        """The names of the events so far."""
        return [_NAMES[event.code] for event in list(self.events)]

    @property
    def executed(self) -> list[str]:
        """The ids of the jobs that have run so far."""
        return [e.job_id for e in list(self.events) if e.code == events.EVENT_JOB_EXECUTED]

    def add(self, func: Callable[..., Any], *args: Any, **settings: Any) -> Any:
        """Add a job, which runs now if the settings do not say when."""
        return self.scheduler.add_job(self.as_job(func), args=args, **settings)

    def soon(self, seconds: float = 0.05) -> datetime:
        return self.now(self.scheduler) + timedelta(seconds=seconds)

    def wait_for(self, name: str, count: int = 1) -> None:
        self.until(self.scheduler, lambda: self.names.count(name) >= count)

    def wait_until_said(self, *words: Any) -> None:
        self.until(self.scheduler, lambda: self.said == list(words))

    def in_thread(self, action: Action) -> None:
        """Begin to do something in a thread that has nothing to do with the loop."""
        self.threads.append(Thread(target=action))
        self.threads[-1].start()

    def needs(self, ability: str) -> None:
        if ability in self.unsupported:
            pytest.skip(f"{type(self.scheduler).__name__} does not support {ability!r}")

    def start_long_job(self) -> None:
        """Have a job run until ``is_over`` is set."""
        self.needs("overlap")
        job = self.long_job(lambda: self.is_over)
        self.scheduler.add_job(
            job, "interval", hours=1, id="long", next_run_time=self.now(self.scheduler)
        )
        self.wait_for("JOB_SUBMITTED")

    # --- what is done with a job, at any moment ------------------------------------------------

    def do(self, moment: str, action: Action) -> None:
        """Start the scheduler, and do something before it, while it runs, or inside a job."""
        if moment == "before the start":
            action()

        self.start(self.scheduler)
        if moment == "while running":
            self.call(action)
        elif moment == "from another thread":
            self.in_thread(action)
            self.threads[-1].join(PATIENCE)
        elif moment == "inside a job":
            self.add(action, id="action")
            self.until(self.scheduler, lambda: "action" in self.executed)

    @at_any_moment
    def test_a_job_is_added(self, moment: str) -> None:
        self.do(moment, lambda: self.add(self.said.append, "added"))
        self.wait_until_said("added")

    @at_any_moment
    def test_a_job_is_modified(self, moment: str) -> None:
        self.add(self.said.append, "old", id="job", trigger="interval", hours=1)
        soon = self.soon()
        change = partial(self.scheduler.modify_job, "job", args=["new"], next_run_time=soon)
        self.do(moment, change)
        self.wait_until_said("new")

    @at_any_moment
    def test_a_job_is_paused(self, moment: str) -> None:
        job = self.add(self.said.append, "paused", id="job", trigger="interval", hours=1)
        self.do(moment, lambda: self.scheduler.pause_job("job"))
        assert job.next_run_time is None
        self.add(self.said.append, "goes on")
        self.wait_until_said("goes on")

    @at_any_moment
    def test_a_job_is_resumed(self, moment: str) -> None:
        self.add(self.said.append, "resumed", id="job", trigger=Soon(), next_run_time=None)
        self.do(moment, lambda: self.scheduler.resume_job("job"))
        self.wait_until_said("resumed")

    @at_any_moment
    def test_a_job_is_removed(self, moment: str) -> None:
        self.add(self.said.append, "removed", id="job", trigger="interval", hours=1)
        self.do(moment, lambda: self.scheduler.remove_job("job"))
        assert self.scheduler.get_job("job") is None
        assert "JOB_REMOVED" in self.names

    def test_a_job_changes_and_removes_itself(self) -> None:
        def job() -> None:
            self.said.append(current_job.get().name)
            if current_job.get().name == "first":
                self.scheduler.modify_job("job", name="second", next_run_time=self.soon())
            else:
                self.scheduler.remove_job("job")

        self.start(self.scheduler)
        self.add(job, id="job", name="first", trigger="interval", hours=1)
        self.scheduler.modify_job("job", next_run_time=self.soon())
        self.wait_until_said("first", "second")
        self.wait_for("JOB_EXECUTED", 2)
        assert self.scheduler.get_job("job") is None

    # --- the loop ------------------------------------------------------------------------------

    def test_an_earlier_job_wakes_the_loop(self) -> None:
        self.start(self.scheduler)
        self.add(self.said.append, "late", trigger="interval", hours=1)
        self.add(self.said.append, "second", next_run_time=self.soon(0.3))
        self.add(self.said.append, "first", next_run_time=self.soon(0.1))
        self.wait_until_said("first", "second")

    def test_a_job_that_is_moved_to_the_front_wakes_the_loop(self) -> None:
        self.start(self.scheduler)
        self.add(self.said.append, "moved", id="job", trigger="interval", hours=1)
        self.scheduler.reschedule_job("job", trigger=Soon())
        self.wait_until_said("moved")

    def test_nothing_starts_while_paused_and_what_came_due_runs_after_it(self) -> None:
        self.start(self.scheduler, paused=True)
        self.add(self.said.append, "ran", next_run_time=self.soon(-1))
        self.call(self.scheduler.resume)
        self.wait_until_said("ran")
        self.wait_for("JOB_EXECUTED")
        self.call(self.scheduler.pause)
        self.add(self.said.append, "ran again", next_run_time=self.soon(-1))
        self.in_thread(self.scheduler.resume)
        self.wait_until_said("ran", "ran again")
        self.wait_for("JOB_EXECUTED", 2)

        relevant = ("SCHEDULER_RESUMED", "SCHEDULER_PAUSED", "JOB_SUBMITTED")
        assert [name for name in self.names if name in relevant] == [
            "SCHEDULER_RESUMED",
            "JOB_SUBMITTED",
            "SCHEDULER_PAUSED",
            "SCHEDULER_RESUMED",
            "JOB_SUBMITTED",
        ]

    def test_what_is_due_with_others_does_not_start_after_a_pause(self) -> None:
        self.start_200_at_once_and_do(lambda job_id: self.scheduler.pause())
        self.wait_for("SCHEDULER_PAUSED")
        self.wait_for("JOB_EXECUTED")
        for _ in range(3):
            self.call(lambda: None)  # the loop has its turn

        assert self.names.count("JOB_SUBMITTED") == 1
        self.call(self.scheduler.resume)
        self.wait_for("JOB_EXECUTED", 200)
        assert sorted(self.said) == list(range(200))
        assert self.names.count("JOB_SUBMITTED") == 200

    def test_what_is_due_with_others_runs_though_a_shutdown_follows_a_pause(self) -> None:
        self.start_200_at_once_and_do(lambda job_id: self.scheduler.pause())
        self.wait_for("SCHEDULER_PAUSED")
        self.finish(self.call(self.scheduler.shutdown))
        self.wait_for("SCHEDULER_SHUTDOWN")
        assert sorted(self.said) == list(range(200))
        assert self.names.count("JOB_EXECUTED") == 200

    @pytest.mark.parametrize("removal", ["one by one", "all at once"])
    def test_what_is_due_with_others_does_not_start_after_its_removal(self, removal: str) -> None:
        def remove(job_id: str) -> None:
            if removal == "all at once":
                self.scheduler.remove_all_jobs()
                return
            for number in {str(number) for number in range(200)} - {job_id}:
                self.scheduler.remove_job(number)

        self.start_200_at_once_and_do(remove)
        self.wait_for("JOB_EXECUTED")
        self.finish(self.call(self.scheduler.shutdown))
        self.wait_for("SCHEDULER_SHUTDOWN")
        assert len(self.said) == 1
        assert self.names.count("JOB_SUBMITTED") == 1
        assert "JOB_MISSED" not in self.names
        told = ["JOB_REMOVED"] * 199 if removal == "one by one" else ["ALL_JOBS_REMOVED"]
        assert [name for name in self.names if "REMOVED" in name] == told

    def start_200_at_once_and_do(self, action: Callable[[str], object]) -> None:
        """Have 200 jobs due at one instant; do something when the first of them is submitted."""

        def do_once(event: Any) -> None:
            if self.names.count("JOB_SUBMITTED") == 1:
                action(event.job_id)

        self.scheduler.add_listener(do_once, events.EVENT_JOB_SUBMITTED)
        self.start(self.scheduler, paused=True)
        for number in range(200):
            settings = {"trigger": "interval", "hours": 1, "next_run_time": self.soon(-1)}
            self.add(self.said.append, number, id=str(number), **settings)
        self.call(self.scheduler.resume)

    def test_a_failure_is_told_and_the_loop_goes_on(self) -> None:
        self.start(self.scheduler)
        self.add(self.fail, id="fails")
        self.wait_for("JOB_ERROR")
        self.add(self.said.append, "goes on")
        self.wait_until_said("goes on")

        (event,) = (e for e in self.events if e.code == events.EVENT_JOB_ERROR)
        assert event.job_id == "fails"
        assert isinstance(event.exception, LookupError)
        assert "in fail" in event.traceback

    def fail(self) -> None:
        raise LookupError("as is to be expected")

    def test_runs_know_their_job_their_time_and_their_scheduler(self) -> None:
        def look() -> None:
            self.said.append((current_job.get().id, current_run_time.get()))
            self.said.append(current_scheduler.get())

        self.start(self.scheduler)
        run_time = self.soon()
        self.add(look, id="looks", next_run_time=run_time)
        self.wait_for("JOB_EXECUTED")
        assert self.said == [("looks", run_time), self.scheduler]

    def test_the_loop_outlives_listeners_that_raise(self) -> None:
        def raise_always(event: Any) -> None:
            raise LookupError("as is to be expected")

        self.scheduler.add_listener(raise_always)
        self.start(self.scheduler)
        self.add(self.said.append, "ran")
        self.wait_until_said("ran")

    def test_it_may_be_woken_at_any_time(self) -> None:
        self.scheduler.wakeup()
        self.start(self.scheduler)
        self.in_thread(self.scheduler.wakeup)
        self.add(self.said.append, "ran")
        self.wait_until_said("ran")
        self.wait_for("JOB_EXECUTED")
        self.finish(self.call(self.scheduler.shutdown))
        self.wait_for("SCHEDULER_SHUTDOWN")
        self.scheduler.wakeup()
        assert self.said == ["ran"]

    @pytest.mark.parametrize("error", [LookupError, SystemExit, GeneratorExit, CancelledError])
    def test_the_loop_outlives_whatever_a_trigger_raises(self, error: Any) -> None:
        self.start(self.scheduler)
        self.add(self.said.append, "fails", trigger=Raises(error), id="fails")
        self.wait_for("JOB_EXECUTED")
        self.add(self.said.append, "goes on")
        self.wait_until_said("fails", "goes on")
        job = self.scheduler.get_job("fails")
        assert job is not None
        assert job.next_run_time is None  # it is paused after its run

    # --- a job store that takes its time -------------------------------------------------------

    def use_blocking_store(self) -> BlockingStore:
        store = BlockingStore()
        self.scheduler.add_jobstore(store)
        return store

    def test_jobs_of_a_store_that_takes_its_time_run_once(self) -> None:
        self.use_blocking_store()
        self.start(self.scheduler)
        for number in range(10):
            self.add(self.said.append, number, next_run_time=self.soon(0.01 * number))

        self.wait_for("JOB_EXECUTED", 10)
        assert sorted(self.said) == list(range(10))

    def test_a_store_that_takes_its_time_is_shut_down_and_started_anew(self) -> None:
        store = self.use_blocking_store()
        for number in range(3):
            self.start(self.scheduler)
            self.add(self.said.append, number)
            self.wait_until_said(*range(number + 1))
            self.finish(self.call(self.scheduler.shutdown))
            self.wait_for("SCHEDULER_SHUTDOWN", number + 1)
            assert store.shutdowns == number + 1

        self.wait_for("JOB_EXECUTED", 3)

    def test_what_a_store_moved_on_runs_before_a_shutdown_ends(self) -> None:
        self.needs("overlap")
        store = self.use_blocking_store()
        self.add(self.said.append, "ran")
        self.start(self.scheduler)
        self.until(self.scheduler, lambda: store.has_moved_on)
        self.finish(self.call(self.scheduler.shutdown))
        self.check_stopped()
        self.wait_until_said("ran")
        assert self.names.index("JOB_EXECUTED") < self.names.index("SCHEDULER_SHUTDOWN")

    # --- events --------------------------------------------------------------------------------

    def test_every_event_is_told(self) -> None:
        scheduler = self.scheduler
        self.start(scheduler)
        self.start_long_job()
        scheduler.modify_job("long", next_run_time=self.now(scheduler))
        self.wait_for("JOB_MAX_INSTANCES")
        self.is_over = True
        self.wait_for("JOB_EXECUTED")

        self.add(self.fail)
        self.wait_for("JOB_ERROR")
        self.add(self.said.append, "late", next_run_time=self.soon(-60), misfire_grace_time=1)
        self.wait_for("JOB_MISSED")
        scheduler.add_jobstore("memory", "other")
        scheduler.remove_jobstore("other")
        scheduler.add_executor("debug", "other")
        scheduler.remove_executor("other")
        scheduler.remove_all_jobs()
        self.call(scheduler.pause)
        self.call(scheduler.resume)
        self.finish(self.call(scheduler.shutdown))
        self.wait_for("SCHEDULER_SHUTDOWN")
        assert set(_NAMES.values()) - set(self.names) == set()

    def test_a_submission_is_told_before_its_outcome(self) -> None:
        self.start(self.scheduler)
        for number in range(10):
            self.add(self.said.append, number)
        self.wait_for("JOB_EXECUTED", 10)

        told = [(e.job_id, e.code) for e in self.events if hasattr(e, "job_id")]
        for job_id in {job_id for job_id, _ in told}:
            assert [code for told_of, code in told if told_of == job_id] == [
                events.EVENT_JOB_ADDED,
                events.EVENT_JOB_SUBMITTED,
                events.EVENT_JOB_REMOVED,
                events.EVENT_JOB_EXECUTED,
            ]

    # --- shutting down -------------------------------------------------------------------------

    def check_stopped(self) -> None:
        self.wait_for("SCHEDULER_SHUTDOWN")
        assert not self.scheduler.running
        assert self.names.count("SCHEDULER_SHUTDOWN") == 1

    def test_a_job_shuts_down(self) -> None:
        self.start(self.scheduler)
        self.add(self.scheduler.shutdown)
        self.check_stopped()
        self.wait_for("JOB_EXECUTED")

    def test_a_listener_shuts_down(self) -> None:
        self.scheduler.add_listener(
            lambda event: self.scheduler.shutdown(wait=False), events.EVENT_JOB_EXECUTED
        )
        self.start(self.scheduler)
        self.add(self.said.append, "ran")
        self.check_stopped()
        assert self.said == ["ran"]

    def test_another_thread_shuts_down(self) -> None:
        self.start(self.scheduler)
        self.add(self.said.append, "ran")
        self.wait_for("JOB_EXECUTED")
        shut_down: Callable[[], Any] = self.scheduler.shutdown  # some return an awaitable
        self.in_thread(lambda: self.finish(shut_down()))
        self.check_stopped()

    def test_a_shutdown_waits_for_running_jobs(self) -> None:
        self.start(self.scheduler)
        self.start_long_job()
        self.in_thread(lambda: self.finish(self.call(self.scheduler.shutdown)))
        self.until(self.scheduler, lambda: not self.scheduler.running)
        assert "SCHEDULER_SHUTDOWN" not in self.names
        self.is_over = True
        self.check_stopped()
        self.wait_for("JOB_EXECUTED")

    def test_a_shutdown_need_not_wait(self) -> None:
        self.start(self.scheduler)
        self.start_long_job()
        self.finish(self.call(self.scheduler.shutdown, wait=False))
        self.check_stopped()
        assert not self.is_over

    def test_a_shutdown_waits_for_so_many_seconds(self) -> None:
        self.start(self.scheduler)
        self.start_long_job()
        self.finish(self.call(self.scheduler.shutdown, wait=0.05))
        self.check_stopped()
        assert not self.is_over

    def test_a_second_shutdown_is_an_error(self) -> None:
        self.start(self.scheduler)
        self.finish(self.call(self.scheduler.shutdown))
        self.wait_for("SCHEDULER_SHUTDOWN")
        for method in (self.scheduler.shutdown, self.scheduler.pause, self.scheduler.resume):
            with pytest.raises(SchedulerNotRunningError):
                self.call(method)

    def test_a_second_start_is_an_error(self) -> None:
        self.start(self.scheduler)
        with pytest.raises(SchedulerAlreadyRunningError):
            self.call(self.scheduler.start)

        self.add(self.said.append, "goes on")
        self.wait_until_said("goes on")

    def test_it_can_be_started_anew(self) -> None:
        for number in range(3):
            self.start(self.scheduler)
            self.add(self.said.append, number)
            self.wait_until_said(*range(number + 1))
            self.wait_for("JOB_EXECUTED", number + 1)
            self.finish(self.call(self.scheduler.shutdown))
            self.wait_for("SCHEDULER_SHUTDOWN", number + 1)

    def test_a_listener_starts_it_anew(self) -> None:
        self.needs("start returns")

        def start_once(event: Any) -> None:
            if self.names.count("SCHEDULER_SHUTDOWN") == 1:
                self.scheduler.start()

        self.scheduler.add_listener(start_once, events.EVENT_SCHEDULER_SHUTDOWN)
        self.start(self.scheduler)
        self.finish(self.call(self.scheduler.shutdown))
        self.wait_for("SCHEDULER_START", 2)
        self.add(self.said.append, "ran")
        self.wait_until_said("ran")

    # --- many jobs -----------------------------------------------------------------------------

    def test_200_jobs_within_a_second_all_run_once_and_on_time(self) -> None:
        self.start(self.scheduler)
        begin = self.now(self.scheduler)
        for number in range(200):
            run_time = begin + timedelta(milliseconds=5 * number)
            self.add(self.say_whether_due, number, id=str(number), next_run_time=run_time)

        self.wait_for("JOB_EXECUTED", 200)
        assert sorted(self.said) == [(number, True) for number in range(200)]
        assert sorted(map(int, self.executed)) == list(range(200))
        assert self.names.count("JOB_SUBMITTED") == 200

    def say_whether_due(self, number: int) -> None:
        self.said.append((number, self.now(self.scheduler) >= current_run_time.get()))

    def test_200_jobs_that_are_due_at_one_instant_all_run_once(self) -> None:
        self.start(self.scheduler)
        instant = self.soon(0.1)
        for number in range(200):
            self.add(self.said.append, number, id=str(number), next_run_time=instant)

        self.wait_for("JOB_EXECUTED", 200)
        assert sorted(self.said) == list(range(200))
        assert sorted(map(int, self.executed)) == list(range(200))
        assert self.names.count("JOB_SUBMITTED") == 200

    def test_jobs_are_added_from_many_threads_at_once(self) -> None:
        self.start(self.scheduler)
        for first in range(0, 200, 25):
            self.in_thread(partial(self.add_25, first))

        self.wait_for("JOB_EXECUTED", 200)
        assert sorted(self.said) == list(range(200))

    def add_25(self, first: int) -> None:
        for number in range(first, first + 25):
            self.add(self.said.append, number, next_run_time=self.now(self.scheduler))


class Soon(BaseTrigger):
    """Fires once, shortly after it is asked for the first time."""

    def get_next_fire_time(
        self, previous_fire_time: datetime | None, now: datetime
    ) -> datetime | None:
        return None if previous_fire_time else now + timedelta(seconds=0.02)


class Raises(BaseTrigger):
    """Fires at once; when it is asked for the next time, it raises an error."""

    def __init__(self, error: type[BaseException]) -> None:
        self.error = error

    def get_next_fire_time(
        self, previous_fire_time: datetime | None, now: datetime
    ) -> datetime | None:
        if previous_fire_time is not None:
            raise self.error("as is to be expected")

        return now


class BlockingStore(MemoryJobStore):
    """Keeps whoever asks it waiting for a moment, as a store on another computer does."""

    def __init__(self) -> None:
        super().__init__()
        self.shutdowns = 0
        self.has_moved_on = False

    def may_block(self) -> bool:
        return True

    def get_due_jobs(self, now: datetime) -> list[Job]:
        time.sleep(0.002)
        return super().get_due_jobs(now)

    def remove_jobs(self, job_ids: Iterable[str]) -> list[str]:
        missing = super().remove_jobs(job_ids)
        self.has_moved_on = True
        time.sleep(0.002)
        return missing

    def shutdown(self) -> None:
        time.sleep(0.002)
        self.shutdowns += 1
        super().shutdown()
