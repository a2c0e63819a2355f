"""Run a scheduler in only one of several processes; when that one ends, another takes over."""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from pathlib import Path
from threading import Thread
from time import sleep
from typing import IO

from apscheduler.schedulers.background import BackgroundScheduler

_locks: list[IO[str]] = []  # open for as long as this process lives


def start_in_one_process(scheduler: BackgroundScheduler, lock_file: str | Path) -> bool:
    """
    Start the scheduler as soon as no other process on this computer runs its own.

    The operating system frees the lock when the process ends, however it ends. One of those that
    wait gets it then: after a crash, and when new workers take the place of old ones.

    :param lock_file: a path that all the processes share
    :return: whether the scheduler was started at once; if not, a thread waits for the lock
    """
    lock = open(lock_file, "a")  # noqa: SIM115  # closing it would free the lock
    _locks.append(lock)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        Thread(target=_start_when_free, args=(scheduler, lock), daemon=True).start()
        return False

    scheduler.start()
    return True


def _start_when_free(scheduler: BackgroundScheduler, lock: IO[str]) -> None:
    fcntl.flock(lock, fcntl.LOCK_EX)
    scheduler.start()


def _let_go() -> None:
    """A child that outlives this process, say of a process pool, must not hold its lock."""
    for lock in _locks:
        lock.close()
    _locks.clear()


os.register_at_fork(after_in_child=_let_go)


def tick() -> None:
    print(f"tick in process {os.getpid()}", flush=True)


if __name__ == "__main__":
    scheduler = BackgroundScheduler()
    scheduler.add_job(tick, "interval", seconds=1)
    with suppress(KeyboardInterrupt):
        started = start_in_one_process(scheduler, "scheduler.lock")
        print(f"process {os.getpid()} {'runs jobs' if started else 'waits'}", flush=True)
        while True:
            sleep(0.5)  # briefly: a signal that another thread takes ends no sleep
    if scheduler.running:
        scheduler.shutdown()
