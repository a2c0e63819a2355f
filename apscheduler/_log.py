"""Go on though the log cannot be written: a handler of the program may raise."""

from __future__ import annotations

import logging
import traceback
from contextlib import suppress
from typing import Any


class _LogMayFail:
    """A context for what logs only; errors are shown as :mod:`logging` shows those of its own."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, cls: Any, exc: BaseException | None, tb: Any) -> bool:
        if not isinstance(exc, Exception):
            return False  # Ctrl+C, or no error at all

        if logging.raiseExceptions:
            with suppress(Exception):  # there may be no standard error stream either
                traceback.print_exception(cls, exc, tb)
        return True


log_may_fail = _LogMayFail()


def is_logged(logger: Any, level: int) -> bool:
    """Tell whether a message would be logged; True where the logger of a program does not tell."""
    try:
        return bool(logger.isEnabledFor(level))
    except Exception:
        return True
