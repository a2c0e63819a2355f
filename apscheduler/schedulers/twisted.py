"""A scheduler on a Twisted reactor."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial, wraps
from typing import Any

from .._refs import maybe_ref
from ..executors.base import BaseExecutor
from ..executors.twisted import TwistedExecutor
from ._timer import EventLoopScheduler

try:
    from twisted.internet.defer import Deferred
except ImportError as exc:  # pragma: no cover
    raise ImportError("TwistedScheduler needs Twisted: pip install apscheduler[twisted]") from exc


class TwistedScheduler(EventLoopScheduler):
    """
    Runs on a Twisted reactor.

    Have the reactor wait for the jobs that run when it stops::

        reactor.addSystemEventTrigger("before", "shutdown", scheduler.shutdown)

    Beside the options of every scheduler it has ``reactor``: the reactor to run on, or a reference
    to it (default: the one that Twisted has installed when the scheduler starts).
    """

    _known_options = (*EventLoopScheduler._known_options, "reactor")
    _reactor: Any = None

    def _configure(self, config: dict[str, Any]) -> None:
        reactor = maybe_ref(config.pop("reactor", None))
        if reactor is not None and not callable(getattr(reactor, "callFromThread", None)):
            raise TypeError(
                f'reactor must be a reactor of Twisted, or a reference ("module:name") to one, '
                f"got {reactor!r} instead"
            )
        super()._configure(config)
        self._reactor = reactor

    def start(self, paused: bool = False) -> None:
        """Start on the reactor, which may be run later; see the base class."""
        if self._reactor is None:
            # Not earlier, for the import installs the default reactor if there is none.
            from twisted.internet import reactor

            self._reactor = reactor
        super().start(paused)

    def shutdown(  # type: ignore[override]  # what is returned need not be waited for
        self, wait: bool | float = True
    ) -> Deferred[None]:
        """
        Stop the scheduler at once, and let its jobs end. It may be started again.

        :param wait: True to let running jobs end, False to cancel the Deferreds of those that run
            in the reactor's thread, or the number of seconds after which these are cancelled
        :return: a Deferred that fires when all is stopped. A job that returns it is neither waited
            for nor cancelled
        :raises SchedulerNotRunningError: if the scheduler is stopped
        """
        self._enter_shutdown(wait)
        finished: Deferred[None] = Deferred()
        self._begin_shutdown(wait, partial(finished.callback, None))
        return finished

    @property
    def _delayedcall(self) -> Any:
        return self._timeout

    def _is_loop_running(self) -> bool:
        return bool(self._reactor.running)

    def _call_soon(self, func: Callable[..., object], *args: Any) -> None:
        self._reactor.callFromThread(func, *args)

    def _call_later(self, seconds: float, func: Callable[[], object]) -> Any:
        return self._reactor.callLater(seconds, func)

    def _cancel(self, timer: Any) -> None:
        if timer.active():
            timer.cancel()

    def _create_default_executor(self) -> BaseExecutor:
        return TwistedExecutor()


def run_in_reactor(func: Callable[..., object]) -> Callable[..., None]:
    """Let a method of a TwistedScheduler be called from any thread; the reactor runs it soon."""

    @wraps(func)
    def call_soon(self: TwistedScheduler, *args: Any, **kwargs: Any) -> None:
        self._reactor.callFromThread(func, self, *args, **kwargs)

    return call_soon
