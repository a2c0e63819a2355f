"""The running loop: how late jobs start, what that and waiting cost, and what else has to wait."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any

from apscheduler.events import EVENT_JOB_EXECUTED
from apscheduler.jobstores.memory import MemoryJobStore
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.schedulers.background import BackgroundScheduler

from ._common import JOB_DEFAULTS, add_all, hourly_specs

JOBS = 200


def lateness(size: int) -> dict[str, Any]:
    """Two hundred one-second jobs, spread over the second, for so many seconds: each lateness."""
    late: list[float] = []

    def note(event: Any) -> None:
        late.append(event.retval - event.scheduled_run_time.timestamp())

    scheduler = BackgroundScheduler(timezone="UTC", job_defaults=JOB_DEFAULTS)
    scheduler.add_listener(note, EVENT_JOB_EXECUTED)
    start = datetime.now(timezone.utc) + timedelta(seconds=1)
    add_all(
        scheduler,
        [
            {
                "func": time.time,
                "trigger": "interval",
                "seconds": 1,
                "start_date": start + number * timedelta(seconds=1) / JOBS,
            }
            for number in range(JOBS)
        ],
    )
    scheduler.start()
    time.sleep(3)  # the threads have been started, and what is imported late is there
    late.clear()
    cpu = time.process_time()
    time.sleep(size)
    cpu = time.process_time() - cpu
    runs = [seconds * 1e3 for seconds in late]
    scheduler.shutdown()

    return {"late": runs, "cpu": cpu / len(runs) * 1e6}


def idle(size: int, jobs: int) -> dict[str, float]:
    """So many seconds with many jobs, none of which is due."""
    scheduler = BackgroundScheduler(timezone="UTC", job_defaults=JOB_DEFAULTS)
    scheduler.start()
    add_all(scheduler, hourly_specs(jobs, datetime.now(timezone.utc) + timedelta(hours=5)))
    time.sleep(1)
    cpu = time.process_time()
    time.sleep(size)
    cpu = time.process_time() - cpu
    scheduler.shutdown()

    return {"cpu": cpu * 1e3}


class SlowStore(MemoryJobStore):
    """Stands for a server that takes 200 ms to answer each call."""


def _slowed(method: Callable[..., Any]) -> Callable[..., Any]:
    def wait_and_call(*args: Any, **kwargs: Any) -> Any:
        time.sleep(0.2)
        return method(*args, **kwargs)

    return wait_and_call


def ticker(size: int) -> dict[str, float]:
    """A loop with a 10 ms ticker, and a one-second job in a slow store, for so many seconds."""
    start = datetime.now(timezone.utc) + timedelta(seconds=1)
    scheduler = AsyncIOScheduler(
        timezone="UTC", jobstores={"default": SlowStore()}, job_defaults=JOB_DEFAULTS
    )
    scheduler.add_job(asyncio.sleep, "interval", args=[0], seconds=1, start_date=start)
    for name in ("get_due_jobs", "get_next_run_time", "update_job", "update_jobs"):
        if hasattr(MemoryJobStore, name):  # 3.11.3 has no update_jobs()
            setattr(SlowStore, name, _slowed(getattr(MemoryJobStore, name)))

    async def tick() -> float:
        scheduler.start()
        runs: list[Any] = []
        scheduler.add_listener(runs.append, EVENT_JOB_EXECUTED)
        end = time.monotonic() + size
        worst = 0.0
        while (begin := time.monotonic()) < end or not runs:
            await asyncio.sleep(0.01)
            worst = max(worst, time.monotonic() - begin - 0.01)
        finished = scheduler.shutdown()
        if finished is not None:  # that of 3.11.3 cannot be waited for
            await finished
        return worst

    return {"worst": asyncio.run(tick()) * 1e3}
