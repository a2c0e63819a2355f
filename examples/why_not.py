"""Say, for each job of a scheduler, what keeps it from running."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timezone

from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.schedulers.base import STATE_PAUSED, BaseScheduler


def explain(scheduler: BaseScheduler) -> Iterator[str]:
    if not scheduler.running:
        yield "The scheduler is not running: start() was not called, or not in this process"
    elif scheduler.state == STATE_PAUSED:
        yield "The scheduler is paused: resume() lets it go on"

    now = datetime.now(timezone.utc)
    for job in scheduler.get_jobs():
        if job.pending:
            state = "waits for the scheduler to start"
        elif job.next_run_time is None:
            state = "is paused: resume() lets it go on"
        elif job.next_run_time < now:
            state = f"has been due since {job.next_run_time}: is its executor there and free?"
        else:
            state = f"runs next at {job.next_run_time}"
        yield f"{job.id}: {state}"

    for job_id, store, error in scheduler.get_unrestorable_jobs():
        yield f"{job_id}: cannot be restored from store {store}: {error}"


if __name__ == "__main__":
    scheduler = BackgroundScheduler(timezone="UTC")
    scheduler.add_job(print, "cron", year=2099, id="later")
    scheduler.add_job(print, "interval", hours=1, id="paused", next_run_time=None)
    print(*explain(scheduler), sep="\n")
    scheduler.start()
    print(*explain(scheduler), sep="\n")
    scheduler.shutdown()
