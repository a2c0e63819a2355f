"""An add that fails, or that a shutdown overtakes, leaves the loop and the other jobs alone."""

from __future__ import annotations

import threading
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from apscheduler.events import EVENT_JOB_EXECUTED
from apscheduler.job import Job
from apscheduler.jobstores.base import BaseJobStore
from apscheduler.jobstores.memory import MemoryJobStore
from apscheduler.schedulers import SchedulerNotRunningError
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.testing import ManualScheduler
from tests.faults.faulty import BytesStore, Fault, Faults, FaultyStore, InjectedError
from tests.jobs import nothing
from tests.recorder import PATIENCE, Recorder

pytestmark = pytest.mark.usefixtures("quiet")

MARCH_1 = datetime(2030, 3, 1, 8, tzinfo=timezone.utc)
EACH_5_SECONDS: dict[str, Any] = {
    "func": nothing,
    "trigger": "interval",
    "seconds": 5,
    "start_date": MARCH_1 + timedelta(seconds=5),
}


def executed(recorder: Recorder) -> list[str]:
    return [event.job_id for event in recorder.of(EVENT_JOB_EXECUTED)]


def add_one(scheduler: ManualScheduler, **settings: Any) -> None:
    scheduler.add_job(**EACH_5_SECONDS, id="x", **settings)


def add_many(scheduler: ManualScheduler, **settings: Any) -> None:
    scheduler.add_jobs([{**EACH_5_SECONDS, "id": job_id, **settings} for job_id in ("x", "y")])


@pytest.mark.parametrize("kind", Fault)
@pytest.mark.parametrize("add", [add_one, add_many])
def test_a_failed_add_leaves_nothing_in_memory(add: Any, kind: Fault) -> None:
    faults = Faults(1, kinds=[kind], only=["add_job", "add_jobs"], limit=1)
    scheduler = ManualScheduler(now=MARCH_1)
    scheduler.start()
    scheduler.add_jobstore(FaultyStore(MemoryJobStore(), faults), "faulty")
    recorder = Recorder(scheduler)

    with pytest.raises(InjectedError):
        add(scheduler, jobstore="faulty")

    assert scheduler.get_jobs() == []
    add(scheduler, jobstore="faulty")
    scheduler.advance(5)
    assert executed(recorder) == [job.id for job in scheduler.get_jobs()]


class OneByOneStore(BytesStore):
    """Cannot take in or give out some of the jobs."""

    def add_job(self, job: Job) -> None:
        if job.id == "refused":
            raise InjectedError("not taken in")
        super().add_job(job)

    def remove_job(self, job_id: str) -> None:
        if job_id == "kept":
            raise OSError("not given out")
        super().remove_job(job_id)


def test_a_job_that_a_store_cannot_take_out_again_hides_no_error_and_keeps_no_other_in() -> None:
    scheduler = ManualScheduler(now=MARCH_1)
    scheduler.add_jobstore(OneByOneStore())
    scheduler.start()

    with pytest.raises(InjectedError, match="not taken in"):
        scheduler.add_jobs(
            {**EACH_5_SECONDS, "id": job_id} for job_id in ("kept", "other", "refused")
        )

    assert [job.id for job in scheduler.get_jobs()] == ["kept"]


@pytest.mark.parametrize("undo_fails", [False, True])
@pytest.mark.parametrize("replace_existing", [False, True])
@pytest.mark.parametrize("add", [add_one, add_many])
@pytest.mark.parametrize("store", [MemoryJobStore, BytesStore])
def test_an_add_that_failed_after_it_took_effect_does_not_stop_the_other_jobs(
    store: type[BaseJobStore], add: Any, replace_existing: bool, undo_fails: bool
) -> None:
    # Either the write fails, or all does: what undoes it as well.
    write = ["update_jobs"] if replace_existing else ["add_job", "add_jobs"]
    only = [] if undo_fails else write
    faults = Faults(0, kinds=[Fault.AFTER], only=only, limit=None if undo_fails else 1)
    scheduler = ManualScheduler(now=MARCH_1)
    scheduler.add_jobstore(FaultyStore(store(), faults))
    recorder = Recorder(scheduler)
    scheduler.start()
    scheduler.add_job(**EACH_5_SECONDS, id="other")
    if replace_existing:
        add(scheduler)

    faults.probability = 1
    with pytest.raises(InjectedError):
        add(scheduler, replace_existing=replace_existing)
    faults.probability = 0
    scheduler.advance(60)

    assert executed(recorder).count("other") == 12
    scheduler.get_jobs()
    add(scheduler, replace_existing=True)  # as the pages say: once more


def test_a_job_whose_start_failed_begins_anew_with_the_next_start() -> None:
    faults = Faults(1, only=["add_job", "add_jobs"], limit=1)
    scheduler = ManualScheduler(now=MARCH_1)
    scheduler.add_jobstore(FaultyStore(BytesStore(), faults))
    scheduler.add_job(nothing, "interval", seconds=5, id="x")

    with pytest.raises(InjectedError):
        scheduler.start()
    assert [hasattr(job, "next_run_time") for job in scheduler.get_jobs()] == [False]

    scheduler.start()
    assert [job.id for job in scheduler.get_jobs()] == ["x"]


class OvertakenScheduler(BackgroundScheduler):
    """Lets a thread that adds a job wait, once the scheduler was seen to run."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.is_adding = threading.Event()
        self.may_go_on = threading.Event()

    def _real_add_job(self, job: Job, jobstore_alias: str, replace_existing: bool) -> None:
        self.is_adding.set()
        assert self.may_go_on.wait(PATIENCE)
        super()._real_add_job(job, jobstore_alias, replace_existing)


def test_a_job_that_a_shutdown_overtakes_is_refused_and_not_in_the_store_afterwards() -> None:
    scheduler = OvertakenScheduler(timezone="UTC")
    scheduler.start()
    errors: list[BaseException] = []

    def add() -> None:
        try:
            scheduler.add_job(nothing, "interval", seconds=1, id="late")
        except SchedulerNotRunningError as exc:
            errors.append(exc)

    thread = threading.Thread(target=add)
    thread.start()
    assert scheduler.is_adding.wait(PATIENCE)
    scheduler.shutdown()
    scheduler.may_go_on.set()
    thread.join(PATIENCE)

    assert [str(error) for error in errors] == [
        "Scheduler is shutting down and takes no more jobs; not added: nothing"
    ]
    scheduler.start()
    assert scheduler.get_jobs() == []
    scheduler.shutdown()
