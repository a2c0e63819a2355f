"""Functions for jobs that have to be found by a reference, or in another process."""

from __future__ import annotations

import os
import signal
import time
from functools import partial
from pathlib import Path
from typing import Any

import apscheduler


def nothing(*args: Any, **kwargs: Any) -> None:
    """Take whatever is given."""


some_partial = partial(nothing)


def give(value: Any) -> Any:
    return value


def fail(message: str = "on purpose") -> None:
    raise ValueError(message)


def two(first: Any, second: Any = None, *, third: Any = None) -> tuple[Any, Any, Any]:
    return first, second, third


async def give_later(value: Any) -> Any:
    return value


def die() -> None:
    """End this process as the kernel does when memory runs out."""
    os.kill(os.getpid(), signal.SIGKILL)


def begin_and_die(notes: str) -> None:
    """Note that this has begun, and end this process."""
    with open(notes, "a") as file:
        file.write("begun\n")
    die()


def meet(directory: str, count: int) -> int:
    """Wait until so many processes do this, and return the id of this one."""
    (Path(directory) / str(os.getpid())).touch()
    while len(os.listdir(directory)) < count:
        time.sleep(0.01)
    return os.getpid()


def about_this_run() -> tuple[int, str, str, bool]:
    """Return what a run knows of itself: process, job, time, and whether it has a scheduler."""
    try:
        apscheduler.current_scheduler.get()
    except LookupError:
        has_scheduler = False
    else:
        has_scheduler = True

    job, run_time = apscheduler.current_job.get(), apscheduler.current_run_time.get()
    return os.getpid(), job.id, run_time.isoformat(), has_scheduler


class Greeter:
    """Has methods of each kind."""

    def __init__(self, name: str = "nobody") -> None:
        self.name = name

    def greet(self, word: str = "hello") -> str:
        return f"{word} {self.name}"

    @classmethod
    def make(cls, name: str) -> Greeter:
        return cls(name)

    @staticmethod
    def shout(word: str) -> str:
        return word.upper()

    def __call__(self) -> str:
        return self.name

    class Inner:
        def greet(self) -> str:
            return "inner"
