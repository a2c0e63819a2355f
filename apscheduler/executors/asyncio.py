"""Jobs run on an asyncio event loop."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Coroutine
from functools import partial
from typing import TYPE_CHECKING, Any

from .._refs import iscoroutinefunction_partial
from ..events import JobExecutionEvent
from ._loop import LoopExecutor, Result, Submission, own_submission, raising
from ._threads import ThreadPool, read_max_workers
from .base import run_job
from .pool import AbandonedError

if TYPE_CHECKING:
    from ..schedulers.base import BaseScheduler


class AsyncIOExecutor(LoopExecutor):
    """
    Runs coroutine functions on the event loop of its scheduler, and other functions in threads.

    :param max_workers: how many functions that are no coroutine functions may run at once, in a
        thread pool of the executor's own; None: they run in the default executor of the loop
    """

    _loop_attribute = "_eventloop"
    _scheduler_name = "AsyncIOScheduler"
    _eventloop: Any = None

    def __init__(self, max_workers: int | None = None) -> None:
        super().__init__()
        self._max_workers = None if max_workers is None else read_max_workers(max_workers)
        self._pool = self._make_pool()

    def _make_pool(self) -> Any:
        return None if self._max_workers is None else ThreadPool(self._max_workers)

    def start(self, scheduler: BaseScheduler, alias: str) -> None:
        super().start(scheduler, alias)
        if self._pool is not None and self._pool._shutdown:  # the scheduler is started anew
            self._pool = self._make_pool()

    def after_fork(self) -> None:
        super().after_fork()
        self._pool = self._make_pool()

    def _begin(self, submission: Submission) -> None:
        if self._is_coroutine_function(submission.job.func):
            self._begin_on_loop(submission)
        else:
            self._begin_in_thread(submission)

    def _is_coroutine_function(self, func: Any) -> bool:
        return iscoroutinefunction_partial(func)

    def _begin_on_loop(self, submission: Submission) -> None:
        task = _create_task(submission.loop, _make_runs(submission))
        self._keep(submission, task, needs_loop=True)
        task.add_done_callback(lambda _: self._finish(submission, task.result))

    def _begin_in_thread(self, submission: Submission) -> None:
        loop = submission.loop
        future = loop.run_in_executor(self._pool, self._make_thread_runs, submission)
        self._keep(submission, future, needs_loop=False)
        future.add_done_callback(partial(self._end_thread_runs, submission))

    def _make_thread_runs(self, submission: Submission) -> list[JobExecutionEvent]:
        if not submission.claim():  # it was given up
            return []

        job = submission.job
        token = own_submission.set(submission)
        try:
            events = run_job(job, job._jobstore_alias, submission.run_times, self._logger.name)
            outcome: Result = lambda: events  # noqa: E731
        except BaseException as exc:
            outcome = raising(exc)
        own_submission.reset(token)
        with self._changed:
            submission.outcome = outcome  # the loop may end before it takes this
            is_alone = submission.is_alone
        if is_alone:
            self._deliver(submission, lambda: self._finish(submission, outcome))
        elif not self._is_running(submission.loop):
            self._finish(submission, outcome)
        return outcome()

    def _end_thread_runs(self, submission: Submission, future: asyncio.Future[Any]) -> None:
        if future.cancelled():
            self._abandon(submission)
        else:
            self._finish(submission, future.result)

    def shutdown(self, wait: bool | float = True) -> None:
        super().shutdown(wait)
        # After so many seconds in vain, what goes on is left behind.
        if self._pool is not None and self._pool.shutdown(
            False if isinstance(wait, bool) else 0.0
        ):
            for submission in list(self._submissions.values()):
                if not submission.needs_loop:
                    self._abandon(submission)

    def _abandon(self, submission: Submission) -> None:
        """Give up runs if no thread has begun with them."""
        if submission.claim():
            self._finish(submission, raising(AbandonedError(submission.job.id)))

    def _is_running(self, loop: asyncio.AbstractEventLoop) -> bool:
        return loop.is_running()

    def _runs_elsewhere(self) -> bool:
        loop = self._eventloop
        return loop is not None and loop.is_running() and not is_running_here(loop)

    def _call_soon(self, func: Callable[..., object], *args: Any) -> None:
        self._eventloop.call_soon_threadsafe(partial(func, *args))


async def _make_runs(submission: Submission) -> list[JobExecutionEvent]:
    if not submission.claim():
        return []

    submission.future = asyncio.current_task()  # known before, unless it was begun at once
    own_submission.set(submission)
    await submission.runs.make_coroutine_runs(submission.run_times)
    return submission.runs.events


def is_running_here(loop: asyncio.AbstractEventLoop) -> bool:
    """Tell whether this thread runs the loop, and at this moment."""
    try:
        return asyncio.get_running_loop() is loop
    except RuntimeError:
        return False


class _CountingTask(asyncio.Task[Any]):
    """Counts the requests to cancel it, as tasks do since Python 3.11."""

    _requests = 0

    def cancel(self, msg: Any = None) -> bool:
        self._requests += 1
        return super().cancel(msg)

    def cancelling(self) -> int:
        return self._requests


def _create_task(loop: Any, coroutine: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
    if sys.version_info < (3, 11) and loop.get_task_factory() is None:
        return _CountingTask(coroutine, loop=loop)

    task: asyncio.Task[Any] = loop.create_task(coroutine)
    return task
