"""Real event loops, each running in a thread of its own while a test talks to it."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from threading import Event, Thread
from time import monotonic
from typing import Any

import pytest

PATIENCE = 30  # seconds


async def until(condition: Callable[[], object]) -> None:
    """Let an asyncio loop run until the condition holds."""
    deadline = monotonic() + PATIENCE
    while not condition():
        assert monotonic() < deadline
        await asyncio.sleep(0.001)


class Loop:
    """
    A loop in a thread.

    :param post: calls a function without arguments in that thread; does not wait for it
    """

    def __init__(self, post: Callable[[Callable[[], None]], object], native: Any = None) -> None:
        self._post = post
        self.native = native

    def call(self, func: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Call a function on the loop, and return what it returns."""
        future: Future[Any] = Future()

        def run() -> None:
            try:
                future.set_result(func(*args, **kwargs))
            except BaseException as exc:
                future.set_exception(exc)

        self._post(run)
        return future.result(PATIENCE)

    def wait_for_awaitable(self, awaitable: Any) -> Any:
        """Wait in this thread for an awaitable of an asyncio loop."""

        async def wait() -> Any:
            return await awaitable

        return asyncio.run_coroutine_threadsafe(wait(), self.native).result(PATIENCE)


@pytest.fixture(scope="session")
def asyncio_loop() -> Iterator[Loop]:
    loop = asyncio.new_event_loop()
    thread = Thread(target=loop.run_forever)
    thread.start()
    yield Loop(loop.call_soon_threadsafe, loop)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


@pytest.fixture(scope="session")
def tornado_loop() -> Iterator[Loop]:
    from tornado.ioloop import IOLoop

    loops: list[Any] = []
    runs = Event()

    async def live() -> None:
        loops.append((IOLoop.current(), asyncio.get_running_loop(), asyncio.Event()))
        runs.set()
        await loops[0][2].wait()

    thread = Thread(target=asyncio.run, args=(live(),))
    thread.start()
    assert runs.wait(PATIENCE)
    io_loop, loop, end = loops[0]
    yield Loop(io_loop.add_callback, loop)
    loop.call_soon_threadsafe(end.set)
    thread.join()


@pytest.fixture(scope="session")
def reactor() -> Iterator[Loop]:
    """Twisted's reactor, which cannot be started twice."""
    from twisted.internet import reactor

    native: Any = reactor
    thread = Thread(target=native.run, kwargs={"installSignalHandlers": False})
    thread.start()
    yield Loop(native.callFromThread, native)
    native.callFromThread(native.stop)
    thread.join()


@pytest.fixture(scope="session")
def gevent_hub() -> Iterator[Loop]:
    import gevent
    from gevent.event import Event as GeventEvent

    hubs: list[Any] = []
    runs = Event()

    def live() -> None:
        end = GeventEvent()
        hubs.append((gevent.get_hub(), end))
        runs.set()
        while not end.wait(60):  # a hub that waits for nothing at all gives up
            pass

    thread = Thread(target=live)
    thread.start()
    assert runs.wait(PATIENCE)
    hub, end = hubs[0]
    yield Loop(lambda func: hub.loop.run_callback_threadsafe(gevent.spawn, func), hub)
    end.set()
    thread.join()


@pytest.fixture(scope="session")
def qt_loop() -> Iterator[Loop]:
    """An event loop in one of Qt's own threads; the main thread has the application."""
    qt = pytest.importorskip("apscheduler.schedulers.qt").QtCore

    app = qt.QCoreApplication.instance() or qt.QCoreApplication([])
    thread = qt.QThread()
    poster = _poster(qt)
    poster.moveToThread(thread)
    thread.start()
    yield Loop(poster.post, app)
    thread.quit()
    assert thread.wait(1000 * PATIENCE)


def _poster(qt: Any) -> Any:
    class Poster(qt.QObject):
        """Calls functions in the thread that it lives in."""

        def __init__(self) -> None:
            super().__init__()
            self.wanted: deque[Callable[[], None]] = deque()

        def post(self, func: Callable[[], None]) -> None:
            self.wanted.append(func)
            qt.QCoreApplication.postEvent(self, qt.QEvent(qt.QEvent.Type.User))

        def customEvent(self, event: Any) -> None:
            self.wanted.popleft()()

    return Poster()
