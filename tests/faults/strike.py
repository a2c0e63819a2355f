"""
A program that has a signal strike at line after line of the package, and shuts down each time.

It ends with a traceback of all threads if one of the shutdowns waits for ever.
"""

from __future__ import annotations

import argparse
import faulthandler
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import apscheduler
from apscheduler.events import EVENT_JOB_SUBMITTED
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.schedulers.blocking import BlockingScheduler
from tests.faults.faulty import BytesStore
from tests.jobs import nothing
from tests.recorder import OUTCOMES, Recorder

# Threads are started in between, too.
FILES = (str(Path(apscheduler.__file__).parent), threading.__file__)
PATIENCE = 20  # seconds


class Strike:
    """
    Raises a signal at one line of those that the main thread comes to.

    :param at: the number of the line, counted from where the strike was armed
    """

    def __init__(self, at: int) -> None:
        self.left = at
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
        if event == "line" and self.place is None:
            self.left -= 1
            if self.left < 0:
                self.place = f"{frame.f_code.co_filename}:{frame.f_lineno}"
                signal.raise_signal(signal.SIGTERM)
        return self._trace


def busy_job() -> Callable[[], None]:
    """Return a job that calls the scheduler, as jobs do."""
    return lambda: [scheduler.get_jobs() for _ in range(20)] and None


scheduler: Any = None


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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("where", choices=["loop", "program"])
    parser.add_argument("--wait", type=float, default=None)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--step", type=int, default=1)
    options = parser.parse_args()
    wait = True if options.wait is None else options.wait
    at = options.first
    strikes = 0
    strike = {"loop": strike_loop, "program": strike_program}[options.where]
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
