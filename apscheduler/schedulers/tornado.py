"""A scheduler on a Tornado IOLoop."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from .._refs import maybe_ref
from ..executors.base import BaseExecutor
from ..executors.tornado import TornadoExecutor
from .asyncio import AsyncIOScheduler
from .base import BaseScheduler

try:
    from tornado.ioloop import IOLoop
except ImportError as exc:  # pragma: no cover
    raise ImportError("TornadoScheduler needs Tornado: pip install apscheduler[tornado]") from exc


class TornadoScheduler(AsyncIOScheduler):
    """
    Runs on a Tornado IOLoop, which since Tornado 5 runs on an asyncio event loop.

    Unlike AsyncIOScheduler it may be started before its loop runs, and it runs functions that are
    no coroutine functions in a thread pool of its own.

    Beside the options of every scheduler it has ``io_loop``: the loop to run on, or a reference to
    it (default: ``IOLoop.current()`` of the thread that calls :meth:`start`).
    """

    _known_options = (*BaseScheduler._known_options, "io_loop")
    _given_ioloop: Any = None  # as an option, or assigned
    _ioloop_in_use: Any = None  # that one, or else the one found by the last start

    def _configure(self, config: dict[str, Any]) -> None:
        if "event_loop" in config:
            raise ValueError(
                "TornadoScheduler has no option event_loop: give it io_loop=..., or start it on "
                "its loop"
            )
        loop = maybe_ref(config.pop("io_loop", None))
        if loop is not None and not hasattr(loop, "asyncio_loop"):
            raise TypeError(
                f'io_loop must be an IOLoop of Tornado, or a reference ("module:name") to one, '
                f"got {loop!r} instead"
            )
        super()._configure(config)
        self._ioloop = loop

    @property
    def _ioloop(self) -> Any:
        """The loop that the scheduler runs on; as in 3.x, programs may assign it."""
        return self._ioloop_in_use

    @_ioloop.setter
    def _ioloop(self, loop: Any) -> None:
        self._given_ioloop = self._ioloop_in_use = loop

    def _find_loop(self) -> Any:
        given = self._given_ioloop
        self._ioloop_in_use = IOLoop.current() if given is None else given
        loop = self._ioloop_in_use.asyncio_loop
        if loop.is_closed():
            raise RuntimeError(f"Cannot start on {self._ioloop_in_use!r}: it is closed")

        return loop

    def _create_default_executor(self) -> BaseExecutor:
        return TornadoExecutor()


def run_in_ioloop(func: Callable[..., object]) -> Callable[..., None]:
    """Let a method of a TornadoScheduler be called from any thread, and run on its loop soon."""

    @wraps(func)
    def call_soon(self: TornadoScheduler, *args: Any, **kwargs: Any) -> None:
        self._ioloop.add_callback(func, self, *args, **kwargs)

    return call_soon
