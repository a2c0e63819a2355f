"""
gevent with its WSGI server: scheduler, jobs and requests are greenlets of one thread.

    python examples/gevent_wsgi.py
"""

from __future__ import annotations

from gevent import monkey

monkey.patch_all()  # so that what jobs and requests wait for does not keep the others waiting

import os  # noqa: E402
import signal  # noqa: E402
import time  # noqa: E402
from collections.abc import Callable, Iterable  # noqa: E402
from datetime import datetime  # noqa: E402
from typing import Any  # noqa: E402

import gevent  # noqa: E402
from gevent.pywsgi import WSGIServer  # noqa: E402

from apscheduler.schedulers.gevent import GeventScheduler  # noqa: E402

beats: list[datetime] = []


def beat() -> None:
    time.sleep(0.01)  # patched: other greenlets run meanwhile
    beats.append(datetime.now())


def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    start_response("200 OK", [("Content-Type", "application/json")])
    return [b'{"beats": %d}' % len(beats)]


def main() -> None:
    server = WSGIServer(("127.0.0.1", int(os.environ.get("PORT", "8000"))), app)
    for number in (signal.SIGINT, signal.SIGTERM):
        gevent.signal_handler(number, server.stop)

    with GeventScheduler() as scheduler:
        scheduler.add_job(beat, "interval", seconds=1)
        server.serve_forever()


if __name__ == "__main__":
    main()
