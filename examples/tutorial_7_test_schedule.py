"""Tutorial, step 7: test a year of a schedule in milliseconds. Run it with pytest."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from apscheduler.schedulers.base import BaseScheduler
from apscheduler.testing import ManualScheduler


def add_payroll(scheduler: BaseScheduler, pay: Callable[[], object]) -> None:
    """What the program does when it starts: pay on the last day of each month."""
    scheduler.add_job(pay, "cron", day="last", hour=12)


def test_salaries_are_paid_at_noon_on_the_last_day_of_each_month() -> None:
    scheduler = ManualScheduler(now="2032-01-01", timezone="Europe/Berlin")
    paid: list[datetime] = []
    add_payroll(scheduler, lambda: paid.append(scheduler.now))
    scheduler.start()

    scheduler.advance(timedelta(days=366))

    assert [time.day for time in paid] == [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
    assert {time.hour for time in paid} == {12}
