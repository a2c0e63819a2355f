"""Starting and stopping; executors, job stores and listeners of a scheduler."""

from __future__ import annotations

import copy
import logging
import pickle
import sys
from collections.abc import Callable
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from apscheduler.events import (
    EVENT_EXECUTOR_ADDED,
    EVENT_JOB_ADDED,
    EVENT_JOB_EXECUTED,
    EVENT_JOBSTORE_ADDED,
    EVENT_SCHEDULER_PAUSED,
    EVENT_SCHEDULER_RESUMED,
    EVENT_SCHEDULER_SHUTDOWN,
    EVENT_SCHEDULER_STARTED,
    SchedulerEvent,
)
from apscheduler.executors.debug import DebugExecutor
from apscheduler.jobstores.memory import MemoryJobStore
from apscheduler.schedulers import SchedulerAlreadyRunningError, SchedulerNotRunningError
from apscheduler.schedulers.base import STATE_PAUSED, STATE_RUNNING, STATE_STOPPED
from apscheduler.testing import ManualScheduler
from tests import jobs
from tests.recorder import Recorder

from .conftest import MARCH_1


class WatchedExecutor(DebugExecutor):
    is_shut_down = False

    def shutdown(self, wait: Any = True) -> None:
        self.is_shut_down = True


class TestStartAndStop:
    def test_the_states_from_start_to_shutdown(self, stopped: ManualScheduler) -> None:
        recorder = Recorder(stopped, ~(EVENT_EXECUTOR_ADDED | EVENT_JOBSTORE_ADDED))
        states = [(stopped.state, stopped.running)]
        for step in (stopped.start, stopped.pause, stopped.resume, stopped.shutdown):
            step()
            states.append((stopped.state, stopped.running))

        assert states == [
            (STATE_STOPPED, False),
            (STATE_RUNNING, True),
            (STATE_PAUSED, True),
            (STATE_RUNNING, True),
            (STATE_STOPPED, False),
        ]
        assert [event.code for event in recorder.events] == [
            EVENT_SCHEDULER_STARTED,
            EVENT_SCHEDULER_PAUSED,
            EVENT_SCHEDULER_RESUMED,
            EVENT_SCHEDULER_SHUTDOWN,
        ]

    def test_a_running_scheduler_is_not_started_again(self, scheduler: ManualScheduler) -> None:
        with pytest.raises(SchedulerAlreadyRunningError, match="Scheduler is already running"):
            scheduler.start()

    @pytest.mark.parametrize("name", ["shutdown", "pause", "resume"])
    def test_a_stopped_scheduler_is_not_stopped_paused_or_resumed(
        self, stopped: ManualScheduler, name: str
    ) -> None:
        with pytest.raises(SchedulerNotRunningError, match="Scheduler is not running"):
            getattr(stopped, name)()

    def test_pausing_or_resuming_twice_tells_nobody_the_second_time(
        self, scheduler: ManualScheduler, recorder: Recorder
    ) -> None:
        for step in (scheduler.pause, scheduler.pause, scheduler.resume, scheduler.resume):
            step()
        assert recorder.names == ["SCHEDULER_PAUSED", "SCHEDULER_RESUMED"]

    def test_started_paused_it_runs_jobs_when_it_is_resumed(
        self, stopped: ManualScheduler
    ) -> None:
        runs: list[str] = []
        stopped.start(paused=True)
        stopped.add_job(runs.append, args=["ran"])
        stopped.advance(60)
        assert runs == []

        stopped.resume()
        stopped.run_due()
        assert runs == ["ran"]

    def test_it_can_be_started_again_after_a_shutdown(self, scheduler: ManualScheduler) -> None:
        scheduler.shutdown()
        scheduler.start()
        runs: list[str] = []
        scheduler.add_job(runs.append, args=["ran"])
        scheduler.run_due()
        assert runs == ["ran"]

    def test_what_cannot_be_started_leaves_it_stopped_and_the_rest_shut_down(
        self, stopped: ManualScheduler
    ) -> None:
        class BrokenStore(MemoryJobStore):
            def start(self, scheduler: Any, alias: str) -> None:
                raise ConnectionError("no database")

        executor = WatchedExecutor()
        stopped.add_executor(executor)
        stopped.add_jobstore(BrokenStore())
        with pytest.raises(ConnectionError, match="no database"):
            stopped.start()
        assert stopped.state == STATE_STOPPED
        assert executor.is_shut_down

    def test_a_part_that_fails_to_shut_down_does_not_keep_the_others_running(
        self, stopped: ManualScheduler, caplog: pytest.LogCaptureFixture
    ) -> None:
        class StubbornExecutor(DebugExecutor):
            def shutdown(self, wait: Any = True) -> None:
                raise OSError("will not")

        class WatchedStore(MemoryJobStore):
            is_shut_down = False

            def shutdown(self) -> None:
                self.is_shut_down = True

        store = WatchedStore()
        stopped.add_executor(StubbornExecutor())
        stopped.add_jobstore(store)
        stopped.start()
        stopped.shutdown()
        assert store.is_shut_down
        assert 'Executor "default" failed to shut down' in caplog.text

    def test_under_uwsgi_without_threads_it_is_not_started(
        self, stopped: ManualScheduler, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(sys.modules, "uwsgi", SimpleNamespace(has_threads=False))
        with pytest.raises(RuntimeError, match="--enable-threads"):
            stopped.start()

        monkeypatch.setitem(sys.modules, "uwsgi", SimpleNamespace(has_threads=True))
        stopped.start()
        assert stopped.running

    @pytest.mark.parametrize("duplicate", [pickle.dumps, copy.deepcopy])
    def test_it_is_not_copied_and_says_why(
        self, stopped: ManualScheduler, duplicate: Callable[[Any], Any]
    ) -> None:
        with pytest.raises(TypeError, match="Schedulers cannot be serialized"):
            duplicate(stopped)


class TestExecutors:
    def test_one_that_is_added_later_is_started(
        self, scheduler: ManualScheduler, recorder: Recorder
    ) -> None:
        executor = DebugExecutor()
        scheduler.add_executor(executor, "debug")
        assert executor._scheduler is scheduler
        assert [(event.code, event.alias) for event in recorder.events] == [
            (EVENT_EXECUTOR_ADDED, "debug")
        ]

    def test_one_may_be_named(self, scheduler: ManualScheduler) -> None:
        scheduler.add_executor("threadpool", "pool", max_workers=2)
        assert scheduler._lookup_executor("pool")._pool._max_workers == 2  # type: ignore[attr-defined]
        scheduler.shutdown()

    def test_an_alias_is_used_once(self, stopped: ManualScheduler) -> None:
        stopped.add_executor(DebugExecutor(), "debug")
        with pytest.raises(ValueError, match='already has an executor by the alias of "debug"'):
            stopped.add_executor(DebugExecutor(), "debug")

    def test_another_thing_is_refused(self, stopped: ManualScheduler) -> None:
        with pytest.raises(TypeError, match="Expected an executor instance or a string, got int"):
            stopped.add_executor(5)  # type: ignore[arg-type]

    @pytest.mark.parametrize("shutdown", [True, False])
    def test_one_is_removed_and_shut_down_unless_that_is_not_wanted(
        self, scheduler: ManualScheduler, recorder: Recorder, shutdown: bool
    ) -> None:
        executor = WatchedExecutor()
        scheduler.add_executor(executor, "debug")
        scheduler.remove_executor("debug", shutdown)
        assert executor.is_shut_down == shutdown
        assert recorder.names == ["EXECUTOR_ADDED", "EXECUTOR_REMOVED"]
        assert recorder.events[-1].alias == "debug"
        with pytest.raises(KeyError, match="No such executor: debug"):
            scheduler.remove_executor("debug")


class TestJobStores:
    def test_one_that_is_added_later_is_started(
        self, scheduler: ManualScheduler, recorder: Recorder
    ) -> None:
        store = MemoryJobStore()
        scheduler.add_jobstore(store, "other")
        assert (store._scheduler, store._alias) == (scheduler, "other")
        assert [(event.code, event.alias) for event in recorder.events] == [
            (EVENT_JOBSTORE_ADDED, "other")
        ]

    def test_one_may_be_named(self, scheduler: ManualScheduler) -> None:
        scheduler.add_jobstore("memory", "other")
        assert isinstance(scheduler._lookup_jobstore("other"), MemoryJobStore)

    def test_an_alias_is_used_once(self, stopped: ManualScheduler) -> None:
        stopped.add_jobstore(MemoryJobStore(), "other")
        with pytest.raises(ValueError, match='already has a job store by the alias of "other"'):
            stopped.add_jobstore(MemoryJobStore(), "other")

    def test_another_thing_is_refused(self, stopped: ManualScheduler) -> None:
        with pytest.raises(TypeError, match="Expected a job store instance or a string, got int"):
            stopped.add_jobstore(5)  # type: ignore[arg-type]

    @pytest.mark.parametrize("shutdown", [True, False])
    def test_one_is_removed_and_shut_down_unless_that_is_not_wanted(
        self, scheduler: ManualScheduler, recorder: Recorder, shutdown: bool
    ) -> None:
        store = MemoryJobStore()
        scheduler.add_jobstore(store, "other")
        scheduler.add_job(jobs.nothing, "interval", hours=1, jobstore="other")
        scheduler.remove_jobstore("other", shutdown)
        assert len(store.get_all_jobs()) == (0 if shutdown else 1)
        assert recorder.names == ["JOBSTORE_ADDED", "JOB_ADDED", "JOBSTORE_REMOVED"]
        with pytest.raises(KeyError, match="No such job store: other"):
            scheduler.remove_jobstore("other")

    def test_jobs_of_all_stores_run(self, scheduler: ManualScheduler) -> None:
        runs: list[str] = []
        scheduler.add_jobstore("memory", "other")
        scheduler.add_job(runs.append, "interval", ["default"], seconds=2)
        scheduler.add_job(runs.append, "interval", ["other"], seconds=3, jobstore="other")
        scheduler.advance(3)
        assert runs == ["default", "other"]

    def test_jobs_that_a_store_brings_along_run(self, scheduler: ManualScheduler) -> None:
        store = MemoryJobStore()
        scheduler.add_jobstore(store, "other")
        runs: list[str] = []
        scheduler.add_job(runs.append, "interval", ["ran"], minutes=1, jobstore="other")
        scheduler.remove_jobstore("other", shutdown=False)
        scheduler.advance(timedelta(minutes=1))
        assert runs == []

        scheduler.add_jobstore(store, "other")
        scheduler.run_due()
        assert runs == ["ran"]

    def test_one_in_the_place_of_one_that_failed_is_looked_into_at_once(
        self, scheduler: ManualScheduler
    ) -> None:
        class FailingStore(MemoryJobStore):
            def get_due_jobs(self, now: Any) -> Any:
                raise OSError("a store")

        filled = MemoryJobStore()
        scheduler.add_jobstore(filled, "filled")
        runs: list[str] = []
        scheduler.add_job(runs.append, "date", ["ran"], run_date=MARCH_1, jobstore="filled")
        scheduler.remove_jobstore("filled", shutdown=False)
        scheduler.add_jobstore(FailingStore(), "other")
        scheduler.run_due()
        scheduler.remove_jobstore("other")

        scheduler.add_jobstore(filled, "other")
        scheduler.run_due()
        assert runs == ["ran"]


class TestListeners:
    def test_each_hears_what_its_mask_lets_through(self, stopped: ManualScheduler) -> None:
        everything, added = Recorder(stopped), Recorder(stopped, EVENT_JOB_ADDED)
        stopped.start()
        stopped.add_job(jobs.nothing)
        stopped.run_due()
        assert added.names == ["JOB_ADDED"]
        assert everything.names == [
            "EXECUTOR_ADDED",
            "JOBSTORE_ADDED",
            "SCHEDULER_START",
            "JOB_ADDED",
            "JOB_SUBMITTED",
            "JOB_REMOVED",
            "JOB_EXECUTED",
        ]

    def test_one_that_was_removed_hears_no_more(self, scheduler: ManualScheduler) -> None:
        heard: list[SchedulerEvent] = []
        scheduler.add_listener(heard.append)
        scheduler.remove_listener(heard.append)
        scheduler.pause()
        assert heard == []

    def test_removing_an_unknown_one_is_no_error(self, scheduler: ManualScheduler) -> None:
        scheduler.remove_listener(print)
        assert scheduler.running

    def test_one_that_raises_is_logged_and_stops_nothing(
        self, scheduler: ManualScheduler, caplog: pytest.LogCaptureFixture
    ) -> None:
        def fail(event: SchedulerEvent) -> None:
            raise SystemExit("a listener must not end the program")

        scheduler.add_listener(fail)
        recorder = Recorder(scheduler)
        scheduler.add_job(jobs.nothing)
        scheduler.run_due()
        assert "JOB_EXECUTED" in recorder.names
        assert "Error notifying listener" in caplog.text

    def test_one_may_add_and_remove_listeners(self, scheduler: ManualScheduler) -> None:
        late: list[SchedulerEvent] = []

        def swap(event: SchedulerEvent) -> None:
            scheduler.remove_listener(swap)
            scheduler.add_listener(late.append)

        scheduler.add_listener(swap)
        scheduler.pause()
        scheduler.resume()
        assert [event.code for event in late] == [EVENT_SCHEDULER_RESUMED]

    def test_one_may_call_the_scheduler(self, scheduler: ManualScheduler) -> None:
        runs: list[str] = []

        def follow_up(event: Any) -> None:
            if event.job_id == "first":
                scheduler.add_job(runs.append, args=["second"], id="second")

        scheduler.add_listener(follow_up, EVENT_JOB_EXECUTED)
        scheduler.add_job(runs.append, args=["first"], id="first")
        scheduler.advance(0)
        assert runs == ["first", "second"]


def test_what_the_scheduler_does_is_logged_to_its_logger(
    stopped: ManualScheduler, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "apscheduler.scheduler"):
        stopped.add_job(jobs.nothing, name="the job")
        stopped.start()
        stopped.shutdown()
    assert caplog.messages == [
        "Adding job tentatively -- it will be properly scheduled when the scheduler starts",
        'Added job "the job" to job store "default"',
        "Scheduler started",
        "Scheduler has been shut down",
    ]
