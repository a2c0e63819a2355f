"""
Three jobs that outlive the program, and a listener that tells how late each run is.

    python examples/quickstart.py [--seconds N]

The jobs are kept in the file quickstart.sqlite in the working directory: a second start finds
them there. Ctrl+C stops the program.
"""

from __future__ import annotations

import argparse
from datetime import datetime, timedelta, timezone
from statistics import median
from time import sleep

from apscheduler.events import EVENT_JOB_ERROR, EVENT_JOB_EXECUTED, JobExecutionEvent
from apscheduler.schedulers.background import BackgroundScheduler

FILE = "quickstart.sqlite"


def work() -> None:
    """What the jobs do: nothing, so that the lateness is all the scheduler's."""


class Report:
    """A listener: prints each run, and how many milliseconds after its time it had ended."""

    def __init__(self) -> None:
        self.lateness: list[float] = []
        self.failures = 0

    def __call__(self, event: JobExecutionEvent) -> None:
        late = (datetime.now(timezone.utc) - event.scheduled_run_time) / timedelta(milliseconds=1)
        self.lateness.append(late)
        self.failures += event.exception is not None
        print(f"{event.scheduled_run_time:%H:%M:%S}  {event.job_id:<8}  {late:.1f} ms late")

    def summary(self) -> str:
        if not self.lateness:
            return "No runs"

        return (
            f"{len(self.lateness)} runs, {self.failures} of them failed; "
            f"half of them were at most {median(self.lateness):.1f} ms late"
        )


def add_jobs(scheduler: BackgroundScheduler) -> None:
    """Add the jobs, or replace those of an earlier start: they go on where they were."""
    soon = datetime.now(timezone.utc) + timedelta(seconds=1)
    scheduler.add_job(work, "interval", seconds=2, id="interval", replace_existing=True)
    scheduler.add_job(work, "cron", second="*/3", id="cron", replace_existing=True)
    scheduler.add_job(work, "date", run_date=soon, id="once", replace_existing=True)


def run(report: Report, seconds: float) -> None:
    scheduler = BackgroundScheduler(
        jobstores={"default": {"type": "sqlalchemy", "url": f"sqlite:///{FILE}"}}
    )
    scheduler.add_listener(report, EVENT_JOB_EXECUTED | EVENT_JOB_ERROR)
    scheduler.start(paused=True)  # so that the jobs in the file can be looked at first
    try:
        found = [job.id for job in scheduler.get_jobs()]
        print(f"Found in {FILE}: {', '.join(found) or 'no jobs yet'}")
        add_jobs(scheduler)
        scheduler.resume()
        sleep(seconds)
    finally:
        scheduler.shutdown()


def main(seconds: float) -> None:
    report = Report()
    try:
        run(report, seconds)
    except KeyboardInterrupt:
        print("Stopped by Ctrl+C")

    print(report.summary())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=15, help="how long to run (default: 15)")
    main(parser.parse_args().seconds)
