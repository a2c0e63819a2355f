"""A scheduler for a loop of your own, and the suite that all schedulers pass (pytest)."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from heapq import heapify, heappop, heappush
from itertools import count
from threading import Condition, Thread
from time import monotonic
from typing import Any

from apscheduler.schedulers._timer import EventLoopScheduler
from apscheduler.testing import SchedulerContract

Call = tuple[float, int, Callable[[], object]]


class Loop:
    """Stands for the loop of your framework: it calls functions, each at its time."""

    def __init__(self) -> None:
        self._calls: list[Call] = []  # a heap
        self._numbers = count()  # what is due at the same time is called in the order it came
        self._changed = Condition()

    def call_later(self, seconds: float, func: Callable[[], object]) -> Call:
        with self._changed:
            call = (monotonic() + seconds, next(self._numbers), func)
            heappush(self._calls, call)
            self._changed.notify()
        return call

    def cancel(self, call: Call) -> None:
        with self._changed:
            if call in self._calls:
                self._calls.remove(call)
                heapify(self._calls)

    def run(self) -> None:
        """Call functions until one of them raises StopIteration."""
        try:
            while True:
                self._wait_for_next()()
        except StopIteration:
            return

    def _wait_for_next(self) -> Callable[[], object]:
        with self._changed:
            while not self._calls or self._calls[0][0] > monotonic():
                self._changed.wait(self._calls[0][0] - monotonic() if self._calls else None)
            return heappop(self._calls)[2]


class LoopScheduler(EventLoopScheduler):
    """Looks for due jobs on a :class:`Loop`, and runs them in a thread pool."""

    def __init__(self, loop: Loop, **options: Any) -> None:
        self._loop = loop
        super().__init__(**options)

    def _call_soon(self, func: Callable[..., object], *args: Any) -> None:
        self._loop.call_later(0, lambda: func(*args))

    def _call_later(self, seconds: float, func: Callable[[], object]) -> Call:
        return self._loop.call_later(seconds, func)

    def _cancel(self, timer: Call) -> None:
        self._loop.cancel(timer)


class TestLoopScheduler(SchedulerContract):
    def setup_method(self) -> None:
        self.loop = Loop()
        self.thread = Thread(target=self.loop.run)
        self.thread.start()
        super().setup_method()

    def teardown_method(self) -> None:
        super().teardown_method()
        self.loop.call_later(0, iter(()).__next__)  # raises StopIteration
        self.thread.join()

    def create_scheduler(self, **options: Any) -> LoopScheduler:
        return LoopScheduler(self.loop, **options)

    def call(self, func: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Call a function in the thread of the loop, and return what it returns."""
        future: Future[Any] = Future()

        def call() -> None:
            try:
                future.set_result(func(*args, **kwargs))
            except BaseException as exc:
                future.set_exception(exc)

        self.loop.call_later(0, call)
        return future.result()
