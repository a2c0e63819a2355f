"""Every scheduler can be shut down: waiting for its jobs, for so many seconds, or not at all."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from functools import partial
from importlib import import_module
from pathlib import Path
from threading import Event, Thread, main_thread
from typing import Any, NamedTuple

import pytest

from apscheduler.events import (
    EVENT_JOB_ERROR,
    EVENT_JOB_EXECUTED,
    EVENT_JOB_MISSED,
    EVENT_JOB_SUBMITTED,
    EVENT_SCHEDULER_SHUTDOWN,
    EVENT_SCHEDULER_START,
)
from apscheduler.executors.base import BaseExecutor
from apscheduler.executors.debug import DebugExecutor
from apscheduler.executors.pool import AbandonedError, ProcessPoolExecutor, ThreadPoolExecutor
from apscheduler.job import Job
from apscheduler.schedulers import SchedulerAlreadyRunningError, SchedulerNotRunningError
from apscheduler.schedulers._backlog import Backlog
from apscheduler.schedulers._stopping import STORE_SECONDS
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.schedulers.base import BaseScheduler
from apscheduler.testing import ManualScheduler
from apscheduler.triggers.base import BaseTrigger
from tests.faults.faulty import BytesStore, InjectedError
from tests.jobs import meet, nothing
from tests.loops import Loop
from tests.programs import run_program
from tests.recorder import OUTCOMES, PATIENCE, Recorder

TICK = 0.002  # seconds


# --- jobs that go on until they are told to end, one way for each kind of scheduler --------------


def in_thread(end: Event, loop: Any) -> Callable[[], Any]:
    def job() -> None:
        assert end.wait(PATIENCE)

    return job


def in_asyncio(end: Event, loop: Any) -> Callable[[], Any]:
    async def job() -> None:
        while not end.is_set():
            await asyncio.sleep(TICK)

    return job


def in_twisted(end: Event, loop: Any) -> Callable[[], Any]:
    from twisted.internet.task import deferLater

    async def job() -> None:
        while not end.is_set():
            await deferLater(loop.native, TICK)

    return job


def in_gevent(end: Event, loop: Any) -> Callable[[], Any]:
    import gevent

    def job() -> None:
        while not end.is_set():
            gevent.sleep(TICK)

    return job


class Kind(NamedTuple):
    """A kind of scheduler, and of jobs that it runs."""

    reference: str
    loop: str | None  # name of the fixture
    long_job: Callable[[Event, Any], Callable[[], Any]]
    cancels: bool  # whether such a job can be made to end


KINDS = {
    "blocking": Kind("blocking:BlockingScheduler", None, in_thread, False),
    "background": Kind("background:BackgroundScheduler", None, in_thread, False),
    "asyncio, threads": Kind("asyncio:AsyncIOScheduler", "asyncio_loop", in_thread, False),
    "asyncio": Kind("asyncio:AsyncIOScheduler", "asyncio_loop", in_asyncio, True),
    "tornado": Kind("tornado:TornadoScheduler", "tornado_loop", in_asyncio, True),
    "twisted": Kind("twisted:TwistedScheduler", "reactor", in_twisted, True),
    "gevent": Kind("gevent:GeventScheduler", "gevent_hub", in_gevent, True),
    "qt": Kind("qt:QtScheduler", "qt_loop", in_thread, False),
}


def wait_until_stopped(scheduler: BaseScheduler) -> None:
    deadline = time.monotonic() + PATIENCE
    while scheduler.running:
        assert time.monotonic() < deadline
        time.sleep(TICK)


class Running:
    """A scheduler that runs, with one job that goes on."""

    def __init__(self, kind: Kind, loop: Loop | None) -> None:
        module, _, name = kind.reference.partition(":")
        self.scheduler: BaseScheduler = getattr(
            import_module(f"apscheduler.schedulers.{module}"), name
        )()
        self.recorder = Recorder(self.scheduler)
        self.loop = loop
        self.end = Event()
        self.threads: list[Thread] = []
        if name == "BlockingScheduler":
            self.beside(self.scheduler.start)
            self.recorder.wait_for(EVENT_SCHEDULER_START)
        else:
            self.call(self.scheduler.start)

        self.scheduler.add_job(kind.long_job(self.end, loop), id="long")
        self.recorder.wait_for(EVENT_JOB_SUBMITTED)

    def call(self, func: Callable[..., Any], *args: Any) -> Any:
        """Call a function where the scheduler expects to be called."""
        return func(*args) if self.loop is None else self.loop.call(func, *args)

    def beside(self, func: Callable[..., Any], *args: Any) -> None:
        thread = Thread(target=func, args=args)
        thread.start()
        self.threads.append(thread)

    def begin_shutdown(self, wait: bool | float) -> None:
        """Shut down without waiting for the end of it."""
        self.beside(self.call, self.scheduler.shutdown, wait)
        wait_until_stopped(self.scheduler)

    def close(self) -> None:
        self.end.set()
        for thread in self.threads:
            thread.join(PATIENCE)
            assert not thread.is_alive()


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> Kind:
    kind = KINDS[request.param]
    pytest.importorskip(f"apscheduler.schedulers.{kind.reference.partition(':')[0]}")
    return kind


@pytest.fixture
def running(kind: Kind, request: pytest.FixtureRequest) -> Iterator[Running]:
    loop = request.getfixturevalue(kind.loop) if kind.loop else None
    running = Running(kind, loop)
    yield running
    running.close()


def test_true_waits_for_running_jobs_and_meanwhile_new_ones_are_refused(running: Running) -> None:
    scheduler, recorder = running.scheduler, running.recorder
    running.begin_shutdown(True)

    with pytest.raises(SchedulerNotRunningError, match=r"shutting down .* not added: nothing"):
        scheduler.add_job(nothing)
    with pytest.raises(SchedulerNotRunningError):
        scheduler.shutdown()
    assert not recorder.of(OUTCOMES | EVENT_SCHEDULER_SHUTDOWN)

    running.end.set()
    recorder.wait_for(EVENT_SCHEDULER_SHUTDOWN)
    recorder.wait_for(EVENT_JOB_EXECUTED)
    with pytest.raises(SchedulerNotRunningError):
        scheduler.shutdown()


@pytest.mark.parametrize("wait", [False, 0.05])
def test_otherwise_it_ends_though_its_job_does_not(
    running: Running, kind: Kind, wait: bool | float
) -> None:
    running.begin_shutdown(wait)
    running.recorder.wait_for(EVENT_SCHEDULER_SHUTDOWN)

    assert not running.end.is_set()
    if kind.cancels:
        [error] = running.recorder.wait_for(EVENT_JOB_ERROR)
        assert type(error.exception).__name__ in ("CancelledError", "GreenletExit")
    else:  # a thread cannot be made to end; it may
        assert not running.recorder.of(OUTCOMES)
        running.end.set()
        running.recorder.wait_for(EVENT_JOB_EXECUTED)


@pytest.mark.parametrize("executor", [ThreadPoolExecutor, ProcessPoolExecutor])
def test_runs_that_had_not_begun_when_time_was_up_are_reported(
    executor: type, tmp_path: Path
) -> None:
    scheduler = BackgroundScheduler(executors={"default": executor(1)})
    recorder = Recorder(scheduler)
    scheduler.start()
    for job_id in ("first", "second", "third", "fourth"):
        scheduler.add_job(meet, args=[str(tmp_path), 2], id=job_id)
    recorder.wait_for(EVENT_JOB_SUBMITTED, 4)
    while not os.listdir(tmp_path):  # the first has begun
        time.sleep(0.01)

    scheduler.shutdown(wait=0.05)

    (tmp_path / "the second to meet").touch()
    abandoned = {
        event.job_id
        for event in recorder.of(EVENT_JOB_ERROR)
        if isinstance(event.exception, AbandonedError)
    }
    assert abandoned == {"second", "third", "fourth"}


class SlowExecutor(DebugExecutor):
    """Takes a moment to shut down."""

    waits: list[float]

    def shutdown(self, wait: bool | float = True) -> None:
        self.waits.append(wait)
        time.sleep(0.05)


def seconds_of_three_executors(wait: float) -> list[float]:
    """Shut a scheduler down; return how long each of its executors was to wait."""
    SlowExecutor.waits = waits = []
    scheduler = ManualScheduler()
    for alias in ("first", "second", "third"):
        scheduler.add_executor(SlowExecutor(), alias)
    scheduler.start()

    scheduler.shutdown(wait)

    return waits


def test_all_executors_together_have_the_seconds_that_were_given() -> None:
    first, second, third = seconds_of_three_executors(wait=PATIENCE)
    assert PATIENCE >= first > second > third > 0


def test_when_the_seconds_are_over_executors_have_none() -> None:
    assert seconds_of_three_executors(wait=0.01)[1:] == [0.0, 0.0]


def test_process_pool_workers_are_terminated_when_time_is_up() -> None:
    scheduler = BackgroundScheduler(executors={"default": ProcessPoolExecutor(1)})
    recorder = Recorder(scheduler)
    scheduler.start()
    scheduler.add_job(os.getpid)
    [event] = recorder.wait_for(EVENT_JOB_EXECUTED)
    scheduler.add_job(time.sleep, args=[10 * PATIENCE])
    recorder.wait_for(EVENT_JOB_SUBMITTED, 2)

    scheduler.shutdown(wait=0.05)

    recorder.wait_for(EVENT_JOB_ERROR)
    with pytest.raises(ProcessLookupError):
        os.kill(event.retval, 0)


class InterruptedStore(BytesStore):
    """Is where the program is when a signal arrives."""

    def update_job(self, job: Job) -> None:
        super().update_job(job)
        assert self._scheduler is not None
        self._scheduler.shutdown()


def test_a_signal_handler_that_shuts_down_amid_a_look_loses_no_run_in_silence() -> None:
    scheduler = ManualScheduler(jobstores={"default": InterruptedStore()})
    recorder = Recorder(scheduler)
    scheduler.add_job(nothing, "interval", seconds=1, id="moved on")
    scheduler.start()

    scheduler.advance(1)

    assert not scheduler.running
    assert [event.job_id for event in recorder.of(OUTCOMES)] == ["moved on"]


class InterruptedExecutor(BaseExecutor):
    """The same; it then refuses what it was about to take."""

    def _do_submit_job(self, job: Job, run_times: list[datetime]) -> None:
        assert self._scheduler is not None
        self._scheduler.shutdown()
        raise InjectedError("shut down")


def test_nor_does_one_that_shuts_down_while_a_run_is_handed_over() -> None:
    scheduler = ManualScheduler(executors={"default": InterruptedExecutor()})
    recorder = Recorder(scheduler)
    scheduler.add_job(nothing, id="handed over")
    scheduler.start()

    scheduler.advance(0)

    assert [event.job_id for event in recorder.of(OUTCOMES)] == ["handed over"]


# --- the exit of the interpreter -----------------------------------------------------------------


# Its first exit handler is the last one that is called.
BUSY_PROGRAM = """
if __name__ == "__main__":
    import atexit, collections, time

    counts = collections.Counter()
    atexit.register(lambda: print(counts["submitted"] > 0, counts["submitted"] == counts["ended"]))

    from apscheduler.events import EVENT_JOB_EXECUTED, EVENT_JOB_SUBMITTED
    from apscheduler.executors.pool import {executor}
    from apscheduler.schedulers.background import BackgroundScheduler

    scheduler = BackgroundScheduler(executors={{"default": {executor}(4)}})
    scheduler.add_listener(lambda event: counts.update(["submitted"]), EVENT_JOB_SUBMITTED)
    scheduler.add_listener(lambda event: counts.update(["ended"]), EVENT_JOB_EXECUTED)
    scheduler.start()
    for _ in range(20):
        scheduler.add_job(time.sleep, "interval", [0.005], seconds=0.02, max_instances=1000)
    {shutdown}
    while not counts["ended"]:
        time.sleep(0.01)
"""


@pytest.mark.parametrize("shutdown", ["pass", "atexit.register(scheduler.shutdown)"])
@pytest.mark.parametrize("executor", ["ThreadPoolExecutor", "ProcessPoolExecutor"])
def test_the_exit_of_a_busy_program_loses_no_run_and_prints_no_traceback(
    executor: str, shutdown: str, tmp_path: Path
) -> None:
    done = run_program(BUSY_PROGRAM.format(executor=executor, shutdown=shutdown), tmp_path)

    assert done.stderr == ""
    assert done.stdout.split() == ["True", "True"]
    assert done.returncode == 0


STUCK_PROGRAM = """
import time
from apscheduler.events import EVENT_JOB_EXECUTED, EVENT_JOB_SUBMITTED
from apscheduler.executors.pool import {executor}
from apscheduler.schedulers.background import BackgroundScheduler

if __name__ == "__main__":
    submitted = []
    scheduler = BackgroundScheduler(executors={{"default": {executor}(1)}})
    scheduler.add_listener(submitted.append, EVENT_JOB_SUBMITTED)
    scheduler.start()
    scheduler.add_job(time.sleep, args=[3600])
    while not submitted:
        time.sleep(0.01)
    scheduler.shutdown(wait=0.1)
    print("shut down")
"""


@pytest.mark.parametrize("executor", ["ThreadPoolExecutor", "ProcessPoolExecutor"])
def test_a_job_that_was_left_behind_does_not_hold_up_the_exit(
    executor: str, tmp_path: Path
) -> None:
    done = run_program(STUCK_PROGRAM.format(executor=executor), tmp_path)

    assert done.stdout.split() == ["shut", "down"]
    assert done.returncode == 0


NOT_WAITING_PROGRAM = """
import time
from threading import Event
from apscheduler.executors.pool import {executor}
from apscheduler.events import EVENT_JOB_SUBMITTED
from apscheduler.schedulers.background import BackgroundScheduler

def job():
    time.sleep(0.5)
    print("the job ends", flush=True)

if __name__ == "__main__":
    submitted = Event()
    scheduler = BackgroundScheduler(executors={{"default": {executor}(1)}})
    scheduler.add_listener(lambda event: submitted.set(), EVENT_JOB_SUBMITTED)
    scheduler.start()
    scheduler.add_job(job)
    submitted.wait()
    scheduler.shutdown(wait={wait})
    print("shut down", flush=True)
"""


@pytest.mark.parametrize("wait", [False, 0])
@pytest.mark.parametrize("executor", ["ThreadPoolExecutor", "ProcessPoolExecutor"])
def test_the_exit_waits_for_jobs_that_a_shutdown_did_not_wait_for_unless_time_is_up(
    executor: str, wait: bool | int, tmp_path: Path
) -> None:
    """False is as in 3.x, whose pools wait for their jobs at the exit; a number is a limit."""
    done = run_program(NOT_WAITING_PROGRAM.format(executor=executor, wait=wait), tmp_path)

    job_ends = ["the job ends"] if wait is False else []
    assert done.stdout.splitlines() == ["shut down", *job_ends]
    assert done.returncode == 0


DEAF_PROGRAM = """
import signal, time
from apscheduler.events import EVENT_JOB_EXECUTED, EVENT_JOB_SUBMITTED
from apscheduler.executors.pool import ProcessPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler

def be_deaf():
    signal.signal(signal.SIGTERM, signal.SIG_IGN)

if __name__ == "__main__":
    events = []
    scheduler = BackgroundScheduler(executors={"default": ProcessPoolExecutor(1)})
    scheduler.add_listener(events.append, EVENT_JOB_EXECUTED)
    scheduler.start()
    scheduler.add_job(be_deaf)
    while not events:
        time.sleep(0.01)
    scheduler.add_listener(events.append, EVENT_JOB_SUBMITTED)
    scheduler.add_job(time.sleep, args=[3600])
    while len(events) < 2:
        time.sleep(0.01)
    scheduler.shutdown(wait=0.1)
    print("shut down")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGTERM to ignore")
def test_a_worker_that_ignores_its_termination_is_killed(tmp_path: Path) -> None:
    done = run_program(DEAF_PROGRAM, tmp_path)

    assert done.stdout.split() == ["shut", "down"]
    assert done.returncode == 0


ORPHANED_PROGRAM = """
import threading
from apscheduler.executors.pool import ProcessPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler

if __name__ == "__main__":
    scheduler = BackgroundScheduler(executors={"default": ProcessPoolExecutor(1)}, daemon=False)
    scheduler.start()
    threading.Timer(0.3, scheduler.shutdown).start()
"""


def test_a_process_pool_that_outlives_the_main_thread_says_why_no_more_jobs_run(
    tmp_path: Path,
) -> None:
    done = run_program(ORPHANED_PROGRAM, tmp_path)

    assert "the main thread has ended" in done.stderr
    assert done.returncode == 0


# --- job stores that hang, schedulers that fail -------------------------------------------------


def now() -> datetime:
    return datetime.now(timezone.utc)


class HangingStore(BytesStore):
    """Does not answer one operation until it is told to."""

    def __init__(self, operation: str) -> None:
        super().__init__()
        self.operation = operation
        self.is_asked, self.may_answer = Event(), Event()

    def get_due_jobs(self, now: datetime) -> list[Job]:
        self._hang("get_due_jobs")
        return super().get_due_jobs(now)

    def get_all_jobs(self) -> list[Job]:
        self._hang("get_all_jobs")
        return super().get_all_jobs()

    def update_job(self, job: Job) -> None:
        super().update_job(job)
        self._hang("update_job")

    def shutdown(self) -> None:
        self._hang("shutdown")

    def _hang(self, operation: str) -> None:
        if operation == self.operation:
            self.is_asked.set()
            assert self.may_answer.wait(PATIENCE)


def test_an_executor_that_shuts_down_waits_no_longer_for_a_job_store_that_hangs() -> None:
    has_returned = Event()

    class ShuttingDown(ThreadPoolExecutor):
        def submit_job(self, job: Job, run_times: list[datetime]) -> None:
            super().submit_job(job, run_times)
            Thread(target=scheduler.get_jobs, daemon=True).start()
            assert store.is_asked.wait(PATIENCE)
            scheduler.shutdown(0.01)
            has_returned.set()

    store = HangingStore("get_all_jobs")
    scheduler = BackgroundScheduler(
        jobstores={"default": store}, executors={"default": ShuttingDown(1)}
    )
    recorder = Recorder(scheduler, EVENT_SCHEDULER_SHUTDOWN)
    scheduler.start()
    scheduler.add_job(nothing)

    assert has_returned.wait(PATIENCE / 2)
    assert recorder.events == []
    store.may_answer.set()
    recorder.wait_for(EVENT_SCHEDULER_SHUTDOWN)


@pytest.mark.parametrize("wait", [False, 0.2])
@pytest.mark.parametrize("operation", ["get_due_jobs", "update_job", "shutdown"])
def test_a_job_store_that_hangs_keeps_nobody_waiting_who_does_not_wait(
    operation: str, wait: bool | float
) -> None:
    store = HangingStore(operation)
    scheduler = BackgroundScheduler()
    recorder = Recorder(scheduler)
    scheduler.start()
    scheduler.add_jobstore(store, "hanging")
    if operation == "update_job":
        scheduler.add_job(nothing, "interval", hours=1, jobstore="hanging", next_run_time=now())
    if operation != "shutdown":
        assert store.is_asked.wait(PATIENCE)

    scheduler.shutdown(wait)

    assert not store.may_answer.is_set()
    assert not scheduler.running
    assert not recorder.of(EVENT_SCHEDULER_SHUTDOWN)
    with pytest.raises(SchedulerAlreadyRunningError, match="still shutting down"):
        scheduler.start()
    store.may_answer.set()
    recorder.wait_for(EVENT_SCHEDULER_SHUTDOWN)
    if operation == "update_job":  # the run that was moved on is not lost in silence
        [missed] = recorder.wait_for(EVENT_JOB_MISSED)
        assert missed.jobstore == "hanging"


class HangingTrigger(BaseTrigger):
    """Names a first time to run, and does not say what comes after it."""

    def __init__(self, hang: Callable[[], None]) -> None:
        self.hang = hang

    def get_next_fire_time(self, previous: datetime | None, now: datetime) -> datetime | None:
        if previous is not None:
            self.hang()
        return now if previous is None else None


class HangingExecutor(ThreadPoolExecutor):
    """Does not come back from taking a run."""

    def __init__(self, hang: Callable[[], None]) -> None:
        super().__init__(1)
        self.hang = hang

    def _do_submit_job(self, job: Job, run_times: list[datetime]) -> None:
        self.hang()
        super()._do_submit_job(job, run_times)


@pytest.mark.parametrize("wait", [False, 0.2])
@pytest.mark.parametrize("part", ["trigger", "executor"])
def test_neither_does_a_trigger_or_an_executor_that_hangs(part: str, wait: bool | float) -> None:
    is_asked, may_answer = Event(), Event()
    answered: list[bool] = []

    def hang() -> None:
        is_asked.set()
        answered.append(may_answer.wait(PATIENCE))

    scheduler = BackgroundScheduler()
    recorder = Recorder(scheduler)
    scheduler.add_executor(HangingExecutor(hang), "hanging")
    scheduler.start()
    if part == "trigger":
        scheduler.add_job(nothing, HangingTrigger(hang))
    else:
        scheduler.add_job(nothing, executor="hanging")
    assert is_asked.wait(PATIENCE)

    scheduler.shutdown(wait)

    assert not answered
    assert not scheduler.running
    may_answer.set()
    recorder.wait_for(EVENT_SCHEDULER_SHUTDOWN)
    assert len(recorder.wait_for(OUTCOMES)) == 1  # of a run that was on its way


def test_ctrl_c_amid_a_shutdown_that_does_not_wait_for_ever_still_has_all_stopped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    join, struck = Thread.join, Event()

    def interrupted(thread: Thread, timeout: float | None = None) -> None:
        if not struck.is_set():
            struck.set()
            raise KeyboardInterrupt
        join(thread, timeout)

    scheduler = BackgroundScheduler()
    recorder = Recorder(scheduler)
    scheduler.start()
    end = Event()
    scheduler.add_job(end.wait, args=[PATIENCE])
    recorder.wait_for(EVENT_JOB_SUBMITTED)
    with monkeypatch.context() as patch:
        patch.setattr(Thread, "join", interrupted)
        with pytest.raises(KeyboardInterrupt):
            scheduler.shutdown(wait=2 * PATIENCE)

    recorder.wait_for(EVENT_SCHEDULER_SHUTDOWN)
    assert not recorder.of(OUTCOMES)  # the job is not waited for
    end.set()
    recorder.wait_for(EVENT_JOB_EXECUTED)
    scheduler.start()
    scheduler.add_job(nothing)
    recorder.wait_for(EVENT_JOB_EXECUTED, 2)
    scheduler.shutdown()


@pytest.mark.parametrize("wait", [False, 0.2])
@pytest.mark.parametrize("strikes_at", [1, 2])
def test_ctrl_c_as_a_shutdown_starts_a_thread_leaves_nothing_running(
    strikes_at: int, wait: bool | float, monkeypatch: pytest.MonkeyPatch
) -> None:
    start, started = Thread.start, []

    def interrupted(thread: Thread) -> None:
        start(thread)
        if threading.current_thread() is main_thread():
            started.append(thread)
            if len(started) == strikes_at:
                raise KeyboardInterrupt

    scheduler = BackgroundScheduler()
    recorder = Recorder(scheduler)
    scheduler.start()
    with monkeypatch.context() as patch:
        patch.setattr(Thread, "start", interrupted)
        with pytest.raises(KeyboardInterrupt):
            scheduler.shutdown(wait)

    recorder.wait_for(EVENT_SCHEDULER_SHUTDOWN)
    scheduler.start()
    scheduler.add_job(nothing)
    recorder.wait_for(EVENT_JOB_EXECUTED)
    scheduler.shutdown()
    assert len(recorder.of(EVENT_SCHEDULER_SHUTDOWN)) == 2


@pytest.mark.parametrize("wait", [False, 0.2])
def test_ctrl_c_in_the_last_steps_of_a_shutdown_is_no_obstacle_to_another_start(
    wait: bool | float, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Backlog] = []

    def interrupted() -> Backlog:
        made.append(Backlog())
        if len(made) == 1:
            raise KeyboardInterrupt
        return made[-1]

    scheduler = BackgroundScheduler()
    recorder = Recorder(scheduler)
    scheduler.start()
    with monkeypatch.context() as patch:
        patch.setattr("apscheduler.schedulers.base.Backlog", interrupted)
        with pytest.raises(KeyboardInterrupt):
            scheduler.shutdown(wait)

    recorder.wait_for(EVENT_SCHEDULER_SHUTDOWN)
    scheduler.start()
    scheduler.shutdown()
    assert len(recorder.of(EVENT_SCHEDULER_SHUTDOWN)) == 2


def test_a_job_that_runs_where_it_is_handed_over_and_an_executor_that_hangs_bound_a_shutdown() -> (
    None
):
    begun, asked, goes_on = Event(), Event(), Event()
    answered: list[bool] = []

    def hang() -> None:
        asked.set()
        answered.append(goes_on.wait(PATIENCE))

    executors = {"default": DebugExecutor(), "hanging": HangingExecutor(hang)}
    scheduler = BackgroundScheduler(executors=executors)
    recorder = Recorder(scheduler)
    scheduler.start(paused=True)
    scheduler.add_job(lambda: begun.set() or goes_on.wait(PATIENCE), id="a")
    scheduler.add_job(nothing, executor="hanging", id="b")
    scheduler.resume()
    assert begun.wait(PATIENCE)

    scheduler.shutdown(0.2)

    assert asked.is_set()
    assert not answered
    goes_on.set()
    recorder.wait_for(EVENT_SCHEDULER_SHUTDOWN)
    assert sorted(event.job_id for event in recorder.wait_for(OUTCOMES, 2)) == ["a", "b"]


def test_ctrl_c_amid_a_shutdown_of_many_seconds_waits_for_no_job_store_that_hangs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    join, timeouts = Thread.join, []

    def interrupted(thread: Thread, timeout: float | None = None) -> None:
        if thread.name != "APScheduler" or threading.current_thread() is not main_thread():
            join(thread, timeout)
            return
        timeouts.append(timeout)
        if len(timeouts) == 1:
            raise KeyboardInterrupt

    store = HangingStore("get_due_jobs")
    scheduler = BackgroundScheduler(jobstores={"default": store})
    recorder = Recorder(scheduler)
    scheduler.start()
    assert store.is_asked.wait(PATIENCE)
    with monkeypatch.context() as patch:
        patch.setattr(Thread, "join", interrupted)
        with pytest.raises(KeyboardInterrupt):
            scheduler.shutdown(wait=PATIENCE)

    store.may_answer.set()
    recorder.wait_for(EVENT_SCHEDULER_SHUTDOWN)
    assert timeouts[0] > STORE_SECONDS
    assert max(timeouts[1:]) <= STORE_SECONDS


class InterruptedShutdown(DebugExecutor):
    """Is where the program is when Ctrl+C is pressed, while it is shut down."""

    def shutdown(self, wait: bool | float = True) -> None:
        raise KeyboardInterrupt


def test_nor_does_ctrl_c_amid_the_shutdown_of_an_executor(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    join, timeouts = Thread.join, []

    def noted(thread: Thread, timeout: float | None = None) -> None:
        if thread.name == "APScheduler" and threading.current_thread() is main_thread():
            timeouts.append(timeout)
        join(thread, timeout)

    scheduler = ManualScheduler(executors={"default": InterruptedShutdown()})
    scheduler.start()
    with monkeypatch.context() as patch:
        patch.setattr(Thread, "join", noted)
        with pytest.raises(KeyboardInterrupt):
            scheduler.shutdown(wait=PATIENCE)

    assert timeouts[-1] is not None
    assert timeouts[-1] <= STORE_SECONDS < PATIENCE


def test_what_is_due_with_a_job_that_shuts_down_without_waiting_runs_after_it() -> None:
    scheduler = BackgroundScheduler()
    scheduler.add_executor(DebugExecutor(), "inline")
    recorder = Recorder(scheduler)
    scheduler.start(paused=True)
    first = partial(scheduler.shutdown, wait=False)
    for job_id, func in (("a", first), ("b", nothing), ("c", nothing)):
        scheduler.add_job(func, "date", id=job_id, executor="inline")

    scheduler.resume()

    outcomes = recorder.wait_for(OUTCOMES, 3)
    assert sorted(event.job_id for event in outcomes) == ["a", "b", "c"]
    assert {event.code for event in outcomes} == {EVENT_JOB_EXECUTED}


INLINE_PROGRAM = """
import time
from threading import Event
from apscheduler.events import EVENT_JOB_EXECUTED, EVENT_SCHEDULER_SHUTDOWN
from apscheduler.executors.debug import DebugExecutor
from apscheduler.schedulers.background import BackgroundScheduler

def print_id(event):
    print(event.job_id, flush=True)

def hold():
    begun.set()
    main_ends.wait()
    time.sleep(0.5)

begun, main_ends = Event(), Event()
scheduler = BackgroundScheduler(executors={"default": DebugExecutor()})
scheduler.add_listener(print_id, EVENT_JOB_EXECUTED)
scheduler.add_listener(lambda event: print("shut down", flush=True), EVENT_SCHEDULER_SHUTDOWN)
scheduler.start(paused=True)
scheduler.add_job(scheduler.pause if where == "shutdown" else time.monotonic, id="1")
scheduler.add_job(hold, id="2")
scheduler.add_job(time.monotonic, id="3")
scheduler.resume()
while scheduler.state == 1 and not begun.wait(0.01):
    pass
scheduler.shutdown(wait=False)
print("main ends", flush=True)
main_ends.set()
"""


@pytest.mark.parametrize("where", ["shutdown", "loop"])
def test_the_exit_waits_for_jobs_that_run_where_they_are_handed_over(
    where: str, tmp_path: Path
) -> None:
    done = run_program(f"where = {where!r}\n{INLINE_PROGRAM}", tmp_path)

    lines = done.stdout.splitlines()
    assert sorted(lines) == ["1", "2", "3", "main ends", "shut down"]
    assert lines.index("main ends") < lines.index("2")
    assert done.returncode == 0


SILENT_PROGRAM = """
import time
from threading import Event
from apscheduler.events import EVENT_JOB_EXECUTED, EVENT_JOB_SUBMITTED, EVENT_SCHEDULER_SHUTDOWN
from apscheduler.jobstores.memory import MemoryJobStore
from apscheduler.schedulers.background import BackgroundScheduler

class SilentStore(MemoryJobStore):
    def get_due_jobs(self, now):
        is_asked.set()
        time.sleep(3600)

def print_id(event):
    print(event.job_id, flush=True)

if __name__ == "__main__":
    is_asked, submitted = Event(), Event()
    scheduler = BackgroundScheduler(executors={{"default": {{"type": "{executor}"}}}})
    scheduler.add_listener(print_id, EVENT_JOB_EXECUTED)
    scheduler.add_listener(lambda event: submitted.set(), EVENT_JOB_SUBMITTED)
    scheduler.add_listener(lambda event: print("shut down"), EVENT_SCHEDULER_SHUTDOWN)
    scheduler.start()
    scheduler.add_job(time.sleep, args=[0.5], id="running")
    submitted.wait()
    scheduler.pause()
    scheduler.add_job(time.monotonic, id="due")
    scheduler.add_jobstore(SilentStore(), "silent")
    scheduler.resume()
    is_asked.wait()
"""


@pytest.mark.parametrize("executor", ["threadpool", "processpool"])
def test_the_exit_waits_for_jobs_but_not_for_ever_for_a_job_store(
    executor: str, tmp_path: Path
) -> None:
    done = run_program(SILENT_PROGRAM.format(executor=executor), tmp_path)

    assert done.stderr.count("A job store does not answer") == 1
    assert sorted(done.stdout.splitlines()[:-1]) == ["due", "running"]
    assert done.stdout.splitlines()[-1] == "shut down"
    assert done.returncode == 0


FAILING_PROGRAM = """
from apscheduler.events import EVENT_SCHEDULER_SHUTDOWN
from apscheduler.schedulers.background import BackgroundScheduler

class Failing(BackgroundScheduler):
    def shutdown(self, wait=True):
        raise SystemExit("one fails")

first, second, third = Failing(), BackgroundScheduler(), Failing()
for scheduler in (first, second, third):
    scheduler.start()
second.add_listener(lambda event: print("shut down"), EVENT_SCHEDULER_SHUTDOWN)
"""


def test_a_scheduler_that_fails_at_the_exit_keeps_no_other_from_shutting_down(
    tmp_path: Path,
) -> None:
    done = run_program(FAILING_PROGRAM, tmp_path)

    assert done.stdout.split() == ["shut", "down"]
    assert done.stderr.count("Shutting down at the exit of the interpreter failed") == 2


class SlowToSubmit(ThreadPoolExecutor):
    """Takes a job only when it is told to."""

    def __init__(self) -> None:
        super().__init__(1)
        self.has_begun, self.may_go_on, self.is_shut_down = Event(), Event(), Event()

    def _do_submit_job(self, job: Job, run_times: list[datetime]) -> None:
        self.has_begun.set()
        assert self.may_go_on.wait(PATIENCE)
        super()._do_submit_job(job, run_times)

    def shutdown(self, wait: bool | float = True) -> None:
        self.is_shut_down.set()
        super().shutdown(wait)


@pytest.mark.parametrize("wait", [True, False, PATIENCE])
def test_a_run_that_is_being_handed_over_when_a_shutdown_begins_is_made(wait: Any) -> None:
    executor = SlowToSubmit()
    scheduler = BackgroundScheduler(timezone="UTC", executors={"default": executor})
    recorder = Recorder(scheduler, OUTCOMES)
    scheduler.start()
    scheduler.add_job(nothing)
    assert executor.has_begun.wait(PATIENCE)

    stopping = Thread(target=scheduler.shutdown, args=[wait], daemon=True)
    stopping.start()
    is_too_early = executor.is_shut_down.wait(0.2)
    executor.may_go_on.set()
    stopping.join(PATIENCE)

    assert not stopping.is_alive()
    assert not is_too_early
    recorder.wait_for(EVENT_JOB_EXECUTED, 1)
    assert recorder.names == ["JOB_EXECUTED"]
