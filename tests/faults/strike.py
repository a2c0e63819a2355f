"""
A program that has a signal strike at line after line of the package.

Its handler shuts down, or raises KeyboardInterrupt as Ctrl+C does, and the program goes on.
It ends with a traceback of all threads if one of the shutdowns waits for ever.
"""

from __future__ import annotations

import argparse
import asyncio
import dis
import faulthandler
import linecache
import shutil
import signal
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, ClassVar
from uuid import uuid4

import apscheduler
from apscheduler.events import EVENT_JOB_MISSED, EVENT_JOB_SUBMITTED
from apscheduler.executors.asyncio import AsyncIOExecutor
from apscheduler.executors.pool import ProcessPoolExecutor
from apscheduler.executors.tornado import TornadoExecutor
from apscheduler.job import Job
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.schedulers.base import BaseScheduler
from apscheduler.schedulers.blocking import BlockingScheduler
from apscheduler.schedulers.tornado import TornadoScheduler
from apscheduler.triggers.interval import IntervalTrigger
from tests.faults.faulty import BytesStore
from tests.jobs import nothing
from tests.recorder import OUTCOMES, Recorder

# Threads are started in between, too.
PACKAGE = str(Path(apscheduler.__file__).parent)
FILES = (PACKAGE, threading.__file__)
PATIENCE = 20  # seconds
# Where runs are moved on and handed over: a scheduler that is interrupted there has to know how
# far it has come. A callback that is interrupted before its first line is lost to any event loop.
AMID = ("_look", "hand_over")
# Nobody knows who has been told already if it strikes there, as docs/reliability.rst says.
TELLING = "_tell_dropped"


class Strike:
    """
    Raises a signal at one line of those that the main thread comes to.

    :param at: the number of the line, counted from where the strike was armed
    :param is_ctrl_c: whether an exception is raised, and only amid a look or the handover. It is
        not raised where blocks end, for signals do not keep them from their end either
    :param counts_once: whether a line counts only when the thread comes to it for the first time
    """

    def __init__(self, at: int, is_ctrl_c: bool = False, counts_once: bool = False) -> None:
        self.left = at
        self.is_ctrl_c = is_ctrl_c
        self.counts_once = counts_once
        self.seen: set[tuple[CodeType, int]] = set()
        self.place: str | None = None

    def arm(self) -> None:
        sys.settrace(self._trace)
        frame: FrameType | None = sys._getframe()
        while frame is not None:
            frame.f_trace = self._trace
            frame = frame.f_back

    def _trace(self, frame: FrameType, event: str, argument: Any) -> Any:
        if not frame.f_code.co_filename.startswith(FILES):
            return None
        if event == "line" and self.place is None and self._counts(frame):
            self.left -= 1
            if self.left < 0:
                self.place = f"{frame.f_code.co_filename}:{frame.f_lineno}"
                signal.raise_signal(signal.SIGTERM)
        return self._trace

    def _counts(self, frame: FrameType) -> bool:
        if self._is_spared(frame):
            return False
        line = (frame.f_code, frame.f_lineno)
        is_first = line not in self.seen
        self.seen.add(line)
        return is_first or not self.counts_once

    def _is_spared(self, frame: FrameType) -> bool:
        if not self.is_ctrl_c:
            return False
        line = linecache.getline(frame.f_code.co_filename, frame.f_lineno).strip()
        is_own = frame.f_code.co_filename.startswith(PACKAGE)
        ends_block = line.startswith("finally") or (line.startswith("with ") and _leaves(frame))
        return not is_own or ends_block or not _is_amid_handover(frame)


def _leaves(frame: FrameType) -> bool:
    """Tell whether the "with" of the current line is left: entering it begins with its subject."""
    instruction = dis.opname[frame.f_code.co_code[frame.f_lasti]]
    return not instruction.startswith("LOAD_") or instruction == "LOAD_CONST"


def _is_amid_handover(frame: FrameType | None) -> bool:
    while frame is not None and frame.f_code.co_name not in AMID:
        if frame.f_code.co_name == TELLING:
            return False
        frame = frame.f_back

    return frame is not None


def busy_job() -> Callable[[], None]:
    """Return a job that calls the scheduler, as jobs do."""
    return lambda: [scheduler.get_jobs() for _ in range(20)] and None


scheduler: Any = None
runs: Any = None


def strike_loop(at: int, wait: Any) -> bool:
    """Strike a loop on the main thread; tell whether there was such a line."""
    global scheduler
    strike = Strike(at)
    scheduler = BlockingScheduler(timezone="UTC")
    scheduler.add_jobstore(BytesStore(), "bytes")
    recorder = Recorder(scheduler)
    for number in range(4):
        scheduler.add_job(busy_job(), id=f"job {number}")
    scheduler.add_job(nothing, "interval", seconds=3600, id="stored", jobstore="bytes")
    signal.signal(signal.SIGTERM, lambda *_: shut_down(wait))
    scheduler.add_listener(lambda event: strike.arm(), 1)  # as it starts
    ender = threading.Timer(0.3, shut_down)
    ender.start()
    scheduler.start()
    sys.settrace(None)
    ender.cancel()
    ender.join()
    check(strike, recorder)
    return strike.place is not None


def strike_program(at: int, wait: Any) -> bool:
    """Strike a program that adds jobs on the main thread, while the loop has its own."""
    global scheduler
    strike = Strike(at)
    scheduler = BackgroundScheduler(timezone="UTC")
    recorder = Recorder(scheduler)
    signal.signal(signal.SIGTERM, lambda *_: shut_down(wait))
    scheduler.start()
    strike.arm()
    try:
        for _ in range(3):
            scheduler.add_job(busy_job())
            scheduler.get_jobs()
    except Exception:
        if strike.place is None:
            raise  # otherwise they are refused
    sys.settrace(None)
    shut_down()
    check(strike, recorder)
    return strike.place is not None


def strike_asyncio(at: int, wait: Any) -> bool:
    """Strike an event loop whose jobs are coroutines, and functions in a pool of threads."""
    return _strike_asyncio(at, wait, AsyncIOScheduler(executors={"default": AsyncIOExecutor(2)}))


def strike_tornado(at: int, wait: Any) -> bool:
    """The same, with Tornado."""
    return _strike_asyncio(at, wait, TornadoScheduler(executors={"default": TornadoExecutor(2)}))


def _strike_asyncio(at: int, wait: Any, new: AsyncIOScheduler) -> bool:
    global scheduler
    scheduler = new
    strike = Strike(at)
    recorder = Recorder(scheduler)
    for number in range(4):
        scheduler.add_job(busy_job(), id=f"in a thread {number}")
        scheduler.add_job(nothing_later, id=f"on the loop {number}")
    signal.signal(signal.SIGTERM, lambda *_: shut_down(wait))

    async def live() -> None:
        scheduler.start()
        strike.arm()
        while scheduler.running and len(recorder.of(OUTCOMES)) < 8:
            await asyncio.sleep(0.001)
        sys.settrace(None)
        shut_down()
        while scheduler._shutting_down:
            await asyncio.sleep(0.001)

    asyncio.run(live())
    check(strike, recorder)
    return strike.place is not None


async def nothing_later() -> None:
    await asyncio.sleep(0)


def interrupt_loop(at: int, wait: Any, is_in_processes: bool = False) -> bool:
    """Strike a loop on the main thread with Ctrl+C, after which the program shuts down."""
    strike = interrupt(at)
    if is_in_processes:
        executors = {"default": ProcessPoolExecutor(2)}
        runs: Runs = RunsInProcesses(BlockingScheduler(timezone="UTC", executors=executors))
    else:
        runs = Runs(BlockingScheduler(timezone="UTC"))
    scheduler.add_listener(lambda event: strike.arm(), 1)  # as it starts
    ender = threading.Timer(0.3, shut_down)
    ender.start()
    try:
        scheduler.start()
    except KeyboardInterrupt:
        assert strike.place is not None
    sys.settrace(None)
    ender.cancel()
    ender.join()
    runs.check(strike)
    return strike.place is not None


def interrupt_processes(at: int, wait: Any) -> bool:
    """The same; the jobs run in processes."""
    return interrupt_loop(at, wait, is_in_processes=True)


def interrupt_asyncio(at: int, wait: Any) -> bool:
    """Strike an event loop with Ctrl+C, after which it goes on; the jobs are coroutines."""
    return _interrupt_asyncio(at, is_coroutine=True)


def interrupt_asyncio_threads(at: int, wait: Any) -> bool:
    """The same; the jobs run in threads, and the program changes them before the loop goes on."""
    return _interrupt_asyncio(at, is_coroutine=False, is_changing=True)


def interrupt_asyncio_pausing(at: int, wait: Any) -> bool:
    """The same; as the first is handed over, another one that waits for that is paused."""
    return _interrupt_asyncio(at, is_coroutine=False, executor=PausingExecutor(2))


class PausingExecutor(AsyncIOExecutor):
    def submit_job(self, job: Any, run_times: list[datetime]) -> None:
        if job.id == "0":
            scheduler.pause_job("2")
        super().submit_job(job, run_times)


def interrupt_asyncio_in_doubt(at: int, wait: Any) -> bool:
    """The same; the store does not say whether it moved the jobs on."""
    return _interrupt_asyncio(at, is_coroutine=False, jobstore=DoubtfulStore())


class DoubtfulStore(BytesStore):
    """Fails once as it moves jobs on, when it has for one; another program puts one off."""

    has_failed = False

    def may_block(self) -> bool:
        return False  # have the event loop ask it, in the main thread

    def update_jobs(self, jobs: Iterable[Job]) -> list[str]:
        if self.has_failed:
            return super().update_jobs(jobs)

        self.has_failed = True
        super().update_jobs(list(jobs)[:1])
        put_off: Any = self.lookup_job("2")
        put_off.next_run_time += timedelta(hours=2)
        self.update_job(put_off)
        raise OSError("no answer")


def _interrupt_asyncio(
    at: int, is_coroutine: bool, is_changing: bool = False, **parts: Any
) -> bool:
    strike = interrupt(at)
    loop = asyncio.new_event_loop()
    new = AsyncIOScheduler(
        timezone="UTC",
        event_loop=loop,
        jobstore_retry_interval=0.01,
        **{f"{kind}s": {"default": part} for kind, part in parts.items()},
    )
    runs = Runs(new, is_coroutine)
    scheduler.start()

    async def live() -> None:
        deadline = loop.time() + PATIENCE / 4
        while loop.time() < deadline and not runs.are_all_told():
            await asyncio.sleep(0.001)

    main = loop.create_task(live())
    strike.arm()
    try:
        loop.run_until_complete(main)
    except KeyboardInterrupt:
        assert strike.place is not None
    sys.settrace(None)
    for job in scheduler.get_jobs() if is_changing else ():
        job.modify(name="another")

    async def end() -> None:
        await main
        runs.look()
        await scheduler.shutdown()

    loop.run_until_complete(end())
    loop.close()
    runs.check(strike)
    return strike.place is not None


def interrupt(at: int) -> Strike:
    """Return a strike that raises KeyboardInterrupt, at each line once."""

    def raise_interrupt(*args: Any) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, raise_interrupt)
    return Strike(at, is_ctrl_c=True, counts_once=True)


class Runs:
    """Jobs that are due soon, each of which is to run once, and to be told once."""

    # Those that go on are handed over with one lock, those that end one by one.
    IDS: ClassVar = {"0": "interval", "1": "interval", "2": "interval", "3": "date", "4": "date"}

    def __init__(self, new: BaseScheduler, is_coroutine: bool = False) -> None:
        global scheduler, runs
        scheduler, runs = new, self
        self.made: Counter[str] = Counter()
        self.kept: set[str] = set()
        self.hidden: set[str] = set()
        self.recorder = Recorder(new, OUTCOMES)
        self.soon = datetime.now(timezone.utc) + timedelta(seconds=0.02)
        self.is_coroutine = is_coroutine
        for job_id, kind in self.IDS.items():
            func, args = self.to_call(job_id)
            trigger = IntervalTrigger(hours=1) if kind == "interval" else None
            settings = {"id": job_id, "next_run_time": self.soon, "max_instances": 3}
            new.add_job(func, trigger, args, **settings)

    def to_call(self, job_id: str) -> tuple[Any, list[str]]:
        return (make_later if self.is_coroutine else make), [job_id]

    def are_all_told(self) -> bool:
        return len(self.recorder.events) >= len(self.IDS)

    def count(self) -> None:
        """Called when all that were to be made have been."""

    def look(self) -> None:
        """Note what the store holds before it is closed."""
        jobs = scheduler.get_jobs()
        self.kept = {job.id for job in jobs if job.next_run_time == self.soon}
        due = scheduler._jobstores["default"].get_due_jobs(self.soon + timedelta(days=1))
        self.hidden = {job.id for job in jobs if job.next_run_time} - {job.id for job in due}

    def check(self, strike: Strike) -> None:
        if scheduler.running:
            self.look()
        shut_down()
        self.count()
        told = Counter(event.job_id for event in self.recorder.events)
        expected = Counter(self.IDS.keys() - self.kept)
        missed = Counter(event.job_id for event in self.recorder.of(EVENT_JOB_MISSED))
        if (told, self.made, self.hidden) != (expected, expected - missed, set()):
            raise AssertionError(
                f"{strike.place}: {self.kept} kept, {self.made} made, {told} told, {missed} "
                f"of these missed, {self.hidden} never due again"
            )


def make(job_id: str) -> None:
    runs.made[job_id] += 1


async def make_later(job_id: str) -> None:
    make(job_id)


class RunsInProcesses(Runs):
    """The same, counted in files."""

    def __init__(self, new: BaseScheduler) -> None:
        self.directory = tempfile.mkdtemp()
        super().__init__(new)

    def to_call(self, job_id: str) -> tuple[Any, list[str]]:
        return "tests.faults.strike:note_run", [self.directory, job_id]

    def count(self) -> None:
        for path in Path(self.directory).iterdir():
            self.made[path.name.partition(" ")[0]] += 1
        shutil.rmtree(self.directory)


def note_run(directory: str, job_id: str) -> None:
    Path(directory, f"{job_id} {uuid4()}").touch()


def shut_down(wait: Any = True) -> None:
    if scheduler.running:
        scheduler.shutdown(wait)


def check(strike: Strike, recorder: Recorder) -> None:
    """Make sure that the scheduler has stopped, and that no run was lost."""
    while scheduler._shutting_down:
        threading.Event().wait(0.001)
    assert not scheduler.running
    submitted = len(recorder.of(EVENT_JOB_SUBMITTED))
    recorder.wait_for(OUTCOMES, submitted)


STRIKES = {
    "loop": strike_loop,
    "program": strike_program,
    "asyncio": strike_asyncio,
    "tornado": strike_tornado,
    "ctrl-c": interrupt_loop,
    "ctrl-c-processes": interrupt_processes,
    "ctrl-c-asyncio": interrupt_asyncio,
    "ctrl-c-threads": interrupt_asyncio_threads,
    "ctrl-c-pausing": interrupt_asyncio_pausing,
    "ctrl-c-in-doubt": interrupt_asyncio_in_doubt,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("where", choices=STRIKES)
    parser.add_argument("--wait", type=float, default=None)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--step", type=int, default=1)
    options = parser.parse_args()
    wait = True if options.wait is None else options.wait
    at = options.first
    strikes = 0
    strike = STRIKES[options.where]
    while True:
        faulthandler.dump_traceback_later(PATIENCE, exit=True)
        if not strike(at, wait):
            break
        strikes += 1
        at += options.step
    faulthandler.cancel_dump_traceback_later()
    print(strikes)


if __name__ == "__main__":
    main()
