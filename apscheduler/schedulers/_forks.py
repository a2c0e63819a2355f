"""What happens to schedulers when the process is forked."""

from __future__ import annotations

import os
from contextlib import suppress
from threading import local
from typing import TYPE_CHECKING
from weakref import WeakSet

from .._forks import after_fork_in_child

if TYPE_CHECKING:
    from .base import BaseScheduler

# So long a fork waits for a job store that another thread is working on. One that hangs would
# keep the program from forking; its child may then find the store's driver in any state.
PATIENCE = 1.0  # seconds

_schedulers: WeakSet[BaseScheduler] = WeakSet()
_here = local()  # .held: the locks that this thread holds while it forks


def follow_forks(scheduler: BaseScheduler) -> None:
    """Have a scheduler stopped in each child process, with locks and connections of its own."""
    _schedulers.add(scheduler)


def _hold_still() -> None:
    """Let no thread be inside of a driver: the child would find the locks of a C library held."""
    _here.held = []
    for scheduler in list(_schedulers):
        if scheduler._has_open_stores():
            lock = scheduler._jobstores_lock
            with suppress(Exception):  # what cannot be waited for here, as in the hub of gevent
                if lock.acquire(True, PATIENCE):
                    _here.held.append(lock)


def _go_on_in_parent() -> None:
    while _here.held:
        _here.held.pop().release()


def _go_on_in_child() -> None:
    for scheduler in list(_schedulers):
        scheduler._after_fork()


after_fork_in_child(_go_on_in_child)
if hasattr(os, "register_at_fork"):  # not on Windows, which has no fork
    os.register_at_fork(before=_hold_still, after_in_parent=_go_on_in_parent)
