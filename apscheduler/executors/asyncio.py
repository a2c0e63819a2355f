"""Jobs run on an asyncio event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from .._refs import iscoroutinefunction_partial
from ..events import JobExecutionEvent
from ._loop import LoopExecutor, own_future
from ._threads import ThreadPool
from .base import run_coroutine_job, run_job

if TYPE_CHECKING:
    from ..job import Job
    from ..schedulers.base import BaseScheduler


class AsyncIOExecutor(LoopExecutor):
    """
    Runs coroutine functions on the event loop of its scheduler, and other functions in threads.

    :param max_workers: how many functions that are no coroutine functions may run at once, in a
        thread pool of the executor's own; None: they run in the default executor of the loop
    """

    _eventloop: Any = None

    def __init__(self, max_workers: int | None = None) -> None:
        super().__init__()
        self._max_workers = max_workers
        self._pool = self._make_pool()

    def _make_pool(self) -> Any:
        return None if self._max_workers is None else ThreadPool(int(self._max_workers))

    def start(self, scheduler: BaseScheduler, alias: str) -> None:
        """
        Take over the scheduler's event loop; see the base class.

        :raises TypeError: if the scheduler has none
        """
        loop = getattr(scheduler, "_eventloop", None)
        if loop is None:
            raise TypeError(
                f"{type(self).__name__} runs jobs on the event loop of its scheduler, but "
                f"{type(scheduler).__name__} has none: use AsyncIOScheduler, or another executor"
            )

        super().start(scheduler, alias)
        self._eventloop = loop
        if self._pool is not None and self._pool._shutdown:  # the scheduler is started anew
            self._pool = self._make_pool()

    def after_fork(self) -> None:
        super().after_fork()
        self._pool = self._make_pool()

    def _do_submit_job(self, job: Job, run_times: list[datetime]) -> None:
        arguments = job, job._jobstore_alias, run_times, self._logger.name
        on_loop = self._is_coroutine_function(job.func)
        future: asyncio.Future[list[JobExecutionEvent]]
        if on_loop:
            future = self._eventloop.create_task(_run_coroutine_job(*arguments))
        else:
            future = self._eventloop.run_in_executor(self._pool, run_job, *arguments)

        self._keep(future, can_cancel=on_loop)
        future.add_done_callback(lambda done: self._finish(job, run_times, done, done.result))

    def _is_coroutine_function(self, func: Any) -> bool:
        return iscoroutinefunction_partial(func)

    def shutdown(self, wait: bool | float = True) -> None:
        super().shutdown(wait)
        if self._pool is not None:
            # After so many seconds in vain, what goes on is left behind.
            self._pool.shutdown(False if isinstance(wait, bool) else 0.0)

    def _runs_elsewhere(self) -> bool:
        loop = self._eventloop
        return loop is not None and loop.is_running() and not _is_running_here(loop)

    def _call_soon(self, func: Callable[..., object], *args: Any) -> None:
        self._eventloop.call_soon_threadsafe(partial(func, *args))


async def _run_coroutine_job(
    job: Job, jobstore_alias: str | None, run_times: list[datetime], logger_name: str
) -> list[JobExecutionEvent]:
    own_future.set(asyncio.current_task())
    return await run_coroutine_job(job, jobstore_alias, run_times, logger_name)


def _is_running_here(loop: asyncio.AbstractEventLoop) -> bool:
    try:
        return asyncio.get_running_loop() is loop
    except RuntimeError:
        return False
