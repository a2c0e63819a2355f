"""
A plain WSGI application, without a framework: the scheduler runs around the server.

    python examples/wsgi_app.py
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any
from wsgiref.simple_server import make_server

from apscheduler.schedulers.background import BackgroundScheduler

beats: list[datetime] = []


def beat() -> None:
    beats.append(datetime.now())


def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    start_response("200 OK", [("Content-Type", "application/json")])
    return [b'{"beats": %d}' % len(beats)]


def main() -> None:
    server = make_server("127.0.0.1", int(os.environ.get("PORT", "8000")), app)
    with server, BackgroundScheduler() as scheduler:
        scheduler.add_job(beat, "interval", seconds=1)
        server.serve_forever()


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        print("Stopped by Ctrl+C")
