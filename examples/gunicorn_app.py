"""A WSGI application for gunicorn with several workers, of which one runs the jobs."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import Any

from one_scheduler import start_in_one_process  # examples/one_scheduler.py

from apscheduler.schedulers.background import BackgroundScheduler

runs: list[int] = []


def count() -> None:
    runs.append(os.getpid())


scheduler = BackgroundScheduler()
scheduler.add_job(count, "interval", seconds=0.2)
start_in_one_process(scheduler, "scheduler.lock")  # gunicorn imports this module in each worker


def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    state = "running" if scheduler.running else "stopped"
    return [f"{os.getpid()} {state} {len(runs)}\n".encode()]
