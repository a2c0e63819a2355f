"""APScheduler 3.11.3 itself reads what we store, and we read what it stores on top of that."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from apscheduler.jobstores.sqlalchemy import SQLAlchemyJobStore
from apscheduler.testing import ManualScheduler
from apscheduler.triggers.base import BaseTrigger
from apscheduler.triggers.calendarinterval import CalendarIntervalTrigger
from apscheduler.triggers.combining import AndTrigger, OrTrigger
from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.date import DateTrigger
from apscheduler.triggers.interval import IntervalTrigger
from tests.release import RELEASE

START = datetime(2031, 1, 1, tzinfo=timezone.utc)

ZONE = "Europe/Berlin"
TRIGGERS: dict[str, BaseTrigger] = {
    "date": DateTrigger("2031-03-29 23:30:00.123457", timezone=ZONE),
    "interval": IntervalTrigger(minutes=30, start_date="2031-03-29 23:30", timezone=ZONE),
    "interval from now": IntervalTrigger(days=1, timezone="UTC"),
    "interval with all": IntervalTrigger(
        hours=1, start_date="2031-01-01", end_date="2031-01-02", timezone="UTC"
    ),
    "cron": CronTrigger(hour="1-3", minute="*/15", timezone=ZONE),
    "cron with weekdays": CronTrigger(month="jan-jun,oct", day="2nd fri,last", timezone=ZONE),
    "cron line": CronTrigger.from_crontab("5 4 * * mon-fri", timezone="America/New_York"),
    "calendar": CalendarIntervalTrigger(months=1, hour=9, start_date="2031-01-31", timezone=ZONE),
    "or": OrTrigger([CronTrigger(hour=10, timezone=ZONE), CronTrigger(hour=11, timezone=ZONE)]),
    "and": AndTrigger(
        [
            CronTrigger(hour=10, timezone=ZONE),
            CronTrigger(hour=10, day_of_week="wed", timezone=ZONE),
        ]
    ),
}

# Reads the store, tells what it found there, and changes one job. Runs with the release only.
READER = """
import json, sys
from datetime import datetime, timezone
import apscheduler
from apscheduler.schedulers.background import BackgroundScheduler

scheduler = BackgroundScheduler(timezone="UTC")
scheduler.add_jobstore("sqlalchemy", url=sys.argv[1])
scheduler.start(paused=True)
start = datetime(2031, 1, 1, tzinfo=timezone.utc)

def tell(job):
    times, previous = [], None
    # The release looks for the times of its AndTrigger for ever.
    for _ in range(0 if job.id == "and" else 10):
        previous = job.trigger.get_next_fire_time(previous, previous or start)
        times.append(previous and previous.timestamp())
        if previous is None:
            break
    return {
        "name": job.name, "func": job.func_ref, "args": repr(job.args),
        "kwargs": repr(job.kwargs), "executor": job.executor,
        "misfire_grace_time": job.misfire_grace_time, "coalesce": job.coalesce,
        "max_instances": job.max_instances,
        "next_run_time": job.next_run_time and job.next_run_time.isoformat(),
        "fire_times": times,
    }

jobs = {job.id: tell(job) for job in scheduler.get_jobs()}
scheduler.modify_job("cron", name="changed by the release")
scheduler.reschedule_job("date", trigger="cron", hour=5)
scheduler.add_job("math:sqrt", "interval", [16], hours=1, id="added by the release")
scheduler.remove_job("or")
scheduler.shutdown()
print(json.dumps({"release": apscheduler.version, "jobs": jobs}))
"""


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'jobs.sqlite'}"


@pytest.fixture
def scheduler(url: str) -> Iterator[ManualScheduler]:
    scheduler = ManualScheduler(now=START - timedelta(days=1))
    scheduler.add_jobstore(SQLAlchemyJobStore(url))
    scheduler.start()
    yield scheduler
    if scheduler.running:
        scheduler.shutdown()


@pytest.fixture
def written(scheduler: ManualScheduler) -> dict[str, dict[str, Any]]:
    """Jobs of all kinds, as we stored them: their settings by id."""
    for id, trigger in TRIGGERS.items():
        scheduler.add_job("operator:add", trigger, [1, 2], id=id, name=f"ünïcödé {id}")
    scheduler.add_job(
        dict,
        "cron",
        kwargs={"a": 1, "when": START},
        id="settings ✓",
        hour=4,
        executor="other",
        misfire_grace_time=90,
        coalesce=False,
        max_instances=4,
    )
    scheduler.add_job("operator:add", "interval", [1, 2], id="paused", hours=1)
    scheduler.pause_job("paused")

    return {
        job.id: {
            "name": job.name,
            "func": job.func_ref,
            "args": repr(job.args),
            "kwargs": repr(job.kwargs),
            "executor": job.executor,
            "misfire_grace_time": job.misfire_grace_time,
            "coalesce": job.coalesce,
            "max_instances": job.max_instances,
            "next_run_time": job.next_run_time and job.next_run_time.isoformat(),
            "fire_times": [] if job.id == "and" else fire_times(job.trigger),
        }
        for job in scheduler.get_jobs()
    }


def fire_times(trigger: BaseTrigger) -> list[float | None]:
    times: list[float | None] = []
    previous = None
    for _ in range(10):
        previous = trigger.get_next_fire_time(previous, previous or START)
        times.append(None if previous is None else previous.timestamp())
        if previous is None:
            break

    return times


def test_the_release_reads_our_jobs_and_we_read_its_changes(
    release: Path, url: str, scheduler: ManualScheduler, written: dict[str, dict[str, Any]]
) -> None:
    scheduler.shutdown()
    told = read_with(release, url)
    assert told["release"] == RELEASE
    assert told["jobs"].keys() == written.keys()
    for id, settings in written.items():
        assert told["jobs"][id] == settings, id

    scheduler.start()
    jobs = {job.id: job for job in scheduler.get_jobs()}
    assert scheduler.get_unrestorable_jobs() == []
    assert jobs.keys() == written.keys() - {"or"} | {"added by the release"}
    assert jobs["cron"].name == "changed by the release"
    assert str(jobs["date"].trigger) == "cron[hour='5']"
    added = jobs["added by the release"]
    assert (added.func_ref, added.args) == ("math:sqrt", (16,))


def read_with(release: Path, url: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-c", READER, url],
        env={**os.environ, "PYTHONPATH": str(release)},
        cwd=release,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    return told
