"""One process runs the jobs, others add them: they share a job store."""

from __future__ import annotations

import signal
import subprocess
import sys
from contextlib import suppress
from time import sleep

from apscheduler.schedulers.background import BackgroundScheduler

CONFIGURATION = {
    "apscheduler.timezone": "UTC",
    "apscheduler.jobstores.default.type": "sqlalchemy",
    "apscheduler.jobstores.default.url": "sqlite:///shared.sqlite",
}


def send_mail(to: str) -> None:
    print(f"Mail to {to}", flush=True)


def run_scheduler() -> None:
    """The process that runs jobs: python examples/web_and_scheduler.py scheduler"""
    # The handler only takes note: a signal may come between any two steps of this thread.
    received: list[int] = []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, frame: received.append(number))

    scheduler = BackgroundScheduler(CONFIGURATION)
    scheduler.add_jobstore("memory", "here")  # for what concerns this process only
    scheduler.add_job(scheduler.wakeup, "interval", seconds=1, jobstore="here")
    scheduler.start()
    while not received:
        sleep(0.5)  # briefly: a signal that another thread takes ends no sleep
    scheduler.shutdown()


def serve_web() -> None:
    """What each web worker does: a paused scheduler adds jobs, and runs none."""
    scheduler = BackgroundScheduler(CONFIGURATION)
    scheduler.start(paused=True)
    # The job names the function by its module, which both processes can import.
    scheduler.add_job("web_and_scheduler:send_mail", args=["ada@example.com"])
    scheduler.shutdown()


if __name__ == "__main__":
    if sys.argv[1:] == ["scheduler"]:
        run_scheduler()
    else:
        serve_web()
        with suppress(KeyboardInterrupt):
            subprocess.run([sys.executable, __file__, "scheduler"])  # until Ctrl+C
