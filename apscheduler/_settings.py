"""Settings of jobs, checked alike wherever they are given, and hints for misspelt names."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from ._refs import asbool

_LONGEST = timedelta.max // timedelta(seconds=1)


def check_grace_time_length(seconds: int) -> None:
    """
    Refuse a grace time that is no length of time to Python.

    :raises ValueError: if it is longer than the longest timedelta
    """
    if seconds > _LONGEST:
        raise ValueError(
            f"misfire_grace_time must be at most {_LONGEST} seconds, or None to run however "
            f"late, got {seconds!r}"
        )


def read_coalesce(value: Any) -> bool:
    """
    Return whether runs that are due together become one, as a boolean or a word for one.

    :raises ValueError: if None is given, or a string that means neither true nor false
    """
    if value is None:
        raise ValueError("coalesce must be true or false, got None; leave it out for the default")

    try:
        return asbool(value)
    except ValueError as exc:
        raise ValueError(f"coalesce must be true or false, got {value!r}") from exc


def suggest(name: str, known: Iterable[str], also: Iterable[str] = ()) -> str:
    """
    Return the end of an error message: the nearest of the known names, or all of them.

    :param also: names that may be the nearest as well, but are not listed
    """
    from difflib import get_close_matches  # only needed on the way to an error

    names = sorted(known)
    near = get_close_matches(str(name).lower(), [*names, *also], n=1)
    if not names and not near:
        return " (there are none)"

    return f'; did you mean "{near[0]}"?' if near else f" (known: {', '.join(names)})"
