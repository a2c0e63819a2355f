"""The lines side by side on the upgrade page do the same, in ``schedule``, in cron and here."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import schedule
import time_machine

from apscheduler.schedulers.base import STATE_RUNNING
from apscheduler.testing import ManualScheduler
from apscheduler.triggers.calendarinterval import CalendarIntervalTrigger
from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.interval import IntervalTrigger

from .pages import DOCS

# For both the computer's zone, in which schedule counts
START = datetime(2032, 3, 2, 8, 0, 7, tzinfo=ZoneInfo("UTC"))  # a Tuesday
PAGE = (DOCS / "upgrading.rst").read_text(encoding="utf-8")


def rows_below(heading: str) -> list[tuple[str, str]]:
    """Return the first code of both columns, in each row that has some, of the table below."""
    section = re.split(r"\n(?=.+\n-{4,}\n)", PAGE.partition(f"\n{heading}\n---")[2])[0]
    cells = re.findall(r"^   \* - (.+(?:\n {7}.+)*)\n     - (.+(?:\n {7}.+)*)", section, re.M)
    codes = [tuple(re.findall(r"``(.+?)``", cell) for cell in row) for row in cells]
    return [(left[0], right[0]) for left, right in codes if left and right]


FROM_SCHEDULE = rows_below("From ``schedule``")
SCHEDULES = [row for row in FROM_SCHEDULE if row[0].startswith("every(") and "tag" not in row[0]]


def test_there_are_lines_to_compare() -> None:
    assert len(FROM_SCHEDULE) > 15
    assert len(SCHEDULES) > 9


def job(**arguments: str) -> None:
    """What is scheduled."""


class Ours:
    """The names that the right column uses, on a clock that stands still."""

    def __init__(self) -> None:
        self.scheduler = ManualScheduler(now=START, timezone="UTC")
        self.scheduler.add_jobstore("memory", "reports")
        self.names: dict[str, Any] = {
            "scheduler": self.scheduler,
            "add": self.scheduler.add_job,
            "now": self.scheduler.now,
            "job": job,
            "report": job,
            "CronTrigger": CronTrigger,
        }

    def run(self, code: str) -> None:
        exec(code, self.names)


def times_here(code: str, count: int) -> list[datetime]:
    ours = Ours()
    ours.run(code)
    (added,) = ours.scheduler.get_jobs()
    return added.next_run_times(count)


def times_in_schedule(code: str, count: int) -> list[datetime]:
    times: list[datetime] = []
    with time_machine.travel(START, tick=False) as clock:
        theirs = schedule.Scheduler()

        def note(**arguments: str) -> None:
            times.append(datetime.now(START.tzinfo))

        exec(code, {"every": theirs.every, "job": note})
        while len(times) < count and theirs.next_run is not None:
            clock.move_to(theirs.next_run.replace(tzinfo=START.tzinfo))
            theirs.run_pending()

    return times


@pytest.mark.parametrize(("theirs", "ours"), SCHEDULES, ids=[row[0] for row in SCHEDULES])
def test_a_line_runs_at_the_times_of_its_line_for_schedule(theirs: str, ours: str) -> None:
    expected, times = times_in_schedule(theirs, 30), times_here(ours, 30)
    assert expected
    if ".to(" not in theirs:
        assert times == expected
        return

    for chosen_at_random in (expected, times):
        gaps = [later - earlier for earlier, later in pairwise(chosen_at_random)]
        assert timedelta(seconds=5) <= min(gaps) < max(gaps) <= timedelta(seconds=10)


def right_of(left: str) -> str:
    (right,) = [ours for theirs, ours in FROM_SCHEDULE if theirs == left]
    return right


def test_arguments_go_to_the_function() -> None:
    ours = Ours()
    ours.run(right_of('every().hour.do(job, name="Alice")'))
    (added,) = ours.scheduler.get_jobs()
    assert added.kwargs == {"name": "Alice"}


@pytest.mark.parametrize("clear", ['clear("reports")', "clear()"])
def test_jobs_are_put_together_listed_and_removed(clear: str) -> None:
    theirs, ours = schedule.Scheduler(), Ours()
    for line in ("every().hour.do(job)", 'every().hour.do(job).tag("reports")'):
        eval(line, {"every": theirs.every, "job": job})
        ours.run(right_of(line))

    tagged = eval(right_of('get_jobs("reports")'), ours.names)
    assert len(tagged) == len(theirs.get_jobs("reports")) == 1
    eval(f"theirs.{clear}", {"theirs": theirs})
    ours.run(right_of(clear))
    assert len(ours.scheduler.get_jobs()) == len(theirs.get_jobs())


def test_a_decorator_adds_its_function() -> None:
    ours = Ours()
    ours.run(right_of("@repeat(every().hour)") + "\ndef decorated(): ...\n")
    (added,) = ours.scheduler.get_jobs()
    assert added.func is ours.names["decorated"]
    assert added.next_run_times(1) == times_in_schedule("every().hour.do(job)", 1)


def test_start_is_all_that_is_left_of_the_loop() -> None:
    ours = Ours()
    ours.run(right_of("while True: run_pending(); sleep(1)"))
    assert ours.scheduler.state == STATE_RUNNING


def test_every_other_line_is_compared_above() -> None:
    tests = [
        "@repeat(every().hour)",
        'every().hour.do(job).tag("reports")',
        'get_jobs("reports")',
        'clear("reports")',
        "clear()",
        "while True: run_pending(); sleep(1)",
    ]
    assert [row[0] for row in FROM_SCHEDULE if row not in SCHEDULES] == tests


FROM_CRON = [row for row in rows_below("From cron") if "(" in row[1]]


@pytest.mark.parametrize(("line", "ours"), FROM_CRON, ids=[row[0] for row in FROM_CRON])
def test_a_line_for_cron_can_be_written_here(line: str, ours: str) -> None:
    here = Ours()
    trigger_or_job = eval(ours, here.names)
    if isinstance(trigger_or_job, CronTrigger):
        here.scheduler.add_job(job, trigger_or_job)

    (added,) = here.scheduler.get_jobs()
    assert added.next_run_times(1)


def test_there_are_lines_for_cron() -> None:
    assert len(FROM_CRON) == 4


@pytest.mark.parametrize(
    ("line", "keywords"),
    [
        ("0 0 L * *", {"day": "last"}),
        ("0 0 last * *", {"day": "last"}),
        ("0 0 * * 5-7", {"day_of_week": "fri-sun"}),
        ("0 0 * * fri-sun", {"day_of_week": "fri-sun"}),
        ("0 0 * * mon-sun/2", {"day_of_week": "mon,wed,fri,sun"}),
        ("0 0 * * sun-tue", {"day_of_week": "sun,mon,tue"}),
        ("@daily", {"hour": 0}),
        ("30 0 0 * * *", {"hour": 0, "minute": 0, "second": 30}),
    ],
)
def test_a_line_for_cron_may_say_more_than_in_3_x(line: str, keywords: dict[str, Any]) -> None:
    end = START + timedelta(days=60)
    times = list(CronTrigger.from_crontab(line, timezone="UTC").iter_fire_times(START, end))
    as_keywords = CronTrigger(**keywords, timezone="UTC").iter_fire_times(START, end)
    assert times
    assert times == list(as_keywords)


def test_a_trigger_made_of_a_line_shows_it_and_has_its_fields() -> None:
    trigger = CronTrigger.from_crontab("0 6 * * 1-5", timezone="UTC")
    assert str(trigger) == "cron[crontab='0 6 * * 1-5']"
    (code,) = re.findall(r"``(\", \"\.join.*?)``", PAGE)
    assert "hour='6', minute='0'" in eval(code, {"trigger": trigger})


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("CronTrigger(minute=0, jitter=-600)", ValueError),
        ("CalendarIntervalTrigger(days=-1)", ValueError),
        ("CalendarIntervalTrigger(days=1.5)", TypeError),
        ("IntervalTrigger(minutes=-1)", ValueError),
    ],
)
def test_lengths_that_nobody_means_are_refused(code: str, error: type[Exception]) -> None:
    names = {
        "CronTrigger": CronTrigger,
        "CalendarIntervalTrigger": CalendarIntervalTrigger,
        "IntervalTrigger": IntervalTrigger,
    }
    with pytest.raises(error):
        eval(code, names)
