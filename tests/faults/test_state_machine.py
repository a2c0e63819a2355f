"""Whatever is done to jobs, in whatever order, the scheduler does as a small model of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from itertools import count
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

import apscheduler
from apscheduler.events import (
    EVENT_JOB_ADDED,
    EVENT_JOB_ERROR,
    EVENT_JOB_EXECUTED,
    EVENT_JOB_MISSED,
    EVENT_JOB_MODIFIED,
    EVENT_JOB_REMOVED,
    EVENT_JOB_SUBMITTED,
)
from apscheduler.jobstores.base import ConflictingIdError, JobLookupError
from apscheduler.testing import ManualScheduler
from apscheduler.triggers.base import BaseTrigger
from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.date import DateTrigger
from apscheduler.triggers.interval import IntervalTrigger
from tests.faults.faulty import BytesStore, Faults, FaultyExecutor, FaultyStore, InjectedError
from tests.recorder import Recorder

pytestmark = pytest.mark.usefixtures("quiet")

# The clock stands at half seconds while the program acts, and jobs run at whole ones.
BEGIN = datetime(2030, 3, 1, 8, 0, 0, 500_000, tzinfo=timezone.utc)
SECOND = timedelta(seconds=1)
RETRY = 10  # seconds, the scheduler's default
EXECUTORS = ("default", "other")
MOVING = (
    "update_jobs",
    "remove_jobs",
    "lookup_job",
)  # what moves jobs on, and tells whether it did


# --- the model ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Schedule:
    """
    A grid of instants, so many seconds apart, from a start on; 0 for the start alone.

    One of less than a second has an end, for many runs take long.
    """

    kind: str
    start: datetime
    seconds: float

    def next_after(self, instant: datetime) -> datetime | None:
        if not self.seconds:
            return None
        if instant < self.start:
            return self.start
        following = self.start + ((instant - self.start) // self.step + 1) * self.step
        return None if self.end is not None and following > self.end else following

    def first_from(self, now: datetime) -> datetime | None:
        """Unlike all others, a single instant may lie in the past."""
        return self.next_after(now) if self.seconds else self.start

    def after_set_back(self, run_time: datetime, now: datetime, by: timedelta) -> datetime:
        """Intervals are real time; a time that is further away was set by hand."""
        if self.kind != "interval" or run_time > now + by + self.step:
            return run_time
        return max(run_time - by, self.start)

    @property
    def end(self) -> datetime | None:
        return self.start + 5 * SECOND if 0 < self.seconds < 1 else None

    @property
    def step(self) -> timedelta:
        return self.seconds * SECOND

    def as_trigger(self) -> BaseTrigger:
        if self.kind == "date":
            return DateTrigger(self.start)
        if self.kind == "cron":
            return CronTrigger(minute=f"*/{self.seconds // 60:g}", timezone="UTC")
        return IntervalTrigger(seconds=self.seconds, start_date=self.start, end_date=self.end)


@dataclass
class ModelJob:
    schedule: Schedule
    coalesce: bool
    grace: int | None
    next: datetime | None

    def look(self, now: datetime) -> list[tuple[datetime, bool]]:
        """Return the run times to start now, each with whether it is run (or else missed)."""
        due: list[datetime] = []
        while self.next is not None and self.next <= now:
            due.append(self.next)
            self.next = self.schedule.next_after(self.next)

        times = due[-1:] if self.coalesce else due
        return [(time, self.grace is None or now - time <= self.grace * SECOND) for time in times]


# --- what is drawn ------------------------------------------------------------------------------

ids = st.sampled_from("abcd")
hour_begin = BEGIN.replace(day=1, month=1, minute=0, second=0, microsecond=0)
schedules = st.one_of(
    st.builds(
        lambda offset: Schedule("date", BEGIN + 0.5 * SECOND + offset * SECOND, 0),
        st.integers(-100, 1000),
    ),
    st.builds(
        lambda offset, seconds: Schedule("interval", BEGIN + (offset + 0.5) * SECOND, seconds),
        st.one_of(st.integers(-100, 300), st.integers(-9000, 0)),
        st.sampled_from([7, 30, 100]),
    ),
    st.builds(
        lambda offset: Schedule("interval", BEGIN + (offset + 0.25) * SECOND, 0.5),
        st.integers(-5, 100),
    ),
    st.builds(
        lambda minutes: Schedule("cron", hour_begin, 60 * minutes), st.sampled_from([1, 2, 5, 20])
    ),
)
durations = st.integers(0, 300)
seeds = st.integers(0, 9999)

_notes: dict[int, list[tuple[str, datetime]]] = {}
_numbers = count()


def note(number: int) -> None:
    """The job: note its run."""
    scheduler: Any = apscheduler.current_scheduler.get()
    run_time = apscheduler.current_run_time.get()
    # One that was refused then may be made when the clock was set back.
    assert run_time <= max(scheduler.now, scheduler.shown), "a run came before its time"
    _notes[number].append((apscheduler.current_job.get().id, run_time))


class ClockScheduler(ManualScheduler):
    """Its clock may be set back, too."""

    set_back_by = timedelta(0)
    shown = BEGIN  # the latest time from which it was set back

    def set_back(self, by: timedelta) -> None:
        self.shown = max(self.shown, self._clock)
        self._clock -= by
        self.set_back_by += by

    def _elapsed(self) -> float:
        return (self._clock + self.set_back_by).timestamp()


# --- the machine --------------------------------------------------------------------------------


class SchedulerMachine(RuleBasedStateMachine):
    """Does the same to the scheduler and to the model."""

    is_behind = False  # the model knows of runs that the scheduler is still to make
    is_refused = False  # by the executors, and so behind

    def __init__(self) -> None:
        super().__init__()
        self.number = next(_numbers)
        self.runs = _notes[self.number] = []
        self.store = FaultyStore(BytesStore(), Faults(0))
        self.recorders: list[Recorder] = []
        self.start_at(BEGIN)

        # The model
        self.now = BEGIN
        self.jobs: dict[str, ModelJob] = {}
        self.expected: dict[int, Counter[tuple[str, datetime]]] = {
            EVENT_JOB_EXECUTED: Counter(),
            EVENT_JOB_MISSED: Counter(),
        }
        self.told: Counter[int] = Counter()
        self.dropped: Counter[tuple[str, datetime]] = Counter()  # missed before any submission
        # The jobs as they were before the clock was set back, if nobody has noticed yet.
        self.unmoved: dict[str, ModelJob] | None = None

    def start_at(self, now: datetime) -> None:
        self.scheduler = ClockScheduler(now=now)
        self.scheduler.add_jobstore(self.store)
        self.executors = [
            FaultyExecutor(self.scheduler._create_default_executor(), Faults(0)) for _ in EXECUTORS
        ]
        for alias, executor in zip(EXECUTORS, self.executors, strict=True):
            self.scheduler.add_executor(executor, alias)
        self.recorders.append(Recorder(self.scheduler))
        self.scheduler.start()

    def teardown(self) -> None:
        del _notes[self.number]

    # What happens in the model

    def look(self) -> None:
        for job_id, job in list(self.jobs.items()):
            if job.next is None:
                continue  # paused
            for run_time, is_run in job.look(self.now):
                code = EVENT_JOB_EXECUTED if is_run else EVENT_JOB_MISSED
                self.expected[code][job_id, run_time] += 1
            if job.next is None:
                del self.jobs[job_id]
                self.told[EVENT_JOB_REMOVED] += 1

    def pass_time(self, seconds: int) -> None:
        end = self.now + seconds * SECOND
        self.look()
        while (stop := min(self.waiting_times(), default=None)) is not None and stop <= end:
            self.now = stop
            self.look()
        self.now = end

    def waiting_times(self) -> list[datetime]:
        return [job.next for job in self.jobs.values() if job.next is not None]

    # What is done to both

    @precondition(lambda self: not self.is_behind)
    @rule(seconds=durations)
    def advance(self, seconds: int) -> None:
        self.scheduler.advance(seconds)
        self.pass_time(seconds)

    @rule(
        job_id=ids,
        schedule=schedules,
        coalesce=st.booleans(),
        grace=st.sampled_from([None, 1, 30]),
        replace_existing=st.booleans(),
        is_paused=st.booleans(),
    )
    def add(
        self,
        job_id: str,
        schedule: Schedule,
        coalesce: bool,
        grace: int | None,
        replace_existing: bool,
        is_paused: bool,
    ) -> None:
        old = self.jobs.get(job_id)
        first = None if is_paused else schedule.first_from(self.now)
        new = self.create(schedule, coalesce, grace, first)
        if old is not None and not is_paused and old.schedule == schedule:
            new.next = old.next  # it goes on where it was

        def add() -> None:
            self.scheduler.add_job(
                note,
                schedule.as_trigger(),
                [self.number],
                id=job_id,
                coalesce=new.coalesce,
                misfire_grace_time=new.grace,
                replace_existing=replace_existing,
                **({"next_run_time": None} if is_paused else {}),
            )

        if old is not None and not replace_existing:
            with pytest.raises(ConflictingIdError):
                add()
        else:
            self.change(job_id, add, new, EVENT_JOB_ADDED)

    def create(
        self, schedule: Schedule, coalesce: bool, grace: int | None, first: datetime | None
    ) -> ModelJob:
        return ModelJob(schedule, coalesce, grace, first)

    @rule(job_id=ids)
    def remove(self, job_id: str) -> None:
        self.change(job_id, lambda: self.scheduler.remove_job(job_id), None, EVENT_JOB_REMOVED)

    @rule(job_id=ids)
    def pause(self, job_id: str) -> None:
        self.change(job_id, lambda: self.scheduler.pause_job(job_id), self.changed(job_id, None))

    @rule(job_id=ids)
    def resume(self, job_id: str) -> None:
        job = self.jobs.get(job_id)
        first = job and job.schedule.first_from(self.now)
        self.change(
            job_id,
            lambda: self.scheduler.resume_job(job_id),
            self.changed(job_id, first) if first else None,
            EVENT_JOB_REMOVED if job and not first else EVENT_JOB_MODIFIED,
        )

    @rule(job_id=ids, seconds=durations)
    def modify(self, job_id: str, seconds: int) -> None:
        run_time = self.now + (seconds + 0.5) * SECOND
        self.change(
            job_id,
            lambda: self.scheduler.modify_job(job_id, next_run_time=run_time),
            self.changed(job_id, run_time),
        )

    @rule(job_id=ids, executor=st.sampled_from(EXECUTORS))
    def modify_settings(self, job_id: str, executor: str) -> None:
        self.change(
            job_id,
            lambda: self.scheduler.modify_job(
                job_id, name="changed", executor=executor, args=[self.number]
            ),
            self.jobs.get(job_id),
        )

    @precondition(lambda self: not self.is_behind or (self.is_refused and self.unmoved is None))
    @rule(seconds=st.one_of(st.integers(2, 100), st.integers(2, 4000)), is_noticed=st.booleans())
    def set_the_clock_back(self, seconds: int, is_noticed: bool) -> None:
        """Intervals follow; if it is not noticed yet, what is changed next is not moved."""
        if not self.is_behind:
            self.advance(0)
        self.unmoved = {job_id: replace(job) for job_id, job in self.jobs.items()}
        self.scheduler.set_back(seconds * SECOND)
        self.now -= seconds * SECOND
        for job in self.jobs.values():
            if job.next is not None:
                job.next = job.schedule.after_set_back(job.next, self.now, seconds * SECOND)
        self.is_behind = True
        if is_noticed:
            self.catch_up()

    def catch_up(self) -> None:
        is_refused, self.is_refused = self.is_refused, False
        self.unmoved = None
        self.is_behind = False
        self.advance(2 * RETRY if is_refused else 0)

    @rule(job_id=ids, schedule=schedules)
    def reschedule(self, job_id: str, schedule: Schedule) -> None:
        first = schedule.first_from(self.now)
        self.change(
            job_id,
            lambda: self.scheduler.reschedule_job(job_id, trigger=schedule.as_trigger()),
            self.changed(job_id, first, schedule=schedule),
        )

    def changed(
        self, job_id: str, next_run_time: datetime | None, **changes: Any
    ) -> ModelJob | None:
        job = self.jobs.get(job_id)
        return job and replace(job, next=next_run_time, **changes)

    def change(
        self,
        job_id: str,
        action: Callable[[], object],
        new: ModelJob | None,
        code: int = EVENT_JOB_MODIFIED,
    ) -> None:
        """Change one job; ``new`` is what it is afterwards, None if it is removed."""
        if job_id not in self.jobs and code != EVENT_JOB_ADDED:
            with pytest.raises(JobLookupError):
                action()
            return

        action()
        self.told[code] += 1
        self.set_job(job_id, new)
        if self.unmoved is not None:
            self.catch_up()

    def set_job(self, job_id: str, job: ModelJob | None) -> None:
        if job is None:
            self.jobs.pop(job_id, None)
        else:
            self.jobs[job_id] = job

    @precondition(lambda self: not self.is_behind or self.unmoved is not None)
    @precondition(lambda self: not self.is_refused)
    @rule(seconds=durations)
    def restart(self, seconds: int) -> None:
        """Nothing runs while the scheduler is down; then all that came due does."""
        self.scheduler.shutdown()
        self.start_anew(seconds)

    def start_anew(self, seconds: int) -> None:
        if self.unmoved is not None:
            self.jobs = self.unmoved
            self.unmoved = None
        self.now += seconds * SECOND
        self.start_at(self.now)
        self.is_behind = False  # what the shutdown has left is due now
        self.advance(0)

    # What always holds

    @precondition(lambda self: not self.is_behind)
    @invariant()
    def the_jobs_are_those_of_the_model(self) -> None:
        actual = {job.id: job.next_run_time for job in self.scheduler.get_jobs()}
        assert actual == {job_id: job.next for job_id, job in self.jobs.items()}

    @precondition(lambda self: not self.is_behind)
    @invariant()
    def each_run_of_the_model_happened_once_and_no_other(self) -> None:
        assert Counter(self.runs) == self.expected[EVENT_JOB_EXECUTED]

    @precondition(lambda self: not self.is_behind)
    @invariant()
    def events_match_runs(self) -> None:
        events = [event for recorder in self.recorders for event in recorder.events]
        assert not [event for event in events if event.code == EVENT_JOB_ERROR]
        for code, runs in self.expected.items():
            assert (
                Counter(
                    (event.job_id, event.scheduled_run_time)
                    for event in events
                    if event.code == code
                )
                == runs
            )

        submitted = Counter(
            (event.job_id, run_time)
            for event in events
            if event.code == EVENT_JOB_SUBMITTED
            for run_time in event.scheduled_run_times
        )
        assert submitted + self.dropped == sum(self.expected.values(), Counter())

    @precondition(lambda self: not self.is_behind)
    @invariant()
    def events_match_changes(self) -> None:
        codes = Counter(event.code for recorder in self.recorders for event in recorder.events)
        for code in (EVENT_JOB_ADDED, EVENT_JOB_MODIFIED, EVENT_JOB_REMOVED):
            assert codes[code] == self.told[code]


class FaultyStoreMachine(SchedulerMachine):
    """
    The same, while the job store fails now and then.

    What is asked of a store that fails raises its error, and either has happened or has not. Runs
    are late, but none is lost: all jobs are to make up for each.
    """

    def __init__(self) -> None:
        super().__init__()
        self.ended: set[str] = set()  # jobs whose last runs are still to be made
        self.seed: int | None = None  # how the next change fails; None if it does not

    def create(
        self, schedule: Schedule, coalesce: bool, grace: int | None, first: datetime | None
    ) -> ModelJob:
        return ModelJob(schedule, False, None, first)

    @precondition(lambda self: not self.is_behind)
    @rule(seconds=durations, probability=st.sampled_from([0.2, 0.6, 1.0]), seed=seeds)
    def advance_amid_failures(self, seconds: int, probability: float, seed: int) -> None:
        with self.failing(probability, seed), self.refusing(probability / 2, seed):
            self.scheduler.advance(seconds)
        self.scheduler.advance(2 * RETRY)  # first what was refused, then what came due behind it
        self.pass_time(seconds + 2 * RETRY)

    @precondition(lambda self: not self.is_behind)
    @precondition(lambda self: self.waiting_times())
    @rule(seconds=st.integers(1, 20), seed=seeds)
    def advance_into_failures(self, seconds: int, seed: int) -> None:
        """Leave it at that: whatever comes next, comes while writes of due jobs are unclear."""
        seconds += max((max(self.waiting_times()) - self.now) // SECOND, 0)  # all are due
        with self.failing(1.0, seed, only=MOVING):
            self.scheduler.advance(seconds)
        self.now += seconds * SECOND
        self.is_behind = True
        self.move_all_on()

    @precondition(lambda self: not self.is_behind)
    @precondition(lambda self: self.waiting_times())
    @rule(seconds=st.integers(1, 20), seed=seeds)
    def advance_into_refusals(self, seconds: int, seed: int) -> None:
        """Likewise, but the executors take nothing."""
        seconds += max((max(self.waiting_times()) - self.now) // SECOND, 0)
        with self.refusing(1.0, seed):
            self.scheduler.advance(seconds)
        self.now += seconds * SECOND
        self.is_behind = self.is_refused = True
        self.move_all_on()

    def move_all_on(self) -> None:
        self.ended.clear()
        for job_id, job in list(self.jobs.items()):
            self.move_on(job_id, job)

    def move_on(self, job_id: str, job: ModelJob) -> None:
        """Expect each run that the store has been told of, be it that it did not answer."""
        stored = self.store.inner.lookup_job(job_id)
        until = stored.next_run_time if stored is not None else self.now + SECOND
        while job.next is not None and job.next < until:
            self.expected[EVENT_JOB_EXECUTED][job_id, job.next] += 1
            job.next = job.schedule.next_after(job.next)
        if stored is None:
            assert job.next is None, "a job with more times to run is gone"
            del self.jobs[job_id]
            self.told[EVENT_JOB_REMOVED] += 1
            self.ended.add(job_id)

    @precondition(lambda self: not self.is_behind)
    @rule(seed=seeds)
    def let_the_next_change_fail(self, seed: int) -> None:
        self.seed = seed

    def change(
        self,
        job_id: str,
        action: Callable[[], object],
        new: ModelJob | None,
        code: int = EVENT_JOB_MODIFIED,
    ) -> None:
        seed, self.seed = self.seed, None
        if self.is_behind:
            self.change_amid_unclear_writes(job_id, action, new, code)
            return
        if seed is None:
            super().change(job_id, action, new, code)
            return

        try:
            with self.failing(0.6, seed):
                super().change(job_id, action, new, code)
        except InjectedError:
            # The program cannot know what has happened, but it can look.
            if self.is_in_store(job_id, new):
                self.set_job(job_id, new)
            else:
                assert self.is_in_store(job_id, self.jobs.get(job_id))

    def change_amid_unclear_writes(
        self, job_id: str, action: Callable[[], object], new: ModelJob | None, code: int
    ) -> None:
        """What the store has been told of is still run, unless the job is paused or removed."""
        is_removed, is_added = code == EVENT_JOB_REMOVED, code == EVENT_JOB_ADDED
        if is_removed and job_id not in self.jobs and self.is_refused and self.pending(job_id):
            action()  # its last run; that it has left its store is told in any case
            self.drop_runs(job_id)
        else:
            if is_removed:
                is_dropped = job_id in self.jobs
            else:
                is_paused = new is not None and new.next is None and job_id in self.jobs
                is_dropped = is_paused and (self.is_refused or not is_added)
            if is_dropped:
                self.drop_runs(job_id, is_told=self.is_refused or not is_removed)
            super().change(job_id, action, new, code)
        self.is_behind = self.is_refused = False
        self.unmoved = None
        self.advance(2 * RETRY)  # a job whose old runs are in its way is looked at once more

    def pending(self, job_id: str) -> Counter[tuple[str, datetime]]:
        """The runs that were moved on to, and have not been started."""
        pending = self.expected[EVENT_JOB_EXECUTED] - Counter(self.runs)
        return Counter({run: times for run, times in pending.items() if run[0] == job_id})

    def drop_runs(self, job_id: str, is_told: bool = True) -> None:
        """Expect these runs no more; they are missed, if that is told."""
        pending = self.pending(job_id)
        self.expected[EVENT_JOB_EXECUTED] -= pending
        if is_told:
            self.expected[EVENT_JOB_MISSED] += pending
            self.dropped += pending

    @rule(seconds=durations, seed=seeds, is_down=st.booleans())
    def restart_amid_failures(self, seconds: int, seed: int, is_down: bool) -> None:
        """What no executor would take is missed; what the store does not tell of is lost."""
        if self.is_refused or (self.is_behind and is_down):
            for job_id in "abcd":
                if job_id in self.ended and self.pending(job_id):
                    self.told[EVENT_JOB_REMOVED] -= 1
                self.drop_runs(job_id, is_told=self.is_refused)
        self.is_refused = False
        with self.failing(float(is_down), seed):
            self.scheduler.shutdown()
        self.start_anew(seconds)

    @contextmanager
    def refusing(self, probability: float, seed: int) -> Iterator[None]:
        for executor in self.executors:
            executor.faults = Faults(probability, seed)
        try:
            yield
        finally:
            for executor in self.executors:
                executor.faults = Faults(0)

    @contextmanager
    def failing(self, probability: float, seed: int, only: Collection[str] = ()) -> Iterator[None]:
        self.store.faults = Faults(probability, seed, only=only)
        try:
            yield
        finally:
            self.store.faults = Faults(0)

    def is_in_store(self, job_id: str, job: ModelJob | None) -> bool:
        actual = self.scheduler.get_job(job_id)
        if actual is None or job is None:
            return actual is job
        is_same = actual.trigger.is_same_schedule(job.schedule.as_trigger())
        return is_same and actual.next_run_time == job.next


# The same examples each time; raise their number to look for more.
LIMITS = settings(max_examples=500, stateful_step_count=40, deadline=None, derandomize=True)


TestScheduler = SchedulerMachine.TestCase
TestScheduler.settings = LIMITS

TestSchedulerWithFaultyStore = FaultyStoreMachine.TestCase
TestSchedulerWithFaultyStore.settings = LIMITS
