"""
aiohttp: the scheduler is one more resource that the application opens and closes.

    python examples/aiohttp_app.py
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from datetime import datetime

from aiohttp import web

from apscheduler.schedulers.asyncio import AsyncIOScheduler

beats = web.AppKey("beats", list[datetime])


async def beat(app: web.Application) -> None:
    app[beats].append(datetime.now())


async def run_scheduler(app: web.Application) -> AsyncIterator[None]:
    async with AsyncIOScheduler() as scheduler:
        scheduler.add_job(beat, "interval", [app], seconds=1)
        yield


async def show(request: web.Request) -> web.Response:
    return web.json_response({"beats": len(request.app[beats])})


def make_app() -> web.Application:
    app = web.Application()
    app[beats] = []
    app.cleanup_ctx.append(run_scheduler)
    app.router.add_get("/", show)
    return app


if __name__ == "__main__":
    web.run_app(make_app(), host="127.0.0.1", port=int(os.environ.get("PORT", "8000")))
