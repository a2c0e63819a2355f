"""A job: its settings, its state, and its shortcuts to the scheduler."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from apscheduler.job import Job
from apscheduler.testing import ManualScheduler
from apscheduler.triggers.date import DateTrigger
from apscheduler.triggers.interval import IntervalTrigger
from tests import jobs
from tests.jobs import Greeter

MARCH_1 = datetime(2030, 3, 1, tzinfo=timezone.utc)


@pytest.fixture
def scheduler() -> ManualScheduler:
    return ManualScheduler(now=MARCH_1)


@pytest.fixture
def job(scheduler: ManualScheduler) -> Job:
    """A job that has been added."""
    scheduler.start()
    return scheduler.add_job(
        jobs.two, "interval", [1], {"third": 3}, id="job", name="a name", minutes=1
    )


class TestSettings:
    def test_what_was_given_is_kept(self, job: Job) -> None:
        assert (job.id, job.name, job.func, job.func_ref) == (
            "job",
            "a name",
            jobs.two,
            "tests.jobs:two",
        )
        assert (job.args, job.kwargs) == ((1,), {"third": 3})

    def test_the_name_is_that_of_the_function_if_none_was_given(
        self, scheduler: ManualScheduler
    ) -> None:
        assert scheduler.add_job(Greeter("x").greet).name == "Greeter.greet"

    def test_the_id_is_random_if_none_was_given(self, scheduler: ManualScheduler) -> None:
        first, second = scheduler.add_job(jobs.nothing), scheduler.add_job(jobs.nothing, id="")
        assert len(first.id) == len(second.id) == 32
        assert first.id != second.id

    def test_a_function_may_be_given_by_its_reference(self, scheduler: ManualScheduler) -> None:
        job = scheduler.add_job("tests.jobs:nothing")
        assert (job.func, job.func_ref) == (jobs.nothing, "tests.jobs:nothing")

    def test_a_function_without_a_reference_has_none(self, scheduler: ManualScheduler) -> None:
        assert scheduler.add_job(lambda: None).func_ref is None

    def test_the_callers_arguments_are_not_the_jobs_own(self, scheduler: ManualScheduler) -> None:
        args, kwargs = [1], {"second": 2}
        job = scheduler.add_job(jobs.two, "date", args, kwargs)
        args.append(9)
        kwargs["second"] = 9
        assert (job.args, job.kwargs) == ((1,), {"second": 2})

    @pytest.mark.parametrize(
        ("changes", "error", "words"),
        [
            ({"func": 5}, TypeError, "func must be a callable or a textual .* to one, got 5"),
            ({"func": "nowhere:f"}, LookupError, "nowhere:f: could not import module"),
            ({"func": "no reference"}, ValueError, 'Invalid reference "no reference"'),
            ({"args": "text"}, TypeError, "args must be a non-string iterable, got 'text'"),
            ({"args": 5}, TypeError, "args must be a non-string iterable, got 5"),
            ({"kwargs": 5}, TypeError, "kwargs must be a dict-like object, got 5"),
            ({"args": []}, ValueError, "The following arguments have not been supplied: first"),
            ({"kwargs": {"x": 1}}, ValueError, "does not accept .* keyword arguments: x"),
            ({"id": "other"}, ValueError, "The job ID may not be changed"),
            ({"id": 5}, TypeError, "id must be a nonempty string, got 5"),
            ({"name": ""}, TypeError, "name must be a nonempty string, got ''"),
            ({"name": 5}, TypeError, "name must be a nonempty string, got 5"),
            ({"misfire_grace_time": 0}, TypeError, "None or a positive integer .*, got 0"),
            ({"misfire_grace_time": "1"}, TypeError, "None or a positive integer .*, got '1'"),
            ({"max_instances": 0}, TypeError, "must be a positive integer, got 0"),
            ({"max_instances": None}, TypeError, "must be a positive integer, got None"),
            ({"executor": 5}, TypeError, "executor must be a string, .*, got 5"),
            ({"trigger": "interval"}, TypeError, "a trigger instance, got str .*reschedule_job"),
            ({"trigger": "cron", "hour": 5}, AttributeError, "of Job: hour.*reschedule_job"),
            ({"next_run_time": 5}, TypeError, "Unsupported type for next_run_time: int"),
            ({"bogus": 1, "more": 2}, AttributeError, "not modifiable attributes of Job: bogus"),
        ],
    )
    def test_a_wrong_change_is_refused_in_words_and_changes_nothing(
        self, job: Job, changes: dict[str, Any], error: type[Exception], words: str
    ) -> None:
        before = job.__getstate__()
        with pytest.raises(error, match=words):
            job.modify(coalesce=False, **changes)
        assert job.__getstate__() == before

    def test_every_setting_can_be_changed(self, job: Job) -> None:
        trigger = IntervalTrigger(hours=1, timezone=timezone.utc)
        job.modify(
            func=jobs.give,
            args=["new"],
            kwargs={},
            name="new name",
            misfire_grace_time=5,
            coalesce=False,
            max_instances=3,
            executor="other",
            trigger=trigger,
            next_run_time="2030-03-02 12:00:00",
        )
        assert (job.func, job.args, job.kwargs) == (jobs.give, ("new",), {})
        assert (job.name, job.misfire_grace_time, job.coalesce) == ("new name", 5, False)
        assert (job.max_instances, job.executor, job.trigger) == (3, "other", trigger)
        assert job.next_run_time == datetime(2030, 3, 2, 12, tzinfo=timezone.utc)

    def test_a_time_without_a_zone_is_one_in_the_schedulers_zone(self) -> None:
        scheduler = ManualScheduler(timezone="Europe/Berlin")
        job = scheduler.add_job(jobs.nothing, next_run_time="2030-03-01 09:00:00")
        assert job.next_run_time == datetime(2030, 3, 1, 9, tzinfo=ZoneInfo("Europe/Berlin"))


class TestShortcuts:
    def test_modify_pause_and_resume_return_the_job(self, job: Job) -> None:
        assert job.modify(name="new") is job
        assert job.pause() is job
        assert job.next_run_time is None
        assert job.resume() is job
        assert job.next_run_time == MARCH_1 + timedelta(minutes=1)

    def test_reschedule_gives_another_trigger_and_the_first_time_of_it(self, job: Job) -> None:
        assert job.reschedule("cron", hour=9) is job
        assert job.next_run_time == MARCH_1 + timedelta(hours=9)
        assert str(job.trigger) == "cron[hour='9']"

    def test_remove_takes_the_job_out_of_its_store(
        self, job: Job, scheduler: ManualScheduler
    ) -> None:
        job.remove()
        assert scheduler.get_jobs() == []

    def test_they_work_before_the_scheduler_starts(self, scheduler: ManualScheduler) -> None:
        job = scheduler.add_job(jobs.nothing, "interval", minutes=1, id="job")
        assert job.pending
        job.modify(name="new").pause()
        assert (job.name, job.next_run_time) == ("new", None)

        scheduler.start()
        assert [found.next_run_time for found in scheduler.get_jobs()] == [None]


class TestPreview:
    def test_the_coming_run_times(self, job: Job) -> None:
        assert job.next_run_times(3) == [MARCH_1 + timedelta(minutes=n) for n in (1, 2, 3)]

    def test_a_count_that_is_no_whole_number_is_refused(self, job: Job) -> None:
        with pytest.raises(TypeError, match="count must be a whole number of run times, got '2'"):
            job.next_run_times("2")  # type: ignore[arg-type]

    def test_of_a_schedule_that_ends_there_are_fewer(self, scheduler: ManualScheduler) -> None:
        scheduler.start()
        job = scheduler.add_job(jobs.nothing, "date", run_date="2030-03-02 00:00:00")
        assert job.next_run_times(3) == [datetime(2030, 3, 2, tzinfo=timezone.utc)]

    def test_of_a_paused_job_there_are_none(self, job: Job) -> None:
        assert job.pause().next_run_times(3) == []

    def test_of_a_pending_job_they_are_those_from_now_on(self) -> None:
        job = ManualScheduler().add_job(jobs.nothing, "date", run_date="2099-01-01 00:00:00")
        assert job.next_run_times(2) == [datetime(2099, 1, 1, tzinfo=timezone.utc)]


class TestWords:
    def test_a_waiting_job_tells_its_next_time(self, job: Job) -> None:
        text = "a name (trigger: interval[0:01:00], next run at: 2030-03-01 00:01:00 UTC)"
        assert str(job) == text
        assert repr(job) == "<Job (id=job name=a name)>"

    def test_a_paused_job_says_so(self, job: Job) -> None:
        assert str(job.pause()) == "a name (trigger: interval[0:01:00], paused)"

    def test_a_pending_job_says_so(self, scheduler: ManualScheduler) -> None:
        job = scheduler.add_job(jobs.nothing, "date", run_date="2030-03-02 00:00:00")
        assert str(job) == "nothing (trigger: date[2030-03-02 00:00:00 UTC], pending)"


class TestEquality:
    def test_jobs_are_equal_by_id(self, scheduler: ManualScheduler) -> None:
        first = scheduler.add_job(jobs.nothing, id="one")
        assert first == scheduler.add_job(jobs.give, args=[1], id="one")
        assert first != scheduler.add_job(jobs.nothing, id="two")
        assert first != "one"


class TestState:
    def test_it_has_what_3_x_stores(self, job: Job) -> None:
        assert job.__getstate__() == {
            "version": 1,
            "id": "job",
            "func": "tests.jobs:two",
            "trigger": job.trigger,
            "executor": "default",
            "args": (1,),
            "kwargs": {"third": 3},
            "name": "a name",
            "misfire_grace_time": None,
            "coalesce": True,
            "max_instances": 1,
            "next_run_time": MARCH_1 + timedelta(minutes=1),
        }

    def test_a_job_is_rebuilt_from_it_as_stores_of_3_x_do(self, job: Job) -> None:
        rebuilt = Job.__new__(Job)
        rebuilt.__setstate__(job.__getstate__())
        rebuilt._scheduler = job._scheduler
        rebuilt._jobstore_alias = "default"

        assert rebuilt.__getstate__() == job.__getstate__()
        assert rebuilt.func is jobs.two
        rebuilt.modify(name="new")
        assert job.name == "new"

    def test_a_bound_method_keeps_its_object_as_the_first_argument(
        self, scheduler: ManualScheduler
    ) -> None:
        scheduler.start()
        greeter = Greeter("you")
        state = scheduler.add_job(greeter.greet, args=["hello"]).__getstate__()
        assert (state["func"], state["args"]) == ("tests.jobs:Greeter.greet", (greeter, "hello"))

        rebuilt = Job.__new__(Job)
        rebuilt.__setstate__(state)
        assert rebuilt.func(*rebuilt.args) == "hello you"

    def test_a_class_method_needs_no_object(self, scheduler: ManualScheduler) -> None:
        scheduler.start()
        state = scheduler.add_job(Greeter.make, args=["you"]).__getstate__()
        assert (state["func"], state["args"]) == ("tests.jobs:Greeter.make", ("you",))

    @pytest.mark.parametrize("func", [lambda: None, partial(jobs.nothing)])
    def test_a_function_without_a_reference_has_no_state(
        self, scheduler: ManualScheduler, func: Callable[[], None]
    ) -> None:
        scheduler.start()
        job = scheduler.add_job(func)
        with pytest.raises(ValueError, match="This Job cannot be serialized since the reference"):
            job.__getstate__()

    def test_a_state_of_a_later_version_is_refused(self, job: Job) -> None:
        state = {**job.__getstate__(), "version": 9}
        with pytest.raises(ValueError, match="version 9, but only version 1 and earlier"):
            Job.__new__(Job).__setstate__(state)

    def test_a_function_that_is_gone_is_told(self, job: Job) -> None:
        state = {**job.__getstate__(), "func": "tests.jobs:gone"}
        with pytest.raises(LookupError, match=r"tests\.jobs:gone: error looking up object"):
            Job.__new__(Job).__setstate__(state)

    @pytest.mark.parametrize("ref", ["tests:jobs", "tests.jobs:__name__"])
    def test_what_is_no_function_any_more_is_told(self, job: Job, ref: str) -> None:
        state = {**job.__getstate__(), "func": ref}
        with pytest.raises(TypeError, match=f"{ref} leads to .*, which cannot be called"):
            Job.__new__(Job).__setstate__(state)


def test_run_times_up_to_now_are_those_not_started_yet(job: Job) -> None:
    due = job._get_run_times(MARCH_1 + timedelta(minutes=3, seconds=5))
    assert due == [MARCH_1 + timedelta(minutes=n) for n in (1, 2, 3)]
    assert job._get_run_times(MARCH_1) == []


def test_a_date_job_is_due_once(scheduler: ManualScheduler) -> None:
    scheduler.start()
    job = scheduler.add_job(jobs.nothing, DateTrigger(MARCH_1))
    assert job._get_run_times(MARCH_1 + timedelta(days=1)) == [MARCH_1]
