"""Every scheduler of ours behaves as SchedulerContract says, on its real loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime
from threading import Thread
from typing import Any

import pytest

from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.schedulers.base import BaseScheduler
from apscheduler.schedulers.blocking import BlockingScheduler
from apscheduler.testing import ManualScheduler, SchedulerContract
from apscheduler.testing._schedulers import BlockingStore
from tests.loops import Loop


class OnLoop(SchedulerContract):
    """Does what the contract does on the loop of a fixture."""

    loop: Loop

    def call(self, func: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        return self.loop.call(func, *args, **kwargs)


class TestBackgroundScheduler(SchedulerContract):
    def create_scheduler(self, **options: Any) -> BaseScheduler:
        return BackgroundScheduler(**options)


class TestBlockingScheduler(SchedulerContract):
    unsupported = frozenset({"start returns"})

    def create_scheduler(self, **options: Any) -> BaseScheduler:
        return BlockingScheduler(**options)

    def start(self, scheduler: BaseScheduler, paused: bool = False) -> None:
        started = self.names.count("SCHEDULER_START")
        self.threads.append(Thread(target=scheduler.start, args=[paused]))
        self.threads[-1].start()
        self.wait_for("SCHEDULER_START", started + 1)


class TestManualScheduler(SchedulerContract):
    unsupported = frozenset({"overlap"})

    def create_scheduler(self, **options: Any) -> BaseScheduler:
        return ManualScheduler(**options)

    def now(self, scheduler: BaseScheduler) -> datetime:
        assert isinstance(scheduler, ManualScheduler)
        return scheduler.now

    def until(self, scheduler: BaseScheduler, condition: Callable[[], bool]) -> None:
        assert isinstance(scheduler, ManualScheduler)
        for _ in range(1000):
            if condition():
                return
            scheduler.advance(0.01)
        raise AssertionError(f"waited in vain; events were {self.names}")


class TestAsyncIOScheduler(OnLoop):
    @pytest.fixture(autouse=True)
    def _loop(self, asyncio_loop: Loop) -> None:
        self.loop = asyncio_loop

    def create_scheduler(self, **options: Any) -> BaseScheduler:
        from apscheduler.schedulers.asyncio import AsyncIOScheduler

        return AsyncIOScheduler(**options)

    def finish(self, result: Any) -> None:
        self.loop.wait_for_awaitable(result)


class WithCoroutines(OnLoop):
    """The jobs are coroutine functions."""

    def as_job(self, func: Callable[..., Any]) -> Callable[..., Any]:
        async def job(*args: Any) -> Any:
            return func(*args)

        return job

    def long_job(self, is_over: Callable[[], bool]) -> Callable[[], Any]:
        async def job() -> None:
            while not is_over():
                await asyncio.sleep(0.002)

        return job


class WithBlockingStore(SchedulerContract):
    """The jobs are kept in a store that the loop must not wait for."""

    def create_scheduler(self, **options: Any) -> BaseScheduler:
        return super().create_scheduler(jobstores={"default": BlockingStore()}, **options)

    def use_blocking_store(self) -> BlockingStore:
        store = self.scheduler._lookup_jobstore("default")
        assert isinstance(store, BlockingStore)
        return store


class TestAsyncIOSchedulerWithCoroutines(WithCoroutines, TestAsyncIOScheduler):
    pass


class TestAsyncIOSchedulerWithBlockingStore(
    WithBlockingStore, WithCoroutines, TestAsyncIOScheduler
):
    pass


class TestTornadoScheduler(TestAsyncIOScheduler):
    @pytest.fixture(autouse=True)
    def _loop(self, tornado_loop: Loop) -> None:
        self.loop = tornado_loop

    def create_scheduler(self, **options: Any) -> BaseScheduler:
        from apscheduler.schedulers.tornado import TornadoScheduler

        return TornadoScheduler(**options)


class TestTornadoSchedulerWithCoroutines(WithCoroutines, TestTornadoScheduler):
    pass


class TestTwistedScheduler(OnLoop):
    @pytest.fixture(autouse=True)
    def _loop(self, reactor: Loop) -> None:
        self.loop = reactor

    def create_scheduler(self, **options: Any) -> BaseScheduler:
        from apscheduler.schedulers.twisted import TwistedScheduler

        return TwistedScheduler(**options)

    def finish(self, result: Any) -> None:
        from twisted.internet.threads import blockingCallFromThread

        blockingCallFromThread(self.loop.native, lambda: result)


class TestTwistedSchedulerWithCoroutines(WithCoroutines, TestTwistedScheduler):
    def long_job(self, is_over: Callable[[], bool]) -> Callable[[], Any]:
        from twisted.internet.task import deferLater

        async def job() -> None:
            while not is_over():
                await deferLater(self.loop.native, 0.002)

        return job


class TestTwistedSchedulerWithBlockingStore(WithBlockingStore, TestTwistedScheduler):
    pass


class TestGeventScheduler(OnLoop):
    @pytest.fixture(autouse=True)
    def _loop(self, gevent_hub: Loop) -> None:
        self.loop = gevent_hub

    def create_scheduler(self, **options: Any) -> BaseScheduler:
        from apscheduler.schedulers.gevent import GeventScheduler

        return GeventScheduler(**options)

    def long_job(self, is_over: Callable[[], bool]) -> Callable[[], Any]:
        import gevent

        def job() -> None:
            while not is_over():
                gevent.sleep(0.002)

        return job


class TestGeventSchedulerWithCoroutines(WithCoroutines, TestGeventScheduler):
    pass


class TestQtScheduler(OnLoop):
    @pytest.fixture(autouse=True)
    def _loop(self, qt_loop: Loop) -> None:
        self.loop = qt_loop

    def create_scheduler(self, **options: Any) -> BaseScheduler:
        from apscheduler.schedulers.qt import QtScheduler

        return QtScheduler(**options)


class TestQtSchedulerWithBlockingStore(WithBlockingStore, TestQtScheduler):
    pass
