"""Start a scheduler in only one of several processes: whoever gets the lock first."""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from pathlib import Path
from threading import Event
from typing import IO

from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.schedulers.base import BaseScheduler

_locks: list[IO[str]] = []  # open for as long as this process lives


def start_in_one_process(scheduler: BaseScheduler, lock_file: str | Path) -> bool:
    """
    Start the scheduler unless another process on this computer has started its own.

    The operating system frees the lock when the process ends, however it ends. The next process
    that is started then, such as the worker that takes its place, gets it.

    :param lock_file: a path that all the processes share
    :return: whether this process has started it
    """
    lock = open(lock_file, "a")  # noqa: SIM115  # closing it would free the lock
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        return False

    _locks.append(lock)
    scheduler.start()
    return True


def tick() -> None:
    print(f"tick in process {os.getpid()}", flush=True)


if __name__ == "__main__":
    scheduler = BackgroundScheduler()
    scheduler.add_job(tick, "interval", seconds=1)
    if start_in_one_process(scheduler, "scheduler.lock"):
        print(f"process {os.getpid()} runs jobs until Ctrl+C", flush=True)
        with suppress(KeyboardInterrupt):
            Event().wait()
        scheduler.shutdown()
    else:
        print(f"process {os.getpid()} leaves them to another")
