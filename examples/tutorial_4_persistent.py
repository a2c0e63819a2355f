"""Tutorial, step 4: jobs that are still there when the program is started again."""

from __future__ import annotations

import sys
import time

from apscheduler.schedulers.background import BackgroundScheduler


def remind(text: str) -> None:
    print(f"Reminder: {text}", flush=True)


if __name__ == "__main__":
    scheduler = BackgroundScheduler(
        jobstores={"default": {"type": "sqlalchemy", "url": "sqlite:///reminders.sqlite"}}
    )
    scheduler.start()
    for job in scheduler.get_jobs():
        print(f'Found "{job.name}", next at {job.next_run_time:%H:%M:%S}')

    if text := " ".join(sys.argv[1:]):
        scheduler.add_job(remind, "interval", args=[text], seconds=3, name=text)

    scheduler.add_job(
        remind,
        "interval",
        args=["drink some water"],
        seconds=2,
        id="water",  # so that the next start of the program replaces it, rather than adds another
        name="drink some water",
        replace_existing=True,
    )
    time.sleep(5)
    scheduler.shutdown()
