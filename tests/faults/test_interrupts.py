"""What a plugin raises ends no loop, whatever it is; what is raised to stop the program does."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from asyncio import CancelledError
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial
from multiprocessing.context import SpawnProcess
from pathlib import Path
from threading import Timer, main_thread
from typing import Any

import pytest

from apscheduler.events import EVENT_JOB_EXECUTED
from apscheduler.executors.pool import ProcessPoolExecutor, ThreadPoolExecutor
from apscheduler.job import Job
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.schedulers.base import BaseScheduler
from apscheduler.schedulers.blocking import BlockingScheduler
from apscheduler.triggers.base import BaseTrigger
from tests.faults.faulty import BytesStore
from tests.jobs import give, nothing
from tests.loops import Loop
from tests.recorder import OUTCOMES, PATIENCE, Recorder

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.usefixtures("quiet")

NO_EXCEPTIONS = [
    CancelledError(),
    GeneratorExit(),
    SystemExit(1),
    BaseException("of no other class"),
]
with suppress(ImportError):  # it ends a greenlet, and these are none
    from greenlet import GreenletExit

    NO_EXCEPTIONS.append(GreenletExit())


class Once:
    """Does something the first time that it is called."""

    def __init__(self, action: Callable[[], object]) -> None:
        self.action = action
        self.was_called = False

    def __call__(self) -> None:
        if not self.was_called:
            self.was_called = True
            self.action()


def raising(exception: BaseException) -> Once:
    def fail() -> None:
        raise exception

    return Once(fail)


def raising_signal(number: int) -> Once:
    return Once(lambda: signal.raise_signal(number))


class RaisingTrigger(BaseTrigger):
    def __init__(self, fail: Callable[[], None]) -> None:
        self.fail = fail

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime:
        if previous_fire_time is not None:
            self.fail()
        return (previous_fire_time or now) + timedelta(seconds=1)


class RaisingExecutor(ThreadPoolExecutor):
    fail: Callable[[], None]

    def _do_submit_job(self, job: Job, run_times: list[datetime]) -> None:
        self.fail()
        super()._do_submit_job(job, run_times)


def failing_store(operation: str) -> type[BytesStore]:
    def fail(self: Any, *args: Any) -> Any:
        self.fail()
        return getattr(BytesStore, operation)(self, *args)

    return type("RaisingStore", (BytesStore,), {operation: fail})


def let_trigger_fail(scheduler: BaseScheduler, fail: Callable[[], None]) -> None:
    scheduler.add_job(nothing, RaisingTrigger(fail), id="broken")


def let_executor_fail(scheduler: BaseScheduler, fail: Callable[[], None]) -> None:
    executor = RaisingExecutor(1)
    executor.fail = fail
    scheduler.add_executor(executor, "failing")
    scheduler.add_job(nothing, executor="failing")


def let_listener_fail(scheduler: BaseScheduler, fail: Callable[[], None]) -> None:
    scheduler.add_listener(lambda event: fail())
    scheduler.add_job(nothing)


def let_store_fail(operation: str) -> Callable[[BaseScheduler, Callable[[], None]], None]:
    def let_fail(scheduler: BaseScheduler, fail: Callable[[], None]) -> None:
        store = failing_store(operation)()
        store.fail = nothing  # type: ignore[attr-defined]
        scheduler.add_jobstore(store, "failing")
        scheduler.add_job(nothing, "interval", seconds=0.01, jobstore="failing")
        store.fail = fail  # type: ignore[attr-defined]

    return let_fail


FAILING: dict[str, Callable[[BaseScheduler, Callable[[], None]], None]] = {
    "trigger": let_trigger_fail,
    "executor": let_executor_fail,
    "listener": let_listener_fail,
    "get_due_jobs": let_store_fail("get_due_jobs"),
    "get_next_run_time": let_store_fail("get_next_run_time"),
    "update_job": let_store_fail("update_job"),
}


@pytest.mark.parametrize("exception", NO_EXCEPTIONS, ids=repr)
@pytest.mark.parametrize("part", FAILING)
def test_a_part_that_raises_what_is_no_exception_does_not_end_the_loop(
    part: str, exception: BaseException
) -> None:
    fail = raising(exception)
    scheduler = BackgroundScheduler(timezone="UTC", jobstore_retry_interval=0.05)
    recorder = Recorder(scheduler)
    scheduler.start()
    try:
        FAILING[part](scheduler, fail)
        recorder.wait_for(EVENT_JOB_EXECUTED, 1)
        scheduler.add_job(nothing, id="after it")
        while "after it" not in [event.job_id for event in recorder.of(EVENT_JOB_EXECUTED)]:
            recorder.wait_for(EVENT_JOB_EXECUTED, len(recorder.of(EVENT_JOB_EXECUTED)) + 1)
    finally:
        scheduler.shutdown()

    assert fail.was_called


@pytest.mark.parametrize("exception", NO_EXCEPTIONS, ids=repr)
@pytest.mark.parametrize("part", FAILING)
def test_nor_does_it_end_a_scheduler_on_an_event_loop(
    part: str, exception: BaseException, asyncio_loop: Loop
) -> None:
    fail = raising(exception)
    scheduler = AsyncIOScheduler(timezone="UTC", jobstore_retry_interval=0.05)
    recorder = Recorder(scheduler)
    asyncio_loop.call(scheduler.start)
    try:
        asyncio_loop.call(FAILING[part], scheduler, fail)
        recorder.wait_for(EVENT_JOB_EXECUTED, 1)
        asyncio_loop.call(lambda: scheduler.add_job(nothing, id="after it"))
        while "after it" not in [event.job_id for event in recorder.of(EVENT_JOB_EXECUTED)]:
            recorder.wait_for(EVENT_JOB_EXECUTED, len(recorder.of(EVENT_JOB_EXECUTED)) + 1)
    finally:
        asyncio_loop.call(scheduler.shutdown)

    assert fail.was_called


@pytest.mark.parametrize("exception", [ValueError(), *NO_EXCEPTIONS], ids=repr)
def test_nor_does_a_look_that_a_program_has_written_itself(exception: BaseException) -> None:
    fail = raising(exception)

    class OwnScheduler(BackgroundScheduler):
        def _process_jobs(self) -> float | None:
            fail()
            return super()._process_jobs()

    scheduler = OwnScheduler(timezone="UTC", jobstore_retry_interval=0.05)
    recorder = Recorder(scheduler)
    scheduler.add_job(nothing)
    scheduler.start()
    try:
        recorder.wait_for(EVENT_JOB_EXECUTED)
    finally:
        scheduler.shutdown()

    assert fail.was_called


# --- on the main thread, where signal handlers are called ----------------------------------------


@pytest.fixture(params=["function", "any arguments", "method", "without its frame", "object"])
def exit_on_signal(request: pytest.FixtureRequest) -> Iterator[None]:
    class Program:
        def stop(self, number: int, frame: Any) -> None:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            sys.exit(3)

    def stop(number: int, frame: Any) -> None:
        sys.exit(3)

    def stop_without_frame(number: int, frame: Any) -> None:
        del frame
        sys.exit(3)

    class Handler:
        def __call__(self, code: int, number: int, frame: Any) -> None:
            del frame
            sys.exit(code)

    handlers: dict[str, Any] = {
        "without its frame": stop_without_frame,
        "object": partial(Handler(), 3),
        "function": stop,
        "any arguments": lambda *_: sys.exit(3),
        "method": Program().stop,
    }
    before = signal.signal(signal.SIGTERM, handlers[request.param])
    yield
    signal.signal(signal.SIGTERM, before)


def shut_down(scheduler: BaseScheduler) -> None:
    if scheduler.running:  # the first listener is called before it is
        scheduler.shutdown()


@pytest.mark.parametrize("part", FAILING)
def test_a_signal_handler_that_exits_ends_a_blocking_scheduler_wherever_it_strikes(
    part: str, exit_on_signal: None
) -> None:
    scheduler = BlockingScheduler(timezone="UTC")
    FAILING[part](scheduler, raising_signal(signal.SIGTERM))

    with pytest.raises(SystemExit) as caught:
        scheduler.start()

    shut_down(scheduler)
    assert caught.value.code == 3


@pytest.mark.parametrize("part", FAILING)
def test_so_does_ctrl_c(part: str) -> None:
    scheduler = BlockingScheduler(timezone="UTC")
    FAILING[part](scheduler, raising_signal(signal.SIGINT))

    with pytest.raises(KeyboardInterrupt):
        scheduler.start()

    shut_down(scheduler)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows sends no signal to one process")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_so_does_one_that_strikes_while_a_worker_process_is_started(
    number: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SpawnProcess, "start", starting_and_killing(number))
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(3))
    scheduler = BlockingScheduler(executors={"default": ProcessPoolExecutor(1)})
    recorder = Recorder(scheduler, OUTCOMES)
    scheduler.add_job(give, args=["made"])
    too_late = Timer(PATIENCE, lambda: shut_down(scheduler))
    too_late.start()
    try:
        with pytest.raises(KeyboardInterrupt if number == signal.SIGINT else SystemExit):
            scheduler.start()
        too_late.cancel()
        shut_down(scheduler)
    finally:
        signal.signal(signal.SIGTERM, before)

    assert [event.retval for event in recorder.events] == ["made"]


def starting_and_killing(number: signal.Signals) -> Callable[[SpawnProcess], None]:
    original = SpawnProcess.start
    # To the main thread: the kernel may give one to the process to this thread, which is running.
    strike = Once(lambda: signal.pthread_kill(main_thread().ident or 0, number))

    def start(process: SpawnProcess) -> None:
        time.sleep(0.05)  # the main thread waits by then; Python is slow to notice one just before
        strike()
        original(process)

    return start


def test_a_trigger_that_exits_does_not() -> None:
    scheduler = BlockingScheduler(timezone="UTC")
    let_trigger_fail(scheduler, raising(SystemExit(1)))
    soon = datetime.now(scheduler.timezone) + timedelta(seconds=0.1)
    scheduler.add_job(scheduler.shutdown, "date", run_date=soon)

    scheduler.start()

    assert not scheduler.running


KILLED_GREENLET = """
import gevent
from apscheduler.schedulers.gevent import GeventScheduler
from apscheduler.triggers.base import BaseTrigger

class Waits(BaseTrigger):
    def get_next_fire_time(self, previous_fire_time, now):
        if previous_fire_time is not None:
            gevent.sleep(3600)
        return now

scheduler = GeventScheduler(timezone="UTC")
greenlet = scheduler.start()
scheduler.add_job(print, Waits())
gevent.sleep(0.1)
greenlet.kill(timeout=5)
print(greenlet.dead)
"""


def test_a_greenlet_that_is_killed_ends() -> None:
    pytest.importorskip("gevent")
    done = subprocess.run(
        [sys.executable, "-c", KILLED_GREENLET],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )

    assert done.stdout.split() == ["True"]
