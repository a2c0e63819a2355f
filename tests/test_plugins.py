"""What plugins and programs written for 3.x rely on: names, hooks, plain attributes."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from threading import Event
from typing import Any

import pytest

import apscheduler.executors.base
import apscheduler.schedulers.base
import apscheduler.triggers.date
import apscheduler.triggers.interval
from apscheduler.events import EVENT_JOB_ADDED, EVENT_JOB_EXECUTED, EVENT_JOB_MISSED
from apscheduler.executors.base import BaseExecutor, run_job
from apscheduler.executors.debug import DebugExecutor
from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.job import Job
from apscheduler.jobstores.base import BaseJobStore, ConflictingIdError, JobLookupError
from apscheduler.jobstores.memory import MemoryJobStore
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.schedulers.base import STATE_RUNNING, BaseScheduler
from apscheduler.schedulers.blocking import BlockingScheduler
from apscheduler.testing import ManualScheduler
from apscheduler.triggers.base import BaseTrigger
from apscheduler.triggers.combining import OrTrigger
from apscheduler.triggers.date import DateTrigger
from apscheduler.triggers.interval import IntervalTrigger
from tests import jobs
from tests.recorder import NAMES, OUTCOMES, Recorder

MARCH_1 = datetime(2030, 3, 1, 8, tzinfo=timezone.utc)


@pytest.fixture
def scheduler() -> ManualScheduler:
    scheduler = ManualScheduler(now=MARCH_1)
    scheduler.start()
    return scheduler


class EveryOtherMinute(BaseTrigger):
    """A trigger of 3.x: it has one method."""

    def __init__(self, timezone: Any = None) -> None:
        self.timezone = timezone

    def get_next_fire_time(self, previous_fire_time: Any, now: Any) -> datetime:
        start: datetime = previous_fire_time or now
        return start + timedelta(minutes=2)


class DictStore(BaseJobStore):
    """A job store of 3.x: states in a dict, jobs rebuilt from them, only the abstract methods."""

    def __init__(self) -> None:
        super().__init__()
        self.states: dict[str, dict[str, Any]] = {}

    def _reconstitute_job(self, state: dict[str, Any]) -> Job:
        assert self._scheduler is not None
        job = Job.__new__(Job)
        job.__setstate__(dict(state))
        job._scheduler = self._scheduler
        job._jobstore_alias = self._alias
        return job

    def lookup_job(self, job_id: str) -> Job | None:
        state = self.states.get(job_id)
        return self._reconstitute_job(state) if state else None

    def get_due_jobs(self, now: datetime) -> list[Job]:
        waiting = [job for job in self.get_all_jobs() if job.next_run_time is not None]
        return [job for job in waiting if job.next_run_time <= now]  # type: ignore[operator]

    def get_next_run_time(self) -> datetime | None:
        return min(filter(None, (job.next_run_time for job in self.get_all_jobs())), default=None)

    def get_all_jobs(self) -> list[Job]:
        all_jobs = [self._reconstitute_job(state) for state in self.states.values()]
        self._fix_paused_jobs_sorting(all_jobs)
        return all_jobs

    def add_job(self, job: Job) -> None:
        if job.id in self.states:
            raise ConflictingIdError(job.id)
        self.states[job.id] = job.__getstate__()

    def update_job(self, job: Job) -> None:
        if job.id not in self.states:
            raise JobLookupError(job.id)
        self.states[job.id] = job.__getstate__()

    def remove_job(self, job_id: str) -> None:
        if job_id not in self.states:
            raise JobLookupError(job_id)
        del self.states[job_id]

    def remove_all_jobs(self) -> None:
        self.states.clear()


class InlineExecutor(BaseExecutor):
    """An executor of 3.x."""

    def __init__(self, greeting: str = "") -> None:
        super().__init__()
        self.greeting = greeting

    def _do_submit_job(self, job: Job, run_times: list[datetime]) -> None:
        try:
            events = run_job(job, job._jobstore_alias, run_times, self._logger.name)
        except BaseException:
            self._run_job_error(job.id, *sys.exc_info()[1:])
        else:
            self._run_job_success(job.id, events)


class TestTriggers:
    def test_one_with_a_single_method_runs_jobs(self, scheduler: ManualScheduler) -> None:
        runs: list[datetime] = []
        scheduler.add_job(lambda: runs.append(scheduler.now), EveryOtherMinute())
        scheduler.advance(300)
        assert runs == [MARCH_1 + timedelta(minutes=minute) for minute in (2, 4)]

    def test_its_late_runs_coalesce(self, scheduler: ManualScheduler) -> None:
        recorder = Recorder(scheduler, OUTCOMES)
        scheduler.add_job(jobs.nothing, EveryOtherMinute())
        scheduler.pause()
        scheduler.advance(605)
        scheduler.resume()
        scheduler.run_due()
        times = [event.scheduled_run_time for event in recorder.events]
        assert times == [MARCH_1 + timedelta(minutes=10)]

    def test_it_can_be_part_of_another(self, scheduler: ManualScheduler) -> None:
        parts = [EveryOtherMinute(), IntervalTrigger(minutes=3, start_date=MARCH_1)]
        job = scheduler.add_job(jobs.nothing, OrTrigger(parts))
        minutes = [(time - MARCH_1) / timedelta(minutes=1) for time in job.next_run_times(4)]
        assert minutes == [0, 2, 3, 4]  # it goes on from its own last time, not from 3


class TestJobStores:
    @pytest.fixture
    def store(self, scheduler: ManualScheduler) -> DictStore:
        store = DictStore()
        scheduler.add_jobstore(store, "plugin")
        return store

    def test_one_with_the_abstract_methods_alone_keeps_and_runs_jobs(
        self, scheduler: ManualScheduler, store: DictStore
    ) -> None:
        recorder = Recorder(scheduler, OUTCOMES)
        scheduler.add_job(jobs.give, "interval", [1], seconds=10, jobstore="plugin", id="interval")
        scheduler.add_job(jobs.give, "date", [2], run_date=MARCH_1, jobstore="plugin", id="date")
        scheduler.advance(20)
        assert [event.retval for event in recorder.events] == [2, 1, 1]
        assert list(store.states) == ["interval"]
        assert store.states["interval"]["next_run_time"] == MARCH_1 + timedelta(seconds=30)

    def test_its_jobs_are_changed_and_removed(
        self, scheduler: ManualScheduler, store: DictStore
    ) -> None:
        add = {"trigger": "interval", "hours": 1, "jobstore": "plugin"}
        scheduler.add_jobs([{"func": jobs.nothing, "id": id, **add} for id in "abc"])
        scheduler.modify_job("a", name="new")
        scheduler.pause_job("b")
        scheduler.remove_job("c")
        assert store.states["a"]["name"] == "new"
        assert store.states["b"]["next_run_time"] is None
        assert [job.id for job in scheduler.get_jobs("plugin")] == ["a", "b"]

    def test_many_jobs_are_added_all_or_none(
        self, scheduler: ManualScheduler, store: DictStore
    ) -> None:
        add = {"func": jobs.nothing, "jobstore": "plugin"}
        with pytest.raises(ConflictingIdError):
            scheduler.add_jobs([{**add, "id": id} for id in "aba"])
        assert store.states == {}

    def test_it_knows_its_scheduler_its_alias_and_its_logger(
        self, scheduler: ManualScheduler, store: DictStore
    ) -> None:
        assert (store._scheduler, store._alias) == (scheduler, "plugin")
        assert store._logger.name == "apscheduler.jobstores.plugin"
        assert repr(store) == "<DictStore>"


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A distribution with plugins is installed."""
    metadata = tmp_path / "some_plugins-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: some-plugins\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(
        "[apscheduler.triggers]\nother-minute = tests.test_plugins:EveryOtherMinute\n"
        "[apscheduler.jobstores]\ndict = tests.test_plugins:DictStore\n"
        "wrong = tests.test_plugins:EveryOtherMinute\n"
        "[apscheduler.executors]\ninline = tests.test_plugins:InlineExecutor\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    for kind in ("_trigger_classes", "_executor_classes", "_jobstore_classes"):
        monkeypatch.setattr(BaseScheduler, kind, {})


@pytest.mark.usefixtures("installed")
class TestEntryPoints:
    def test_plugins_are_found_by_their_names(self) -> None:
        scheduler = ManualScheduler(
            {
                "apscheduler.jobstores.default.type": "dict",
                "apscheduler.executors.default.type": "inline",
                "apscheduler.executors.default.greeting": "hello",
            },
            now=MARCH_1,
        )
        recorder = Recorder(scheduler, EVENT_JOB_EXECUTED)
        scheduler.start()
        job = scheduler.add_job(jobs.give, "other-minute", ["ran"])
        assert type(job.trigger).__name__ == "EveryOtherMinute"
        scheduler.advance(120)
        assert [event.retval for event in recorder.events] == ["ran"]

    def test_each_of_many_jobs_has_a_trigger_of_its_own(self) -> None:
        scheduler = ManualScheduler()
        first, second = scheduler.add_jobs(
            [{"func": jobs.nothing, "trigger": "other-minute"} for _ in range(2)]
        )
        assert first.trigger is not second.trigger  # it may keep something from run to run

    def test_a_name_like_one_of_theirs_is_suggested(self) -> None:
        scheduler = ManualScheduler()
        with pytest.raises(LookupError, match='did you mean "other-minute"'):
            scheduler.add_job(jobs.nothing, "other_minute")

    def test_one_of_another_kind_is_refused(self) -> None:
        with pytest.raises(TypeError, match='"wrong" does not point to a BaseJobStore class'):
            ManualScheduler(jobstores={"default": {"type": "wrong"}})


class TestHooksOfSchedulers:
    def test_a_subclass_may_choose_locks_executor_and_job_store(self) -> None:
        made: list[str] = []

        class Chosen(ManualScheduler):
            def _create_lock(self) -> Any:
                made.append("lock")
                return super()._create_lock()

            def _create_default_executor(self) -> BaseExecutor:
                return InlineExecutor()

            def _create_default_jobstore(self) -> BaseJobStore:
                return DictStore()

        scheduler = Chosen()
        scheduler.start()
        assert isinstance(scheduler._executors["default"], InlineExecutor)
        assert isinstance(scheduler._jobstores["default"], DictStore)
        assert len(made) >= 3

    def test_a_subclass_may_take_options_of_its_own(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        class Configured(BackgroundScheduler):
            def _configure(self, config: dict[str, Any]) -> None:
                self.colour = config.pop("colour", "none")
                super()._configure(config)

        scheduler = Configured({"apscheduler.colour": "red"}, timezone="UTC")
        assert scheduler.colour == "red"
        assert caplog.text == ""

    def test_a_subclass_may_watch_jobs_events_and_look_ups(self) -> None:
        seen: list[str] = []

        class Watching(ManualScheduler):
            def _real_add_job(self, job: Job, jobstore_alias: str, replace_existing: bool) -> None:
                seen.append(f"add {job.id} to {jobstore_alias}")
                super()._real_add_job(job, jobstore_alias, replace_existing)

            def _dispatch_event(self, event: Any) -> None:
                if event.code == EVENT_JOB_ADDED:
                    seen.append(f"added {event.job_id}")
                super()._dispatch_event(event)

            def _lookup_job(self, job_id: str, jobstore_alias: str | None) -> Any:
                seen.append(f"look up {job_id}")
                return super()._lookup_job(job_id, jobstore_alias)

            def _create_trigger(self, trigger: Any, trigger_args: dict[str, Any]) -> BaseTrigger:
                seen.append(f"trigger {trigger}")
                return super()._create_trigger(trigger, trigger_args)

            def _process_jobs(self) -> float | None:
                seen.append("process")
                return super()._process_jobs()

        scheduler = Watching(now=MARCH_1)
        scheduler.add_job(jobs.nothing, "interval", hours=1, id="early")
        scheduler.start()
        scheduler.add_job(jobs.nothing, "interval", hours=1, id="late")
        scheduler.get_job("late")
        scheduler.run_due()
        assert seen == [
            "trigger interval",
            "add early to default",
            "added early",
            "trigger interval",
            "add late to default",
            "added late",
            "look up late",
            "process",
        ]

    @pytest.mark.parametrize("executor", [DebugExecutor, InlineExecutor, ThreadPoolExecutor])
    def test_a_subclass_sees_each_event_once_and_the_submission_before_the_outcome(
        self, executor: Callable[[], BaseExecutor]
    ) -> None:
        seen: list[str] = []

        class Watching(BackgroundScheduler):
            def _dispatch_event(self, event: Any) -> None:
                seen.append(NAMES[event.code])
                super()._dispatch_event(event)

        scheduler = Watching(executors={"default": executor()}, timezone=timezone.utc)
        scheduler.start(paused=True)
        scheduler.add_job(jobs.nothing)
        recorder = Recorder(scheduler)
        del seen[:]
        scheduler.resume()
        recorder.wait_for(EVENT_JOB_EXECUTED)
        assert seen[1:] == ["JOB_SUBMITTED", "JOB_REMOVED", "JOB_EXECUTED"]
        assert recorder.names == seen
        scheduler.shutdown()

    def test_a_subclass_may_have_a_loop_of_its_own(self) -> None:
        ticks: list[float | None] = []

        class OwnLoop(BlockingScheduler):
            def _main_loop(self) -> None:
                while self.state == STATE_RUNNING:
                    ticks.append(self._process_jobs())
                    self._event.wait(0.01)

        scheduler = OwnLoop(timezone=timezone.utc, executors={"default": DebugExecutor()})
        scheduler.add_job(scheduler.shutdown)
        scheduler.start()
        assert len(ticks) == 1

    def test_a_background_scheduler_has_its_thread_and_its_event(self) -> None:
        scheduler = BackgroundScheduler(timezone=timezone.utc)
        scheduler.start(paused=True)
        assert scheduler._thread is not None
        assert scheduler._thread.is_alive()
        assert isinstance(scheduler._event, Event)
        scheduler.shutdown()

    def test_the_plain_attributes_are_there(self, scheduler: ManualScheduler) -> None:
        assert list(scheduler._jobstores) == list(scheduler._executors) == ["default"]
        assert scheduler._pending_jobs == []
        assert scheduler._job_defaults["max_instances"] == 1
        assert scheduler._logger.name == "apscheduler.scheduler"
        scheduler.add_listener(print, EVENT_JOB_MISSED)
        assert scheduler._listeners == [(print, EVENT_JOB_MISSED)]
        for name in ("_jobstores_lock", "_executors_lock", "_listeners_lock"):
            with getattr(scheduler, name):
                assert scheduler.state == STATE_RUNNING

    def test_a_store_may_be_put_in_by_hand(self, scheduler: ManualScheduler) -> None:
        """Test suites assign to the dicts."""
        scheduler._jobstores["by hand"] = store = MemoryJobStore()
        store.start(scheduler, "by hand")
        job = scheduler.add_job(jobs.nothing, "interval", hours=1, jobstore="by hand")
        assert store.get_all_jobs() == [job]
        assert scheduler._lookup_jobstore("by hand") is store

    def test_a_proxy_may_pass_on_every_method(self, scheduler: ManualScheduler) -> None:
        class Proxy:
            def __getattr__(self, name: str) -> Any:
                return getattr(scheduler, name)

        proxy = Proxy()
        proxy.add_job(jobs.nothing, "interval", hours=1, id="job")
        assert proxy.get_job("job").pause().next_run_time is None
        assert proxy.running


class FrozenDatetime(datetime):
    """Put in the place of the name ``datetime`` by test suites."""

    @classmethod
    def now(cls, tz: Any = None) -> Any:
        return MARCH_1.astimezone(tz)


class TestPatchedClocks:
    @pytest.fixture(autouse=True)
    def frozen(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for module in (
            apscheduler.schedulers.base,
            apscheduler.executors.base,
            apscheduler.triggers.date,
            apscheduler.triggers.interval,
        ):
            monkeypatch.setattr(module, "datetime", FrozenDatetime)

    def test_the_scheduler_and_its_triggers_read_the_patched_clock(self) -> None:
        scheduler = BackgroundScheduler(timezone=timezone.utc)
        scheduler.start(paused=True)
        try:
            assert scheduler.add_job(jobs.nothing).next_run_time == MARCH_1
            job = scheduler.add_job(jobs.nothing, "interval", hours=1)
            assert job.next_run_time == MARCH_1 + timedelta(hours=1)
            assert DateTrigger().run_date == MARCH_1
        finally:
            scheduler.shutdown()

    def test_so_do_the_executors(self) -> None:
        scheduler = BackgroundScheduler(timezone=timezone.utc)
        job = scheduler.add_job(jobs.nothing, misfire_grace_time=1)
        late = MARCH_1 - timedelta(seconds=5)
        events = run_job(job, "default", [late, MARCH_1], "apscheduler.executors.default")
        assert [event.code for event in events] == [EVENT_JOB_MISSED, EVENT_JOB_EXECUTED]


def test_triggers_that_have_no_zone_are_built_by_name_as_well(scheduler: ManualScheduler) -> None:
    every_two, every_three = (
        IntervalTrigger(seconds=seconds, start_date=scheduler.now) for seconds in (2, 3)
    )
    both = scheduler.add_job(print, "and", triggers=[every_two, every_three])
    either = scheduler.add_job(print, "or", triggers=[every_two, every_three])

    assert both.next_run_times(2)[1] - scheduler.now == timedelta(seconds=6)
    assert either.next_run_times(2)[1] - scheduler.now == timedelta(seconds=2)
