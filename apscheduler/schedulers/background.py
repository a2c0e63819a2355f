"""A scheduler that runs in a thread of its own."""

from __future__ import annotations

import atexit
from threading import Event, Thread, current_thread
from typing import Any
from weakref import WeakSet

from .._forks import notice_fork
from .._log import log_may_fail
from .._refs import asbool
from . import SchedulerAlreadyRunningError
from ._handover import is_free_within
from ._stopping import EXIT_SECONDS, STORE_SECONDS
from ._with import WithBlock
from .base import BaseScheduler
from .blocking import BlockingScheduler


class BackgroundScheduler(WithBlock, BlockingScheduler):
    """
    Runs in a thread of its own: :meth:`start` returns at once.

    If it still runs when the interpreter exits, it is shut down, and running jobs are waited for;
    a job store that does not answer for five seconds is not.

    Beside the options of every scheduler it has ``daemon``: whether the thread lets the
    interpreter exit (default: True).
    """

    _known_options = (*BlockingScheduler._known_options, "daemon")
    _thread: Thread | None = None
    _is_exiting = False  # the interpreter is, and nobody has shut this scheduler down before

    def _configure(self, config: dict[str, Any]) -> None:
        try:
            daemon = asbool(config.pop("daemon", True))
        except ValueError as exc:
            raise ValueError(f"{exc}; daemon must be true or false") from exc
        super()._configure(config)
        self._daemon = daemon

    def start(self, *args: Any, **kwargs: Any) -> None:
        """Start the scheduler in a thread of its own; see the base class."""
        self._check_uwsgi()
        decided = Event()
        thread = Thread(
            target=self._loop_when_decided,
            args=(decided,),
            name="APScheduler",
            daemon=self._daemon,
        )
        try:
            thread.start()  # first: if no thread can be had, nothing has happened yet
            BaseScheduler.start(self, *args, **kwargs)
            self._take_loop(thread)
        except SchedulerAlreadyRunningError:
            raise
        except BaseException:  # it may have started all the same: Ctrl+C can strike a listener
            self._take_loop(thread)
            raise
        finally:
            decided.set()

    def _enter_start(self) -> None:
        super()._enter_start()
        self._thread = None

    def _take_loop(self, thread: Thread) -> None:
        """Have a thread run the loop, unless a listener has stopped or restarted the scheduler."""
        with self._state_lock:
            if self.running and self._thread is None:
                self._thread = thread
                _started.add(self)

    def _is_current_loop(self, event: Any) -> bool:
        # A listener that started the scheduler anew may have been faster than this thread.
        is_own = self._thread in (None, current_thread())
        return is_own and super()._is_current_loop(event)

    def _loop_when_decided(self, decided: Event) -> None:
        """Run the loop once the scheduler has started; end if it could not."""
        decided.wait()
        if self._thread is current_thread():
            self._main_loop()

    def _before_exit(self) -> None:
        super()._before_exit()
        if not self.running:
            return

        self._hand_over_ready_runs()
        if not self._daemon:
            with log_may_fail:
                self._logger.error(
                    "No more jobs will run: the main thread has ended, and pools of processes "
                    "with it. Have the main thread wait, or run jobs in threads"
                )

    def _after_fork(self) -> None:
        super()._after_fork()
        self._thread = None

    def shutdown(self, *args: Any, **kwargs: Any) -> None:
        """Stop the scheduler, and its thread; see the base class."""
        super().shutdown(*args, **kwargs)

    def _stop_now(self, wait: bool | float) -> None:
        # At the exit of the interpreter, a thread that could be left behind cannot be started.
        if self._is_exiting and not is_free_within(EXIT_SECONDS, self._jobstores_lock):
            self._stop_without_stores(wait)
            return

        thread = self._thread
        super()._stop_now(wait)
        if self._shutting_down:
            return  # a job store hangs, and perhaps that thread with it

        if self._thread is thread:  # no listener has started the scheduler anew
            self._thread = None
        if wait is not True and self._handover.runs_inline_elsewhere():
            return  # it ends with the job that it runs itself
        if thread is not None and thread is not current_thread():
            thread.join(None if wait is True else STORE_SECONDS)

    def _stop_without_stores(self, wait: bool | float) -> None:
        """Let the jobs end, also those that were moved on already, whatever the loop waits for."""
        try:
            self._hand_over_ready_runs()
            self._stop_executors(wait)
        finally:
            with log_may_fail:
                self._logger.error("A job store does not answer: the program ends all the same")
            self._leave_shutdown()


_started: WeakSet[BackgroundScheduler] = WeakSet()


# Registered at import, so that the exit handlers of programs come first. The thread pools' own
# handler was registered before, and so comes later.
@atexit.register
def _shut_down_at_exit() -> None:
    notice_fork()
    for scheduler in list(_started):
        try:
            if scheduler.running:
                scheduler._is_exiting = True
                scheduler.shutdown()
        except BaseException:  # the others are to be shut down, too
            with log_may_fail:
                scheduler._logger.exception("Shutting down at the exit of the interpreter failed")
