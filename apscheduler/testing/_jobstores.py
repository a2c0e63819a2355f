"""The suites that every job store has to pass, whoever wrote it."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime, timedelta, timezone
from pathlib import Path
from threading import Barrier, Thread
from types import ModuleType
from typing import Any
from uuid import uuid4
from zoneinfo import ZoneInfo

import pytest

from ..job import Job, add_function_alias
from ..jobstores.base import (
    BaseJobStore,
    ConflictingIdError,
    JobLookupError,
    TransientJobError,
    UnrestorableJobError,
)
from ..triggers.base import BaseTrigger
from ..triggers.date import DateTrigger
from ..triggers.interval import IntervalTrigger
from ._manual import ManualScheduler

MakeStore = Callable[[], BaseJobStore]

NOW = datetime(2030, 3, 1, 12, tzinfo=timezone.utc)
MICROSECOND = timedelta(microseconds=1)
SECOND = timedelta(seconds=1)
HOUR = timedelta(hours=1)

PATIENCE = 10.0  # seconds; a test that waits so long has failed

ODD_IDS = [
    "x" * 191,
    "ünïcödé ☃ 漢字 🎉",
    "with/slash//and/",
    "with space, 'quotes', \"double ones\", back\\slash and %percent%2F",
    "..",
    "line\nbreak\tand\x7fcontrol",
    "{braces}:colon;semicolon$dollar*star",
]

runs: list[Any] = []


def record(value: Any = None) -> None:
    """Take note of a run of a job of these tests."""
    runs.append(value)


class Greeter:
    """Has a method that a job can call."""

    def __init__(self, name: str) -> None:
        self.name = name

    def greet(self) -> None:
        record(f"Hello {self.name}")


class JobStoreContract:
    """
    What every job store does. To test yours, write a fixture ``make_store``, which returns a
    function that returns a new store, not started, over one place that is empty at first; and a
    class of tests::

        @pytest.fixture
        def make_store(tmp_path):
            return lambda: MyJobStore(tmp_path / "jobs")

        class TestMyJobStore(JobStoreContract):
            pass

    For stores that outlive the program there is :class:`PersistentJobStoreContract`.
    """

    @pytest.fixture
    def scheduler(self, make_store: MakeStore) -> Iterator[ManualScheduler]:
        """A scheduler at 2030-03-01 12:00 UTC, with the store."""
        runs.clear()
        with running(make_store()) as scheduler:
            yield scheduler

    @pytest.fixture
    def store(self, scheduler: ManualScheduler) -> BaseJobStore:
        return scheduler._jobstores["default"]

    # --- one job -------------------------------------------------------------------------------

    def test_a_job_comes_back_as_it_was(
        self, store: BaseJobStore, scheduler: ManualScheduler
    ) -> None:
        zone = ZoneInfo("Europe/Berlin")
        given = make_job(
            scheduler,
            "job",
            NOW.astimezone(zone),
            args=("ä", 1, None),
            kwargs={"key": [1, 2]},
            func=print_all,
            trigger=IntervalTrigger(minutes=5, start_date=NOW, timezone=zone, jitter=3),
            name="Täglich ☃",
            executor="other",
            misfire_grace_time=7,
            coalesce=False,
            max_instances=3,
        )
        store.add_job(given)

        job = store.lookup_job("job")
        assert job is not None
        for name in ("id", "func", "func_ref", "args", "kwargs", "name", "executor"):
            assert getattr(job, name) == getattr(given, name), name
        for name in ("misfire_grace_time", "coalesce", "max_instances", "next_run_time"):
            assert getattr(job, name) == getattr(given, name), name
        assert job.next_run_time is not None
        assert str(job.next_run_time.tzinfo) == "Europe/Berlin"
        assert job.trigger.is_same_schedule(given.trigger)

    def test_a_job_that_comes_back_knows_its_scheduler_and_its_store(
        self, store: BaseJobStore, scheduler: ManualScheduler
    ) -> None:
        scheduler.add_job(record, "interval", hours=1, id="job")
        for job in (store.lookup_job("job"), *store.get_all_jobs()):
            assert job is not None
            assert not job.pending
            job.pause()

        paused = store.lookup_job("job")
        assert paused is not None
        assert paused.next_run_time is None

    def test_an_unknown_job_is_none(self, store: BaseJobStore) -> None:
        assert store.lookup_job("nobody") is None

    def test_a_taken_id_is_refused_and_the_first_job_stays(
        self, store: BaseJobStore, scheduler: ManualScheduler
    ) -> None:
        store.add_job(make_job(scheduler, "job", NOW, name="first"))
        with pytest.raises(ConflictingIdError, match="job"):
            store.add_job(make_job(scheduler, "job", NOW + HOUR, name="second"))

        assert names(store) == ["first"]
        assert store.get_next_run_time() == NOW

    def test_an_update_replaces_the_job(
        self, store: BaseJobStore, scheduler: ManualScheduler
    ) -> None:
        store.add_job(make_job(scheduler, "job", NOW, name="before"))
        store.update_job(make_job(scheduler, "job", NOW + HOUR, name="after"))

        assert names(store) == ["after"]
        assert ids(store.get_due_jobs(NOW)) == []
        assert store.get_next_run_time() == NOW + HOUR

    def test_an_update_that_changes_nothing_finds_its_job(
        self, store: BaseJobStore, scheduler: ManualScheduler
    ) -> None:
        job = make_job(scheduler, "job", NOW)
        store.add_job(job)
        store.update_job(job)
        assert store.update_jobs([job, job]) == []

    def test_an_update_of_an_unknown_job_is_an_error_and_adds_nothing(
        self, store: BaseJobStore, scheduler: ManualScheduler
    ) -> None:
        with pytest.raises(JobLookupError, match="nobody"):
            store.update_job(make_job(scheduler, "nobody", NOW))

        assert store.get_all_jobs() == []

    def test_a_removed_job_is_gone(self, store: BaseJobStore, scheduler: ManualScheduler) -> None:
        store.add_job(make_job(scheduler, "job", NOW))
        store.remove_job("job")

        assert store.lookup_job("job") is None
        assert store.get_all_jobs() == store.get_due_jobs(NOW) == []
        assert store.get_next_run_time() is None

    def test_removing_an_unknown_job_is_an_error(self, store: BaseJobStore) -> None:
        with pytest.raises(JobLookupError, match="nobody"):
            store.remove_job("nobody")

    def test_all_jobs_can_be_removed(
        self, store: BaseJobStore, scheduler: ManualScheduler
    ) -> None:
        store.add_jobs([make_job(scheduler, str(i), NOW) for i in range(3)])
        store.remove_all_jobs()
        assert store.get_all_jobs() == []
        assert store.get_next_run_time() is None

        store.add_job(make_job(scheduler, "1", NOW))
        assert ids(store.get_all_jobs()) == ["1"]

    # --- many jobs -----------------------------------------------------------------------------

    def test_many_jobs_are_added_moved_on_and_removed_at_once(
        self, store: BaseJobStore, scheduler: ManualScheduler
    ) -> None:
        jobs = [make_job(scheduler, f"{i:04}", NOW + i * MICROSECOND) for i in range(2000)]
        store.add_jobs(jobs)
        assert ids(store.get_due_jobs(NOW + HOUR)) == ids(jobs)

        for job in jobs[500:]:
            job.next_run_time = NOW + HOUR
        assert store.update_jobs(jobs[500:]) == []
        assert ids(store.get_due_jobs(NOW + SECOND)) == ids(jobs[:500])

        assert store.remove_jobs(ids(jobs[:1000])) == []
        assert ids(store.get_all_jobs()) == ids(jobs[1000:])

    def test_many_jobs_are_added_all_or_none(
        self, store: BaseJobStore, scheduler: ManualScheduler
    ) -> None:
        store.add_job(make_job(scheduler, "taken", NOW, name="first"))
        jobs = [make_job(scheduler, id, NOW) for id in ("new", "taken", "newer")]
        with pytest.raises(ConflictingIdError, match="taken"):
            store.add_jobs(jobs)

        assert names(store) == ["first"]

    def test_of_many_jobs_no_two_may_have_one_id(
        self, store: BaseJobStore, scheduler: ManualScheduler
    ) -> None:
        jobs = [make_job(scheduler, id, NOW) for id in ("one", "twice", "twice")]
        with pytest.raises(ConflictingIdError, match="twice"):
            store.add_jobs(jobs)

        assert store.get_all_jobs() == []

    def test_batches_tell_which_jobs_are_not_there(
        self, store: BaseJobStore, scheduler: ManualScheduler
    ) -> None:
        store.add_jobs([make_job(scheduler, id, NOW) for id in ("a", "b", "c")])
        changed = [make_job(scheduler, id, NOW + HOUR) for id in ("x", "a", "y", "b")]

        assert sorted(store.update_jobs(changed)) == ["x", "y"]
        assert ids(store.get_due_jobs(NOW)) == ["c"]
        assert sorted(store.remove_jobs(["a", "x", "c", "y"])) == ["x", "y"]
        assert ids(store.get_all_jobs()) == ["b"]

    def test_many_jobs_are_looked_up_at_once(
        self, store: BaseJobStore, scheduler: ManualScheduler
    ) -> None:
        jobs = [make_job(scheduler, f"{i:04}", NOW) for i in range(1999)]
        store.add_jobs([*jobs, make_job(scheduler, "paused", None)])

        found = store.lookup_jobs([*ids(jobs[::2]), "nobody", "paused"])
        assert sorted(found) == [*ids(jobs[::2]), "paused"]
        assert all(job.id == id for id, job in found.items())
        assert found["paused"].next_run_time is None

    def test_an_empty_batch_does_nothing(self, store: BaseJobStore) -> None:
        store.add_jobs([])
        assert store.update_jobs([]) == store.remove_jobs([]) == []
        assert store.lookup_jobs([]) == {}
        assert store.get_all_jobs() == []

    # --- what is due, and when next ------------------------------------------------------------

    def test_due_jobs_are_those_whose_time_has_come_earliest_first(
        self, store: BaseJobStore, scheduler: ManualScheduler
    ) -> None:
        times = {"later": NOW + SECOND, "now": NOW, "past": NOW - SECOND, "old": NOW - HOUR}
        store.add_jobs([make_job(scheduler, id, time) for id, time in times.items()])
        store.add_job(make_job(scheduler, "paused", None))

        assert ids(store.get_due_jobs(NOW)) == ["old", "past", "now"]
        assert ids(store.get_due_jobs(NOW - 2 * HOUR)) == []

    def test_times_are_kept_to_the_microsecond(
        self, store: BaseJobStore, scheduler: ManualScheduler
    ) -> None:
        time = NOW + timedelta(microseconds=123457)
        store.add_job(make_job(scheduler, "job", time))
        store.add_job(make_job(scheduler, "next", time + MICROSECOND))

        assert store.get_next_run_time() == time
        assert ids(store.get_due_jobs(time - MICROSECOND)) == []
        assert ids(store.get_due_jobs(time)) == ["job"]
        assert store.get_next_run_time_after(time) == time + MICROSECOND
        job = store.lookup_job("job")
        assert job is not None
        assert job.next_run_time == time

    def test_times_are_compared_as_instants_when_the_clocks_go_back(
        self, store: BaseJobStore, scheduler: ManualScheduler
    ) -> None:
        first = datetime(2030, 10, 27, 2, 30, tzinfo=ZoneInfo("Europe/Berlin"))
        second = first.replace(fold=1)
        store.add_jobs([make_job(scheduler, "b", first), make_job(scheduler, "a", second)])

        assert ids(store.get_due_jobs(first)) == ["b"]
        assert ids(store.get_due_jobs(second)) == ["b", "a"]
        following = store.get_next_run_time_after(first)
        assert following is not None
        assert following.timestamp() == second.timestamp()

    def test_times_long_ago_and_far_ahead_are_kept(
        self, store: BaseJobStore, scheduler: ManualScheduler
    ) -> None:
        past = datetime(1969, 7, 20, 20, 17, 40, tzinfo=timezone.utc)
        future = datetime(9999, 12, 31, 23, 59, 59, tzinfo=timezone.utc)
        store.add_jobs([make_job(scheduler, "far", future), make_job(scheduler, "old", past)])

        assert store.get_next_run_time() == past
        assert store.get_next_run_time_after(NOW) == future
        assert ids(store.get_due_jobs(NOW)) == ["old"]

    def test_the_next_run_time_follows_the_jobs(
        self, store: BaseJobStore, scheduler: ManualScheduler
    ) -> None:
        assert store.get_next_run_time() is None
        store.add_job(make_job(scheduler, "paused", None))
        assert store.get_next_run_time() is None

        store.add_jobs([make_job(scheduler, "a", NOW), make_job(scheduler, "b", NOW + HOUR)])
        assert store.get_next_run_time() == NOW

        store.update_job(make_job(scheduler, "a", None))
        assert store.get_next_run_time() == NOW + HOUR
        store.update_job(make_job(scheduler, "a", NOW + SECOND))
        assert store.get_next_run_time() == NOW + SECOND

        store.remove_job("a")
        assert store.get_next_run_time() == NOW + HOUR

    def test_the_next_run_time_after_now_passes_over_what_is_due(
        self, store: BaseJobStore, scheduler: ManualScheduler
    ) -> None:
        times = [NOW - HOUR, NOW, NOW + SECOND, NOW + HOUR, None]
        store.add_jobs([make_job(scheduler, str(i), time) for i, time in enumerate(times)])

        assert store.get_next_run_time_after(NOW) == NOW + SECOND
        assert store.get_next_run_time_after(NOW + HOUR) is None

    def test_all_jobs_come_by_run_time_and_paused_ones_last(
        self, store: BaseJobStore, scheduler: ManualScheduler
    ) -> None:
        times = {"paused": None, "last": NOW + HOUR, "first": NOW - HOUR, "middle": NOW}
        store.add_jobs([make_job(scheduler, id, time) for id, time in times.items()])

        assert ids(store.get_all_jobs()) == ["first", "middle", "last", "paused"]

    # --- what can be stored --------------------------------------------------------------------

    def test_odd_ids_are_as_good_as_any(
        self, store: BaseJobStore, scheduler: ManualScheduler
    ) -> None:
        store.add_jobs([make_job(scheduler, id, NOW) for id in ODD_IDS])
        assert sorted(ids(store.get_all_jobs())) == sorted(ODD_IDS)

        for id in ODD_IDS:
            job = store.lookup_job(id)
            assert job is not None
            assert job.id == id
            store.update_job(make_job(scheduler, id, NOW + HOUR))
            store.remove_job(id)
            assert store.lookup_job(id) is None

    def test_ids_that_differ_in_case_or_accent_are_two(
        self, store: BaseJobStore, scheduler: ManualScheduler
    ) -> None:
        store.add_jobs([make_job(scheduler, id, NOW, name=id) for id in ("job", "Job", "jöb")])
        store.remove_job("Job")
        assert sorted(names(store)) == ["job", "jöb"]

    @pytest.mark.parametrize("other", ["job ", "job  ", "Job", "jöb", " job"])
    def test_a_similar_id_never_leads_to_another_job(
        self, store: BaseJobStore, scheduler: ManualScheduler, other: str
    ) -> None:
        scheduler.add_job(record, "interval", hours=1, id="job", name="first")
        assert store.lookup_job(other) is None
        with pytest.raises(JobLookupError):
            store.remove_job(other)
        with pytest.raises(JobLookupError):
            store.update_job(make_job(scheduler, other, NOW))
        pair = [make_job(scheduler, id, NOW, name="second") for id in (other, "nobody")]
        assert sorted(store.update_jobs(pair)) == sorted([other, "nobody"])
        assert sorted(store.remove_jobs([other, "nobody"])) == sorted([other, "nobody"])
        assert names(store) == ["first"]

        expected = ["first", "second"]
        try:
            scheduler.add_job(
                record, "interval", hours=2, id=other, name="second", replace_existing=True
            )
        except ConflictingIdError:  # of a database that cannot keep both
            expected = ["first"]
        assert names(store) == expected

    def test_a_megabyte_of_arguments_is_kept(
        self, store: BaseJobStore, scheduler: ManualScheduler
    ) -> None:
        data = bytes(range(256)) * 3906  # 999,936
        for id in ("first", "second"):
            store.add_job(make_job(scheduler, id, NOW, args=(data,)))

        jobs = store.get_due_jobs(NOW)
        assert [job.args == (data,) for job in jobs] == [True, True]
        for job in jobs:
            job.next_run_time = NOW + HOUR
        assert store.update_jobs(jobs) == []
        assert store.get_next_run_time() == NOW + HOUR

    def test_a_bound_method_is_called_on_its_object(
        self, store: BaseJobStore, scheduler: ManualScheduler
    ) -> None:
        scheduler.add_job(Greeter("Ada").greet, "date", run_date=NOW + SECOND)
        scheduler.advance(SECOND)
        assert runs == ["Hello Ada"]

    # --- with a scheduler ----------------------------------------------------------------------

    def test_a_schedule_is_kept_and_a_job_that_has_ended_is_removed(
        self, store: BaseJobStore, scheduler: ManualScheduler
    ) -> None:
        scheduler.add_job(record, "interval", ["tick"], seconds=10, end_date=NOW + 30 * SECOND)
        scheduler.advance(25)
        assert runs == ["tick", "tick"]
        assert store.get_next_run_time() == NOW + 30 * SECOND

        scheduler.advance(HOUR)
        assert runs == ["tick", "tick", "tick"]
        assert store.get_all_jobs() == []

    def test_a_replaced_job_goes_on_where_it_was_unless_its_schedule_is_another(
        self, store: BaseJobStore, scheduler: ManualScheduler
    ) -> None:
        def schedule(**trigger_args: Any) -> datetime | None:
            scheduler.add_job(record, "interval", id="job", replace_existing=True, **trigger_args)
            return store.get_next_run_time()

        assert schedule(hours=24) == NOW + 24 * HOUR
        scheduler.advance(HOUR)
        assert schedule(hours=24) == NOW + 24 * HOUR
        assert schedule(hours=12) == NOW + 13 * HOUR
        assert schedule(hours=12, next_run_time=NOW + 2 * HOUR) == NOW + 2 * HOUR

    def test_many_jobs_are_replaced_and_added_at_once(
        self, store: BaseJobStore, scheduler: ManualScheduler
    ) -> None:
        def specs(*ids: str) -> list[dict[str, Any]]:
            settings = {"func": record, "trigger": "interval", "hours": 24}
            return [{**settings, "id": id, "replace_existing": True} for id in ids]

        scheduler.add_jobs(specs("a", "b"))
        scheduler.advance(HOUR)
        scheduler.add_jobs(specs("b", "c"))

        times = {job.id: job.next_run_time for job in store.get_all_jobs()}
        assert times == {"a": NOW + 24 * HOUR, "b": NOW + 24 * HOUR, "c": NOW + 25 * HOUR}

    def test_a_job_without_its_executor_stays_until_there_is_one(
        self, store: BaseJobStore, scheduler: ManualScheduler, caplog: pytest.LogCaptureFixture
    ) -> None:
        scheduler.add_job(record, "interval", ["late"], seconds=10, executor="later", id="job")
        scheduler.advance(15)
        assert runs == []
        assert ids(store.get_all_jobs()) == ["job"]
        assert [entry for entry in caplog.messages if "later" in entry and "job" in entry]

        scheduler.add_executor("debug", "later")
        scheduler.run_due()
        assert runs == ["late"]

    def test_a_store_can_be_started_again(
        self, store: BaseJobStore, scheduler: ManualScheduler
    ) -> None:
        scheduler.shutdown()
        scheduler.start()
        scheduler.add_job(record, "date", run_date=NOW + SECOND, id="job")
        scheduler.advance(SECOND)
        assert runs == [None]


class PersistentJobStoreContract(JobStoreContract):
    """
    What every job store does whose jobs outlive the program, besides :class:`JobStoreContract`:
    here, all the stores that ``make_store`` returns in one test share what they keep.
    """

    # --- restarts and other processes ----------------------------------------------------------

    def test_jobs_survive_a_restart_and_missed_runs_are_made_up_for(
        self, scheduler: ManualScheduler, make_store: MakeStore
    ) -> None:
        scheduler.add_job(record, "interval", ["coalesced"], hours=1, id="job")
        scheduler.add_job(record, "date", ["missed"], run_date=NOW + SECOND)
        scheduler.add_job(record, "interval", ["paused"], seconds=1, next_run_time=None)
        scheduler.shutdown()

        with running(make_store(), NOW + 10 * HOUR) as later:
            later.run_due()
            assert sorted(runs) == ["coalesced", "missed"]
            job = later.get_job("job")
            assert job is not None
            assert job.next_run_time == NOW + 11 * HOUR
            assert len(later.get_jobs()) == 2

    def test_what_one_store_writes_the_other_reads(
        self, store: BaseJobStore, scheduler: ManualScheduler, make_store: MakeStore
    ) -> None:
        with running(make_store()) as other_scheduler:
            other = other_scheduler._jobstores["default"]
            assert other.get_next_run_time() is None

            store.add_jobs([make_job(scheduler, id, NOW) for id in ("a", "b", "c")])
            assert eventually(lambda: ids(other.get_due_jobs(NOW)) == ["a", "b", "c"])

            store.update_job(make_job(scheduler, "a", NOW + HOUR, name="changed"))
            store.remove_job("b")
            assert eventually(lambda: ids(other.get_due_jobs(NOW)) == ["c"])
            assert sorted(names(other)) == ["c", "changed"]

            store.remove_all_jobs()
            assert eventually(lambda: other.get_next_run_time() is None)
            assert other.get_all_jobs() == []

    def test_of_two_who_add_one_id_at_once_one_wins(
        self, store: BaseJobStore, scheduler: ManualScheduler, make_store: MakeStore
    ) -> None:
        rounds = 20
        results: dict[str, list[str]] = {"one": [], "other": []}
        barrier = Barrier(2)

        def add(store: BaseJobStore, name: str) -> None:
            for i in range(rounds):
                job = make_job(scheduler, f"job {i}", NOW, name=name)
                barrier.wait(10)
                try:
                    store.add_job(job)
                    results[name].append("added")
                except ConflictingIdError:
                    results[name].append("refused")

        with running(make_store()) as other:
            adders = [
                Thread(target=add, args=(store, "one")),
                Thread(target=add, args=(other._jobstores["default"], "other")),
            ]
            for adder in adders:
                adder.start()
            for adder in adders:
                adder.join()

        assert len(results["one"]) == len(results["other"]) == rounds
        for pair in zip(results["one"], results["other"], strict=True):
            assert sorted(pair) == ["added", "refused"]
        winners = sorted(names(store))
        assert winners.count("one") == results["one"].count("added")

    def test_who_adds_an_id_that_another_adds_and_removes_is_refused_or_not_and_nothing_else(
        self, store: BaseJobStore, scheduler: ManualScheduler, make_store: MakeStore
    ) -> None:
        rounds = 150
        job = make_job(scheduler, "job", NOW)

        def add_and_remove(store: BaseJobStore) -> int:
            refused = 0
            for _ in range(rounds):
                try:
                    store.add_job(job)
                except ConflictingIdError:
                    refused += 1
                else:
                    store.remove_job("job")
            return refused

        with running(make_store()) as other, ThreadPoolExecutor(1) as pool:
            others = pool.submit(add_and_remove, other._jobstores["default"])
            assert add_and_remove(store) + others.result() < 2 * rounds

        assert store.get_all_jobs() == []

    def test_changes_to_a_job_are_stored_by_an_update_only(
        self, store: BaseJobStore, scheduler: ManualScheduler
    ) -> None:
        store.add_job(make_job(scheduler, "job", NOW, name="stored"))
        job = store.lookup_job("job")
        assert job is not None
        job.name = "changed"
        assert names(store) == ["stored"]

    # --- what cannot be stored -----------------------------------------------------------------

    def test_a_job_without_a_reference_to_its_function_is_refused(
        self, store: BaseJobStore, scheduler: ManualScheduler
    ) -> None:
        good = make_job(scheduler, "good", NOW)
        transient = make_job(scheduler, "transient", NOW, func=lambda: None)
        attempts: list[Callable[[], object]] = [
            lambda: store.add_job(transient),
            lambda: store.add_jobs([good, transient]),
            lambda: store.update_job(transient),
        ]
        for attempt in attempts:
            with pytest.raises(TransientJobError, match="transient"):
                attempt()

        assert store.get_all_jobs() == []

    def test_arguments_that_cannot_be_pickled_leave_the_store_as_it_was(
        self, store: BaseJobStore, scheduler: ManualScheduler
    ) -> None:
        store.add_job(make_job(scheduler, "job", NOW, name="first"))
        bad = make_job(scheduler, "job", NOW + HOUR, args=(lambda: None,))
        attempts: list[Callable[[], object]] = [
            lambda: store.update_job(bad),
            lambda: store.add_jobs([make_job(scheduler, "other", NOW), bad]),
        ]
        for attempt in attempts:
            with pytest.raises(Exception, match=r"(?i)pickle"):
                attempt()

        assert names(store) == ["first"]
        assert store.get_next_run_time() == NOW

    # --- jobs that cannot be restored ----------------------------------------------------------

    def test_a_job_that_cannot_be_restored_is_parked(
        self,
        store: BaseJobStore,
        scheduler: ManualScheduler,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        with module_with_function() as (module, _):
            add_broken_job(scheduler, module, "broken", NOW - HOUR)
        store.add_job(make_job(scheduler, "good", NOW, args=("good",)))
        store.add_job(make_job(scheduler, "later", NOW + HOUR, args=("later",)))

        with caplog.at_level(logging.ERROR):
            assert store.get_next_run_time() == NOW
            assert ids(store.get_due_jobs(NOW)) == ["good"]
            assert ids(store.get_all_jobs()) == ["good", "later"]
            assert store.lookup_job("broken") is None
            assert store.get_next_run_time_after(NOW) == NOW + HOUR
            scheduler.advance(HOUR)

        assert runs == ["good", "later"]
        errors = [entry for entry in caplog.messages if "broken" in entry]
        assert len(errors) == 1
        assert '"default"' in errors[0]
        assert module in errors[0]

        (listed,) = scheduler.get_unrestorable_jobs()
        assert listed[:2] == ("broken", "default")
        assert isinstance(listed[2], LookupError)

    def test_a_parked_job_that_another_process_has_removed_is_just_not_there(
        self, store: BaseJobStore, scheduler: ManualScheduler, make_store: MakeStore
    ) -> None:
        with module_with_function() as (module, _):
            for id in ("one", "two", "three"):
                add_broken_job(scheduler, module, id, NOW)

        found = store.lookup_jobs(["one", "two", "three"])
        assert found == {}
        assert all(store.get_error_of_job(id) for id in ("one", "two", "three"))
        with running(make_store()) as other:
            other.remove_job("one")
            other.remove_job("two")

        with pytest.raises(JobLookupError, match="No job by the id of one"):
            scheduler.pause_job("one")
        assert store.lookup_jobs(["two", "three"]) == {}
        assert store.get_error_of_job("two") is None
        assert store.get_error_of_job("three") is not None

    def test_a_job_whose_function_gave_its_name_to_something_else_is_parked(
        self, store: BaseJobStore, scheduler: ManualScheduler
    ) -> None:
        with module_with_function() as (module, restore):
            add_broken_job(scheduler, module, "broken", NOW)
        with restore():
            vars(sys.modules[module])["record"] = sys  # say, its own module has its name now
            scheduler.run_due()
            assert [id for id, _ in store.get_unrestorable_jobs()] == ["broken"]
            add_function_alias(f"{module}:record", f"{__name__}:PATIENCE")
            scheduler.run_due()
            assert [id for id, _ in store.get_unrestorable_jobs()] == ["broken"]

        assert runs == []
        add_function_alias(f"{module}:record", f"{__name__}:record")
        scheduler.run_due()
        assert runs == ["by alias"]

    def test_a_job_whose_module_exits_the_program_is_parked(
        self,
        store: BaseJobStore,
        scheduler: ManualScheduler,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        with module_with_function() as (module, _):
            add_broken_job(scheduler, module, "broken", NOW)
        store.add_job(make_job(scheduler, "good", NOW, args=("good",)))
        (tmp_path / f"{module}.py").write_text("import sys\nsys.exit(3)\n")
        monkeypatch.syspath_prepend(tmp_path)

        scheduler.run_due()
        assert runs == ["good"]
        ((id, error),) = store.get_unrestorable_jobs()
        assert id == "broken"
        assert isinstance(error, Exception)
        assert "SystemExit" in str(error)

    def test_parked_jobs_do_not_keep_the_loop_awake(
        self, store: BaseJobStore, scheduler: ManualScheduler
    ) -> None:
        with module_with_function() as (module, _):
            jobs = [make_job(scheduler, f"broken {i}", NOW) for i in range(50)]
            for job in jobs:
                job._modify(func=f"{module}:record")
            store.add_jobs(jobs)

        assert scheduler.run_due() is None
        assert store.get_next_run_time() is None
        store.add_job(make_job(scheduler, "good", NOW + 10 * SECOND))
        assert store.get_next_run_time() == NOW + 10 * SECOND
        assert scheduler.run_due() == 10
        assert len(scheduler.get_unrestorable_jobs()) == 50

    def test_a_parked_job_can_be_removed(
        self, store: BaseJobStore, scheduler: ManualScheduler
    ) -> None:
        with module_with_function() as (module, _):
            for id in ("one", "two", "three"):
                add_broken_job(scheduler, module, id, NOW)

        assert store.get_all_jobs() == []
        scheduler.remove_job("one")
        assert store.remove_jobs(["two", "nobody"]) == ["nobody"]
        assert [id for id, _ in store.get_unrestorable_jobs()] == ["three"]
        with pytest.raises(JobLookupError):
            scheduler.remove_job("one")

        store.remove_all_jobs()
        assert store.get_unrestorable_jobs() == []

    def test_a_parked_job_can_be_replaced(
        self, store: BaseJobStore, scheduler: ManualScheduler
    ) -> None:
        with module_with_function() as (module, _):
            for id in ("one", "two"):
                add_broken_job(scheduler, module, id, NOW)

        assert store.get_all_jobs() == []
        settings: dict[str, Any] = {"trigger": "date", "run_date": NOW + SECOND}
        with pytest.raises(ConflictingIdError, match="one"):
            scheduler.add_job(record, id="one", **settings)
        scheduler.add_job(record, id="one", replace_existing=True, **settings)
        scheduler.add_jobs([{"func": record, "id": "two", "replace_existing": True, **settings}])
        assert store.get_unrestorable_jobs() == []

        scheduler.advance(SECOND)
        assert len(runs) == 2

    def test_changes_to_a_parked_job_raise_an_error_that_says_why_it_is_parked(
        self, store: BaseJobStore, scheduler: ManualScheduler
    ) -> None:
        with module_with_function() as (module, _):
            add_broken_job(scheduler, module, "broken", NOW)
        changes: list[Callable[[], object]] = [
            lambda: scheduler.pause_job("broken"),
            lambda: scheduler.resume_job("broken", "default"),
            lambda: scheduler.modify_job("broken", name="other"),
            lambda: scheduler.reschedule_job("broken", trigger="interval", hours=1),
        ]
        for change in changes:
            with pytest.raises(JobLookupError, match=rf"broken.*{module}.*add_function_alias"):
                change()

        with pytest.raises(UnrestorableJobError):
            scheduler.pause_job("broken")
        with pytest.raises(JobLookupError, match="No job by the id of broken"):
            scheduler.pause_job("broken", "another store")
        assert scheduler.get_job("broken") is None
        assert [id for id, _ in store.get_unrestorable_jobs()] == ["broken"]

    def test_a_parked_job_runs_at_once_when_its_function_gets_an_alias(
        self, store: BaseJobStore, scheduler: ManualScheduler
    ) -> None:
        with module_with_function() as (module, _):
            add_broken_job(scheduler, module, "broken", NOW)
        scheduler.run_due()
        assert store.get_all_jobs() == []

        add_function_alias(f"{module}:record", f"{__name__}:record")
        scheduler.run_due()
        assert runs == ["by alias"]
        assert store.get_unrestorable_jobs() == []

    def test_a_parked_job_runs_after_a_restart_with_the_code_repaired(
        self, scheduler: ManualScheduler, make_store: MakeStore
    ) -> None:
        with module_with_function() as (module, restore):
            add_broken_job(scheduler, module, "broken", NOW)
        scheduler.run_due()
        assert runs == []
        scheduler.shutdown()

        with restore(), running(make_store(), NOW + HOUR) as later:
            later.run_due()
            assert later.get_unrestorable_jobs() == []

        assert runs == ["by alias"]


# --- helpers ----------------------------------------------------------------------------------


@contextmanager
def running(store: BaseJobStore, now: datetime = NOW) -> Iterator[ManualScheduler]:
    """Run a scheduler with the store; shut it down unless the test has."""
    scheduler = ManualScheduler(now=now)
    scheduler.add_jobstore(store)
    scheduler.start()
    try:
        yield scheduler
    finally:
        if scheduler.running:
            scheduler.shutdown()


def make_job(
    scheduler: ManualScheduler, id: str, next_run_time: datetime | None, **settings: Any
) -> Job:
    """Make a job with all its settings, as a scheduler hands it to a store."""
    trigger: BaseTrigger = DateTrigger(NOW)
    defaults: dict[str, Any] = {
        "func": record,
        "args": (),
        "kwargs": {},
        "name": id,
        "trigger": trigger,
        "executor": "default",
        "misfire_grace_time": None,
        "coalesce": True,
        "max_instances": 1,
    }
    job = Job(scheduler, id=id, next_run_time=next_run_time, **{**defaults, **settings})
    job._jobstore_alias = "default"
    return job


def print_all(*args: Any, **kwargs: Any) -> None:
    """Take any arguments."""
    print(args, kwargs)


def ids(jobs: list[Job]) -> list[str]:
    return [job.id for job in jobs]


def names(store: BaseJobStore) -> list[str]:
    return [job.name for job in store.get_all_jobs()]


def eventually(condition: Callable[[], bool]) -> bool:
    """Ask until the answer is yes: a store may learn of the changes of others a moment later."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.002)

    return True


def add_broken_job(scheduler: ManualScheduler, module: str, id: str, time: datetime) -> None:
    """Add a job that cannot be restored once the module is gone."""
    job = make_job(scheduler, id, time, args=("by alias",), func=f"{module}:record")
    scheduler._jobstores["default"].add_job(job)


@contextmanager
def module_with_function() -> Iterator[tuple[str, Callable[[], AbstractContextManager[None]]]]:
    """Make a module with the function ``record``; yield its name, and what brings it back."""
    name = f"_module_of_{uuid4().hex}"
    module = ModuleType(name)
    vars(module)["record"] = record

    @contextmanager
    def present() -> Iterator[None]:
        sys.modules[name] = module
        try:
            yield
        finally:
            del sys.modules[name]

    with present():
        yield name, present
