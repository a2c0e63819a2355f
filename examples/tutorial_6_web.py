"""Tutorial, step 6: a web application with a scheduler that persists and can be watched."""

from __future__ import annotations

import os
from collections import deque
from datetime import datetime
from typing import Any

from flask import Flask, jsonify, request
from flask.typing import ResponseReturnValue

from apscheduler.events import EVENT_JOB_ERROR, EVENT_JOB_EXECUTED, JobExecutionEvent
from apscheduler.job import Job
from apscheduler.jobstores.base import ConflictingIdError, JobLookupError
from apscheduler.schedulers.background import BackgroundScheduler

app = Flask(__name__)
scheduler = BackgroundScheduler(
    jobstores={"default": {"type": "sqlalchemy", "url": "sqlite:///reminders.sqlite"}}
)
recent_runs: deque[dict[str, Any]] = deque(maxlen=100)  # listeners run in other threads


def remind(text: str) -> str:
    return f"Reminder: {text}"


def remember(event: JobExecutionEvent) -> None:
    result = repr(event.exception) if event.exception else event.retval
    recent_runs.append(
        {"job": event.job_id, "due": event.scheduled_run_time.isoformat(), "result": result}
    )


def as_dict(job: Job) -> dict[str, Any]:
    next_run_times = [time.isoformat() for time in job.next_run_times(3)]
    return {"id": job.id, "text": job.args[0], "next_run_times": next_run_times}


@app.get("/jobs")
def list_jobs() -> ResponseReturnValue:
    return jsonify([as_dict(job) for job in scheduler.get_jobs()])


@app.post("/jobs")
def add_job() -> ResponseReturnValue:
    wanted = request.get_json()
    try:
        job = scheduler.add_job(
            remind, "interval", [wanted["text"]], id=wanted["id"], seconds=wanted["seconds"]
        )
    except ConflictingIdError as exc:
        return jsonify(error=exc.args[0]), 409
    except (KeyError, TypeError, ValueError) as exc:  # what was sent lacks something, or is no use
        return jsonify(error=f"{type(exc).__name__}: {exc}"), 400

    return jsonify(as_dict(job)), 201


@app.post("/jobs/<job_id>/run")
def run_job_now(job_id: str) -> ResponseReturnValue:
    now = datetime.now(scheduler.timezone)
    return jsonify(as_dict(scheduler.modify_job(job_id, next_run_time=now)))


@app.delete("/jobs/<job_id>")
def remove_job(job_id: str) -> ResponseReturnValue:
    scheduler.remove_job(job_id)
    return "", 204


@app.get("/runs")
def list_runs() -> ResponseReturnValue:
    return jsonify(list(recent_runs))


@app.errorhandler(JobLookupError)
def no_such_job(exc: JobLookupError) -> ResponseReturnValue:
    return jsonify(error=exc.args[0]), 404


if __name__ == "__main__":
    scheduler.add_listener(remember, EVENT_JOB_EXECUTED | EVENT_JOB_ERROR)
    scheduler.start()
    try:
        app.run(port=int(os.environ.get("PORT", "8000")))
    finally:
        scheduler.shutdown()
