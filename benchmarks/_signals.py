"""SIGTERM ends a comparison as Ctrl+C does, but not in the middle of starting a process."""

from __future__ import annotations

import signal
import sys


class _Unbroken:
    """A context that is gone through to its end: a signal to end waits for it."""

    def __init__(self) -> None:
        self._is_entered = False
        self._signal = 0

    def __enter__(self) -> None:
        self._is_entered = True

    def __exit__(self, *exc_info: object) -> None:
        self._is_entered = False
        if self._signal:
            sys.exit(128 + self._signal)

    def stop(self, signum: int, frame: object) -> None:
        """Have the servers stopped, and what was measured written."""
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        self._signal = signum
        if not self._is_entered:
            sys.exit(128 + signum)


unbroken = _Unbroken()


def end_by_sigterm() -> None:
    signal.signal(signal.SIGTERM, unbroken.stop)
