"""What a run costs in a loop that sleeps in between, and why, beside APScheduler 3.11.3.

``python benchmarks/wakeups.py`` prints, of each library in turn and the medians of five rounds:

- a pass with one due job, in microseconds, made again and again, and after 5 ms of sleep;
- how many Python functions such a pass calls;
- processor time and switches between threads for each run of 200 jobs a second;
- the processor time of a program that only waits for the next of 200 times a second in one thread,
  and wakes another.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from statistics import median
from threading import Lock, Thread
from types import FrameType
from typing import Any

from _libraries import Library, fetch_theirs, our_library

ROUNDS = 5
PASSES = 400
SECONDS = 5
PAUSE = 0.005
JOBS = 200  # a second

Figures = dict[str, float]


def measure() -> Figures:
    return passes() | loop() | {"CPU µs of two threads that only wake up": two_threads()}


def passes() -> Figures:
    from cases._common import stepper, work

    scheduler, _ = stepper()
    job = scheduler.add_job(work, "interval", hours=1)

    def one_pass(pause: float = 0) -> float:
        scheduler.modify_job(job.id, next_run_time=datetime.now(timezone.utc))
        time.sleep(pause)
        begin = time.perf_counter()
        scheduler._process_jobs()
        return (time.perf_counter() - begin) * 1e6

    figures = {
        "µs of a pass, again and again": median(one_pass() for _ in range(PASSES)),
        "µs of a pass, after 5 ms of sleep": median(one_pass(PAUSE) for _ in range(PASSES)),
    }
    scheduler.modify_job(job.id, next_run_time=datetime.now(timezone.utc))
    return figures | {"Python functions called in a pass": count_calls(scheduler._process_jobs)}


def count_calls(act: Callable[[], object]) -> int:
    calls = 0

    def note(frame: FrameType, event: str, argument: Any) -> None:
        nonlocal calls
        calls += event == "call"

    sys.setprofile(note)
    try:
        act()
    finally:
        sys.setprofile(None)
    return calls


def loop() -> Figures:
    from apscheduler.schedulers.background import BackgroundScheduler

    runs = 0

    def count() -> None:
        nonlocal runs
        runs += 1

    scheduler = BackgroundScheduler(timezone="UTC")
    start = datetime.now(timezone.utc) + timedelta(seconds=1)
    for number in range(JOBS):
        first = start + number * timedelta(seconds=1) / JOBS
        scheduler.add_job(count, "interval", seconds=1, start_date=first)
    scheduler.start()
    time.sleep(2)

    runs_before, before = runs, resource.getrusage(resource.RUSAGE_SELF)
    time.sleep(SECONDS)
    after, made = resource.getrusage(resource.RUSAGE_SELF), runs - runs_before
    scheduler.shutdown()
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    return {
        "CPU µs of a run in the loop": seconds / made * 1e6,
        "switches of threads in a run": (after.ru_nvcsw - before.ru_nvcsw) / made,
    }


def two_threads() -> float:
    due, handed = Lock(), Lock()
    due.acquire()
    handed.acquire()
    runs = 0

    def wait() -> None:
        next_time = time.monotonic()
        while True:
            next_time += 1 / JOBS
            due.acquire(timeout=max(next_time - time.monotonic(), 0))
            if handed.locked():  # else the worker is late, and has been woken already
                handed.release()

    def work() -> None:
        nonlocal runs
        while True:
            handed.acquire()
            runs += 1

    for act in (work, wait):
        Thread(target=act, daemon=True).start()
    time.sleep(1)
    runs_before, before = runs, time.process_time()
    time.sleep(SECONDS)
    return (time.process_time() - before) / (runs - runs_before) * 1e6


def main() -> None:
    libraries = [our_library(), fetch_theirs()]
    rounds: list[list[Figures]] = [
        [library.run("wakeups.py") for library in libraries] for _ in range(ROUNDS)
    ]
    print(f"{'':42} {'ours':>8} {'3.11.3':>8}")
    for name in rounds[0][0]:
        ours, theirs = (
            median(figures[name] for figures in each) for each in zip(*rounds, strict=True)
        )
        print(f"{name:42} {ours:8.1f} {theirs:8.1f}")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        folder, version = sys.argv[1:]
        Library(Path(folder), version).check_imported()
        print(json.dumps(measure()))
    else:
        main()
