"""A scheduler on an asyncio event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from contextvars import Context, copy_context
from functools import wraps
from typing import Any, TypeVar

from .._refs import maybe_ref
from ..executors.asyncio import AsyncIOExecutor, is_running_here
from ..executors.base import BaseExecutor
from ._timer import EventLoopScheduler

Self = TypeVar("Self", bound="AsyncIOScheduler")


class AsyncIOScheduler(EventLoopScheduler):
    """
    Runs on an asyncio event loop, and coroutine functions as tasks of that loop.

    It may be built before the loop runs, but is started on it: by a coroutine, or with
    ``async with``, which shuts it down in the end. Job stores that keep jobs outside this process
    are read and written in a thread when jobs come due, so that the loop never waits for them;
    calls of your own wait, unless you make them with :func:`asyncio.to_thread`.

    Beside the options of every scheduler it has ``event_loop``: the loop to run on, or a reference
    to it (default: the one that runs :meth:`start`).
    """

    _known_options = (*EventLoopScheduler._known_options, "event_loop")
    _given_loop: Any = None  # as an option, or assigned
    _loop_in_use: Any = None  # that one, or else the one found by the last start
    _finished: asyncio.Future[None] | None = None  # of the last shutdown
    # Jobs run in the context of the start: not, say, in that of the request that added one.
    _context: Context

    def _configure(self, config: dict[str, Any]) -> None:
        loop = maybe_ref(config.pop("event_loop", None))
        if loop is not None and not callable(getattr(loop, "call_soon_threadsafe", None)):
            raise TypeError(
                f'event_loop must be an asyncio event loop, or a reference ("module:name") to '
                f"one, got {loop!r} instead"
            )
        super()._configure(config)
        self._eventloop = loop

    @property
    def _eventloop(self) -> Any:
        """The loop that the scheduler runs on; as in 3.x, programs may assign it."""
        return self._loop_in_use

    @_eventloop.setter
    def _eventloop(self, loop: Any) -> None:
        self._given_loop = self._loop_in_use = loop

    def start(self, paused: bool = False) -> None:
        """
        Start on the running event loop; see the base class.

        :raises RuntimeError: if no loop is running and none was given, or it is closed
        """
        super().start(paused)

    def _enter_start(self) -> None:
        loop = None if self.running else self._find_loop()
        super()._enter_start()
        self._loop_in_use = loop
        self._context = copy_context()

    def _find_loop(self) -> Any:
        loop = self._given_loop
        if loop is None:
            loop = _running_loop(type(self).__name__)
        if loop.is_closed():
            raise RuntimeError(f"Cannot start on {loop!r}: it is closed")

        return loop

    def shutdown(  # type: ignore[override]  # what is returned need not be awaited
        self, wait: bool | float = True
    ) -> asyncio.Future[None]:
        """
        Stop the scheduler at once, and let its jobs end. It may be started again.

        :param wait: True to let running jobs end, False to cancel them, or the number of seconds
            after which they are cancelled. Functions that run in threads cannot be cancelled
        :return: an awaitable of the scheduler's loop, done when all is stopped; it need not be
            awaited. A job that awaits it is neither waited for nor cancelled
        :raises SchedulerNotRunningError: if the scheduler is stopped
        """
        self._enter_shutdown(wait)
        finished: asyncio.Future[None] = self._loop_in_use.create_future()
        self._finished = finished

        def finish() -> None:
            if not finished.done():  # who awaits it may have cancelled it
                with suppress(RuntimeError):  # the loop was closed: nobody awaits it any more
                    finished.set_result(None)

        self._begin_shutdown(wait, finish)
        return finished

    async def __aenter__(self: Self) -> Self:
        self.start()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        if self.running:  # it may have been shut down already
            self.shutdown()
        if self._finished is not None and not self._finished.done():
            await self._finished

    def _is_loop_running(self) -> bool:
        return bool(self._loop_in_use.is_running())

    def _on_loop(self, func: Callable[..., object], *args: Any) -> None:
        if is_running_here(self._loop_in_use):
            func(*args)
        else:
            self._call_soon(func, *args)

    def _call_soon(self, func: Callable[..., object], *args: Any) -> None:
        self._loop_in_use.call_soon_threadsafe(func, *args, context=self._context.copy())

    def _call_later(self, seconds: float, func: Callable[[], object]) -> asyncio.TimerHandle:
        handle: asyncio.TimerHandle = self._loop_in_use.call_later(seconds, func)
        return handle

    def _cancel(self, timer: asyncio.TimerHandle) -> None:
        timer.cancel()

    def _create_default_executor(self) -> BaseExecutor:
        return AsyncIOExecutor()


def _running_loop(name: str) -> asyncio.AbstractEventLoop:
    try:
        return asyncio.get_running_loop()
    except RuntimeError as exc:
        raise RuntimeError(
            f"{name}.start() was called outside a running event loop. Call it in a coroutine, or "
            f"give the scheduler its loop: {name}(event_loop=loop)"
        ) from exc


def run_in_event_loop(func: Callable[..., object]) -> Callable[..., None]:
    """Let a method of an AsyncIOScheduler be called from any thread, and run on its loop soon."""

    @wraps(func)
    def call_soon(self: AsyncIOScheduler, *args: Any, **kwargs: Any) -> None:
        self._eventloop.call_soon_threadsafe(lambda: func(self, *args, **kwargs))

    return call_soon
