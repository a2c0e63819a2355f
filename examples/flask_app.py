"""
Flask: a scheduler in the background, once, whatever the development server does.

    python examples/flask_app.py --reload

With its reloader, Flask runs the program twice: the first process watches the files, and the
second one, which it starts anew after each change, serves. Only that one may run the jobs.

A production server with two workers runs the program twice as well, and its workers know nothing
of each other: there, the one that gets a lock runs the jobs (see gunicorn_app.py).
"""

from __future__ import annotations

import os
import sys

from flask import Flask
from one_scheduler import start_in_one_process  # examples/one_scheduler.py

from apscheduler.schedulers.background import BackgroundScheduler

app = Flask(__name__)
scheduler = BackgroundScheduler()
beats: list[int] = []


@scheduler.scheduled_job("interval", seconds=1)
def beat() -> None:
    beats.append(os.getpid())


@app.get("/")
def show() -> dict[str, object]:
    return {"beats": len(beats), "runs_jobs": scheduler.running, "process": os.getpid()}


def main(reload: bool) -> None:
    only_watches = reload and os.environ.get("WERKZEUG_RUN_MAIN") != "true"
    if not only_watches:
        start_in_one_process(scheduler, "flask.lock")

    app.run(port=int(os.environ.get("PORT", "8000")), use_reloader=reload)


if __name__ == "__main__":
    main(reload="--reload" in sys.argv)
