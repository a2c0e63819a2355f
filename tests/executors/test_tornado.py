"""Jobs on a Tornado IOLoop, and in the threads beside it."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from functools import partial
from threading import current_thread
from typing import Any

import pytest
from tornado import gen

from apscheduler.events import EVENT_JOB_EXECUTED
from apscheduler.executors.tornado import TornadoExecutor
from apscheduler.schedulers.tornado import TornadoScheduler


@gen.coroutine
def decorated() -> Generator[Any, Any, str]:
    yield gen.sleep(0)
    return current_thread().name


async def native() -> str:
    await gen.sleep(0)
    return current_thread().name


def blocking() -> str:
    return current_thread().name


async def result_of(func: Any) -> Any:
    result: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    async with TornadoScheduler(executors={"default": TornadoExecutor(1)}) as scheduler:
        scheduler.add_listener(lambda event: result.set_result(event.retval), EVENT_JOB_EXECUTED)
        scheduler.add_job(func)
        return await asyncio.wait_for(result, 30)


@pytest.mark.parametrize("func", [native, decorated, partial(decorated), partial(native)])
def test_coroutines_of_either_kind_run_on_the_loop(func: Any) -> None:
    assert asyncio.run(result_of(func)) == current_thread().name


def test_other_functions_run_in_its_threads() -> None:
    assert asyncio.run(result_of(blocking)).startswith("APScheduler")
