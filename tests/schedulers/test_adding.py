"""Many jobs at once, all or none; and jobs that replace others."""

from __future__ import annotations

import re
from asyncio import CancelledError
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy
from hypothesis import given, settings
from hypothesis import strategies as st

from apscheduler.executors.debug import DebugExecutor
from apscheduler.job import Job
from apscheduler.jobstores.base import ConflictingIdError
from apscheduler.jobstores.memory import MemoryJobStore
from apscheduler.jobstores.sqlalchemy import SQLAlchemyJobStore
from apscheduler.schedulers import SchedulerNotRunningError
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.testing import ManualScheduler
from apscheduler.util import undefined
from tests import jobs
from tests.recorder import Recorder

from .conftest import MARCH_1


def every_minute(*ids: str, **more: Any) -> list[dict[str, Any]]:
    return [
        {"func": jobs.nothing, "trigger": "interval", "minutes": 1, "id": id, **more} for id in ids
    ]


def ids(scheduler: ManualScheduler, jobstore: str | None = None) -> list[str]:
    return sorted(job.id for job in scheduler.get_jobs(jobstore))


class CountingStore(MemoryJobStore):
    """Counts the operations that add jobs, and may fail at one of them."""

    def __init__(self) -> None:
        super().__init__()
        self.operations: list[str] = []
        self.fails = False

    def add_job(self, job: Any) -> None:
        self.operations.append("add_job")
        super().add_job(job)

    def add_jobs(self, jobs: Any) -> None:
        self.operations.append("add_jobs")
        if self.fails:
            raise ConnectionError("no database")
        super().add_jobs(jobs)


class OneByOneStore(CountingStore):
    """Has no operation of its own for many jobs, as stores of 3.x."""

    def add_jobs(self, jobs: Any) -> None:
        super(MemoryJobStore, self).add_jobs(jobs)


# Values of what a job is given, few of each, so that many jobs are alike.
_VALUES: dict[str, list[Any]] = {
    "func": [jobs.nothing, jobs.two, "tests.jobs:nothing", "tests.jobs:some_partial", dict],
    "trigger": ["interval", "cron"],
    "args": [None, (), [1], (1, 2)],
    "kwargs": [None, {}, {"third": 3}, undefined],
    "name": [None, "a name", "another", undefined],
    "id": [None, "", undefined],
    "jitter": [1, 1.0],
    "timezone": ["UTC", "Europe/Berlin"],
    "misfire_grace_time": [undefined, None, 1, 1.0],
    "coalesce": [undefined, True, 1],
    "next_run_time": [undefined, None, MARCH_1, MARCH_1.replace(tzinfo=None)],
}
_changes = st.sampled_from(
    [{}, *({name: value} for name, values in _VALUES.items() for value in values)]
)
_spec = st.builds(
    lambda first, *changes: {**first, **{k: v for change in changes for k, v in change.items()}},
    st.just({"func": jobs.nothing, "trigger": "interval"}),
    _changes,
    _changes,
)


@st.composite
def similar_specs(draw: st.DrawFn) -> list[dict[str, Any]]:
    first = draw(_spec)
    return [first, *({**first, **draw(_changes)} for _ in range(draw(st.integers(0, 4))))]


def _seen(job: Job) -> dict[str, Any]:
    """What can be seen of a job that was not taken to a store, but for its id and its start."""
    values = {name: getattr(job, name) for name in Job.__slots__ if hasattr(job, name)}
    for name in ("__weakref__", "_scheduler", "id", "trigger"):
        values.pop(name, None)
    types = {name: type(value) for name, value in values.items()}

    return {**values, "types": types, "trigger": (str(job.trigger), repr(job.trigger.jitter))}


class TestManyJobs:
    def test_they_are_added_in_one_operation_and_returned_in_order(
        self, stopped: ManualScheduler
    ) -> None:
        store = CountingStore()
        stopped.add_jobstore(store)
        stopped.start()
        recorder = Recorder(stopped)
        added = stopped.add_jobs(iter(every_minute("c", "a", "b")))
        assert [job.id for job in added] == ["c", "a", "b"]
        assert ids(stopped) == ["a", "b", "c"]
        assert store.operations == ["add_jobs"]
        assert recorder.names == ["JOB_ADDED"] * 3
        assert [event.job_id for event in recorder.events] == ["c", "a", "b"]

    def test_each_has_the_settings_that_add_job_takes(self, scheduler: ManualScheduler) -> None:
        plain, special = scheduler.add_jobs(
            [
                {"func": jobs.nothing},
                {
                    "func": "tests.jobs:two",
                    "trigger": "cron",
                    "hour": 9,
                    "args": [1],
                    "kwargs": {"third": 3},
                    "id": "special",
                    "name": "a name",
                    "misfire_grace_time": 5,
                    "coalesce": False,
                    "max_instances": 2,
                    "next_run_time": None,
                    "executor": "other",
                    "jobstore": "default",
                },
            ]
        )
        assert plain.next_run_time == MARCH_1
        assert (special.args, special.kwargs, special.name) == ((1,), {"third": 3}, "a name")
        assert (special.misfire_grace_time, special.coalesce) == (5, False)
        assert (special.max_instances, special.executor) == (2, "other")
        assert special.next_run_time is None

    def test_they_wait_for_the_start_of_a_stopped_scheduler(
        self, stopped: ManualScheduler
    ) -> None:
        added = stopped.add_jobs(every_minute("a", "b"))
        assert all(job.pending for job in added)
        stopped.start()
        assert ids(stopped) == ["a", "b"]

    def test_they_run(self, scheduler: ManualScheduler) -> None:
        runs: list[int] = []
        scheduler.add_jobs({"func": runs.append, "args": [n]} for n in range(100))
        scheduler.run_due()
        assert sorted(runs) == list(range(100))

    def test_triggers_of_the_same_arguments_are_made_once(self) -> None:
        scheduler = BackgroundScheduler(timezone="UTC")
        cron = {"func": jobs.nothing, "trigger": "cron", "hour": 9}
        added = scheduler.add_jobs([cron, cron, {**cron, "hour": 10}])
        first, second, third = (job.trigger for job in added)
        assert first is second
        assert str(third) == "cron[hour='10']"

    @pytest.mark.parametrize("is_class", [True, False], ids=["subclass", "instance"])
    @pytest.mark.parametrize("hook", ["_create_trigger", "_create_plugin_instance"])
    def test_each_has_a_trigger_of_its_own_where_a_program_has_a_hand_in_making_them(
        self, hook: str, is_class: bool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        class Scheduler(BackgroundScheduler):
            pass

        scheduler = Scheduler(timezone="UTC")
        make = getattr(scheduler, hook)
        starts = [MARCH_1 + n * timedelta(seconds=1) for n in range(3)]
        left = iter(starts)

        def spread(*args: Any) -> Any:
            return make(*args[:-1], {**args[-1], "start_date": next(left)})

        monkeypatch.setattr(
            Scheduler if is_class else scheduler,
            hook,
            staticmethod(spread) if is_class else spread,
        )
        added = scheduler.add_jobs(every_minute("a", "b", "c"))
        assert [job.trigger.start_date for job in added] == starts

    def test_arguments_that_are_only_equal_are_not_mixed_up(
        self, scheduler: ManualScheduler
    ) -> None:
        date = {"func": jobs.nothing, "trigger": "date"}
        in_utc = MARCH_1 + timedelta(hours=1)
        in_berlin = in_utc.astimezone(ZoneInfo("Europe/Berlin"))
        first, second = scheduler.add_jobs(
            [{**date, "run_date": in_utc}, {**date, "run_date": in_berlin}]
        )
        assert str(first.next_run_time.tzinfo) != str(second.next_run_time.tzinfo)

        cron = {"func": jobs.nothing, "trigger": "cron"}
        with pytest.raises(ValueError, match=r"1\.0"):
            scheduler.add_jobs([{**cron, "hour": 1}, {**cron, "hour": 1.0}])

    @settings(max_examples=300, deadline=None)
    @given(similar_specs())
    def test_each_is_what_add_job_makes_of_the_same_arguments(
        self, specs: list[dict[str, Any]]
    ) -> None:
        one_by_one = BackgroundScheduler(timezone="UTC")
        at_once = BackgroundScheduler(timezone="UTC")
        try:
            expected = [one_by_one.add_job(**spec) for spec in specs]
        except (TypeError, ValueError) as exc:
            with pytest.raises(type(exc), match=f"^{re.escape(str(exc))}$"):
                at_once.add_jobs(specs)
            return

        added = at_once.add_jobs(specs)
        assert [_seen(job) for job in added] == [_seen(job) for job in expected]
        assert len({job.id for job in added}) == len(added)
        assert len({id(job.kwargs) for job in added}) == len(added)

    def test_what_is_equal_but_of_another_type_is_checked_for_each(self) -> None:
        scheduler = BackgroundScheduler(timezone="UTC")
        job = {"func": jobs.nothing, "trigger": "interval", "misfire_grace_time": 1}
        with pytest.raises(TypeError, match=r"got 1\.0"):
            scheduler.add_jobs([job, {**job, "misfire_grace_time": 1.0}])

    def test_arguments_are_checked_for_each(self) -> None:
        scheduler = BackgroundScheduler(timezone="UTC")
        job = {"func": jobs.two, "trigger": "interval", "args": [1]}
        with pytest.raises(ValueError, match="longer than the target callable"):
            scheduler.add_jobs([job, {**job, "args": [1, 2, 3]}])

    def test_each_keeps_the_reference_that_was_given(self) -> None:
        scheduler = BackgroundScheduler(timezone="UTC")
        ref = "tests.jobs:some_partial"  # none can be found for what it names
        job = {"func": ref, "trigger": "interval"}
        added = scheduler.add_jobs([{**job, "args": [number]} for number in range(3)])
        added[0].modify(args=[7])
        assert [job.func_ref for job in added] == [ref] * 3

    def test_none_is_no_error(self, scheduler: ManualScheduler) -> None:
        assert scheduler.add_jobs([]) == []

    @pytest.mark.parametrize(
        ("wrong", "error", "words"),
        [
            ({"trigger": "interval"}, TypeError, 'A job needs a "func", but only these were'),
            ({"func": jobs.nothing, "trigger": "intervall"}, LookupError, "did you mean"),
            ({"func": jobs.two}, ValueError, "arguments have not been supplied: first"),
            (every_minute("a")[0], ConflictingIdError, r"\(a\) conflicts"),
            (every_minute("there")[0], ConflictingIdError, r"\(there\) conflicts"),
            ({"func": jobs.nothing, "jobstore": "elsewhere"}, KeyError, "No such job store"),
            (
                {"func": jobs.nothing, "trigger": "cron", "month": 2, "day": 30},
                ValueError,
                "would never run",
            ),
        ],
    )
    @pytest.mark.parametrize("store", [MemoryJobStore, OneByOneStore])
    def test_if_one_is_wrong_none_is_added(
        self,
        stopped: ManualScheduler,
        store: type[MemoryJobStore],
        wrong: dict[str, Any],
        error: type[Exception],
        words: str,
    ) -> None:
        stopped.add_jobstore(store())
        stopped.start()
        stopped.add_job(**every_minute("there")[0])
        recorder = Recorder(stopped)
        with pytest.raises(error, match=words):
            stopped.add_jobs([*every_minute("a", "b"), wrong])
        assert ids(stopped) == ["there"]
        assert recorder.events == []

    def test_if_one_store_fails_nothing_stays_in_the_other(self, stopped: ManualScheduler) -> None:
        broken = CountingStore()
        stopped.add_jobstore(broken, "broken")
        stopped.start()
        (kept,) = stopped.add_jobs(every_minute("kept", name="old"))
        broken.fails = True
        with pytest.raises(ConnectionError):
            stopped.add_jobs(
                [
                    *every_minute("a", "kept", name="new", replace_existing=True),
                    *every_minute("b", jobstore="broken"),
                ]
            )
        assert stopped.get_jobs() == [kept]
        assert stopped.get_jobs()[0].name == "old"

        broken.fails = False
        stopped.add_jobs([*every_minute("a"), *every_minute("b", jobstore="broken")])
        assert ids(stopped) == ["a", "b", "kept"]

    def test_a_job_that_cannot_be_restored_is_kept_if_another_cannot_be_added(
        self, stopped: ManualScheduler
    ) -> None:
        stopped.add_jobstore(SQLAlchemyJobStore("sqlite://"))
        stopped.add_jobstore(CountingStore(), "other")
        stopped.start()
        stopped.add_jobs(every_minute("parked", "taken"))
        stopped.add_jobs(every_minute("taken", jobstore="other"))
        store: Any = stopped._jobstores["default"]
        is_parked = store.jobs_t.c.id == "parked"
        with store.engine.begin() as connection:
            damage = store.jobs_t.update().where(is_parked).values(job_state=b"damaged")
            connection.execute(damage)

        replacing = every_minute("parked", "new", "taken", replace_existing=True)
        for alias in ("default", "other"):
            with pytest.raises(ConflictingIdError, match="taken"):
                stopped.add_jobs([*replacing, *every_minute("taken", jobstore=alias)])
            with store.engine.connect() as connection:
                states = connection.scalars(sqlalchemy.select(store.jobs_t.c.job_state))
                assert b"damaged" in states.all()
            assert ids(stopped, "default") == ["taken"]

        stopped.add_jobs(replacing)
        assert ids(stopped, "default") == ["new", "parked", "taken"]

    def test_the_first_error_is_raised_though_taking_back_fails(
        self, stopped: ManualScheduler
    ) -> None:
        class Unforgiving(CountingStore):
            def remove_jobs(self, job_ids: Any) -> list[str]:
                raise CancelledError

        failing = CountingStore()
        failing.fails = True
        stopped.add_jobstore(Unforgiving(), "first")
        stopped.add_jobstore(failing, "second")
        stopped.start()

        with pytest.raises(ConnectionError):
            stopped.add_jobs(
                [*every_minute("a", jobstore="first"), *every_minute("b", jobstore="second")]
            )

    @pytest.mark.parametrize("replacing", [False, True])
    def test_two_with_one_id_are_refused_at_once_also_before_the_start(
        self, stopped: ManualScheduler, replacing: bool
    ) -> None:
        specs = every_minute("a", "b", "a", replace_existing=replacing)
        with pytest.raises(ConflictingIdError, match=r"\(a\) conflicts with another of the jobs"):
            stopped.add_jobs(specs)
        assert ids(stopped) == []

    def test_two_with_one_id_may_go_to_two_stores(self, scheduler: ManualScheduler) -> None:
        scheduler.add_jobstore("memory", "other")
        scheduler.add_jobs([*every_minute("a"), *every_minute("a", jobstore="other")])
        assert ids(scheduler) == ["a", "a"]

    def test_those_that_may_replace_do_so(self, scheduler: ManualScheduler) -> None:
        scheduler.add_job(**every_minute("a", name="old")[0])
        scheduler.add_jobs(every_minute("a", "b", name="new", replace_existing=True))
        assert [(job.id, job.name) for job in scheduler.get_jobs()] == [("a", "new"), ("b", "new")]


class TestReplacing:
    @pytest.fixture(params=[False, True], ids=["one by one", "many at once"])
    def replace(
        self, request: pytest.FixtureRequest, scheduler: ManualScheduler
    ) -> Callable[..., Job]:
        """Adds a job that replaces the one with its id, in either way."""

        def replace(**spec: Any) -> Job:
            spec = {"func": jobs.nothing, "id": "job", "replace_existing": True, **spec}
            return scheduler.add_jobs([spec])[0] if request.param else scheduler.add_job(**spec)

        return replace

    def test_a_job_replaces_the_one_with_its_id(
        self, scheduler: ManualScheduler, replace: Callable[..., Job]
    ) -> None:
        scheduler.add_job(**every_minute("job", name="old")[0])
        replace(trigger="interval", minutes=1, name="new")
        assert [job.name for job in scheduler.get_jobs()] == ["new"]

    def test_an_unchanged_schedule_goes_on_where_it_was(
        self, scheduler: ManualScheduler, replace: Callable[..., Job]
    ) -> None:
        scheduler.add_job(jobs.nothing, "interval", hours=24, id="job")
        scheduler.advance(timedelta(hours=23))
        job = replace(trigger="interval", hours=24)
        assert job.next_run_time == MARCH_1 + timedelta(hours=24)
        scheduler.advance(timedelta(hours=1))
        assert job.next_run_time == MARCH_1 + timedelta(hours=48)

    def test_a_changed_schedule_begins_anew(
        self, scheduler: ManualScheduler, replace: Callable[..., Job]
    ) -> None:
        scheduler.add_job(jobs.nothing, "interval", hours=24, id="job")
        scheduler.advance(timedelta(hours=23))
        assert replace(trigger="interval", hours=2).next_run_time == MARCH_1 + timedelta(hours=25)

    def test_a_next_run_time_that_is_given_counts(
        self, scheduler: ManualScheduler, replace: Callable[..., Job]
    ) -> None:
        scheduler.add_job(jobs.nothing, "interval", hours=24, id="job")
        soon = MARCH_1 + timedelta(minutes=1)
        job = replace(trigger="interval", hours=24, next_run_time=soon)
        assert job.next_run_time == soon

    def test_a_paused_job_stays_paused(
        self, scheduler: ManualScheduler, replace: Callable[..., Job]
    ) -> None:
        scheduler.add_job(jobs.nothing, "interval", hours=24, id="job").pause()
        assert replace(trigger="interval", hours=24).next_run_time is None


def test_while_the_scheduler_shuts_down_no_jobs_are_taken(scheduler: ManualScheduler) -> None:
    refused: list[str] = []

    class LateExecutor(DebugExecutor):
        def shutdown(self, wait: Any = True) -> None:
            try:
                scheduler.add_job(jobs.nothing, name="too late")
            except SchedulerNotRunningError as exc:
                refused.append(str(exc))

    scheduler.add_executor(LateExecutor(), "late")
    scheduler.shutdown()
    assert refused == ["Scheduler is shutting down and takes no more jobs; not added: too late"]
    assert scheduler.add_job(jobs.nothing).pending  # now it takes them for the next start
