"""A scheduler that runs in a greenlet."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from typing import Any

from .._log import log_may_fail
from ..executors._loop import CANCEL_SECONDS, CHECK_SECONDS
from ..executors.base import BaseExecutor
from ..executors.gevent import GeventExecutor, call_in_hub, has_thread
from . import SchedulerAlreadyRunningError
from ._with import WithBlock
from .base import BaseScheduler, check_wait
from .blocking import BlockingScheduler

try:
    import gevent
    from gevent.event import Event
    from gevent.lock import RLock
except ImportError as exc:  # pragma: no cover
    raise ImportError("GeventScheduler needs gevent: pip install apscheduler[gevent]") from exc


# So many seconds a shutdown that is asked for in another thread waits for its turn, beside those
# that it was told to wait for running jobs.
TURN_SECONDS = 2.0


class GeventScheduler(WithBlock, BlockingScheduler):
    """
    Runs in a greenlet of its own, and each job in another one.

    It works with and without monkey patching. Without, a job store or a job that waits for a disk
    or a server keeps all greenlets of the thread waiting.
    """

    _greenlet: Any = None
    _get_ident = staticmethod(gevent.getcurrent)
    _hub: Any = None  # that of the thread in which it runs

    def start(self, *args: Any, **kwargs: Any) -> Any:
        """
        Start the scheduler in a greenlet; see the base class.

        :return: the greenlet, which ends when the scheduler has been shut down
        """
        try:
            BaseScheduler.start(self, *args, **kwargs)
            self._take_loop()
        except SchedulerAlreadyRunningError:
            raise
        except BaseException:  # it may have started all the same: Ctrl+C can strike a listener
            self._take_loop()
            raise

        return self._greenlet or gevent.spawn(_end_at_once)

    def _enter_start(self) -> None:
        super()._enter_start()
        self._greenlet = self._hub = None

    def _take_loop(self) -> None:
        """Run the loop in a greenlet, unless a listener has stopped or restarted the scheduler."""
        with self._state_lock:
            if self.running and self._greenlet is None:
                self._hub = gevent.get_hub()
                self._greenlet = gevent.spawn(self._outlive_signals)

    def _is_current_loop(self, event: Any) -> bool:
        # A listener that started the scheduler anew may have been faster than this greenlet.
        is_own = self._greenlet in (None, gevent.getcurrent())
        return is_own and super()._is_current_loop(event)

    def _outlive_signals(self) -> None:
        """Have the main greenlet raise what signal handlers raise here, and go on: it may, too."""
        while True:
            try:
                self._main_loop()
                return
            except (KeyboardInterrupt, SystemExit):
                gevent.get_hub().handle_error(gevent.getcurrent(), *sys.exc_info())

    def shutdown(self, wait: bool | float = True) -> None:
        """
        Stop the scheduler and its jobs. It may be started again.

        If it is called in another thread and that of the scheduler is kept busy by a job, it
        returns after so many seconds, and the scheduler stops when its greenlet has a turn. A
        signal handler cannot wait: then this returns at once, and the rest is done in a greenlet.

        :param wait: True to wait until the running jobs have ended (but for one that calls this),
            False to kill their greenlets, or the number of seconds after which they are killed
        :raises SchedulerNotRunningError: if the scheduler is stopped
        """
        check_wait(wait)
        hub = self._hub
        if hub is None or not has_thread(hub):
            super().shutdown(wait)
            return

        seconds = None if wait is True else wait + TURN_SECONDS
        if not call_in_hub(hub, super().shutdown, wait, seconds=seconds):
            with log_may_fail:
                self._logger.error(
                    "The scheduler cannot shut down before a job or a job store lets the other "
                    "greenlets of its thread have their turn"
                )

    def _stop(self, wait: bool | float, is_amid: bool) -> None:
        if gevent.getcurrent() is gevent.get_hub():
            # Of a signal handler that struck while all greenlets waited; the hub must not wait,
            # and if it was about to, it would not look for what is spawned here.
            stop = partial(gevent.spawn, self._stop_now, wait)
            gevent.get_hub().loop.run_callback_threadsafe(stop)
        else:
            super()._stop(wait, is_amid)

    def _stop_now(self, wait: bool | float) -> None:
        greenlet, hub = self._greenlet, self._hub
        super()._stop_now(wait)
        if self._shutting_down:
            return  # a job store hangs, and perhaps that greenlet with it

        if self._greenlet is greenlet:  # no listener has started the scheduler anew
            self._greenlet = self._hub = None
        if wait is not True and self._handover.runs_inline_elsewhere():
            return  # it ends with the job that it runs itself
        is_elsewhere = hub is not gevent.get_hub() or greenlet is gevent.getcurrent()
        if greenlet is not None and not is_elsewhere:
            greenlet.join(None if wait is True else CANCEL_SECONDS)

    def _after_fork(self) -> None:
        super()._after_fork()
        self._greenlet = self._hub = None

    def _start_beside(self, func: Callable[[], object], daemon: bool = True) -> Any:
        return gevent.spawn(func)

    def _create_event(self) -> Any:
        return Event()

    def _create_lock(self) -> Any:
        return _Lock()

    def _create_default_executor(self) -> BaseExecutor:
        return GeventExecutor()


def _end_at_once() -> None:
    pass


class _Lock(RLock):  # type: ignore[misc]  # gevent tells no types
    """A lock of gevent for which greenlets of several threads may wait."""

    def acquire(self, blocking: bool = True, timeout: float | None = None) -> bool:
        if not blocking or timeout is not None:
            return bool(super().acquire(blocking, timeout))

        # A hub that waits for nothing but another thread would give up, with LoopExit; while
        # there is a time to wait for, it does not.
        while not super().acquire(True, CHECK_SECONDS):
            pass
        return True
