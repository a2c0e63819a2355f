"""Jobs exported to JSON and imported again, here and from APScheduler 3.11.3."""

from __future__ import annotations

import errno
import io
import json
import os
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from apscheduler.jobstores.base import ConflictingIdError
from apscheduler.testing import ManualScheduler
from apscheduler.triggers.combining import OrTrigger
from apscheduler.triggers.interval import IntervalTrigger
from tests import jobs
from tests.recorder import Recorder

from .conftest import MARCH_1

EXPORTED_BY_3_11 = Path(__file__).parent.parent / "data" / "exported-by-3.11.3.json"
BERLIN = ZoneInfo("Europe/Berlin")


@pytest.fixture
def other() -> ManualScheduler:
    """Another scheduler, to import jobs into."""
    other = ManualScheduler(now=MARCH_1)
    other.start()
    return other


def transfer(
    source: ManualScheduler, target: ManualScheduler, jobstore: str = "default"
) -> dict[str, Any]:
    """Export from one scheduler, import into the other; return what was written."""
    file = io.StringIO()
    source.export_jobs(file)
    file.seek(0)
    target.import_jobs(file, jobstore)
    written: dict[str, Any] = json.loads(file.getvalue())
    return written


def test_all_that_a_job_is_comes_across(
    scheduler: ManualScheduler, other: ManualScheduler
) -> None:
    job = scheduler.add_job(
        jobs.two,
        "cron",
        ["first"],
        {"third": 3},
        id="job",
        name="a name",
        hour=9,
        misfire_grace_time=30,
        coalesce=False,
        max_instances=4,
        executor="other",
    )
    transfer(scheduler, other)
    (imported,) = other.get_jobs()
    expected, found = job.__getstate__(), imported.__getstate__()
    assert found.pop("trigger").is_same_schedule(expected.pop("trigger"))
    assert found == expected


@pytest.mark.parametrize(
    "trigger",
    [
        ("date", {"run_date": "2031-01-01 00:00:00"}),
        ("interval", {"minutes": 5, "jitter": 2}),
        ("cron", {"day": "last", "hour": "*/6", "timezone": "Europe/Berlin"}),
        ("calendarinterval", {"months": 1, "hour": 9, "start_date": "2030-01-31"}),
    ],
    ids=lambda trigger: trigger[0],
)
def test_every_trigger_comes_across(
    scheduler: ManualScheduler, other: ManualScheduler, trigger: tuple[str, dict[str, Any]]
) -> None:
    job = scheduler.add_job(jobs.nothing, trigger[0], **trigger[1])
    transfer(scheduler, other)
    assert other.get_jobs()[0].trigger.is_same_schedule(job.trigger)


def test_combined_triggers_come_across(scheduler: ManualScheduler, other: ManualScheduler) -> None:
    parts = [IntervalTrigger(hours=n, start_date=MARCH_1) for n in (2, 3)]
    job = scheduler.add_job(jobs.nothing, OrTrigger(parts))
    transfer(scheduler, other)
    assert other.get_jobs()[0].trigger.is_same_schedule(job.trigger)


@pytest.mark.parametrize(
    "value",
    [
        (1, (2, 3)),
        {1: "number", "two": 2},
        [True, 1, 1.0, None, "text"],
        b"bytes",
        {"a set"},
        timedelta(seconds=5),
        datetime(2030, 1, 1, tzinfo=timezone.utc),
        {"__apscheduler_pickle__": "a text that looks like ours"},
    ],
    ids=str,
)
def test_arguments_come_across_as_they_were(
    scheduler: ManualScheduler, other: ManualScheduler, value: Any
) -> None:
    scheduler.add_job(jobs.two, "interval", [value], {"third": value}, hours=1)
    transfer(scheduler, other)
    (imported,) = other.get_jobs()
    assert repr((imported.args, imported.kwargs)) == repr(((value,), {"third": value}))


def test_plain_arguments_are_written_so_that_people_can_read_them(
    scheduler: ManualScheduler, other: ManualScheduler
) -> None:
    scheduler.add_job(jobs.two, "interval", ["first", [1, 2]], {"third": None}, hours=1, id="job")
    document = transfer(scheduler, other)
    assert document["version"] == 1
    (job,) = document["jobs"]
    assert (job["id"], job["func"]) == ("job", "tests.jobs:two")
    assert (job["args"], job["kwargs"]) == (["first", [1, 2]], {"third": None})


def test_a_file_may_be_given_by_its_path(
    scheduler: ManualScheduler, other: ManualScheduler, tmp_path: Path
) -> None:
    scheduler.add_job(jobs.give, "interval", ["Grüße ✓"], hours=1, name="tägliche Grüße")
    scheduler.export_jobs(tmp_path / "jobs.json")
    other.import_jobs(str(tmp_path / "jobs.json"))
    (imported,) = other.get_jobs()
    assert (imported.name, imported.args) == ("tägliche Grüße", ("Grüße ✓",))


def test_the_jobs_of_one_store_only(scheduler: ManualScheduler) -> None:
    scheduler.add_jobstore("memory", "other")
    for store in ("default", "other"):
        scheduler.add_job(jobs.nothing, "interval", hours=1, jobstore=store, id=store)
    file = io.StringIO()
    scheduler.export_jobs(file, "other")
    assert [job["id"] for job in json.loads(file.getvalue())["jobs"]] == ["other"]


def test_imported_jobs_run_and_are_told(
    scheduler: ManualScheduler, other: ManualScheduler
) -> None:
    recorder = Recorder(other)
    scheduler.add_job(jobs.give, "interval", ["ran"], seconds=5, id="job")
    other.add_jobstore("memory", "second")
    transfer(scheduler, other, "second")
    other.advance(5)
    assert recorder.names[1:] == ["JOB_ADDED", "JOB_SUBMITTED", "JOB_EXECUTED"]
    assert recorder.events[1].jobstore == "second"
    assert recorder.events[-1].retval == "ran"


def test_jobs_imported_before_the_start_are_pending(
    scheduler: ManualScheduler, stopped: ManualScheduler
) -> None:
    scheduler.add_job(jobs.nothing, "interval", hours=1, id="job")
    target = ManualScheduler(now=MARCH_1)
    transfer(scheduler, target)
    assert target.get_jobs()[0].pending
    target.start()
    assert [job.id for job in target.get_jobs()] == ["job"]


def test_if_an_id_is_taken_no_job_is_imported(
    scheduler: ManualScheduler, other: ManualScheduler
) -> None:
    for name in ("a", "b", "c"):
        scheduler.add_job(jobs.nothing, "interval", hours=1, id=name)
    other.add_job(jobs.nothing, "interval", hours=1, id="b")
    with pytest.raises(ConflictingIdError, match=r"\(b\) conflicts"):
        transfer(scheduler, other)
    assert [job.id for job in other.get_jobs()] == ["b"]


def test_a_stopped_scheduler_exports_nothing() -> None:
    with pytest.raises(RuntimeError, match="must have been started for job export to work"):
        ManualScheduler().export_jobs(io.StringIO())


def test_a_job_without_a_reference_is_not_exported(scheduler: ManualScheduler) -> None:
    scheduler.add_job(lambda: None, "interval", hours=1)
    with pytest.raises(ValueError, match="This Job cannot be serialized"):
        scheduler.export_jobs(io.StringIO())


class TestFilesThatAreThere:
    """A path that leads to an earlier export, or to something else."""

    @pytest.fixture
    def path(self, scheduler: ManualScheduler, tmp_path: Path) -> Path:
        scheduler.add_job(jobs.nothing, "interval", hours=1, id="good")
        scheduler.export_jobs(tmp_path / "jobs.json")
        return tmp_path / "jobs.json"

    def test_an_export_that_fails_leaves_the_file_as_it_was(
        self, scheduler: ManualScheduler, path: Path
    ) -> None:
        before = path.read_bytes()
        scheduler.add_job(lambda: None, "interval", hours=1)
        with pytest.raises(ValueError, match="This Job cannot be serialized"):
            scheduler.export_jobs(path)
        assert path.read_bytes() == before
        assert os.listdir(path.parent) == ["jobs.json"]

    def test_so_does_one_that_finds_no_room(
        self, scheduler: ManualScheduler, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(file: int) -> None:
            raise OSError(28, "No space left on device")

        before = path.read_bytes()
        monkeypatch.setattr(os, "fsync", refuse)
        with pytest.raises(OSError, match="No space left"):
            scheduler.export_jobs(path)
        assert path.read_bytes() == before
        assert os.listdir(path.parent) == ["jobs.json"]

    def test_nothing_is_written_to_an_open_file_before_all_is_known(
        self, scheduler: ManualScheduler
    ) -> None:
        scheduler.add_job(jobs.nothing, "interval", hours=1)
        scheduler.add_job(jobs.two, "interval", [lambda: None, 2], {"third": 3}, hours=1)
        file = io.StringIO()
        with pytest.raises(Exception, match=r"pickle|local object"):
            scheduler.export_jobs(file)
        assert file.getvalue() == ""

    @pytest.mark.skipif(sys.platform == "win32", reason="Windows has neither as a rule")
    def test_links_and_permissions_stay(self, scheduler: ManualScheduler, path: Path) -> None:
        path.chmod(0o640)
        link = path.parent / "link.json"
        link.symlink_to(path.name)
        scheduler.add_job(jobs.nothing, "interval", hours=1, id="more")
        scheduler.export_jobs(link)
        assert link.is_symlink()
        assert path.stat().st_mode & 0o777 == 0o640
        assert len(json.loads(path.read_text())["jobs"]) == 2

    @pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such device")
    def test_a_device_is_written_to_and_not_replaced(self, scheduler: ManualScheduler) -> None:
        scheduler.add_job(jobs.nothing, "interval", hours=1)
        scheduler.export_jobs(os.devnull)
        assert not os.path.isfile(os.devnull)

    @pytest.mark.parametrize("code", [errno.EACCES, errno.EBUSY])
    def test_a_file_that_cannot_be_replaced_is_written_where_it_is(
        self,
        scheduler: ManualScheduler,
        path: Path,
        monkeypatch: pytest.MonkeyPatch,
        code: int,
    ) -> None:
        def refuse(old: str, new: str) -> None:
            raise OSError(code, "as for a file that is mounted by itself")

        monkeypatch.setattr(os, "replace", refuse)
        scheduler.add_job(jobs.nothing, "interval", hours=1, id="more")
        scheduler.export_jobs(path)
        assert len(json.loads(path.read_text())["jobs"]) == 2
        assert os.listdir(path.parent) == ["jobs.json"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[]", 'Expected a JSON object with a list of "jobs"'),
        ('{"jobs": 5}', 'Expected a JSON object with a list of "jobs"'),
        ('{"version": 2, "jobs": []}', "exported in format 2, but only format 1 and earlier"),
        ('{"version": "1", "jobs": []}', "exported in format '1', but only format 1 and earlier"),
        ('{"jobs": [1]}', "Job 1 of 1 must be an object with the settings of a job, got 1"),
        ('{"jobs": [{}]}', "Job 1 of 1 lacks args, coalesce, executor, func, id, kwargs, "),
        ('{"jobs": [{"a": {"__apscheduler_pickle__": "AAAA"}}]}', "Cannot restore .*AAAA"),
        ('{"jobs": [{"a": {"__apscheduler_pickle__": 5}}]}', "Cannot restore .*5"),
        (
            '{"jobs": [{"a": {"__apscheduler_class__": "datetime:date"}}]}',
            "Cannot restore .*datetime:date.*KeyError",
        ),
        ("not JSON", "Expecting value"),
    ],
)
def test_another_file_is_refused_in_words(
    scheduler: ManualScheduler, text: str, words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        scheduler.import_jobs(io.StringIO(text))


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("id", 5, "id must be a string, got 5"),
        ("id", "", "id must not be empty"),
        ("func", None, "func must be a string, got None"),
        ("func", "no reference", 'Invalid reference "no reference"'),
        ("trigger", "interval", "trigger must be a BaseTrigger, got 'interval'"),
        ("args", 5, "args must be a list, got 5"),
        ("args", "text", "args must be a list, got 'text'"),
        ("kwargs", [], r"kwargs must be an object, got \[\]"),
        ("executor", None, "executor must be a string, got None"),
        ("max_instances", None, "max_instances must be a number, got None"),
        ("misfire_grace_time", "5", "misfire_grace_time must be a number or null, got '5'"),
        ("next_run_time", "soon", "next_run_time must be a datetime or null, got 'soon'"),
        ("version", "1", "version must be a number, got '1'"),
    ],
)
def test_a_job_with_a_setting_that_is_none_is_refused_in_words(
    scheduler: ManualScheduler, other: ManualScheduler, name: str, value: Any, words: str
) -> None:
    scheduler.add_job(jobs.nothing, "interval", hours=1, id="first")
    scheduler.add_job(jobs.nothing, "interval", hours=1, id="job")
    file = io.StringIO()
    scheduler.export_jobs(file)
    document = json.loads(file.getvalue())
    document["jobs"][1][name] = value
    with pytest.raises(ValueError, match=words):
        other.import_jobs(io.StringIO(json.dumps(document)))
    assert other.get_jobs() == []


def test_a_function_that_is_gone_is_named(
    scheduler: ManualScheduler, other: ManualScheduler
) -> None:
    scheduler.add_job(jobs.nothing, "interval", hours=1)
    file = io.StringIO()
    scheduler.export_jobs(file)
    text = file.getvalue().replace("tests.jobs:nothing", "tests.jobs:gone")
    with pytest.raises(LookupError, match=r"Error resolving reference tests\.jobs:gone"):
        other.import_jobs(io.StringIO(text))


def test_a_file_of_3_11_is_read(scheduler: ManualScheduler) -> None:
    scheduler.import_jobs(EXPORTED_BY_3_11)
    found = {job.id: job for job in scheduler.get_jobs()}
    assert {id: type(job.trigger).__name__ for id, job in found.items()} == {
        "or": "OrTrigger",
        "cron": "CronTrigger",
        "interval": "IntervalTrigger",
        "calendar": "CalendarIntervalTrigger",
        "date": "DateTrigger",
        "paused": "IntervalTrigger",
    }
    interval = found["interval"]
    assert (interval.args, interval.kwargs) == (("first",), {"third": [1, {"a": None}]})
    assert (interval.misfire_grace_time, interval.coalesce) == (30, False)
    assert (interval.max_instances, interval.executor) == (4, "other")
    assert interval.next_run_time == datetime(2031, 1, 1, tzinfo=BERLIN)
    assert found["cron"].args == (datetime(2031, 1, 2, tzinfo=timezone.utc),)
    assert found["calendar"].func("hello") == "HELLO"
    assert found["date"].next_run_time == datetime(2031, 5, 6, 7, 8, 9, tzinfo=BERLIN)
    assert found["date"].name == "once"
    assert found["paused"].next_run_time is None

    times = found["or"].next_run_times(3)
    assert [str(time) for time in times] == [
        "2026-11-22 18:00:00+01:00",
        "2026-11-23 06:00:00+01:00",
        "2026-11-23 18:00:00+01:00",
    ]
