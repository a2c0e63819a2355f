"""Take the time, and make sure that the right thing was timed; imports neither library."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter


def timed(call: Callable[[], object]) -> float:
    """Return how many seconds a call takes."""
    begin = perf_counter()
    call()
    return perf_counter() - begin


def check(done: int, expected: int, what: str) -> None:
    """Make sure that a case measured what it says."""
    if done != expected:
        raise RuntimeError(f"{done} {what}, but there should be {expected}")
