"""Run many jobs of all kinds for long while their job store fails, and account for every run.

``python -m tests.faults.soak --minutes 10`` takes ten minutes of real time, ``--virtual 60`` an
hour on a clock of its own. It ends with an error unless each expected run happened exactly once,
and memory, threads, open files and living tracebacks stayed what they were.
"""

from __future__ import annotations

import argparse
import gc
import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Any, NamedTuple

from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.jobstores.sqlalchemy import SQLAlchemyJobStore
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.schedulers.base import BaseScheduler
from apscheduler.testing import ManualScheduler
from apscheduler.triggers.base import BaseTrigger
from apscheduler.triggers.calendarinterval import CalendarIntervalTrigger
from apscheduler.triggers.combining import OrTrigger
from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.date import DateTrigger
from apscheduler.triggers.interval import IntervalTrigger
from tests.faults.faulty import Faults, FaultyExecutor, FaultyStore, faulty_listener
from tests.faults.ledger import Ledger, note_run

PROBABILITY = 0.01  # that an operation of the store, the executor or the listener fails
# Measurements, evenly spread: one a minute, but this many in shorter runs. The second one is what
# the last is compared with.
SAMPLES = 10
DRAIN = 120  # seconds after the last run is due in which late ones may still come
SECOND = timedelta(seconds=1)

Schedule = tuple[BaseTrigger, list[datetime]]


# --- jobs ----------------------------------------------------------------------------------------


async def note_run_later(number: int) -> None:
    note_run(number)


def note_run_and_fail(number: int) -> None:
    note_run(number)
    raise ValueError("a job on purpose")


FUNCTIONS: list[Callable[..., object]] = [note_run, note_run_later, note_run_and_fail]


# --- schedules, each with its run times, which simple arithmetic tells ---------------------------


def grid(start: datetime, end: datetime, seconds: int) -> list[datetime]:
    return [
        start + step * seconds * SECOND for step in range((end - start) // SECOND // seconds + 1)
    ]


def interval(number: int, start: datetime, end: datetime) -> Schedule:
    seconds = 1 + number % 40
    own_start = start + number % 60 * timedelta(milliseconds=16)
    trigger = IntervalTrigger(seconds=seconds, start_date=own_start, end_date=end)
    return trigger, [time for time in grid(own_start, end, seconds) if time <= end]


def cron(number: int, start: datetime, end: datetime) -> Schedule:
    seconds = (5, 6, 10, 12)[number % 4]
    midnight = start.replace(hour=0, minute=0, second=0, microsecond=0)
    trigger = CronTrigger(second=f"*/{seconds}", start_date=start, end_date=end, timezone="UTC")
    return trigger, [time for time in grid(midnight, end, seconds) if time >= start]


def date(number: int, start: datetime, end: datetime) -> Schedule:
    run_time = start + number % 97 / 97 * (end - start)
    return DateTrigger(run_time), [run_time]


def calendar_interval(number: int, start: datetime, end: datetime) -> Schedule:
    moment = (start + number % 89 / 89 * (end - start)).replace(microsecond=0) + SECOND
    trigger = CalendarIntervalTrigger(
        days=1,
        hour=moment.hour,
        minute=moment.minute,
        second=moment.second,
        start_date=moment.date(),
        timezone="UTC",
    )
    return trigger, [moment]


def either(number: int, start: datetime, end: datetime) -> Schedule:
    first, first_times = interval(number, start, end)
    second, second_times = cron(number, start, end)
    return OrTrigger([first, second]), sorted({*first_times, *second_times})


SCHEDULES = [interval, cron, date, calendar_interval, either]


def add_jobs(
    scheduler: BaseScheduler, ledger: Ledger, jobs: int, start: datetime, end: datetime
) -> None:
    specs = []
    for number in range(jobs):
        make_schedule = SCHEDULES[number % len(SCHEDULES)]
        trigger, run_times = make_schedule(number // len(SCHEDULES), start, end)
        func = FUNCTIONS[number % len(FUNCTIONS)]
        specs.append(
            {"func": func, "trigger": trigger, "args": [ledger.number], "id": str(number)}
        )
        ledger.expect({str(number): run_times})

    scheduler.add_jobs(specs)


# --- what must not grow --------------------------------------------------------------------------


class Sample(NamedTuple):
    minute: float
    runs: int
    memory: float  # resident, in MB; 0 where the system does not tell
    threads: int
    files: int
    tracebacks: int  # alive
    errors: int  # logged so far


class ErrorCounter(logging.Handler):
    """Formats what is logged, as any handler does, and counts it."""

    count = 0

    def emit(self, record: logging.LogRecord) -> None:
        self.format(record)
        self.count += 1


def take_sample(minute: float, ledger: Ledger, errors: ErrorCounter) -> Sample:
    gc.collect()
    return Sample(
        minute,
        ledger.runs,
        resident_memory(),
        threading.active_count(),
        len(os.listdir("/proc/self/fd")) if os.path.exists("/proc/self/fd") else 0,
        sum(isinstance(thing, TracebackType) for thing in gc.get_objects()),
        errors.count,
    )


def resident_memory() -> float:
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return 0.0
    return pages * os.sysconf("SC_PAGESIZE") / 1e6


def complaints(samples: list[Sample], ledger: Ledger) -> Iterator[str]:
    for name in ("lost", "repeated", "unexpected", "early"):
        if runs := getattr(ledger, name):
            yield f"{len(runs)} runs {name}, such as {runs[:3]}"

    second, last = samples[1], samples[-1]
    if last.memory > 1.05 * second.memory:
        yield f"memory grew from {second.memory:.1f} MB to {last.memory:.1f} MB"
    for name in ("threads", "files", "tracebacks"):
        # A few are there only while a measured moment lasts; what has grown is there each time.
        at_last = min(getattr(sample, name) for sample in samples[-3:])
        if at_last > getattr(second, name) + 3:
            yield f"{name} grew from {getattr(second, name)} to {at_last}"


# --- the run -------------------------------------------------------------------------------------


def soak(seconds: float, jobs: int, retry: float, virtual: bool) -> list[str]:
    """Run it, print what is measured, and return what is wrong."""
    errors = ErrorCounter()
    logging.getLogger("apscheduler").addHandler(errors)
    logging.getLogger("apscheduler").propagate = False
    faults = Faults(0, seed=6)
    with TemporaryDirectory() as directory:
        store = SQLAlchemyJobStore(f"sqlite:///{directory}/jobs.sqlite")
        options: dict[str, Any] = {
            "timezone": timezone.utc,
            "jobstore_retry_interval": retry,
            "jobstores": {"default": FaultyStore(store, faults)},
            "job_defaults": {"coalesce": False, "max_instances": 1000},
        }
        scheduler: ManualScheduler | BackgroundScheduler
        if virtual:
            scheduler = ManualScheduler(now="2030-03-01 08:00:00", **options)
            inner = scheduler._create_default_executor()
        else:
            scheduler = BackgroundScheduler(**options)
            inner = ThreadPoolExecutor(4)
        scheduler.add_executor(FaultyExecutor(inner, faults))
        scheduler.add_listener(faulty_listener(faults))
        ledger = Ledger(scheduler._now)

        scheduler.start()
        start = scheduler._now() + (2 + jobs / 100) * SECOND
        end = start + seconds * SECOND
        add_jobs(scheduler, ledger, jobs, start, end)
        assert scheduler._now() < start, "adding the jobs took too long: no run was due so far"
        print(f"{jobs} jobs, {ledger.expected} runs; each operation fails one time in 100")
        faults.probability = PROBABILITY
        samples = []
        count = max(SAMPLES, round(seconds / 60))
        for number in range(1, count + 1):
            let_pass(scheduler, start + number / count * (end - start))
            samples.append(take_sample(number * seconds / count / 60, ledger, errors))
            print_sample(samples[-1])

        deadline = end + DRAIN * SECOND
        while not ledger.is_complete and scheduler._now() < deadline:
            let_pass(scheduler, scheduler._now() + SECOND)
        is_alive = virtual or scheduler._thread.is_alive()
        faults.probability = 0
        scheduler.shutdown()

    print(f"{faults.injected.total()} faults, {ledger.runs} runs")
    return [*complaints(samples, ledger), *([] if is_alive else ["the loop has ended"])]


def let_pass(scheduler: BaseScheduler, until: datetime) -> None:
    left = max((until - scheduler._now()).total_seconds(), 0)
    if isinstance(scheduler, ManualScheduler):
        scheduler.advance(left)
    else:
        time.sleep(left)


def print_sample(sample: Sample) -> None:
    print(
        f"minute {sample.minute:5.2f}: {sample.runs:6d} runs, {sample.memory:6.1f} MB, "
        f"{sample.threads} threads, {sample.files} files, {sample.tracebacks} tracebacks, "
        f"{sample.errors} errors logged",
        flush=True,
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    how_long = parser.add_mutually_exclusive_group()
    how_long.add_argument("--minutes", type=float, default=10, help="of real time")
    how_long.add_argument("--virtual", type=float, help="minutes on a clock of its own")
    parser.add_argument("--jobs", type=int, default=1000)
    parser.add_argument("--retry", type=float, default=10, help="jobstore_retry_interval")
    arguments = parser.parse_args()

    minutes = arguments.virtual or arguments.minutes
    wrong = soak(60 * minutes, arguments.jobs, arguments.retry, bool(arguments.virtual))
    print(*(wrong or ["every run is accounted for, and nothing grew"]), sep="\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
