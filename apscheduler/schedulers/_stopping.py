"""Stop a scheduler in time: though a part hangs, and from within a signal handler."""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock, Thread
from time import monotonic
from typing import TYPE_CHECKING, Any

from .._log import log_may_fail

if TYPE_CHECKING:
    from .base import BaseScheduler

# So many seconds more than it was given a shutdown waits for job stores, which need a moment to
# write and to close even if it is not to wait for running jobs.
STORE_SECONDS = 1.0

# So long the exit of the interpreter waits for a job store that does not answer. What is being
# written then may arrive, though its run is never made.
EXIT_SECONDS = 5.0


def start_beside(func: Callable[[], object], daemon: bool) -> Any:
    """
    Call a function in a thread of its own; at once if no thread can be had.

    :param daemon: whether the interpreter may exit meanwhile
    :return: the thread, or None
    """
    thread = Thread(target=func, name="APScheduler", daemon=daemon)
    try:
        thread.start()
    except RuntimeError:  # as at the exit of the interpreter
        func()
        return None

    return thread


class BoundedStop:
    """
    Stops a scheduler for a caller who does not wait for ever.

    What a job store, a trigger or an executor that hangs keeps from being done is left to a
    thread: job stores are closed when it answers.

    :param wait: as in :meth:`~.BaseScheduler.shutdown`, but not True
    """

    def __init__(self, scheduler: BaseScheduler, wait: bool | float) -> None:
        self._scheduler = scheduler
        self._wait = wait
        self._deadline = monotonic() + wait
        self._first: Any = None  # the thread that settles writes and hands over
        self._guard = Lock()
        self._is_closing = False
        self._is_closed = False
        self._is_left_behind = False
        self._left_by: Any = None

    def run(self) -> None:
        try:
            self._stop_executors()
            self._stop_jobstores()
        except BaseException:  # Ctrl+C: nothing is waited for, but all is stopped
            self._wait, self._deadline = False, monotonic()
            if self._scheduler._shutting_down:
                try:
                    self._stop_executors()
                finally:
                    self._stop_jobstores()
            raise

    def _stop_executors(self) -> None:
        """Stop them after they were given what is ready; those that have been stopped bear it."""
        scheduler = self._scheduler
        # Those beside this thread cannot hand over while an executor that calls this does so.
        is_executor = scheduler._handover.is_this_thread_at_it()
        begin = scheduler._settle_writes if is_executor else scheduler._hand_over_last_runs
        self._first = scheduler._start_beside(begin)
        self._join(self._first)
        if is_executor:
            scheduler._hand_over_ready_runs()
        left = max(self._deadline - monotonic(), 0.0)
        scheduler._stop_executors(False if self._wait is False else left)

    def _stop_jobstores(self) -> None:
        first = self._first
        closing = self._scheduler._start_beside(lambda: self._close(first))
        if self._wait is False and self._scheduler._handover.runs_inline():
            self._scheduler._start_beside(lambda: self._keep_up(closing), daemon=False)
        self._join(closing)
        self._leave()

    def _join(self, thread: Any) -> None:
        if thread is not None:
            thread.join(max(self._deadline + STORE_SECONDS - monotonic(), 0.0))

    def _keep_up(self, closing: Any) -> None:
        """Have the exit of the interpreter wait for jobs that run in threads that it ends."""
        self._scheduler._handover.wait_for_inline(None)
        if closing is not None:
            closing.join(STORE_SECONDS)

    def _close(self, first: Any) -> None:
        """Close the job stores after what came before; leave if the caller did not wait."""
        if first is not None:
            first.join()
        with self._guard:
            if self._is_closing:
                return
            self._is_closing = True

        try:
            self._scheduler._stop_jobstores()
        finally:
            with self._guard:
                self._is_closed = True
            if self._is_left_behind:
                self._leave_once()

    def _leave(self) -> None:
        with self._guard:
            is_closed = self._is_closed
            self._is_left_behind = not is_closed

        if is_closed:
            self._leave_once()
        else:
            with log_may_fail:
                self._scheduler._logger.error(
                    "The scheduler starts no more jobs, but a job store, a trigger or an executor "
                    "does not answer: job stores are closed when it does, and the scheduler "
                    "cannot be started again before"
                )

    def _leave_once(self) -> None:
        """Leave unless another thread does; this one may come again, if Ctrl+C struck it."""
        me = self._scheduler._get_ident()
        with self._guard:
            if self._left_by not in (None, me):
                return
            self._left_by = me

        self._scheduler._leave_shutdown()
