"""
FastAPI: the scheduler lives for as long as the application, and jobs are coroutines on its loop.

    uvicorn --app-dir examples fastapi_app:app
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta

import uvicorn
from fastapi import FastAPI

from apscheduler.schedulers.asyncio import AsyncIOScheduler

scheduler = AsyncIOScheduler()
beats: list[datetime] = []


@scheduler.scheduled_job("interval", seconds=1)
async def beat() -> None:
    await asyncio.sleep(0.01)  # a query to a database, say
    beats.append(datetime.now())


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with scheduler:  # starts it; in the end, lets running jobs finish
        yield


app = FastAPI(lifespan=lifespan)


@app.get("/")
async def show() -> dict[str, int]:
    return {"beats": len(beats)}


@app.post("/remind")
async def remind(text: str, seconds: float) -> dict[str, str]:
    run_date = datetime.now(scheduler.timezone) + timedelta(seconds=seconds)
    return {"job": scheduler.add_job(print, "date", ["Reminder:", text], run_date=run_date).id}


if __name__ == "__main__":
    uvicorn.run(app, port=int(os.environ.get("PORT", "8000")))
