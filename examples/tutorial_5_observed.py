"""Tutorial, step 5: notice what becomes of each run."""

from __future__ import annotations

import logging
import random
import time

from apscheduler.events import (
    EVENT_JOB_ERROR,
    EVENT_JOB_EXECUTED,
    EVENT_JOB_MAX_INSTANCES,
    EVENT_JOB_MISSED,
    JobExecutionEvent,
    JobSubmissionEvent,
)
from apscheduler.schedulers.background import BackgroundScheduler

logging.basicConfig(format="%(levelname)s %(name)s: %(message)s", level=logging.WARNING)


def measure() -> float:
    return random.uniform(18, 22)


def fail() -> None:
    raise RuntimeError("the sensor does not answer")


def dawdle() -> None:
    time.sleep(2.5)


def on_outcome(event: JobExecutionEvent) -> None:
    if event.code == EVENT_JOB_EXECUTED:
        print(f"{event.job_id} returned {event.retval}", flush=True)
    elif event.code == EVENT_JOB_ERROR:
        print(f"{event.job_id} raised {event.exception!r}", flush=True)
    else:
        print(f"{event.job_id} was too late for {event.scheduled_run_time}", flush=True)


def on_refusal(event: JobSubmissionEvent) -> None:
    print(f"{event.job_id} is still running, so this run is left out", flush=True)


scheduler = BackgroundScheduler()
scheduler.add_listener(on_outcome, EVENT_JOB_EXECUTED | EVENT_JOB_ERROR | EVENT_JOB_MISSED)
scheduler.add_listener(on_refusal, EVENT_JOB_MAX_INSTANCES)
scheduler.add_job(measure, "interval", seconds=1, id="measure")
scheduler.add_job(fail, "interval", seconds=2, id="fail")
scheduler.add_job(dawdle, "interval", seconds=1, id="dawdle")
scheduler.start()
time.sleep(3.5)
scheduler.shutdown()  # waits for the runs that are going on
