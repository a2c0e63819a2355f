"""Job stores that releases of APScheduler wrote open, and give the jobs that these saw."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone, tzinfo
from itertools import pairwise
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from apscheduler.job import Job
from apscheduler.jobstores.sqlalchemy import SQLAlchemyJobStore
from apscheduler.testing import ManualScheduler

FILES = sorted((Path(__file__).parent.parent / "data" / "compat").glob("*.sqlite"))
START = datetime(2031, 1, 1, tzinfo=timezone.utc)


@pytest.fixture(params=FILES, ids=lambda path: path.stem)
def original(request: pytest.FixtureRequest) -> Path:
    path: Path = request.param
    return path


@pytest.fixture
def expected(original: Path) -> dict[str, dict[str, Any]]:
    """What the release itself reported, by job id."""
    told: dict[str, dict[str, Any]] = json.loads(original.with_suffix(".json").read_text("utf-8"))
    return told


@pytest.fixture
def path(original: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(original, tmp_path / "jobs.sqlite"))


@pytest.fixture
def scheduler(path: Path) -> Iterator[ManualScheduler]:
    scheduler = ManualScheduler(now="2026-01-01")
    scheduler.add_jobstore(SQLAlchemyJobStore(f"sqlite:///{path}"))
    scheduler.start()
    yield scheduler
    scheduler.shutdown()


def rows(path: Path) -> list[Any]:
    with sqlite3.connect(path) as connection:
        return connection.execute("SELECT * FROM apscheduler_jobs ORDER BY id").fetchall()


def test_every_release_is_tried() -> None:
    assert len(FILES) == 4


def test_every_job_is_there_with_its_settings(
    scheduler: ManualScheduler, expected: dict[str, dict[str, Any]]
) -> None:
    jobs = {job.id: job for job in scheduler.get_jobs()}
    assert jobs.keys() == expected.keys()
    assert scheduler.get_unrestorable_jobs() == []
    for id, told in expected.items():
        assert settings_of(jobs[id], told) == settings_in(told), id


def settings_of(job: Job, told: dict[str, Any]) -> dict[str, Any]:
    # Of some jobs only the names of the keyword arguments were written down.
    names_only = isinstance(told["kwargs"], list)
    return {
        "name": job.name,
        "func": job.func_ref,
        "args": repr(job.args),
        "kwargs": sorted(job.kwargs) if names_only else repr(job.kwargs),
        "executor": job.executor,
        "misfire_grace_time": job.misfire_grace_time,
        "coalesce": job.coalesce,
        "max_instances": job.max_instances,
        "next_run_time": job.next_run_time and job.next_run_time.isoformat(),
        "trigger": str(job.trigger),
    }


def settings_in(told: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in told.items() if name != "fire_times"}


def test_every_trigger_names_the_same_instants_by_times_that_exist(
    scheduler: ManualScheduler, expected: dict[str, dict[str, Any]]
) -> None:
    for job in scheduler.get_jobs():
        previous = None
        for told in expected[job.id]["fire_times"]:
            fire_time = job.trigger.get_next_fire_time(previous, previous or START)
            if told is None:
                assert fire_time is None, job
                break
            assert fire_time is not None, job
            assert fire_time.timestamp() == datetime.fromisoformat(told).timestamp(), job
            unchanged = fire_time.astimezone(timezone.utc).astimezone(fire_time.tzinfo)
            assert unchanged.replace(tzinfo=None) == fire_time.replace(tzinfo=None), job
            previous = fire_time


def test_every_function_can_be_called(scheduler: ManualScheduler) -> None:
    for job in scheduler.get_jobs():
        assert job.func(*job.args, **job.kwargs) is not None, job


def test_stored_times_are_those_of_the_states(scheduler: ManualScheduler, path: Path) -> None:
    stored = {id: time for id, time, _ in rows(path)}
    for job in scheduler.get_jobs():
        state_time = job.next_run_time
        assert stored[job.id] == (None if state_time is None else state_time.timestamp()), job

    times = [job.next_run_time for job in scheduler.get_jobs() if job.next_run_time is not None]
    assert all(earlier <= later for earlier, later in pairwise(times))
    assert scheduler._jobstores["default"].get_next_run_time() == times[0]


def test_opening_a_file_changes_no_row(
    scheduler: ManualScheduler, path: Path, original: Path
) -> None:
    scheduler.get_jobs()
    scheduler.run_due()
    assert rows(path) == rows(original)


def test_due_jobs_move_on_and_only_those_that_have_ended_leave(
    path: Path, expected: dict[str, dict[str, Any]]
) -> None:
    scheduler = ManualScheduler(now="2031-03-30 00:00")  # just after most of them became due
    scheduler.add_jobstore(SQLAlchemyJobStore(f"sqlite:///{path}"))
    scheduler.add_executor("debug", "other")
    scheduler.start()
    scheduler.advance(0)
    left = {job.id: job.next_run_time for job in scheduler.get_jobs()}
    scheduler.shutdown()

    assert left.keys() == expected.keys() - {"date", "cron-start-end"}
    for id, time, _ in rows(path):
        due = left[id]
        assert due is None or due > scheduler.now
        assert time == (None if due is None else due.timestamp())


# How a program in UTC defined some of the jobs, and a time at which each of them may be due.
DEFINITIONS: dict[str, dict[str, Any]] = {
    "bound-method": {"trigger": "cron", "hour": 3},
    "cron-last-sun": {"trigger": "cron", "month": "jan-jun,oct", "day": "last sun", "hour": 5},
    "cron-dst": {"trigger": "cron", "hour": "1-3", "minute": "*/15", "timezone": "Europe/Berlin"},
    "überfällig-✓": {"trigger": "interval", "hours": 1},
    "interval-jitter": {"trigger": "interval", "seconds": 7, "jitter": 3},
}


@pytest.mark.parametrize("zone", ["UTC", "Etc/UTC", timezone.utc, ZoneInfo("UTC")], ids=repr)
def test_a_job_that_is_due_stays_so_when_the_upgraded_program_adds_it_again(
    path: Path, zone: tzinfo | str
) -> None:
    """3.6 to 3.10 pickled another UTC than ours is: it is no reason to skip a run."""
    scheduler = ManualScheduler(now="2031-03-30 12:00", timezone=zone)
    scheduler.add_jobstore(SQLAlchemyJobStore(f"sqlite:///{path}"))
    scheduler.start(paused=True)
    due = scheduler.now - timedelta(hours=3)
    for id, definition in DEFINITIONS.items():
        stored = scheduler.get_job(id)
        assert stored is not None
        stored.modify(next_run_time=due)
        scheduler.add_job(
            stored.func,
            args=stored.args,
            kwargs=stored.kwargs,
            id=id,
            replace_existing=True,
            **definition,
        )
        replaced = scheduler.get_job(id)
        assert replaced is not None
        assert replaced.next_run_time == due, id
    scheduler.shutdown()
