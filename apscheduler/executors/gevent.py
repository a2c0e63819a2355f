"""Jobs run in greenlets."""

from __future__ import annotations

import sys
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from contextvars import copy_context
from datetime import datetime
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Any

from ._leftovers import HoldsRuns
from ._loop import CANCEL_SECONDS, CHECK_SECONDS, Submission, own_submission
from .base import BaseExecutor, LoopEndedError, complete

try:
    import gevent
    from gevent.lock import RLock
    from gevent.monkey import get_original, is_module_patched
    from gevent.threadpool import ThreadPool
except ImportError as exc:  # pragma: no cover
    raise ImportError("GeventExecutor needs gevent: pip install apscheduler[gevent]") from exc

if TYPE_CHECKING:
    import asyncio

    from ..job import Job
    from ..schedulers.base import BaseScheduler

# Those of real threads, even if the program was monkey patched.
get_ident = get_original("_thread", "get_ident")
allocate_lock = get_original("_thread", "allocate_lock")

# So many coroutines run at once; the others wait for their turn. A thread is started when it is
# needed. They are not those of the hub, in which gevent resolves the names of hosts.
COROUTINES_AT_ONCE = 100


class GeventExecutor(BaseExecutor, HoldsRuns):
    """
    Runs each job in a greenlet of its own.

    What a coroutine function returns runs in a real thread, on an event loop of its own, for it
    would keep all greenlets waiting; its greenlet waits for it.
    """

    def __init__(self) -> None:
        super().__init__()
        self._greenlets: dict[Any, Submission] = {}
        self._hub: Any = None  # that of the thread in which they run
        self._threads: Any = None  # those of coroutines

    def start(self, scheduler: BaseScheduler, alias: str) -> None:
        """
        Get ready; see the base class.

        :raises TypeError: if the scheduler runs in a thread in which no greenlet has its turn
        """
        in_greenlet = isinstance(scheduler._create_lock(), RLock)
        if not (in_greenlet or is_module_patched("threading")):
            raise TypeError(
                f"GeventExecutor runs jobs in greenlets, which have no turn in the thread of a "
                f"{type(scheduler).__name__}: use GeventScheduler, or have gevent.monkey patch "
                f"the program"
            )

        self._tell_of_lost_runs()
        super().start(scheduler, alias)

    def _do_submit_job(self, job: Job, run_times: list[datetime]) -> None:
        hub = gevent.get_hub()
        if hub is not self._hub:
            self._hub = hub
            self._threads = ThreadPool(COROUTINES_AT_ONCE, hub)
        submission = Submission(job, run_times, hub, self._logger.name)
        try:
            greenlet = gevent.spawn(self._run_in_greenlet, submission)
            self._greenlets[greenlet] = submission
            self._note_whether_runs_are_held(True)
            greenlet.link(partial(self._end, submission))
            self._taken = run_times
        except BaseException:  # Ctrl+C; the greenlet has not had its turn yet
            submission.is_told = submission.claim()
            raise

    def _run_in_greenlet(self, submission: Submission) -> None:
        if not submission.claim():
            return

        own_submission.set(submission)
        job, runs = submission.job, submission.runs
        for run_time in runs.due(submission.run_times):
            with runs.recording(run_time) as outcome:
                outcome.retval = self._complete(job.func(*job.args, **job.kwargs), job.func)
            if isinstance(outcome.exception, gevent.GreenletExit):
                runs.cancel(outcome.exception)

        submission.is_told = True
        self._run_job_success(job.id, runs.events)

    def _complete(self, result: Any, func: Callable[..., Any]) -> Any:
        """Run a coroutine to its end; give anything else back."""
        if not isinstance(result, Coroutine):
            return complete(result, func)

        run = _CoroutineRun(result)
        waiting = self._threads.spawn(copy_context().run, run)
        try:
            waiting.get()
        except gevent.GreenletExit:
            run.cancel()
            raise

        return run.result()

    def _end(self, submission: Submission, greenlet: Any) -> None:
        self._greenlets.pop(greenlet, None)
        self._note_whether_runs_are_held(bool(self._greenlets))
        # One that was killed before it began has the error for a value.
        failure = greenlet.exception or greenlet.value
        if failure is not None:
            self._fail_once(submission, failure)

    def _fail_once(self, submission: Submission, exc: BaseException) -> None:
        if not submission.is_told:
            submission.is_told = True
            submission.fail(self, exc)

    def _tell_of_lost_runs(self) -> None:
        """Report the runs of greenlets whose thread has ended."""
        for greenlet, submission in list(self._greenlets.items()):
            if not has_thread(submission.loop):
                del self._greenlets[greenlet]
                self._fail_once(submission, LoopEndedError(submission.job.id))

        self._note_whether_runs_are_held(bool(self._greenlets))

    def _tell_at_exit(self) -> None:
        for submission in list(self._greenlets.values()):
            self._fail_once(submission, LoopEndedError(submission.job.id))

    def after_fork(self) -> None:
        super().after_fork()
        self._greenlets = {}
        self._hub = self._threads = None

    def shutdown(self, wait: bool | float = True) -> None:
        """
        Wait for the greenlets of running jobs, but for one that calls this.

        :param wait: True to wait until they have ended, False to kill them, or the number of
            seconds to wait before they are killed
        """
        if self._greenlets:
            call_in_hub(self._hub, self._end_greenlets, wait)
            self._tell_of_lost_runs()

    def _end_greenlets(self, wait: bool | float) -> None:
        # A coroutine asks for it in another thread, while its greenlet waits.
        own = self._greenlets.get(gevent.getcurrent()) or own_submission.get(None)
        others = [greenlet for greenlet, its in self._greenlets.items() if its is not own]
        if wait is not False:
            gevent.joinall(others, None if wait is True else wait)
        gevent.killall([g for g in others if not g.dead], timeout=CANCEL_SECONDS)


class _CoroutineRun:
    """Runs a coroutine in a thread, on an event loop of its own; may be cancelled from another."""

    def __init__(self, coroutine: Coroutine[Any, Any, Any]) -> None:
        self._coroutine = coroutine
        self._task: asyncio.Task[Any] | None = None
        self._is_cancelled = False
        self._outcome: Future[Any] = Future()

    def __call__(self) -> None:
        try:
            self._outcome.set_result(complete(self._run(), self._run))
        except BaseException as exc:  # gevent would print it, too
            self._outcome.set_exception(exc)

    def result(self) -> Any:
        """Return what the coroutine returned, or raise what it raised; it has ended."""
        return self._outcome.result()

    async def _run(self) -> Any:
        from asyncio import current_task  # slow to import, and loaded by now

        self._task = current_task()
        if self._is_cancelled:
            self._coroutine.close()
            return None

        return await self._coroutine

    def cancel(self) -> None:
        self._is_cancelled = True
        task = self._task
        if task is not None:
            try:
                task.get_loop().call_soon_threadsafe(task.cancel)
            except RuntimeError:
                return  # it has ended: its loop is closed


def has_thread(hub: Any) -> bool:
    """Tell whether the thread of a hub lives: no other one can run its greenlets."""
    return hub.thread_ident in sys._current_frames()


def call_in_hub(
    hub: Any, func: Callable[..., object], *args: Any, seconds: float | None = None
) -> bool:
    """
    Call a function in the thread of a hub: greenlets cannot be waited for in another one.

    It sees the context variables of the caller.

    :param seconds: how long to wait for its end; None to wait for as long as it takes
    :return: whether it has ended; False if it goes on, will be called later, or if the thread has
        ended, in which case it will not be called
    """
    if hub.thread_ident == get_ident():
        func(*args)
        return True

    context = copy_context()
    errors: list[BaseException] = []
    done = allocate_lock()
    done.acquire()

    def call() -> None:
        try:
            context.run(func, *args)
        except BaseException as exc:
            errors.append(exc)
        finally:
            done.release()

    if not has_thread(hub):
        return False
    hub.loop.run_callback_threadsafe(gevent.spawn, call)
    deadline = None if seconds is None else monotonic() + seconds
    while True:
        left = CHECK_SECONDS if deadline is None else deadline - monotonic()
        if done.acquire(timeout=max(min(left, CHECK_SECONDS), 0)):
            break
        if left <= 0 or not has_thread(hub):
            return False

    if errors:
        raise errors[0]
    return True
