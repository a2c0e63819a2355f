"""What the executors of event loops share: which runs go on, how to wait for and cancel them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from contextvars import ContextVar
from datetime import datetime
from threading import Condition
from time import monotonic
from typing import TYPE_CHECKING, Any

from .base import BaseExecutor

if TYPE_CHECKING:
    from ..events import JobExecutionEvent
    from ..job import Job
    from ..schedulers.base import BaseScheduler

# The future of the run that the code belongs to: a run that shuts its scheduler down and waits
# for that must neither be waited for nor cancelled.
own_future: ContextVar[Any] = ContextVar("apscheduler.own_future")

# So many seconds a cancelled coroutine has to clean up; then it is left to itself.
CANCEL_SECONDS = 1.0
# So often whoever waits makes sure that the loop still runs.
CHECK_SECONDS = 1.0


class LoopExecutor(BaseExecutor):
    """Runs jobs on an event loop, and functions that would keep it waiting in threads."""

    def __init__(self) -> None:
        super().__init__()
        self._pending_futures: set[Any] = set()
        self._cancellable: set[Any] = set()  # those of coroutines; a thread cannot be cancelled
        self._changed = Condition()

    def start(self, scheduler: BaseScheduler, alias: str) -> None:
        super().start(scheduler, alias)
        self._pending_futures = set()
        self._cancellable = set()

    def after_fork(self) -> None:
        super().after_fork()
        self._pending_futures = set()
        self._cancellable = set()
        self._changed = Condition()  # the old one may be held for ever

    @abstractmethod
    def _runs_elsewhere(self) -> bool:
        """Tell whether the loop runs, and in another thread: one may wait for it here."""

    @abstractmethod
    def _call_soon(self, func: Callable[..., object], *args: Any) -> None:
        """Call a function on the loop. May be called from any thread."""

    def _keep(self, future: Any, can_cancel: bool) -> None:
        """Note that a run goes on."""
        with self._changed:
            self._pending_futures.add(future)
            if can_cancel:
                self._cancellable.add(future)

    def _finish(
        self,
        job: Job,
        run_times: list[datetime],
        future: Any,
        result: Callable[[], list[JobExecutionEvent]],
    ) -> None:
        """Report what became of a run; ``result`` returns it, or raises why there is none."""
        try:
            events = result()
        except BaseException as exc:
            self._fail(job, run_times, exc)
        else:
            self._run_job_success(job.id, events)
        finally:
            with self._changed:
                self._pending_futures.discard(future)
                self._cancellable.discard(future)
                self._changed.notify_all()

    def shutdown(self, wait: bool | float = True) -> None:
        """
        Free what the executor holds. It may be started again.

        On the thread of the loop, which must not wait, True lets the runs end by themselves.

        :param wait: True to wait until the running jobs have ended, False to cancel coroutines,
            or the number of seconds to wait before they are cancelled. Functions that run in
            threads end by themselves
        """
        own = own_future.get(None)
        if not self._runs_elsewhere():
            if wait is not True:
                self._cancel_all(own)
        elif wait is False or not self._wait(self._pending_futures, wait, own):
            self._call_soon(self._cancel_all, own)
            self._wait(self._cancellable, CANCEL_SECONDS, own)

    def _wait(self, futures: set[Any], wait: bool | float, own: Any) -> bool:
        """Wait until there are none but the own one; False if there still are."""
        deadline = None if wait is True else monotonic() + wait
        with self._changed:
            while not futures <= {own}:
                left = CHECK_SECONDS if deadline is None else deadline - monotonic()
                if left <= 0 or not self._runs_elsewhere():
                    return False
                self._changed.wait(min(left, CHECK_SECONDS))

        return True

    def _cancel_all(self, own: Any) -> None:
        for future in list(self._cancellable):
            if future is not own:
                future.cancel()
