"""What a loop waits for, and a signal handler may set whatever it has interrupted."""

from __future__ import annotations

from contextlib import suppress
from threading import Lock


class Flag:
    """
    An event that one thread waits for; to have waited for it clears it.

    A :class:`threading.Event` guards itself by a lock: a signal handler that sets it while the
    same thread is about to wait for it would wait for ever.
    """

    def __init__(self) -> None:
        self._cleared = Lock()  # held while the flag is not set
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
        Wait until the flag is set, and clear it.

        :param timeout: how many seconds to wait at the most; None: for ever
        :return: whether it was set
        """
        return self._cleared.acquire(timeout=-1 if timeout is None else timeout)
