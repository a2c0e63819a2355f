"""Whoever holds runs that need a loop, so that they are told when the interpreter exits."""

from __future__ import annotations

import atexit
import logging
from abc import abstractmethod

from .._forks import after_fork_in_child
from .._log import log_may_fail

logger = logging.getLogger("apscheduler")


class HoldsRuns:
    """
    Holds runs that only a loop can bring to an end, and is told when none will.

    A loop that ends does not say so, and a program may end with it: then these are the last who
    know of the runs. They are kept alive for as long as they hold any.
    """

    def _note_whether_runs_are_held(self, are_held: bool) -> None:
        if are_held:
            _holders.add(self)
        else:
            _holders.discard(self)

    @abstractmethod
    def _tell_at_exit(self) -> None:
        """Tell of every run that is held: the interpreter exits."""


_holders: set[HoldsRuns] = set()
after_fork_in_child(_holders.clear)  # the runs go on in the parent process


@atexit.register
def _tell_at_exit() -> None:
    for holder in list(_holders):
        try:
            holder._tell_at_exit()
        except Exception:
            with log_may_fail:
                logger.exception("%r failed to tell of the runs that the exit cuts off", holder)
