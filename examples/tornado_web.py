"""
Tornado: coroutines run on the IOLoop, functions that block run in threads.

    python examples/tornado_web.py
"""

from __future__ import annotations

import asyncio
import os
import signal
import time

from tornado import gen
from tornado.web import Application, RequestHandler

from apscheduler.schedulers.tornado import TornadoScheduler

beats: list[str] = []


async def beat() -> None:
    await gen.sleep(0.01)
    beats.append("coroutine")


def blocking_beat() -> None:
    time.sleep(0.01)
    beats.append("thread")


class Show(RequestHandler):
    def get(self) -> None:
        self.write({"beats": len(beats), "kinds": sorted(set(beats))})


async def main() -> None:
    end = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, end.set)

    async with TornadoScheduler() as scheduler:
        scheduler.add_job(beat, "interval", seconds=1)
        scheduler.add_job(blocking_beat, "interval", seconds=1)
        port = int(os.environ.get("PORT", "8000"))
        Application([("/", Show)]).listen(port, address="127.0.0.1")
        await end.wait()


if __name__ == "__main__":
    asyncio.run(main())
