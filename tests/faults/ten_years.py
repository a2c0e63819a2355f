"""Measure the look after the clock was set forward ten years, for each kind of trigger.

``python -m tests.faults.ten_years`` prints the processor time in which 1,000 jobs of one kind are
found, moved on in the memory store and run once each; the best of so many tries.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from datetime import datetime, timedelta, timezone

from apscheduler.testing import ManualScheduler
from apscheduler.triggers.base import BaseTrigger
from apscheduler.triggers.calendarinterval import CalendarIntervalTrigger
from apscheduler.triggers.combining import AndTrigger, OrTrigger
from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.excluding import ExcludingTrigger
from apscheduler.triggers.interval import IntervalTrigger

MARCH_1 = datetime(2030, 3, 1, 8, tzinfo=timezone.utc)
TEN_YEARS = timedelta(days=3653)
BERLIN = "Europe/Berlin"


def cron(zone: str = "UTC", **fields: str) -> CronTrigger:
    return CronTrigger(timezone=zone, **fields)


KINDS: dict[str, Callable[[], BaseTrigger]] = {
    "interval, each second": lambda: IntervalTrigger(seconds=1, start_date=MARCH_1),
    "calendar interval, daily": lambda: CalendarIntervalTrigger(days=1, hour=9, timezone="UTC"),
    "cron, each second, UTC": lambda: cron(second="*"),
    "cron, each second, Berlin": lambda: cron(BERLIN, second="*"),
    "cron, 29 February": lambda: cron(month="2", day="29", hour="3"),
    "cron, last Friday of a month": lambda: cron(day="last fri", hour="3"),
    "or: cron, interval": lambda: OrTrigger(
        [cron(minute="*"), IntervalTrigger(seconds=7, start_date=MARCH_1)]
    ),
    "and: two of cron": lambda: AndTrigger([cron(minute="*/2"), cron(hour="*/3")]),
    "excluding a date": lambda: ExcludingTrigger(
        cron(minute="*"), [MARCH_1.date() + timedelta(days=1)]
    ),
}

_runs: list[None] = []


class JumpingScheduler(ManualScheduler):
    """One whose clock can be set."""

    set_by = timedelta(0)

    def _now(self) -> datetime:
        return super()._now() + self.set_by


def note_run() -> None:
    _runs.append(None)


def measure(make_trigger: Callable[[], BaseTrigger], jobs: int) -> float:
    """Return the seconds of processor time that the look takes."""
    scheduler = JumpingScheduler(now=MARCH_1)
    scheduler.start()
    scheduler.add_jobs([{"func": note_run, "trigger": make_trigger()} for _ in range(jobs)])
    _runs.clear()
    scheduler.set_by = TEN_YEARS
    start = time.process_time()
    scheduler.run_due()
    seconds = time.process_time() - start
    assert len(_runs) == jobs, f"{len(_runs)} of {jobs} jobs have run"

    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=1000)
    parser.add_argument("--tries", type=int, default=5)
    arguments = parser.parse_args()
    for name, make_trigger in KINDS.items():
        best = min(measure(make_trigger, arguments.jobs) for _ in range(arguments.tries))
        print(f"{name:30} {best * 1000:6.0f} ms", flush=True)


if __name__ == "__main__":
    main()
