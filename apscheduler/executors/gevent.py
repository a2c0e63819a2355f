"""Jobs run in greenlets."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from .base import BaseExecutor, Runs, complete

try:
    import gevent
    from gevent.monkey import get_original
except ImportError as exc:  # pragma: no cover
    raise ImportError("GeventExecutor needs gevent: pip install apscheduler[gevent]") from exc

if TYPE_CHECKING:
    from ..job import Job

# Those of real threads, even if the program was monkey patched.
get_ident = get_original("_thread", "get_ident")
allocate_lock = get_original("_thread", "allocate_lock")


class GeventExecutor(BaseExecutor):
    """Runs each job in a greenlet of its own."""

    def __init__(self) -> None:
        super().__init__()
        self._greenlets: set[Any] = set()
        self._hub: Any = None  # that of the thread in which they run

    def _do_submit_job(self, job: Job, run_times: list[datetime]) -> None:
        self._hub = gevent.get_hub()
        greenlet = gevent.spawn(self._run, job, run_times)
        self._greenlets.add(greenlet)
        greenlet.link(partial(self._forget, job, run_times))

    def _run(self, job: Job, run_times: list[datetime]) -> None:
        runs = Runs(job, job._jobstore_alias, self._logger.name)
        for run_time in runs.due(run_times):
            with runs.recording(run_time) as outcome:
                outcome.retval = complete(job.func(*job.args, **job.kwargs))
            if isinstance(outcome.exception, gevent.GreenletExit):
                runs.cancel(outcome.exception)

        self._run_job_success(job.id, runs.events)

    def _forget(self, job: Job, run_times: list[datetime], greenlet: Any) -> None:
        self._greenlets.discard(greenlet)
        # One that was killed before it began has the error for a value.
        failure = greenlet.exception or greenlet.value
        if failure is not None:
            self._fail(job, run_times, failure)

    def after_fork(self) -> None:
        super().after_fork()
        self._greenlets = set()

    def shutdown(self, wait: bool | float = True) -> None:
        """
        Wait for the greenlets of running jobs, but for one that calls this.

        :param wait: True to wait until they have ended, False not to wait, or the number of
            seconds to wait before they are killed
        """
        if wait is not False and self._greenlets:
            call_in_hub(self._hub, self._wait, None if wait is True else wait)

    def _wait(self, seconds: float | None) -> None:
        others = list(self._greenlets - {gevent.getcurrent()})
        gevent.joinall(others, seconds)
        gevent.killall([greenlet for greenlet in others if not greenlet.dead], timeout=1)


def call_in_hub(hub: Any, func: Callable[..., object], *args: Any) -> None:
    """Call a function in the thread of a hub: greenlets cannot be waited for in another one."""
    if hub.thread_ident == get_ident():
        func(*args)
        return

    errors: list[BaseException] = []
    done = allocate_lock()
    done.acquire()

    def call() -> None:
        try:
            func(*args)
        except BaseException as exc:
            errors.append(exc)
        finally:
            done.release()

    hub.loop.run_callback_threadsafe(gevent.spawn, call)
    done.acquire()
    if errors:
        raise errors[0]
