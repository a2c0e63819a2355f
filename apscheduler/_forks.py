"""Let go, in each child process, of what only the parent has: threads, and files that it uses."""

from __future__ import annotations

import logging  # first: its locks are to be free in the child before anything here is logged
import os
from collections.abc import Callable
from threading import RLock

from ._log import log_may_fail

_in_child: list[Callable[[], object]] = []
# The process that has let go of all, or has begun to; another thread of it waits until it has.
_process = _begun_in = os.getpid()
_guard = RLock()


def after_fork_in_child(func: Callable[[], object]) -> None:
    """Have a function called in each child process, in the order in which they come here."""
    _in_child.append(func)


def notice_fork() -> None:
    """
    Let go now if this is a child process of which Python was not told.

    C code can fork without it, as uWSGI does unless ``py-call-osafterfork`` is set.
    """
    if os.getpid() != _process:
        with _guard:
            if os.getpid() != _begun_in:
                _let_go()


def _after_fork() -> None:
    global _guard
    _guard = RLock()
    _let_go()


def _let_go() -> None:
    global _process, _begun_in
    _begun_in = os.getpid()
    for func in _in_child:
        try:
            func()
        except Exception:
            with log_may_fail:
                logging.getLogger("apscheduler").exception("%r failed in a child process", func)
    _process = _begun_in


if hasattr(os, "register_at_fork"):  # not on Windows, which has no fork
    os.register_at_fork(after_in_child=_after_fork)
