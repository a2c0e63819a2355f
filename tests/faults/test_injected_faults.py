"""Whatever fails, every run happens once, and the loop goes on."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from apscheduler.events import (
    EVENT_JOB_ERROR,
    EVENT_JOB_EXECUTED,
    EVENT_JOB_MISSED,
    EVENT_JOB_MODIFIED,
    EVENT_JOB_SUBMITTED,
)
from apscheduler.executors.base import BaseExecutor
from apscheduler.executors.debug import DebugExecutor
from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.job import Job
from apscheduler.jobstores.base import BaseJobStore
from apscheduler.jobstores.memory import MemoryJobStore
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.testing import ManualScheduler
from apscheduler.triggers.base import BaseTrigger
from apscheduler.triggers.interval import IntervalTrigger
from tests.faults.faulty import (
    BytesStore,
    Fault,
    Faults,
    FaultyExecutor,
    FaultyStore,
    InjectedError,
    faulty_listener,
)
from tests.faults.ledger import Ledger, note_run
from tests.faults.world import World, WorldScheduler
from tests.jobs import nothing
from tests.recorder import Recorder


@pytest.fixture(autouse=True, params=["quiet", "failing_log"])
def log(request: pytest.FixtureRequest) -> None:
    """Whether errors can be logged makes no difference."""
    request.getfixturevalue(request.param)


MARCH_1 = datetime(2030, 3, 1, 8, tzinfo=timezone.utc)
JOBS = 100
RUNS = 5

# Every run is to be made, however late, even while an earlier one of its job goes on.
NONE_SKIPPED = {"coalesce": False, "misfire_grace_time": None, "max_instances": 100}


def sqlite_store() -> BaseJobStore:
    sqlalchemy = pytest.importorskip("apscheduler.jobstores.sqlalchemy")
    return sqlalchemy.SQLAlchemyJobStore("sqlite://")


STORES_OF_BYTES = {
    "plugin": BytesStore,  # writes one job at a time
    "sqlite": sqlite_store,  # writes them all at once
}
# The memory store keeps the very jobs, so that a write can only be lost between the two.
STORES = {**STORES_OF_BYTES, "memory": MemoryJobStore}


def run_times_from(start: datetime, interval: timedelta) -> list[datetime]:
    return [start + step * interval for step in range(RUNS)]


def add_jobs_in_spite_of_faults(
    scheduler: Any, ledger: Ledger, start: datetime, interval: timedelta
) -> None:
    """Add the jobs as a careful program does: again, with the same id, until it worked."""
    for number in range(JOBS):
        job_id = f"job {number}"
        own_start = start + number * timedelta(milliseconds=7)
        times = run_times_from(own_start, interval)
        ledger.expect({job_id: times})
        trigger = IntervalTrigger(
            seconds=interval.total_seconds(), start_date=own_start, end_date=times[-1]
        )
        while True:
            try:
                scheduler.add_job(
                    note_run, trigger, [ledger.number], id=job_id, replace_existing=True
                )
                break
            except InjectedError:
                pass


def assert_alive(scheduler: ManualScheduler) -> None:
    """The loop goes on: a job that is added now runs."""
    recorder = Recorder(scheduler)
    scheduler.add_job(nothing, id="one more")
    scheduler.advance(1)
    assert [event.job_id for event in recorder.of(EVENT_JOB_EXECUTED)] == ["one more"]


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("store", STORES_OF_BYTES)
def test_every_run_happens_once_though_each_store_operation_fails_one_time_in_five(
    store: str, seed: int
) -> None:
    faults = Faults(0.2, seed)
    scheduler = ManualScheduler(now=MARCH_1, job_defaults=NONE_SKIPPED)
    scheduler.add_jobstore(FaultyStore(STORES[store](), faults))
    scheduler.start()
    ledger = Ledger(lambda: scheduler.now)
    add_jobs_in_spite_of_faults(
        scheduler, ledger, MARCH_1 + timedelta(minutes=1), timedelta(seconds=20)
    )

    scheduler.advance(timedelta(minutes=10))  # the runs are over after two and a half

    assert ledger.expected == JOBS * RUNS
    ledger.check()
    assert {"add_job", "get_due_jobs", "update_jobs", "lookup_job"} <= faults.injected.keys()
    faults.probability = 0
    assert scheduler.get_jobs() == []
    assert_alive(scheduler)


def test_every_run_happens_once_on_a_real_loop_where_every_part_fails() -> None:
    faults = Faults(0.2, seed=4)
    scheduler = BackgroundScheduler(
        timezone=timezone.utc, jobstore_retry_interval=0.05, job_defaults=NONE_SKIPPED
    )
    scheduler.add_jobstore(FaultyStore(BytesStore(), faults))
    scheduler.add_executor(FaultyExecutor(ThreadPoolExecutor(4), faults))
    scheduler.add_listener(faulty_listener(faults))
    recorder = Recorder(scheduler)
    ledger = Ledger()
    scheduler.start()
    try:
        start = datetime.now(timezone.utc) + timedelta(seconds=0.2)
        add_jobs_in_spite_of_faults(scheduler, ledger, start, timedelta(seconds=0.2))
        recorder.wait_for(EVENT_JOB_EXECUTED, ledger.expected)

        assert ledger.expected == JOBS * RUNS
        ledger.check()
        assert {"listener", "submit_job", "get_due_jobs"} <= faults.injected.keys()
        assert len(recorder.of(EVENT_JOB_EXECUTED)) == ledger.expected
        assert scheduler._thread.is_alive()
    finally:
        faults.probability = 0
        scheduler.shutdown()


@pytest.mark.parametrize("kind", Fault)
@pytest.mark.parametrize("operation", ["update_jobs", "remove_jobs"])
@pytest.mark.parametrize("store", STORES)
def test_a_write_that_failed_is_looked_up_and_its_runs_start_at_once(
    store: str, operation: str, kind: Fault
) -> None:
    """What landed is started; what did not is written again."""
    # The writes of single jobs that follow go by the same operation, and work.
    faults = Faults(1, kinds=[kind], only=[operation], limit=1)
    scheduler = ManualScheduler(now=MARCH_1)
    scheduler.add_jobstore(FaultyStore(STORES[store](), faults))
    recorder = Recorder(scheduler, EVENT_JOB_EXECUTED)
    trigger: dict[str, Any] = {"seconds": 20, "start_date": MARCH_1 + timedelta(seconds=20)}
    if operation == "remove_jobs":
        trigger["end_date"] = MARCH_1 + timedelta(seconds=20)  # the first run is the last
    for job_id in ("a", "b", "c"):
        scheduler.add_job(nothing, "interval", id=job_id, **trigger)
    scheduler.start()

    scheduler.advance(20)

    assert sorted(event.job_id for event in recorder.events) == ["a", "b", "c"]
    assert faults.injected.total() == 1
    scheduler.advance(15)  # no run is made again
    assert len(recorder.events) == 3


@pytest.mark.parametrize("kind", [Fault.BEFORE, Fault.AFTER])
def test_a_store_in_memory_whose_writes_fail_for_a_while_is_not_asked_all_the_time(
    kind: Fault,
) -> None:
    """It holds the very jobs, which have their old times again, and keeps times of its own."""
    faults = Faults(1, kinds=[kind], only=["update_jobs"])
    scheduler = ManualScheduler(now=MARCH_1)
    scheduler.add_jobstore(FaultyStore(MemoryJobStore(), faults))
    recorder = Recorder(scheduler, EVENT_JOB_EXECUTED)
    scheduler.add_job(nothing, "interval", hours=1, start_date=MARCH_1)
    scheduler.start()

    waits = [scheduler.run_due(), scheduler.run_due()]
    faults.probability = 0
    scheduler.advance(3600)

    assert waits == [10, 10]
    assert [event.scheduled_run_time for event in recorder.events] == [
        MARCH_1,
        MARCH_1 + timedelta(hours=1),
    ]


@pytest.mark.parametrize("kind", Fault)
def test_a_write_that_stays_unclear_is_settled_when_the_store_answers_again(kind: Fault) -> None:
    writes = Faults(1, kinds=[kind], only=["update_jobs"], limit=1)
    lookups = Faults(1, only=["lookup_job"])
    scheduler = ManualScheduler(now=MARCH_1)
    scheduler.add_jobstore(FaultyStore(FaultyStore(BytesStore(), writes), lookups))
    runs = Ledger(lambda: scheduler.now)
    start = MARCH_1 + timedelta(seconds=20)
    scheduler.add_job(note_run, "interval", [runs.number], id="a", minutes=1, start_date=start)
    runs.expect({"a": [start]})
    scheduler.start()

    scheduler.advance(45)
    assert runs.lost  # nobody knows yet whether it may be started
    lookups.probability = 0
    scheduler.advance(10)

    runs.check()


def test_settling_a_write_leaves_alone_what_another_program_wrote_since() -> None:
    rows = BytesStore()
    writes = Faults(1, kinds=[Fault.AFTER], only=["update_jobs"], limit=1)
    lookups = Faults(1, only=["lookup_job"])
    scheduler = ManualScheduler(now=MARCH_1)
    scheduler.add_jobstore(FaultyStore(FaultyStore(rows, writes), lookups))
    start = MARCH_1 + timedelta(seconds=20)
    scheduler.add_job(nothing, "interval", id="a", minutes=1, start_date=start)
    scheduler.start()
    scheduler.advance(21)
    assert writes.injected.total() == 1

    job = rows.lookup_job("a")
    assert job is not None
    job.next_run_time = tomorrow = MARCH_1 + timedelta(days=1)
    rows.update_job(job)
    lookups.probability = 0
    scheduler.advance(60)

    assert [job.next_run_time for job in scheduler.get_jobs()] == [tomorrow]


DAY = timedelta(days=1)
CHANGES: dict[str, Callable[[ManualScheduler], Any]] = {
    "renamed": lambda scheduler: scheduler.modify_job("a", name="renamed"),
    "paused": lambda scheduler: scheduler.pause_job("a"),
    "rescheduled": lambda scheduler: scheduler.reschedule_job("a", trigger="interval", days=1),
    "removed": lambda scheduler: scheduler.remove_job("a"),
    "all removed": lambda scheduler: scheduler.remove_all_jobs(),
}


@pytest.mark.parametrize("kind", [Fault.BEFORE, Fault.AFTER])
@pytest.mark.parametrize("change", CHANGES)
def test_a_job_that_is_changed_while_its_write_is_unclear_makes_the_runs_that_are_its_own(
    change: str, kind: Fault
) -> None:
    """What was moved on runs, or is missed if paused; what was not does as it was changed to."""
    writes = Faults(1, kinds=[kind], only=["update_jobs"], limit=1)
    lookups = Faults(1, only=["lookup_job"])
    scheduler = ManualScheduler(now=MARCH_1)
    scheduler.add_jobstore(FaultyStore(FaultyStore(BytesStore(), writes), lookups))
    recorder = Recorder(scheduler, EVENT_JOB_EXECUTED | EVENT_JOB_MISSED)
    start = MARCH_1 + timedelta(seconds=20)
    scheduler.add_job(nothing, "interval", id="a", hours=1, start_date=start)
    scheduler.start()
    scheduler.advance(21)
    lookups.probability = 0
    CHANGES[change](scheduler)

    scheduler.advance(60)

    was_moved_on = kind is Fault.AFTER and "removed" not in change
    code = EVENT_JOB_MISSED if change == "paused" else EVENT_JOB_EXECUTED
    runs = [(event.code, event.scheduled_run_time) for event in recorder.events]
    assert runs == ([(code, start)] if was_moved_on or change == "renamed" else [])


@pytest.mark.parametrize("kind", [Fault.BEFORE, Fault.AFTER])
@pytest.mark.parametrize("next_run_time", [MARCH_1 + DAY, None])
def test_a_job_in_memory_runs_as_before_if_its_store_fails_to_change_it(
    next_run_time: datetime | None, kind: Fault
) -> None:
    faults = Faults(0, kinds=[kind], only=["update_job"], limit=1)
    scheduler = ManualScheduler(now=MARCH_1)
    scheduler.add_jobstore(FaultyStore(MemoryJobStore(), faults))
    recorder = Recorder(scheduler, EVENT_JOB_EXECUTED)
    scheduler.start()
    scheduler.add_job(nothing, "interval", id="a", minutes=1)
    faults.probability = 1
    with pytest.raises(InjectedError):
        scheduler.modify_job("a", next_run_time=next_run_time)

    scheduler.advance(timedelta(minutes=3))

    times = [event.scheduled_run_time for event in recorder.events]
    assert times == [MARCH_1 + step * timedelta(minutes=1) for step in (1, 2, 3)]


@pytest.mark.parametrize("change", ["renamed", "replaced"])
def test_an_interval_of_less_than_a_second_is_not_taken_for_one_that_was_moved_on(
    change: str,
) -> None:
    writes = Faults(1, kinds=[Fault.BEFORE], only=["update_jobs"], limit=1)
    lookups = Faults(0, only=["lookup_job"])
    scheduler = ManualScheduler(now=MARCH_1, job_defaults=NONE_SKIPPED)
    scheduler.add_jobstore(FaultyStore(FaultyStore(BytesStore(), writes), lookups))
    recorder = Recorder(scheduler, EVENT_JOB_EXECUTED)
    start = MARCH_1 + timedelta(seconds=20)
    times = [start + step * timedelta(seconds=0.5) for step in range(3)]
    trigger = IntervalTrigger(seconds=0.5, start_date=start, end_date=times[-1])
    scheduler.add_job(nothing, trigger, id="a")
    scheduler.start()
    lookups.probability = 1
    scheduler.advance(20)
    lookups.probability = 0
    if change == "renamed":
        scheduler.modify_job("a", name="renamed")
    else:
        scheduler.add_job(nothing, trigger, id="a", replace_existing=True)

    scheduler.advance(60)

    assert writes.injected.total() == 1
    assert [event.scheduled_run_time for event in recorder.events] == times


@pytest.mark.parametrize("is_noticed_by", ["a pass", "the shutdown"])
def test_a_run_that_another_program_made_unclear_is_not_started_but_missed_and_logged(
    caplog: pytest.LogCaptureFixture, is_noticed_by: str
) -> None:
    logging.disable(logging.NOTSET)
    rows = BytesStore()
    writes = Faults(1, kinds=[Fault.BEFORE], only=["update_jobs"], limit=1)
    lookups = Faults(1, only=["lookup_job"])
    scheduler = ManualScheduler(now=MARCH_1, logger="tests.unclear")
    scheduler.add_jobstore(FaultyStore(FaultyStore(rows, writes), lookups))
    recorder = Recorder(scheduler, EVENT_JOB_EXECUTED | EVENT_JOB_MISSED)
    start = MARCH_1 + timedelta(seconds=20)
    scheduler.add_job(nothing, "interval", id="a", hours=1, start_date=start)
    scheduler.start()
    scheduler.advance(21)
    job = rows.lookup_job("a")
    assert job is not None
    job.next_run_time = MARCH_1 + DAY
    rows.update_job(job)
    lookups.probability = 0

    if is_noticed_by == "a pass":
        scheduler.advance(60)
    else:
        scheduler.shutdown()

    runs = [(event.code, event.scheduled_run_time) for event in recorder.events]
    assert runs == [(EVENT_JOB_MISSED, start)]
    assert "was changed before its store told" in caplog.text


def with_unclear_last_run(store: BaseJobStore, lookups: Faults) -> ManualScheduler:
    """Return a scheduler whose store does not tell whether it has removed a job that has ended."""
    scheduler = ManualScheduler(now=MARCH_1, logger="tests.unclear")
    scheduler.add_jobstore(FaultyStore(store, lookups))
    scheduler.start()
    scheduler.add_job(nothing, "date", id="a", run_date=MARCH_1 + timedelta(seconds=20))
    lookups.probability = 1
    scheduler.advance(21)
    return scheduler


@pytest.mark.parametrize("kind", [Fault.BEFORE, Fault.AFTER])
def test_a_store_that_is_removed_is_asked_once_more_about_the_runs_that_are_unclear(
    kind: Fault,
) -> None:
    writes = Faults(1, kinds=[kind], only=["remove_jobs"], limit=1)
    lookups = Faults(0, only=["lookup_job"])
    rows = BytesStore()
    scheduler = with_unclear_last_run(FaultyStore(rows, writes), lookups)
    recorder = Recorder(scheduler, EVENT_JOB_EXECUTED)

    lookups.probability = 0
    scheduler.remove_jobstore("default")
    scheduler.run_due()

    assert [event.job_id for event in recorder.events] == ["a"]
    assert rows.rows == {}


def test_what_a_store_tells_as_it_is_removed_is_done_at_once() -> None:
    world = World(MARCH_1)
    writes = Faults(1, kinds=[Fault.BEFORE], only=["remove_jobs"], limit=1)
    lookups = Faults(0, only=["lookup_job"])
    scheduler = WorldScheduler(world, jobstore_retry_interval=3600)
    scheduler.add_jobstore(FaultyStore(FaultyStore(MemoryJobStore(), writes), lookups))
    runs: list[float] = []
    scheduler.add_job(
        lambda: runs.append(world.awake), "date", run_date=MARCH_1 + timedelta(seconds=20)
    )

    def remove_store() -> None:
        lookups.probability = 0
        scheduler.remove_jobstore("default")

    world.at(10, lambda: setattr(lookups, "probability", 1))
    world.at(30, remove_store)
    scheduler.run(100)

    assert runs == [30]


def test_a_run_that_it_does_not_tell_of_is_left_to_it_and_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    logging.disable(logging.NOTSET)
    lookups = Faults(0, only=["lookup_job", "remove_jobs"], kinds=[Fault.BEFORE])
    rows = BytesStore()
    scheduler = with_unclear_last_run(rows, lookups)
    recorder = Recorder(scheduler, EVENT_JOB_EXECUTED)

    scheduler.remove_jobstore("default")
    scheduler.add_jobstore(MemoryJobStore())
    scheduler.advance(60)

    assert recorder.events == []
    assert "did not tell whether it moved job" in caplog.text
    scheduler.add_jobstore(rows, "old")
    scheduler.advance(60)
    assert [event.job_id for event in recorder.events] == ["a"]


def test_a_store_that_is_down_does_not_hold_up_another_one() -> None:
    faults = Faults(1)
    scheduler = ManualScheduler(now=MARCH_1)
    scheduler.add_jobstore(FaultyStore(BytesStore(), faults), "down")
    scheduler.start()
    ledger = Ledger(lambda: scheduler.now)
    times = run_times_from(MARCH_1, timedelta(seconds=3))
    ledger.expect({"a": times})
    scheduler.add_job(
        note_run,
        "interval",
        [ledger.number],
        id="a",
        seconds=3,
        start_date=MARCH_1,
    )

    for run_time in times:
        scheduler.advance(run_time - scheduler.now)
        assert len(ledger.lost) == RUNS - times.index(run_time) - 1  # none is late

    ledger.check()
    assert faults.injected["get_due_jobs"] > 1


class NoException(BaseException):
    """What no handler of ``Exception`` catches."""


EACH_HOUR: dict[str, Any] = {"trigger": "interval", "hours": 1, "start_date": MARCH_1}


@pytest.mark.parametrize("operation", ["get_due_jobs", "get_next_run_time"])
def test_nor_does_one_that_raises_what_is_no_exception(operation: str) -> None:
    faults = Faults(1, only=[operation], limit=1, error=NoException)
    scheduler = ManualScheduler(now=MARCH_1)
    scheduler.add_jobstore(FaultyStore(BytesStore(), faults), "failing")  # asked before the other
    scheduler.add_jobstore("memory", "other")
    recorder = Recorder(scheduler, EVENT_JOB_EXECUTED)
    scheduler.start()
    for alias in ("failing", "other"):
        scheduler.add_job(nothing, id=alias, jobstore=alias, **EACH_HOUR)

    scheduler.run_due()
    assert faults.injected.total() == 1
    assert "other" in [event.job_id for event in recorder.events]
    scheduler.advance(15)

    assert sorted(event.job_id for event in recorder.events) == ["failing", "other"]


@pytest.mark.parametrize("kind", Fault)
def test_a_write_that_raises_what_is_no_exception_is_looked_up_like_any_other(kind: Fault) -> None:
    faults = Faults(1, kinds=[kind], only=["update_jobs"], limit=1, error=NoException)
    scheduler = ManualScheduler(now=MARCH_1)
    scheduler.add_jobstore(FaultyStore(BytesStore(), faults))
    recorder = Recorder(scheduler, EVENT_JOB_EXECUTED)
    scheduler.start()
    for job_id in ("a", "b"):
        scheduler.add_job(nothing, id=job_id, **EACH_HOUR)

    scheduler.run_due()

    assert [event.job_id for event in recorder.events] == ["a", "b"]


def with_unclear_writes(jobs: int, lookups: Faults) -> tuple[ManualScheduler, Recorder]:
    """Return a scheduler whose jobs are due, and were moved on by a write that did not answer."""
    writes = Faults(1, kinds=[Fault.AFTER], only=["update_jobs"], limit=1)
    scheduler = ManualScheduler(now=MARCH_1)
    scheduler.add_jobstore(FaultyStore(FaultyStore(BytesStore(), writes), lookups))
    recorder = Recorder(scheduler, EVENT_JOB_EXECUTED)
    scheduler.start()
    for number in range(jobs):
        scheduler.add_job(nothing, id=str(number), **EACH_HOUR)
    scheduler.run_due()
    return scheduler, recorder


def test_a_job_that_cannot_be_looked_up_keeps_no_other_from_being_whatever_that_raises() -> None:
    lookups = Faults(1, only=["lookup_job"], limit=1, error=NoException)
    scheduler, recorder = with_unclear_writes(3, lookups)

    assert [event.job_id for event in recorder.events] == ["1", "2"]
    scheduler.advance(15)
    assert [event.job_id for event in recorder.events] == ["1", "2", "0"]


def test_a_store_that_does_not_answer_is_not_asked_for_each_job_that_is_unclear() -> None:
    """Each question may take as long as a server that hangs."""
    lookups = Faults(1, only=["lookup_job"])
    scheduler, recorder = with_unclear_writes(10, lookups)

    assert lookups.injected["lookup_job"] == 3
    lookups.probability = 0
    scheduler.advance(15)
    assert len(recorder.events) == 10


class SharedStore(BytesStore):
    """Another program removes a job from it, as soon as this one has done something chosen."""

    removed_after = "nothing"

    def get_due_jobs(self, now: datetime) -> list[Job]:
        due = super().get_due_jobs(now)
        self._let_other_program_act("get_due_jobs")
        return due

    def lookup_job(self, job_id: str) -> Job | None:
        found = super().lookup_job(job_id)
        self._let_other_program_act("lookup_job")
        return found

    def _let_other_program_act(self, operation: str) -> None:
        if operation == self.removed_after:
            self.rows.pop("removed", None)


@pytest.mark.parametrize("is_last_run", [False, True])
@pytest.mark.parametrize("removed_after", ["get_due_jobs", "lookup_job"])
def test_a_job_that_another_program_removes_before_it_is_moved_on_does_not_run(
    removed_after: str, is_last_run: bool
) -> None:
    store = SharedStore()
    writes = ["update_jobs", "remove_jobs"]
    faults = Faults(removed_after == "lookup_job", kinds=[Fault.BEFORE], only=writes, limit=1)
    scheduler = ManualScheduler(now=MARCH_1)
    scheduler.add_jobstore(FaultyStore(store, faults))
    recorder = Recorder(scheduler, EVENT_JOB_SUBMITTED | EVENT_JOB_EXECUTED)
    scheduler.start()
    schedule = {"trigger": "date", "run_date": MARCH_1} if is_last_run else EACH_HOUR
    for job_id in ("removed", "stays"):
        scheduler.add_job(nothing, id=job_id, **schedule)
    store.removed_after = removed_after

    scheduler.advance(60)

    assert [event.job_id for event in recorder.events] == ["stays", "stays"]


def test_a_job_that_has_to_stay_makes_no_other_late() -> None:
    scheduler = ManualScheduler(now=MARCH_1)
    recorder = Recorder(scheduler, EVENT_JOB_EXECUTED)
    scheduler.start()
    scheduler.add_job(nothing, executor="none", **EACH_HOUR)
    scheduler.add_job(nothing, "date", id="on time", run_date=MARCH_1 + timedelta(seconds=3))

    assert scheduler.run_due() == 3
    scheduler.advance(3)

    assert [event.job_id for event in recorder.events] == ["on time"]


def test_a_store_that_cannot_tell_its_next_run_time_still_has_its_jobs_run() -> None:
    faults = Faults(1, only=["get_next_run_time", "get_next_run_time_after"])
    scheduler = ManualScheduler(now=MARCH_1, job_defaults=NONE_SKIPPED)
    scheduler.add_jobstore(FaultyStore(BytesStore(), faults))
    scheduler.start()
    ledger = Ledger(lambda: scheduler.now)
    add_jobs_in_spite_of_faults(scheduler, ledger, MARCH_1, timedelta(seconds=20))

    scheduler.advance(timedelta(minutes=3))

    ledger.check()


def test_an_executor_that_refuses_jobs_gets_each_again_and_holds_up_no_other() -> None:
    faults = Faults(1)
    scheduler = ManualScheduler(now=MARCH_1, job_defaults=NONE_SKIPPED)
    scheduler.add_executor(FaultyExecutor(scheduler._create_default_executor(), faults), "bad")
    scheduler.start()
    refused, other = Ledger(lambda: scheduler.now), Ledger(lambda: scheduler.now)
    times = run_times_from(MARCH_1, timedelta(seconds=3))
    for ledger, executor in ((refused, "bad"), (other, "default")):
        ledger.expect({executor: times})
        scheduler.add_job(
            note_run,
            IntervalTrigger(seconds=3, start_date=times[0], end_date=times[-1]),
            [ledger.number],
            id=executor,
            executor=executor,
        )

    scheduler.advance(timedelta(minutes=1))
    other.check()
    assert len(refused.lost) == RUNS
    faults.probability = 0
    scheduler.advance(timedelta(minutes=1))

    refused.check()


def test_so_does_one_that_raises_what_is_no_exception() -> None:
    faults = Faults(1, limit=1, error=NoException)
    scheduler = ManualScheduler(now=MARCH_1)
    scheduler.add_executor(FaultyExecutor(scheduler._create_default_executor(), faults), "bad")
    recorder = Recorder(scheduler, EVENT_JOB_EXECUTED)
    scheduler.start()
    for job_id, executor in (("a", "bad"), ("b", "default")):
        scheduler.add_job(nothing, id=job_id, executor=executor, **EACH_HOUR)

    scheduler.run_due()
    assert [event.job_id for event in recorder.events] == ["b"]
    scheduler.advance(15)

    assert [event.job_id for event in recorder.events] == ["b", "a"]


EACH_HOUR_A = {**EACH_HOUR, "id": "a"}
WAYS_OUT: dict[str, Callable[[ManualScheduler], Any]] = {
    "modified": lambda scheduler: scheduler.modify_job("a", executor="default"),
    "replaced": lambda scheduler: scheduler.add_job(nothing, replace_existing=True, **EACH_HOUR_A),
    "replaced with others": lambda scheduler: scheduler.add_jobs(
        [{"func": nothing, "replace_existing": True, **EACH_HOUR_A}]
    ),
}


def refused_by_its_executor(store: BaseJobStore) -> ManualScheduler:
    """Return a scheduler with a job whose run no executor takes."""
    scheduler = ManualScheduler(now=MARCH_1)
    scheduler.add_jobstore(store)
    refusing = FaultyExecutor(scheduler._create_default_executor(), Faults(1))
    scheduler.add_executor(refusing, "bad")
    scheduler.start()
    scheduler.add_job(nothing, executor="bad", **EACH_HOUR_A)
    scheduler.advance(15)
    return scheduler


@pytest.mark.parametrize("store", [BytesStore, MemoryJobStore])
@pytest.mark.parametrize("change", WAYS_OUT)
def test_a_run_that_its_executor_refused_is_made_at_once_by_the_one_that_the_job_is_given(
    change: str, store: type[BaseJobStore]
) -> None:
    scheduler = refused_by_its_executor(store())
    recorder = Recorder(scheduler, EVENT_JOB_EXECUTED | EVENT_JOB_MISSED)

    WAYS_OUT[change](scheduler)
    scheduler.advance(0)

    runs = [(event.code, event.scheduled_run_time) for event in recorder.events]
    assert runs == [(EVENT_JOB_EXECUTED, MARCH_1)]
    scheduler.advance(2 * 3600)
    assert len(recorder.events) == 3


def test_a_refused_run_is_made_when_another_program_has_given_its_job_another_executor() -> None:
    rows = BytesStore()
    scheduler = refused_by_its_executor(rows)
    recorder = Recorder(scheduler, EVENT_JOB_EXECUTED)
    job = rows.lookup_job("a")
    assert job is not None
    job.executor = "default"
    rows.update_job(job)

    scheduler.advance(3600 + 30)  # seen when the job is due next

    runs = [event.scheduled_run_time for event in recorder.events]
    assert runs == [MARCH_1, MARCH_1 + timedelta(hours=1)]


def test_a_refused_run_is_missed_when_its_job_is_replaced_by_a_paused_one() -> None:
    scheduler = refused_by_its_executor(BytesStore())
    recorder = Recorder(scheduler, EVENT_JOB_EXECUTED | EVENT_JOB_MISSED)

    scheduler.add_job(nothing, replace_existing=True, next_run_time=None, **EACH_HOUR_A)
    scheduler.advance(timedelta(minutes=1))

    assert [event.code for event in recorder.events] == [EVENT_JOB_MISSED]


def test_the_last_run_that_an_executor_refused_is_not_made_by_another_job_of_that_id() -> None:
    faults = Faults(1)
    scheduler = ManualScheduler(now=MARCH_1)
    scheduler.add_executor(FaultyExecutor(scheduler._create_default_executor(), faults), "bad")
    recorder = Recorder(scheduler, EVENT_JOB_EXECUTED)
    scheduler.start()
    scheduler.add_job(str, id="a", args=["old"], executor="bad", misfire_grace_time=None)
    scheduler.advance(1)
    scheduler.add_job(
        str, "date", id="a", args=["new"], run_date=MARCH_1 + DAY, replace_existing=True
    )
    scheduler.advance(30)
    assert recorder.events == []

    faults.probability = 0
    scheduler.advance(DAY)

    assert [event.retval for event in recorder.events] == ["old", "new"]


def test_nor_is_it_dropped_when_the_other_job_is_added_paused() -> None:
    faults = Faults(1)
    scheduler = ManualScheduler(now=MARCH_1)
    scheduler.add_executor(FaultyExecutor(scheduler._create_default_executor(), faults), "bad")
    recorder = Recorder(scheduler, EVENT_JOB_EXECUTED | EVENT_JOB_MISSED)
    scheduler.start()
    scheduler.add_job(nothing, id="a", executor="bad", misfire_grace_time=None)
    scheduler.advance(1)
    scheduler.add_job(nothing, replace_existing=True, next_run_time=None, **EACH_HOUR_A)

    faults.probability = 0
    scheduler.advance(30)

    assert [event.code for event in recorder.events] == [EVENT_JOB_EXECUTED]


def failing_afterwards(executor: type[BaseExecutor]) -> BaseExecutor:
    """Return an executor that does something more with each job, which fails."""

    def submit(self: Any, job: Job, run_times: list[datetime]) -> None:
        executor._do_submit_job(self, job, run_times)
        raise InjectedError("the run was counted nowhere")

    return type("FailingAfterwards", (executor,), {"_do_submit_job": submit})()


@pytest.mark.parametrize("executor", [ThreadPoolExecutor, DebugExecutor])
def test_an_executor_that_fails_after_it_took_a_run_does_not_get_it_again(
    executor: type[BaseExecutor],
) -> None:
    scheduler = ManualScheduler(now=MARCH_1)
    scheduler.add_executor(failing_afterwards(executor))
    recorder = Recorder(scheduler, EVENT_JOB_SUBMITTED | EVENT_JOB_EXECUTED | EVENT_JOB_MISSED)
    scheduler.start()
    scheduler.add_job(nothing, misfire_grace_time=None)

    scheduler.advance(timedelta(minutes=1))
    scheduler.shutdown()

    assert [event.code for event in recorder.events] == [EVENT_JOB_SUBMITTED, EVENT_JOB_EXECUTED]


def fail_with(exception: BaseException) -> None:
    raise exception


ANYTHING = pytest.mark.parametrize(
    "exception",
    [ValueError(), SystemExit(1), KeyboardInterrupt(), GeneratorExit(), BaseException()],
    ids=repr,
)


@ANYTHING
def test_a_job_may_raise_anything(exception: BaseException) -> None:
    """Its run is an error, its worker goes on, and so does the loop."""
    scheduler = BackgroundScheduler(executors={"default": ThreadPoolExecutor(1)})
    recorder = Recorder(scheduler)
    scheduler.start()
    try:
        for _ in range(RUNS):
            scheduler.add_job(fail_with, args=[exception])
        errors = recorder.wait_for(EVENT_JOB_ERROR, RUNS)
        scheduler.add_job(nothing)
        recorder.wait_for(EVENT_JOB_EXECUTED)
    finally:
        scheduler.shutdown()

    assert [event.exception for event in errors] == [exception] * RUNS


@ANYTHING
def test_what_one_run_raises_keeps_none_of_those_that_are_due_with_it(
    exception: BaseException,
) -> None:
    numbers = iter(range(RUNS))

    def fail_at_the_second() -> None:
        if next(numbers) == 1:
            raise exception

    scheduler = BackgroundScheduler(timezone="UTC", executors={"default": ThreadPoolExecutor(1)})
    recorder = Recorder(scheduler)
    long_ago = datetime.now(timezone.utc) - timedelta(days=1)
    times = run_times_from(long_ago, timedelta(minutes=1))
    trigger = IntervalTrigger(minutes=1, start_date=times[0], end_date=times[-1])
    scheduler.add_job(fail_at_the_second, trigger, next_run_time=times[0], **NONE_SKIPPED)
    scheduler.start()
    try:
        outcomes = recorder.wait_for(EVENT_JOB_EXECUTED | EVENT_JOB_ERROR, RUNS)
    finally:
        scheduler.shutdown()

    assert [event.scheduled_run_time for event in outcomes] == times
    assert [event.exception for event in outcomes] == [None, exception, None, None, None]


def test_listeners_that_raise_stop_neither_the_others_nor_the_loop() -> None:
    scheduler = ManualScheduler(now=MARCH_1)
    scheduler.add_listener(faulty_listener(Faults(1)))
    recorder = Recorder(scheduler)
    scheduler.start()

    assert_alive(scheduler)
    assert "SCHEDULER_START" in recorder.names


class BrokenTrigger(BaseTrigger):
    """Names a first time to run, and then does what it is told to."""

    def __init__(self, then: Callable[[datetime], Any]) -> None:
        self.then = then

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> Any:
        return now if previous_fire_time is None else self.then(previous_fire_time)


def raise_error(previous: datetime) -> datetime:
    raise InjectedError("a trigger")


def exit_always(previous: datetime) -> datetime:
    raise SystemExit(1)


BROKEN = {
    "raises": raise_error,
    "exits": exit_always,
    "stands still": lambda previous: previous,
    "goes back": lambda previous: previous - timedelta(hours=1),
    "forgets the zone": lambda previous: previous.replace(tzinfo=None) + timedelta(hours=1),
    "names no time": lambda previous: "tomorrow",
}


@pytest.mark.parametrize("coalesce", [True, False])
@pytest.mark.parametrize("then", BROKEN)
def test_a_trigger_that_breaks_pauses_its_job_and_no_other(then: str, coalesce: bool) -> None:
    scheduler = ManualScheduler(now=MARCH_1)
    recorder = Recorder(scheduler)
    scheduler.start()
    scheduler.add_job(nothing, BrokenTrigger(BROKEN[then]), id="broken", coalesce=coalesce)
    scheduler.add_job(nothing, "interval", seconds=1, id="sound", start_date=MARCH_1)

    scheduler.advance(4)

    runs = [event.job_id for event in recorder.of(EVENT_JOB_EXECUTED)]
    assert runs.count("sound") == 5
    assert runs.count("broken") == 1  # the run that was due is made
    broken = scheduler.get_job("broken")
    assert broken is not None
    assert broken.next_run_time is None
    assert [event.job_id for event in recorder.of(EVENT_JOB_MODIFIED)] == ["broken"]


def test_a_trigger_that_breaks_later_leaves_the_runs_that_were_due_before() -> None:
    def three_hours(previous: datetime) -> datetime:
        if previous >= MARCH_1 + timedelta(hours=2):
            raise InjectedError("a trigger")
        return previous + timedelta(hours=1)

    scheduler = ManualScheduler(now=MARCH_1, job_defaults=NONE_SKIPPED)
    recorder = Recorder(scheduler, EVENT_JOB_EXECUTED)
    scheduler.start(paused=True)
    scheduler.add_job(nothing, BrokenTrigger(three_hours), id="broken")
    scheduler.advance(DAY)
    scheduler.resume()

    scheduler.advance(0)

    runs = [event.scheduled_run_time for event in recorder.events]
    assert runs == [MARCH_1 + step * timedelta(hours=1) for step in range(3)]
    broken = scheduler.get_job("broken")
    assert broken is not None
    assert broken.next_run_time is None


def test_a_refused_run_of_a_removed_store_is_not_mixed_up_with_a_job_that_has_its_id() -> None:
    faults = Faults(1)
    runs: list[tuple[str, datetime]] = []
    scheduler = ManualScheduler(now=MARCH_1)
    scheduler.add_executor(FaultyExecutor(DebugExecutor(), faults), "faulty")
    scheduler.start()

    def add(name: str, start: datetime) -> None:
        scheduler.add_job(
            lambda: runs.append((name, scheduler.now)),
            *("interval", None, None, "a"),
            hours=1,
            start_date=start,
            executor="faulty",
        )

    add("old", MARCH_1)
    scheduler.run_due()
    scheduler.remove_jobstore("default")
    scheduler.add_jobstore("memory")
    start = MARCH_1 + timedelta(seconds=30)
    add("new", start)
    faults.probability = 0
    scheduler.advance(60)

    assert [name for name, _ in runs] == ["old", "new"]
    assert dict(runs)["new"] >= start


def test_after_ctrl_c_a_shutdown_asks_again_whether_a_write_has_landed() -> None:
    writes = Faults(1, kinds=[Fault.AFTER], only=["update_jobs"], limit=1)
    lookups = Faults(1, only=["lookup_job"])
    scheduler = ManualScheduler(now=MARCH_1)
    scheduler.add_jobstore(FaultyStore(FaultyStore(BytesStore(), writes), lookups))
    recorder = Recorder(scheduler, EVENT_JOB_EXECUTED)
    scheduler.start()
    scheduler.add_job(nothing, "interval", hours=1, start_date=MARCH_1)
    scheduler.run_due()

    scheduler._hand_over_last_runs()  # as start() of a blocking scheduler does then
    assert recorder.names == []
    lookups.probability = 0
    scheduler.shutdown()

    assert recorder.names == ["JOB_EXECUTED"]
