"""What a store, a trigger or a signal handler does to its scheduler while a pass is going on."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from apscheduler.events import EVENT_JOB_EXECUTED
from apscheduler.executors.debug import DebugExecutor
from apscheduler.job import Job
from apscheduler.jobstores.memory import MemoryJobStore
from apscheduler.testing import ManualScheduler
from apscheduler.triggers.interval import IntervalTrigger
from tests.faults.faulty import BytesStore
from tests.faults.world import World, WorldScheduler
from tests.jobs import nothing
from tests.recorder import Recorder

BEGIN = datetime(2030, 3, 1, 8, tzinfo=timezone.utc)


class ActingStore(BytesStore):
    """Does something, once, in the first pass in which a job of it is due."""

    def __init__(self, operation: str, action: Callable[[], object]) -> None:
        super().__init__()
        self._actions = {operation: action}
        self._is_armed = False

    def get_due_jobs(self, now: datetime) -> list[Job]:
        due = super().get_due_jobs(now)
        if due:
            self._is_armed = True
        self._act("get_due_jobs")
        return due

    def get_next_run_time(self) -> datetime | None:
        self._act("get_next_run_time")
        return super().get_next_run_time()

    def update_job(self, job: Job) -> None:
        self._act("update_job")
        super().update_job(job)

    def _act(self, operation: str) -> None:
        if self._is_armed and operation in self._actions:
            self._actions.pop(operation)()


def make_scheduler(store: ActingStore) -> WorldScheduler:
    """Return a scheduler whose store acts after ten seconds."""
    stores = {"default": MemoryJobStore(), "acting": store}  # looked at in this order
    scheduler = WorldScheduler(World(BEGIN), jobstores=stores)
    at = BEGIN + timedelta(seconds=10)
    scheduler.add_job(nothing, "interval", hours=1, jobstore="acting", next_run_time=at)
    return scheduler


def test_a_clock_that_is_set_back_amid_a_pass_delays_no_interval() -> None:
    def set_back() -> None:
        scheduler.world.set_clock(timedelta(hours=-1))

    runs: list[float] = []
    scheduler = make_scheduler(ActingStore("get_next_run_time", set_back))
    scheduler.add_job(lambda: runs.append(scheduler.world.awake), "interval", seconds=1)
    scheduler.run(100)
    assert runs == pytest.approx([float(second) for second in range(1, 100)], abs=0.1)


@pytest.mark.parametrize("operation", ["get_due_jobs", "update_job", "get_next_run_time"])
def test_a_job_that_is_added_amid_a_pass_runs_when_it_is_due(operation: str) -> None:
    def add() -> None:
        at = scheduler.world.wall + timedelta(seconds=1)
        scheduler.add_job(lambda: runs.append(scheduler.world.awake), next_run_time=at)

    runs: list[float] = []
    scheduler = make_scheduler(ActingStore(operation, add))
    scheduler.run(100)
    assert runs == [11.0]


def test_a_store_that_is_added_or_removed_amid_a_pass_does_not_end_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def replace() -> None:
        scheduler.remove_jobstore("other")
        scheduler.add_jobstore(BytesStore(), "new")

    class Trigger(IntervalTrigger):
        def get_next_fire_time(self, previous: Any, now: datetime) -> datetime | None:
            if previous is not None and "new" not in scheduler._jobstores:
                replace()
            return super().get_next_fire_time(previous, now)

    runs: list[str] = []
    scheduler = ManualScheduler(now=BEGIN)
    scheduler.add_executor(DebugExecutor())
    for alias in ("other", "last"):
        scheduler.add_jobstore(BytesStore(), alias)
    scheduler.start()
    scheduler.add_job(runs.append, Trigger(hours=1, timezone="UTC"), args=["default"])
    scheduler.add_job(nothing, "interval", hours=1, jobstore="other")
    recorder = Recorder(scheduler, EVENT_JOB_EXECUTED)
    scheduler.add_job(nothing, "interval", hours=1, jobstore="last", id="last")

    with caplog.at_level(logging.WARNING):
        scheduler.advance(3600)

    assert runs == ["default"]
    assert [event.job_id for event in recorder.events if event.jobstore == "last"] == ["last"]
    assert not caplog.records


def test_a_store_that_is_removed_amid_a_write_to_it_has_the_run_made_once() -> None:
    """A signal handler does so; the store is then used by another scheduler."""

    def remove() -> None:
        first.remove_jobstore("acting", shutdown=False)

    store = ActingStore("update_job", remove)
    first = ManualScheduler(now=BEGIN, jobstores={"acting": store})
    recorder = Recorder(first, EVENT_JOB_EXECUTED)
    first.start()
    first.add_job(nothing, "interval", hours=1, jobstore="acting")
    first.advance(3600)

    second = ManualScheduler(now=first.now, jobstores={"acting": store})
    second.add_listener(recorder, EVENT_JOB_EXECUTED)
    second.start()
    second.advance(60)
    assert [event.scheduled_run_time for event in recorder.events] == [BEGIN + timedelta(hours=1)]
