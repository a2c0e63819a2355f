"""Jobs through the scheduler's methods: added, changed, paused, listed and removed."""

from __future__ import annotations

import io
import re
from datetime import timedelta
from typing import Any

import pytest

from apscheduler.events import EVENT_JOB_MODIFIED
from apscheduler.jobstores.base import ConflictingIdError, JobLookupError
from apscheduler.jobstores.memory import MemoryJobStore
from apscheduler.testing import ManualScheduler
from apscheduler.triggers.base import BaseTrigger
from apscheduler.triggers.date import DateTrigger
from apscheduler.triggers.interval import IntervalTrigger
from tests import jobs
from tests.recorder import Recorder

from .conftest import MARCH_1

MINUTE = timedelta(minutes=1)


def ids(scheduler: ManualScheduler, jobstore: str | None = None) -> list[str]:
    return [job.id for job in scheduler.get_jobs(jobstore)]


class TestAdding:
    def test_an_executor_that_is_not_there_is_logged_with_the_nearest_one(
        self, scheduler: ManualScheduler, caplog: pytest.LogCaptureFixture
    ) -> None:
        scheduler.add_job(jobs.nothing, "interval", minutes=1, executor="defualt")
        scheduler.add_job(jobs.nothing, "interval", minutes=1)
        (record,) = [record for record in caplog.records if record.levelname == "WARNING"]
        assert record.getMessage() == (
            'Job "nothing" will not run until its executor is added: there is none by the alias '
            'of "defualt"; did you mean "default"?'
        )

    def test_coalesce_cannot_be_none(self, scheduler: ManualScheduler) -> None:
        with pytest.raises(ValueError, match="coalesce must be true or false, got None"):
            scheduler.add_job(jobs.nothing, coalesce=None)

    def test_an_end_that_has_passed_is_told_by_the_schedulers_clock(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        scheduler = ManualScheduler(now="2100-01-01")
        scheduler.start()
        job = scheduler.add_job(
            jobs.nothing, "cron", start_date="2098-01-01", end_date="2097-01-01"
        )
        assert job.next_run_time is None
        assert "has no time to run from now on" in caplog.text

        scheduler = ManualScheduler(now="2001-01-01")
        with pytest.raises(ValueError, match="would never run"):
            scheduler.add_job(jobs.nothing, "cron", month=2, day=30, end_date="2002-01-01")

    def test_a_job_gets_the_first_time_of_its_trigger_and_its_event(
        self, scheduler: ManualScheduler, recorder: Recorder
    ) -> None:
        job = scheduler.add_job(jobs.nothing, "interval", minutes=1, id="job")
        assert job.next_run_time == MARCH_1 + MINUTE
        assert not job.pending
        assert recorder.names == ["JOB_ADDED"]
        assert (recorder.events[0].job_id, recorder.events[0].jobstore) == ("job", "default")

    def test_a_trigger_may_be_an_instance(self, scheduler: ManualScheduler) -> None:
        trigger = IntervalTrigger(minutes=5, start_date=MARCH_1)
        job = scheduler.add_job(jobs.nothing, trigger)
        assert job.trigger is trigger

    def test_without_a_trigger_a_job_runs_once_now(self, scheduler: ManualScheduler) -> None:
        runs: list[str] = []
        job = scheduler.add_job(runs.append, args=["ran"])
        assert isinstance(job.trigger, DateTrigger)
        assert job.next_run_time == MARCH_1
        scheduler.advance(timedelta(days=1))
        assert runs == ["ran"]
        assert scheduler.get_jobs() == []

    def test_a_date_that_has_passed_runs_at_once(self, scheduler: ManualScheduler) -> None:
        runs: list[str] = []
        scheduler.add_job(runs.append, "date", ["ran"], run_date=MARCH_1 - timedelta(days=9))
        scheduler.run_due()
        assert runs == ["ran"]

    def test_a_trigger_takes_the_schedulers_zone_unless_it_has_one(self) -> None:
        scheduler = ManualScheduler(now=MARCH_1, timezone="Europe/Berlin")
        scheduler.start()
        here = scheduler.add_job(jobs.nothing, "cron", hour=12)
        there = scheduler.add_job(jobs.nothing, "cron", hour=12, timezone="Asia/Tokyo")
        assert str(here.next_run_time) == "2030-03-01 12:00:00+01:00"
        assert str(there.next_run_time) == "2030-03-02 12:00:00+09:00"

    def test_next_run_time_comes_before_the_trigger(self, scheduler: ManualScheduler) -> None:
        first = MARCH_1 + timedelta(seconds=7)
        job = scheduler.add_job(jobs.nothing, "interval", minutes=1, next_run_time=first)
        assert job.next_run_time == first

    def test_next_run_time_none_adds_the_job_paused(self, scheduler: ManualScheduler) -> None:
        job = scheduler.add_job(jobs.nothing, "interval", minutes=1, next_run_time=None)
        assert job.next_run_time is None
        scheduler.advance(timedelta(hours=1))
        assert job.resume().next_run_time == MARCH_1 + timedelta(hours=1)

    def test_an_id_is_used_once_in_a_store(self, scheduler: ManualScheduler) -> None:
        scheduler.add_job(jobs.nothing, "interval", minutes=1, id="job")
        with pytest.raises(ConflictingIdError, match=r"Job identifier \(job\) conflicts"):
            scheduler.add_job(jobs.nothing, "interval", minutes=1, id="job")

    def test_a_decorator_adds_a_job_and_gives_the_function_back(
        self, scheduler: ManualScheduler
    ) -> None:
        def func() -> None: ...

        assert scheduler.scheduled_job("interval", minutes=1, id="job", name="decorated")(
            func
        ) is (func)
        job = scheduler.get_job("job")
        assert job is not None
        assert (job.func, job.name) == (func, "decorated")

    def test_a_decorator_replaces_the_job_with_its_id(self, scheduler: ManualScheduler) -> None:
        for _ in range(2):
            scheduler.scheduled_job("interval", minutes=1, id="job")(jobs.nothing)
        assert ids(scheduler) == ["job"]

    @pytest.mark.parametrize(
        ("arguments", "error", "words"),
        [
            (
                {"trigger": "intervall", "seconds": 1},
                LookupError,
                'No trigger by the name "intervall" was found; did you mean "interval"?',
            ),
            (
                {"trigger": "moonphase"},
                LookupError,
                'No trigger by the name "moonphase" was found (known: and, calendarinterval, cron',
            ),
            (
                {"trigger": 5},
                TypeError,
                "Expected a trigger instance or string, got int instead",
            ),
            (
                {"trigger": "interval", "secs": 1},
                TypeError,
                'IntervalTrigger got an unexpected keyword argument "secs"; '
                'did you mean "seconds"?',
            ),
            (
                {"trigger": "date", "args": [1]},
                ValueError,
                "longer than the target callable can handle (allowed: 0, given in args: 1)",
            ),
            (
                {"trigger": "date", "kwargs": {"wrong": 1}},
                ValueError,
                "does not accept the following keyword arguments: wrong",
            ),
            (
                {"jobstore": "elsewhere"},
                KeyError,
                "No such job store: elsewhere",
            ),
            (
                {"trigger": "cron", "month": 2, "day": 30},
                ValueError,
                "would never run: cron[month='2', day='30'] has no time to run",
            ),
        ],
    )
    def test_a_mistake_gets_words_and_adds_nothing(
        self,
        scheduler: ManualScheduler,
        arguments: dict[str, Any],
        error: type[Exception],
        words: str,
    ) -> None:
        with pytest.raises(error) as caught:
            scheduler.add_job(lambda: None, **arguments)
        assert words in str(caught.value)
        assert scheduler.get_jobs() == []

    def test_a_schedule_that_has_ended_is_added_with_a_warning(
        self, scheduler: ManualScheduler, caplog: pytest.LogCaptureFixture
    ) -> None:
        job = scheduler.add_job(jobs.nothing, "cron", year=2001, name="too late")
        assert job.next_run_time is None
        assert "Job \"too late\" will not run: cron[year='2001'] has no time" in caplog.text


class TestPendingJobs:
    def test_they_are_added_when_the_scheduler_starts(self, stopped: ManualScheduler) -> None:
        job = stopped.add_job(jobs.nothing, "interval", minutes=1, id="job")
        recorder = Recorder(stopped)
        assert job.pending
        assert not hasattr(job, "next_run_time")
        assert stopped.get_jobs() == [job]
        assert stopped.get_job("job") is job

        stopped.start()
        assert not job.pending
        assert job.next_run_time == MARCH_1 + MINUTE
        assert recorder.names[-2:] == ["JOB_ADDED", "SCHEDULER_START"]

    def test_they_can_be_changed_and_removed(self, stopped: ManualScheduler) -> None:
        recorder = Recorder(stopped)
        stopped.add_job(jobs.nothing, "interval", minutes=1, id="stays")
        stopped.add_job(jobs.nothing, "interval", minutes=1, id="goes")
        stopped.modify_job("stays", name="new")
        stopped.reschedule_job("stays", trigger="interval", hours=1)
        stopped.remove_job("goes")
        assert recorder.names == ["JOB_MODIFIED", "JOB_MODIFIED", "JOB_REMOVED"]

        stopped.start()
        (job,) = stopped.get_jobs()
        assert (job.name, job.next_run_time) == ("new", MARCH_1 + timedelta(hours=1))

    def test_all_of_them_or_of_one_store_are_removed(self, stopped: ManualScheduler) -> None:
        for store in ("default", "other"):
            stopped.add_job(jobs.nothing, jobstore=store, id=store)
        stopped.remove_all_jobs("other")
        assert ids(stopped) == ["default"]
        stopped.remove_all_jobs()
        assert ids(stopped) == []

    def test_they_are_listed_by_store(self, stopped: ManualScheduler) -> None:
        for store in ("default", "other"):
            stopped.add_job(jobs.nothing, jobstore=store, id=store)
        assert ids(stopped, "other") == ["other"]
        assert stopped.get_job("other", "default") is None

    def test_an_unknown_one_is_not_found(self, stopped: ManualScheduler) -> None:
        assert stopped.get_job("job") is None
        with pytest.raises(JobLookupError, match="No job by the id of job was found"):
            stopped.remove_job("job")
        with pytest.raises(JobLookupError):
            stopped.modify_job("job", name="new")

    def test_one_that_cannot_be_added_stays_pending_and_the_start_fails(
        self, stopped: ManualScheduler
    ) -> None:
        stopped.add_job(jobs.nothing, id="job", jobstore="missing")
        with pytest.raises(KeyError, match="No such job store: missing"):
            stopped.start()
        assert not stopped.running
        assert ids(stopped) == ["job"]

        stopped.add_jobstore(MemoryJobStore(), "missing")
        stopped.start()
        assert ids(stopped, "missing") == ["job"]

    def test_programs_may_read_them_as_tuples(self, stopped: ManualScheduler) -> None:
        job = stopped.add_job(jobs.nothing, replace_existing=True)
        assert stopped._pending_jobs == [(job, "default", True)]


class TestModifying:
    def test_a_change_is_told(self, scheduler: ManualScheduler, recorder: Recorder) -> None:
        scheduler.add_job(jobs.nothing, "interval", minutes=1, id="job")
        job = scheduler.modify_job("job", name="new", max_instances=2)
        assert (job.name, job.max_instances) == ("new", 2)
        assert recorder.names == ["JOB_ADDED", "JOB_MODIFIED"]
        assert (recorder.events[1].job_id, recorder.events[1].jobstore) == ("job", "default")

    def test_a_refused_change_is_not_told(
        self, scheduler: ManualScheduler, recorder: Recorder
    ) -> None:
        scheduler.add_job(jobs.nothing, "interval", minutes=1, id="job")
        with pytest.raises(AttributeError, match="not modifiable attributes of Job: bogus"):
            scheduler.modify_job("job", bogus=1)
        assert recorder.of(EVENT_JOB_MODIFIED) == []

    def test_what_the_store_refuses_is_taken_back(self, stopped: ManualScheduler) -> None:
        class ReadOnlyStore(MemoryJobStore):
            def update_job(self, job: Any) -> None:
                raise OSError("read only")

        stopped.add_jobstore(ReadOnlyStore())
        stopped.start()
        job = stopped.add_job(jobs.nothing, "interval", minutes=1, id="job")
        with pytest.raises(OSError, match="read only"):
            stopped.modify_job("job", name="new", args=[1])
        assert (job.name, job.args) == ("nothing", ())

    def test_an_earlier_time_counts_at_once(self, scheduler: ManualScheduler) -> None:
        runs: list[str] = []
        scheduler.add_job(runs.append, "interval", ["ran"], hours=1, id="job")
        scheduler.modify_job("job", next_run_time=MARCH_1 + timedelta(seconds=5))
        scheduler.advance(5)
        assert runs == ["ran"]

    @pytest.mark.parametrize("method", ["modify_job", "pause_job", "resume_job", "remove_job"])
    @pytest.mark.parametrize("jobstore", [None, "default", "elsewhere"])
    def test_an_unknown_job_is_not_found(
        self, scheduler: ManualScheduler, method: str, jobstore: str | None
    ) -> None:
        with pytest.raises(JobLookupError, match="No job by the id of job was found"):
            getattr(scheduler, method)("job", jobstore)

    def test_pause_and_resume(self, scheduler: ManualScheduler, recorder: Recorder) -> None:
        runs: list[str] = []
        scheduler.add_job(runs.append, "interval", ["ran"], minutes=1, id="job")
        assert scheduler.pause_job("job").next_run_time is None
        scheduler.advance(timedelta(minutes=10))
        assert runs == []

        job = scheduler.resume_job("job")
        assert job is not None
        assert job.next_run_time == MARCH_1 + 10 * MINUTE
        scheduler.advance(MINUTE)
        assert runs == ["ran", "ran"]

    def test_resuming_a_job_whose_schedule_has_ended_removes_it(
        self, scheduler: ManualScheduler, recorder: Recorder
    ) -> None:
        scheduler.add_job(jobs.nothing, "cron", year=2030, month=4, id="job")
        scheduler.pause_job("job")
        scheduler.advance(timedelta(days=90))
        assert scheduler.resume_job("job") is None
        assert ids(scheduler) == []
        assert recorder.names[-1] == "JOB_REMOVED"

    def test_a_job_is_rescheduled_from_now_on(self, scheduler: ManualScheduler) -> None:
        scheduler.add_job(jobs.nothing, "interval", hours=1, id="job")
        scheduler.advance(90)
        job = scheduler.reschedule_job("job", trigger="interval", minutes=5)
        assert job.next_run_time == MARCH_1 + timedelta(minutes=6, seconds=30)

    def test_a_job_is_not_rescheduled_to_never(self, scheduler: ManualScheduler) -> None:
        job = scheduler.add_job(jobs.nothing, "interval", hours=1, id="job")
        with pytest.raises(ValueError, match="would never run"):
            scheduler.reschedule_job("job", trigger="cron", month=2, day=30)
        assert job.next_run_time == MARCH_1 + timedelta(hours=1)


class TestRemoving:
    def test_one_job(self, scheduler: ManualScheduler, recorder: Recorder) -> None:
        for name in ("goes", "stays"):
            scheduler.add_job(jobs.nothing, "interval", minutes=1, id=name)
        scheduler.remove_job("goes")
        assert ids(scheduler) == ["stays"]
        assert recorder.names[-1] == "JOB_REMOVED"
        assert (recorder.events[-1].job_id, recorder.events[-1].jobstore) == ("goes", "default")

    @pytest.mark.parametrize(
        ("jobstore", "left"),
        [(None, []), ("other", ["in default"]), ("nowhere", ["in default", "in other"])],
    )
    def test_all_jobs_or_those_of_one_store(
        self, scheduler: ManualScheduler, recorder: Recorder, jobstore: str | None, left: list[str]
    ) -> None:
        scheduler.add_jobstore("memory", "other")
        for store in ("default", "other"):
            scheduler.add_job(
                jobs.nothing, "interval", minutes=1, id=f"in {store}", jobstore=store
            )
        scheduler.remove_all_jobs(jobstore)
        assert ids(scheduler) == left
        assert (recorder.names[-1], recorder.events[-1].alias) == ("ALL_JOBS_REMOVED", jobstore)

    def test_the_job_in_the_named_store(self, scheduler: ManualScheduler) -> None:
        scheduler.add_jobstore("memory", "other")
        for store in ("default", "other"):
            scheduler.add_job(jobs.nothing, "interval", minutes=1, id="job", jobstore=store)
        scheduler.remove_job("job", "other")
        assert (ids(scheduler, "default"), ids(scheduler, "other")) == (["job"], [])

    def test_a_job_that_ended_is_removed_after_its_last_run_is_submitted(
        self, scheduler: ManualScheduler, recorder: Recorder
    ) -> None:
        scheduler.add_job(jobs.nothing, "date", run_date=MARCH_1)
        scheduler.run_due()
        assert recorder.names == ["JOB_ADDED", "JOB_SUBMITTED", "JOB_REMOVED", "JOB_EXECUTED"]


class TestListing:
    @pytest.fixture
    def filled(self, scheduler: ManualScheduler) -> ManualScheduler:
        scheduler.add_jobstore("memory", "alpha")
        scheduler.add_job(jobs.nothing, "interval", minutes=5, id="late")
        scheduler.add_job(jobs.nothing, "interval", minutes=1, id="paused", next_run_time=None)
        scheduler.add_job(jobs.nothing, "interval", minutes=1, id="early")
        scheduler.add_job(jobs.nothing, "interval", minutes=1, id="other", jobstore="alpha")
        return scheduler

    def test_jobs_come_by_store_and_next_run_time_the_paused_ones_last(
        self, filled: ManualScheduler
    ) -> None:
        assert ids(filled) == ["early", "late", "paused", "other"]
        assert ids(filled, "alpha") == ["other"]
        assert ids(filled, "nowhere") == []

    def test_one_job_is_found_in_any_store_or_in_the_named_one(
        self, filled: ManualScheduler
    ) -> None:
        assert filled.get_job("other") is filled.get_job("other", "alpha")
        assert filled.get_job("other", "default") is None
        assert filled.get_job("nobody") is None

    def test_they_are_printed_by_store(self, filled: ManualScheduler) -> None:
        out = io.StringIO()
        filled.print_jobs(out=out)
        assert out.getvalue() == (
            "Jobstore alpha:\n"
            "    nothing (trigger: interval[0:01:00], next run at: 2030-03-01 08:01:00 UTC)\n"
            "Jobstore default:\n"
            "    nothing (trigger: interval[0:01:00], next run at: 2030-03-01 08:01:00 UTC)\n"
            "    nothing (trigger: interval[0:05:00], next run at: 2030-03-01 08:05:00 UTC)\n"
            "    nothing (trigger: interval[0:01:00], paused)\n"
        )

    def test_those_of_one_store_are_printed(self, filled: ManualScheduler) -> None:
        out = io.StringIO()
        filled.remove_all_jobs("alpha")
        filled.print_jobs("alpha", out)
        assert out.getvalue() == "Jobstore alpha:\n    No scheduled jobs\n"

    def test_pending_jobs_are_printed_to_the_standard_output(
        self, stopped: ManualScheduler, capsys: pytest.CaptureFixture[str]
    ) -> None:
        stopped.print_jobs()
        stopped.add_job(jobs.nothing, "interval", minutes=1)
        stopped.print_jobs()
        assert capsys.readouterr().out == (
            "Pending jobs:\n    No pending jobs\n"
            "Pending jobs:\n    nothing (trigger: interval[0:01:00], pending)\n"
        )


def test_a_store_without_broken_jobs_lists_none(scheduler: ManualScheduler) -> None:
    scheduler.add_job(jobs.nothing, "interval", minutes=1)
    assert scheduler.get_unrestorable_jobs() == []


class EverySecondFrom(BaseTrigger):
    """A trigger as 3.x plugins write it."""

    def __init__(self, start: Any, timezone: Any = None) -> None:
        self.start = start

    def get_next_fire_time(self, previous_fire_time: Any, now: Any) -> Any:
        return previous_fire_time + timedelta(seconds=1) if previous_fire_time else self.start


def test_the_coming_times_of_a_trigger_can_be_previewed() -> None:
    trigger = EverySecondFrom(MARCH_1)
    start = MARCH_1 + timedelta(seconds=5)
    times = trigger.iter_fire_times(start, start + timedelta(seconds=2))
    assert [(time - start).total_seconds() for time in times] == [0, 1, 2]


class TestWordsForMistakes:
    def test_an_unknown_argument_beside_a_trigger_is_logged_with_the_nearest_name(
        self, scheduler: ManualScheduler, caplog: pytest.LogCaptureFixture
    ) -> None:
        scheduler.add_job(jobs.nothing, IntervalTrigger(seconds=5), max_instance=3)
        assert (
            "Unknown job argument 'max_instance' is ignored; did you mean \"max_instances\"?"
            in caplog.text
        )

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (
                {"trigger": "interval", "seconds": 5, "max_instance": 3},
                'unexpected keyword argument "max_instance"; did you mean "max_instances"?',
            ),
            (
                {"seconds": 5},
                "No trigger was given, so the job would run once, and there is no use for the "
                'argument "seconds"; give the name of one, such as "interval"',
            ),
            ({"hour": 5}, 'such as "cron" or "calendarinterval"'),
            ({"max_instance": 3}, 'argument "max_instance"; did you mean "max_instances"?'),
        ],
    )
    def test_arguments_that_no_trigger_takes(
        self, scheduler: ManualScheduler, arguments: dict[str, Any], message: str
    ) -> None:
        with pytest.raises(TypeError, match=re.escape(message)):
            scheduler.add_job(jobs.nothing, **arguments)

    def test_without_a_trigger_the_arguments_of_a_date_are_taken(
        self, scheduler: ManualScheduler
    ) -> None:
        job = scheduler.add_job(jobs.nothing, run_date="2031-01-01", timezone="UTC")
        assert str(job.trigger) == "date[2031-01-01 00:00:00 UTC]"

    @pytest.mark.parametrize("specs", [[jobs.nothing], {"func": jobs.nothing}])
    def test_many_jobs_that_are_no_mappings(self, scheduler: ManualScheduler, specs: Any) -> None:
        with pytest.raises(TypeError, match=r"add_jobs\(\) takes an iterable of mappings"):
            scheduler.add_jobs(specs)

    def test_a_word_for_false_is_read_as_such(self, scheduler: ManualScheduler) -> None:
        job = scheduler.add_job(jobs.nothing, coalesce="false")
        assert job.coalesce is False
        assert job.modify(coalesce="yes").coalesce is True
        with pytest.raises(ValueError, match="coalesce must be true or false, got 'perhaps'"):
            job.modify(coalesce="perhaps")

    def test_a_grace_time_that_is_no_length_of_time(self, scheduler: ManualScheduler) -> None:
        longest = timedelta.max // timedelta(seconds=1)
        job = scheduler.add_job(jobs.nothing, misfire_grace_time=longest)
        assert job.misfire_grace_time == longest
        with pytest.raises(ValueError, match=f"must be at most {longest} seconds, or None"):
            scheduler.add_job(jobs.nothing, misfire_grace_time=longest + 1)

    def test_a_misspelt_setting_is_refused_with_the_nearest_name(
        self, scheduler: ManualScheduler
    ) -> None:
        job = scheduler.add_job(jobs.nothing)
        with pytest.raises(AttributeError, match='max_instance; did you mean "max_instances"'):
            job.modify(max_instance=3)

    def test_a_negative_count_of_run_times(self, scheduler: ManualScheduler) -> None:
        job = scheduler.add_job(jobs.nothing)
        with pytest.raises(ValueError, match="count must be 0 or more run times, got -1"):
            job.next_run_times(-1)

    def test_an_unknown_alias_is_told_with_the_known_ones(
        self, scheduler: ManualScheduler
    ) -> None:
        with pytest.raises(KeyError, match=r"No such job store: x \(known: default\)"):
            scheduler.remove_jobstore("x")
        with pytest.raises(KeyError, match='No such executor: defualt; did you mean "default"'):
            scheduler.remove_executor("defualt")
        with pytest.raises(KeyError, match=r"No such job store: x \(there are none\)"):
            ManualScheduler().remove_jobstore("x")

    def test_a_listener_that_cannot_be_called(self, scheduler: ManualScheduler) -> None:
        with pytest.raises(TypeError, match="A listener must be callable, got 'heard' instead"):
            scheduler.add_listener("heard")  # type: ignore[arg-type]
        with pytest.raises(TypeError, match=r"joined by \|, got 'JOB_ERROR' instead"):
            scheduler.add_listener(print, "JOB_ERROR")  # type: ignore[arg-type]
