"""A scheduler that runs in a greenlet."""

from __future__ import annotations

from typing import Any

from ..executors.base import BaseExecutor
from ..executors.gevent import GeventExecutor, call_in_hub
from ._with import WithBlock
from .base import BaseScheduler
from .blocking import BlockingScheduler

try:
    import gevent
    from gevent.event import Event
    from gevent.lock import RLock
except ImportError as exc:  # pragma: no cover
    raise ImportError("GeventScheduler needs gevent: pip install apscheduler[gevent]") from exc


class GeventScheduler(WithBlock, BlockingScheduler):
    """
    Runs in a greenlet of its own, and each job in another one.

    It works with and without monkey patching. Without, a job store or a job that waits for a disk
    or a server keeps all greenlets of the thread waiting.
    """

    _greenlet: Any = None
    _hub: Any = None  # that of the thread in which it runs

    def start(self, *args: Any, **kwargs: Any) -> Any:
        """
        Start the scheduler in a greenlet; see the base class.

        :return: the greenlet, which ends when the scheduler has been shut down
        """
        self._prepare_loop()
        BaseScheduler.start(self, *args, **kwargs)
        self._hub = gevent.get_hub()
        self._greenlet = gevent.spawn(self._main_loop)
        return self._greenlet

    def shutdown(self, wait: bool | float = True) -> None:
        call_in_hub(self._hub or gevent.get_hub(), self._shutdown, wait)

    def _shutdown(self, wait: bool | float) -> None:
        greenlet = self._greenlet
        super().shutdown(wait)
        if self._greenlet is greenlet:  # no listener has started the scheduler anew
            self._greenlet = self._hub = None
        if greenlet is not None and greenlet is not gevent.getcurrent():
            greenlet.join()

    def _after_fork(self) -> None:
        super()._after_fork()
        self._greenlet = self._hub = None

    def _create_event(self) -> Any:
        return Event()

    def _create_lock(self) -> Any:
        return RLock()

    def _create_default_executor(self) -> BaseExecutor:
        return GeventExecutor()
