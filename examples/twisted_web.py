"""
Twisted: a run ends when its Deferred fires, and the reactor stops when the runs have ended.

    python examples/twisted_web.py
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Generator
from typing import Any

from twisted.internet import endpoints, reactor, task
from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.web.resource import Resource
from twisted.web.server import Site

from apscheduler.schedulers.twisted import TwistedScheduler

beats: list[str] = []


@inlineCallbacks
def beat() -> Generator[Deferred[Any], Any, None]:
    yield task.deferLater(reactor, 0.01)
    beats.append("Deferred")


def blocking_beat() -> None:
    time.sleep(0.01)
    beats.append("thread")


class Show(Resource):
    isLeaf = True

    def render_GET(self, request: Any) -> bytes:
        return json.dumps({"beats": len(beats), "kinds": sorted(set(beats))}).encode()


def main() -> None:
    scheduler = TwistedScheduler()
    scheduler.add_job(beat, "interval", seconds=1)
    scheduler.add_job(blocking_beat, "interval", seconds=1)
    scheduler.start()

    loop: Any = reactor
    loop.addSystemEventTrigger("before", "shutdown", scheduler.shutdown)
    port = os.environ.get("PORT", "8000")
    endpoints.serverFromString(loop, f"tcp:{port}:interface=127.0.0.1").listen(Site(Show()))
    loop.run()


if __name__ == "__main__":
    main()
