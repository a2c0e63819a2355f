"""What a loop waits for, and a signal handler may set whatever it has interrupted."""

from __future__ import annotations

from contextlib import suppress
from threading import Event, Lock


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
        is_set = self._cleared.acquire(timeout=-1 if timeout is None else max(timeout, 0.0))
        if is_set:
            self.set()

        return is_set
