"""
A plain WSGI application, without a framework: the scheduler runs around the server.

    python examples/wsgi_app.py

Ctrl+C and SIGTERM let the request that is being answered end (wsgiref swallows a KeyboardInterrupt
that comes in the middle of one).
"""

from __future__ import annotations

import os
import signal
import threading
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

    def stop(*_: object) -> None:
        # shutdown() waits for the loop that this handler interrupts, so another thread calls it.
        threading.Thread(target=server.shutdown).start()

    signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGTERM, stop)
    with server, BackgroundScheduler() as scheduler:
        scheduler.add_job(beat, "interval", seconds=1)
        server.serve_forever()
    print("Stopped")


if __name__ == "__main__":
    main()
