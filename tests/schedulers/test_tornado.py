"""What TornadoScheduler does beyond SchedulerContract."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from threading import Thread
from typing import Any

import pytest
from tornado.ioloop import IOLoop

from apscheduler.schedulers.tornado import TornadoScheduler, run_in_ioloop


@pytest.fixture
def io_loop() -> Iterator[IOLoop]:
    loop = IOLoop(make_current=False)
    yield loop
    loop.close()


@pytest.mark.parametrize("is_assigned", [False, True])
def test_it_may_be_started_before_its_loop_runs(io_loop: IOLoop, is_assigned: bool) -> None:
    scheduler = TornadoScheduler(io_loop=None if is_assigned else io_loop)
    if is_assigned:  # as programs of 3.x may
        scheduler._ioloop = io_loop
    scheduler.add_job(lambda: io_loop.add_callback(io_loop.stop))
    scheduler.start()
    io_loop.call_later(30, lambda: pytest.fail("the job did not run"))
    io_loop.start()
    scheduler.shutdown()
    assert not scheduler.running


def test_it_takes_the_current_loop_when_it_starts() -> None:
    scheduler = TornadoScheduler()

    async def main() -> None:
        async with scheduler:
            assert scheduler._ioloop is IOLoop.current()

    asyncio.run(main())
    asyncio.run(main())


@pytest.mark.parametrize("is_assigned", [True, False])
def test_a_loop_that_is_given_is_used_though_an_earlier_start_had_found_it(
    io_loop: IOLoop, is_assigned: bool
) -> None:
    async def start_and_stop() -> None:
        async with scheduler:
            pass

    async def start_elsewhere() -> None:
        scheduler.start()

    scheduler = TornadoScheduler()
    io_loop.run_sync(start_and_stop)
    if is_assigned:
        scheduler._ioloop = io_loop
    else:
        scheduler.configure(io_loop=io_loop)
    asyncio.run(start_elsewhere())
    assert scheduler._ioloop is io_loop
    scheduler.shutdown()


def test_the_option_of_another_scheduler_is_refused() -> None:
    loop = asyncio.new_event_loop()
    with pytest.raises(ValueError, match="give it io_loop="):
        TornadoScheduler(event_loop=loop)
    loop.close()


def test_it_refuses_a_closed_loop() -> None:
    loop = IOLoop(make_current=False)
    loop.close()
    with pytest.raises(TypeError, match=r"io_loop must be an IOLoop of Tornado.* got 5"):
        TornadoScheduler(io_loop=5)
    with pytest.raises(RuntimeError, match="closed"):
        TornadoScheduler(io_loop=loop).start()


def test_methods_of_a_subclass_may_be_sent_to_the_loop() -> None:
    class Scheduler(TornadoScheduler):
        @run_in_ioloop
        def look_around(self, word: str) -> None:
            said.set_result((IOLoop.current(), word))

    async def main() -> None:
        nonlocal said
        said = asyncio.get_running_loop().create_future()
        async with Scheduler() as scheduler:
            thread = Thread(target=scheduler.look_around, args=["word"])
            thread.start()
            assert await asyncio.wait_for(said, 30) == (IOLoop.current(), "word")
            thread.join()

    said: Any = None
    asyncio.run(main())
