"""States that releases of APScheduler 3.x stored are read, and give their fire times."""

from __future__ import annotations

import json
import pickle
import sqlite3
from datetime import datetime, timedelta, timezone
from itertools import islice
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from apscheduler.triggers.base import BaseTrigger
from apscheduler.triggers.calendarinterval import CalendarIntervalTrigger
from apscheduler.triggers.combining import AndTrigger, OrTrigger
from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.date import DateTrigger
from apscheduler.triggers.excluding import ExcludingTrigger
from apscheduler.triggers.interval import IntervalTrigger

from . import reference

COMPAT = Path(__file__).parent.parent / "data" / "compat"
START = datetime(2031, 1, 1, tzinfo=timezone.utc)


def stored_jobs() -> list[Any]:
    return [
        pytest.param(path.with_suffix(".sqlite"), job_id, recorded, id=f"{path.stem}-{job_id}")
        for path in sorted(COMPAT.glob("*.json"))
        for job_id, recorded in json.loads(path.read_text("utf-8")).items()
    ]


def stored_trigger(path: Path, job_id: str) -> BaseTrigger:
    connection = sqlite3.connect(f"{path.as_uri()}?mode=ro&immutable=1", uri=True)
    query = "SELECT job_state FROM apscheduler_jobs WHERE id = ?"
    (state,) = connection.execute(query, [job_id]).fetchone()
    connection.close()
    trigger = pickle.loads(state)["trigger"]
    assert isinstance(trigger, BaseTrigger)

    return trigger


@pytest.mark.parametrize(("path", "job_id", "recorded"), stored_jobs())
def test_a_stored_trigger_fires_as_it_did(path: Path, job_id: str, recorded: Any) -> None:
    trigger = stored_trigger(path, job_id)

    fire_times: list[datetime | None] = []
    previous = None
    for _ in recorded["fire_times"] or ():
        previous = trigger.get_next_fire_time(previous, previous or START)
        fire_times.append(previous)
        if previous is None:
            break

    expected = [time and datetime.fromisoformat(time) for time in recorded["fire_times"] or ()]
    assert fire_times == expected, "as instants"
    assert all(time is None or reference.exists(time) for time in fire_times)
    assert str(trigger) == recorded["trigger"]


@pytest.mark.parametrize(("path", "job_id", "recorded"), stored_jobs())
def test_a_stored_trigger_names_its_times_in_zones_of_the_standard_library(
    path: Path, job_id: str, recorded: Any
) -> None:
    fire_time = stored_trigger(path, job_id).get_next_fire_time(None, START)

    assert fire_time is None or isinstance(fire_time.tzinfo, (ZoneInfo, timezone))


BERLIN = ZoneInfo("Europe/Berlin")
TRIGGERS = [
    DateTrigger("2031-03-29 23:30:00", "Europe/Berlin"),
    DateTrigger(timezone="UTC"),
    IntervalTrigger(minutes=5, timezone=BERLIN),
    IntervalTrigger(seconds=0.5, start_date="2020-01-01", timezone="UTC"),
    CalendarIntervalTrigger(months=1, start_date="2020-01-31", hour=5, timezone=BERLIN),
    CalendarIntervalTrigger(days=3, timezone=timezone(timedelta(hours=2))),
    CronTrigger(
        hour=5, day="last fri,3", month="jan-mar", start_date="2020-01-01", timezone="UTC"
    ),
    CronTrigger(day_of_week="mon-fri", hour="*/2", week="1-20", timezone=BERLIN),
    CronTrigger.from_crontab("0 5 13 * 5", BERLIN),
    CronTrigger.from_crontab("*/5 2 L * *", BERLIN),
    AndTrigger(CronTrigger(hour=5), CronTrigger(day_of_week=1, hour="*"), threshold=5),
    OrTrigger(CronTrigger(hour=5), IntervalTrigger(hours=3)),
    ExcludingTrigger(IntervalTrigger(hours=3), dates=["2031-01-02"], between=("22:00", "06:00")),
]


def first_ten(trigger: BaseTrigger) -> list[datetime]:
    return list(islice(trigger.iter_fire_times(START), 10))


@pytest.mark.parametrize(
    ("line", "is_same"),
    [("30 5 * * *", True), ("0 5 * * mon-fri", True), ("0 0 13 * fri", False)],
)
def test_a_crontab_line_is_the_schedule_that_3_x_stored_for_it(line: str, is_same: bool) -> None:
    stored = CronTrigger.__new__(CronTrigger)
    state = CronTrigger.from_crontab(line, BERLIN).__getstate__()
    stored.__setstate__({key: value for key, value in state.items() if key != "crontab"})

    added = CronTrigger.from_crontab(line, BERLIN)
    assert added.is_same_schedule(stored) is is_same
    assert stored.is_same_schedule(added) is is_same
    assert not added.is_same_schedule(CronTrigger.from_crontab("31 5 * * *", BERLIN))


@pytest.mark.parametrize("trigger", TRIGGERS, ids=lambda trigger: type(trigger).__name__)
def test_a_trigger_survives_pickling(trigger: BaseTrigger) -> None:
    copy = pickle.loads(pickle.dumps(trigger))

    assert copy.is_same_schedule(trigger)
    assert trigger.is_same_schedule(copy)
    assert repr(copy) == repr(trigger)
    assert first_ten(copy) == first_ten(trigger)


@pytest.mark.parametrize(
    ("trigger", "newest"),
    [
        (DateTrigger("2031-01-01"), 1),
        (IntervalTrigger(seconds=1), 2),
        (CronTrigger(hour=5), 2),
        (CalendarIntervalTrigger(days=1), 1),
        (OrTrigger([]), 1),
        (ExcludingTrigger(CronTrigger(hour=5)), 1),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_state_of_a_newer_release_is_refused_in_words(trigger: Any, newest: int) -> None:
    state = trigger.__getstate__() | {"version": newest + 1}

    with pytest.raises(ValueError, match=f"version {newest + 1} of {type(trigger).__name__}"):
        trigger.__setstate__(state)


def test_states_of_release_3_0_are_read() -> None:
    start = datetime(2015, 1, 1, tzinfo=BERLIN)
    state = {
        "timezone": BERLIN,
        "start_date": start,
        "end_date": None,
        "interval": timedelta(hours=1),
        "interval_length": 3600,
    }
    trigger = IntervalTrigger.__new__(IntervalTrigger)
    trigger.__setstate__((None, state))

    assert trigger.get_next_fire_time(None, start) == start
    assert trigger.jitter is None
    assert trigger.interval_length == 3600


def test_fields_of_cron_triggers_are_stored_as_3_x_did() -> None:
    fields = CronTrigger(day="2nd fri,last", hour="9-17/4", month="jan-mar").fields
    states = {field.name: field.__dict__ for field in fields}

    assert states["hour"].keys() == {"name", "is_default", "expressions"}
    assert states["year"]["is_default"] is True
    assert [item.__dict__ for item in states["hour"]["expressions"]] == [
        {"step": 4, "first": 9, "last": 17}
    ]
    assert [item.__dict__ for item in states["day"]["expressions"]] == [
        {"step": None, "option_num": 1, "weekday": 4},
        {"step": None},
    ]
    assert [item.__dict__ for item in states["month"]["expressions"]] == [
        {"step": None, "first": 1, "last": 3}
    ]


def test_an_old_reader_finds_the_nearest_fields_in_the_state_of_a_crontab_line() -> None:
    state = CronTrigger.from_crontab("0 9 * * 1-5", BERLIN).__getstate__()
    fields = {field.name: str(field) for field in state["fields"]}

    assert state["version"] == 2
    assert state["crontab"] == "0 9 * * 1-5"
    assert fields["day_of_week"] == "mon-fri"  # there, 1-5 is Tuesday to Saturday
    assert fields["hour"] == "9"
    assert "crontab" not in CronTrigger(hour=9).__getstate__()
