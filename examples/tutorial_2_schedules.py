"""Tutorial, step 2: say when, and look at the coming runs before anything runs."""

from __future__ import annotations

from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.excluding import ExcludingTrigger


def report() -> None:
    print("Here is your report")


scheduler = BackgroundScheduler(timezone="Europe/Berlin")

jobs = {
    "once": scheduler.add_job(report, "date", run_date="2099-12-31 23:59:00"),
    "every 90 minutes": scheduler.add_job(
        report, "interval", minutes=90, start_date="2099-01-01 08:00:00"
    ),
    "weekdays at 9:30": scheduler.add_job(
        report, "cron", day_of_week="mon-fri", hour=9, minute=30, start_date="2099-01-01"
    ),
    "last Friday of the month": scheduler.add_job(
        report, "cron", day="last fri", hour=17, start_date="2099-01-01"
    ),
    "every second month": scheduler.add_job(
        report, "calendarinterval", months=2, hour=6, start_date="2099-01-15"
    ),
    "at 9, but not on holidays": scheduler.add_job(
        report,
        ExcludingTrigger(
            CronTrigger(hour=9, start_date="2099-12-24", timezone="Europe/Berlin"),
            dates=["2099-12-25", "2099-12-26"],
        ),
    ),
}

for name, job in jobs.items():
    print(name)
    for run_time in job.next_run_times(3):
        print(f"    {run_time:%a %d %b %Y %H:%M %Z}")
