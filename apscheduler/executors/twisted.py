"""Jobs run in a Twisted reactor."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import partial
from types import FunctionType, MethodType
from typing import TYPE_CHECKING, Any

from .._refs import iscoroutinefunction_partial
from ..events import JobExecutionEvent
from ._loop import LoopExecutor, own_future
from .base import Runs, run_job

try:
    from twisted.internet.defer import CancelledError, Deferred, maybeDeferred
    from twisted.internet.threads import deferToThreadPool
    from twisted.python.failure import Failure
    from twisted.python.threadable import isInIOThread
except ImportError as exc:  # pragma: no cover
    raise ImportError("TwistedExecutor needs Twisted: pip install apscheduler[twisted]") from exc

if TYPE_CHECKING:
    from ..job import Job
    from ..schedulers.base import BaseScheduler


class TwistedExecutor(LoopExecutor):
    """
    Runs jobs in the reactor's thread or in the reactor's thread pool.

    In the thread of the reactor run coroutine functions, those decorated with ``inlineCallbacks``,
    and those whose annotations say that they return a Deferred. All others may block, and run in
    the thread pool. Whichever way a function was called, its run has ended when the Deferred that
    it returned, if any, has fired.
    """

    _reactor: Any = None

    def start(self, scheduler: BaseScheduler, alias: str) -> None:
        """
        Take over the scheduler's reactor; see the base class.

        :raises TypeError: if the scheduler has none
        """
        reactor = getattr(scheduler, "_reactor", None)
        if reactor is None:
            raise TypeError(
                f"TwistedExecutor runs jobs in the reactor of its scheduler, but "
                f"{type(scheduler).__name__} has none: use TwistedScheduler, or another executor"
            )

        super().start(scheduler, alias)
        self._reactor = reactor

    def _do_submit_job(self, job: Job, run_times: list[datetime]) -> None:
        in_reactor = belongs_in_reactor(job.func)
        run = self._run_in_reactor if in_reactor else self._run_in_pool
        future: Deferred[Any] = Deferred()
        future.addCallback(lambda _: Deferred.fromCoroutine(run(job, run_times, future)))
        future.addBoth(lambda result: self._finish(job, run_times, future, _unpacker(result)))
        self._keep(future, can_cancel=in_reactor)
        # Not at once: first, all that is due is handed over.
        self._reactor.callLater(0, future.callback, None)

    async def _run_in_reactor(
        self, job: Job, run_times: list[datetime], future: Any
    ) -> list[JobExecutionEvent]:
        own_future.set(future)
        runs = Runs(job, job._jobstore_alias, self._logger.name)
        for run_time in runs.due(run_times):
            with runs.recording(run_time) as outcome:
                outcome.retval = await maybeDeferred(job.func, *job.args, **job.kwargs)
            if isinstance(outcome.exception, CancelledError):
                runs.cancel(outcome.exception)

        return runs.events

    async def _run_in_pool(
        self, job: Job, run_times: list[datetime], future: Any
    ) -> list[JobExecutionEvent]:
        events = await deferToThreadPool(
            self._reactor,
            self._reactor.getThreadPool(),
            run_job,
            job,
            job._jobstore_alias,
            run_times,
            self._logger.name,
        )
        runs = Runs(job, job._jobstore_alias, self._logger.name)
        for event in events:
            if isinstance(event.retval, Deferred):
                with runs.recording(event.scheduled_run_time) as outcome:
                    outcome.retval = await event.retval
            else:
                runs.events.append(event)

        return runs.events

    def _runs_elsewhere(self) -> bool:
        return self._reactor is not None and self._reactor.running and not isInIOThread()  # type: ignore[no-untyped-call]

    def _call_soon(self, func: Callable[..., object], *args: Any) -> None:
        self._reactor.callFromThread(func, *args)


def belongs_in_reactor(func: Any) -> bool:
    """Tell whether a function is one that is to be called in the thread of the reactor."""
    while isinstance(func, partial):
        func = func.func

    if iscoroutinefunction_partial(func):
        return True

    call = func if isinstance(func, (FunctionType, MethodType)) else type(func).__call__
    # inlineCallbacks has put a function of its own module around the generator function.
    if getattr(call, "__globals__", {}).get("__name__") == Deferred.__module__:
        return True

    return "Deferred" in str(getattr(call, "__annotations__", {}).get("return"))


def _unpacker(result: Any) -> Callable[[], list[JobExecutionEvent]]:
    if isinstance(result, Failure):
        return result.raiseException
    return lambda: result
