"""Jobs run in a Twisted reactor."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextvars import copy_context
from functools import partial
from types import FunctionType, MethodType
from typing import Any

from .._refs import iscoroutinefunction_partial
from ._loop import LoopExecutor, Result, Submission, own_submission, raising
from .base import LoopEndedError, complete

try:
    from twisted.internet.defer import CancelledError, Deferred, maybeDeferred
    from twisted.python.failure import Failure
    from twisted.python.threadable import isInIOThread
except ImportError as exc:  # pragma: no cover
    raise ImportError("TwistedExecutor needs Twisted: pip install apscheduler[twisted]") from exc


class TwistedExecutor(LoopExecutor):
    """
    Runs jobs in the reactor's thread or in the reactor's thread pool.

    In the thread of the reactor run coroutine functions, those decorated with ``inlineCallbacks``,
    and those whose annotations say that they return a Deferred. All others may block, and run in
    the thread pool. Whichever way a function was called, its run has ended when the Deferred that
    it returned, if any, has fired.
    """

    _loop_attribute = "_reactor"
    _scheduler_name = "TwistedScheduler"
    _reactor: Any = None

    def _begin(self, submission: Submission) -> None:
        if belongs_in_reactor(submission.job.func):
            self._begin_in_reactor(submission)
        else:
            runs = submission.future = _ThreadRuns(self, submission)
            runs.begin()
            self._keep(submission, runs, needs_loop=False)

    def _begin_in_reactor(self, submission: Submission) -> None:
        future: Deferred[Any] = Deferred()
        future.addCallback(lambda _: Deferred.fromCoroutine(_make_runs(submission, maybeDeferred)))
        future.addBoth(lambda result: self._finish(submission, _result(submission, result)))
        self._keep(submission, future, needs_loop=True)
        # Not at once: first, all that is due is handed over.
        self._reactor.callLater(0, future.callback, None)

    def _is_running(self, loop: Any) -> bool:
        return bool(loop.running)

    def _runs_elsewhere(self) -> bool:
        return self._reactor is not None and self._reactor.running and not isInIOThread()  # type: ignore[no-untyped-call]

    def _call_soon(self, func: Callable[..., object], *args: Any) -> None:
        self._reactor.callFromThread(func, *args)


async def _make_runs(submission: Submission, call: Callable[..., Any]) -> None:
    """Make runs one after the other: each when the Deferred of the one before has fired."""
    if not submission.claim():
        return

    own_submission.set(submission)
    job, runs = submission.job, submission.runs
    for run_time in runs.due(submission.run_times):
        with runs.recording_awaited(run_time) as outcome:
            outcome.retval = await call(job.func, *job.args, **job.kwargs)
        if submission.is_cancelled and isinstance(outcome.exception, CancelledError):
            runs.cancel(outcome.exception)


class _ThreadRuns:
    """
    Makes runs in the reactor's thread pool.

    While a Deferred that a function has returned is waited for, no thread is: the steps between
    are those of a coroutine, and each is made by whichever thread is free.
    """

    def __init__(self, executor: TwistedExecutor, submission: Submission) -> None:
        self._executor = executor
        self._submission = submission
        self._steps = _make_runs(submission, _call_in_thread)
        self._context = copy_context()  # the same for all steps, whatever their thread
        self._awaited: Deferred[Any] | None = None

    def begin(self) -> None:
        try:
            self._go_on(self._steps.send, None)
        except LoopEndedError:
            self._steps.close()
            raise

    def _go_on(self, step: Callable[[Any], Any], value: Any) -> None:
        """Have a thread make the next step."""
        reactor = self._submission.loop
        pool = reactor.getThreadPool() if reactor.running else None
        if pool is None or pool.joined:  # it would drop the step without a word
            raise LoopEndedError(self._submission.job.id)

        pool.callInThread(self._make_step, step, value)

    def _make_step(self, step: Callable[[Any], Any], value: Any) -> None:
        try:
            deferred = self._context.run(step, value)
        except StopIteration:
            self._deliver(self._finish, None)
        except BaseException as exc:
            self._deliver(self._finish, exc)
        else:
            self._deliver(self._wait_for, deferred)

    def _deliver(self, func: Callable[[Any], object], value: Any) -> None:
        self._executor._deliver(self._submission, partial(func, value))

    def _finish(self, error: BaseException | None) -> None:
        events = self._submission.runs.events
        self._executor._finish(self._submission, raising(error) if error else lambda: events)

    def _wait_for(self, deferred: Deferred[Any]) -> None:
        self._awaited = deferred
        self._submission.needs_loop = True
        deferred.addBoth(self._fired)
        if self._submission.is_cancelled:
            deferred.cancel()

    def _fired(self, result: Any) -> None:
        self._awaited = None
        self._submission.needs_loop = False
        try:
            if isinstance(result, Failure):
                self._go_on(self._steps.throw, result.value)
            else:
                self._go_on(self._steps.send, result)
        except LoopEndedError as exc:
            self._finish(exc)

    def cancel(self) -> None:
        """Cancel the Deferred that is waited for; what runs in a thread ends by itself."""
        if self._awaited is not None:
            self._awaited.cancel()


async def _call_in_thread(func: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    result = complete(func(*args, **kwargs), func)
    return await _Fired(result) if isinstance(result, Deferred) else result


class _Fired:
    """Awaits what a Deferred fires with, for a coroutine that no reactor goes on with."""

    def __init__(self, deferred: Deferred[Any]) -> None:
        self._deferred = deferred

    def __await__(self) -> Generator[Deferred[Any], Any, Any]:
        return (yield self._deferred)


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


def _result(submission: Submission, result: Any) -> Result:
    if isinstance(result, Failure):
        assert result.value is not None
        return raising(result.value)

    return lambda: submission.runs.events
