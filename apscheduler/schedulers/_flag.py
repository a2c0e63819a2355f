"""What a loop waits for, and a signal handler may set whatever it has interrupted."""

from __future__ import annotations

from contextlib import suppress
from math import inf
from threading import TIMEOUT_MAX, Event, Lock, current_thread, main_thread
from time import monotonic

# The longest that the main thread waits at a time. A signal that comes while another thread starts
# may be taken by that one: Python then calls the handler when the main thread wakes next.
SIGNAL_SECONDS = 1.0


class Flag(Event):
    """
    An event that can be set by a signal handler which has interrupted the same event.

    A plain one guards itself by a lock: a handler that sets it while the same thread is about to
    wait for it would wait for ever.
    """

    def __init__(self) -> None:
        super().__init__()
        self._cleared = Lock()  # held while the flag is not set; nothing else is guarded by it
        self._cleared.acquire()

    def is_set(self) -> bool:
        return not self._cleared.locked()

    def set(self) -> None:
        with suppress(RuntimeError):  # it is set
            self._cleared.release()

    def clear(self) -> None:
        self._cleared.acquire(blocking=False)

    def wait(self, timeout: float | None = None) -> bool:
        """
        Wait until the flag is set.

        :param timeout: how many seconds to wait at the most; None: for ever
        :return: whether it is set
        """
        at_most = SIGNAL_SECONDS if current_thread() is main_thread() else TIMEOUT_MAX
        seconds = inf if timeout is None else max(timeout, 0.0)
        end = monotonic() + seconds
        while not self._cleared.acquire(timeout=min(seconds, at_most)):
            seconds = min(seconds - at_most, end - monotonic())  # a clock of tests may stand still
            if seconds <= 0:
                return False

        self.set()
        return True
