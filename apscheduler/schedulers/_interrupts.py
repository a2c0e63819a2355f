"""Tell what is raised to stop the program from what a plugin raised."""

from __future__ import annotations

import sys
from threading import current_thread, main_thread
from types import FrameType
from typing import Any


def is_interrupt(exc: BaseException) -> bool:
    """
    Tell whether an exception stops the program, or the greenlet, and so must not be caught.

    These do: Ctrl+C; ``SystemExit`` if a signal handler raised it; the end of a greenlet. All
    else is a fault of the plugin that raised it, also what is no ``Exception``: a job store may
    raise ``CancelledError``, and a trigger call ``sys.exit()``.
    """
    if isinstance(exc, Exception):
        return False

    greenlet = sys.modules.get("greenlet")
    if greenlet is not None and isinstance(exc, greenlet.GreenletExit):
        return True

    # Python calls signal handlers in the main thread only, but there in any greenlet.
    if current_thread() is not main_thread() and not _is_in_greenlet(greenlet):
        return False

    return isinstance(exc, KeyboardInterrupt) or (
        isinstance(exc, SystemExit) and _came_from_signal_handler(exc)
    )


def _is_in_greenlet(greenlet: Any) -> bool:
    return greenlet is not None and greenlet.getcurrent().parent is not None


def _came_from_signal_handler(exc: BaseException) -> bool:
    traceback = exc.__traceback__
    while traceback is not None:
        if _is_signal_handler(traceback.tb_frame):
            return True
        traceback = traceback.tb_next

    return False


def _is_signal_handler(frame: FrameType) -> bool:
    """Tell whether a function was given the frame that it interrupted; no other ones are."""
    interrupted = frame.f_back
    for value in frame.f_locals.values():
        values = value if isinstance(value, tuple) else (value,)  # of a handler(*args)
        if interrupted is not None and any(each is interrupted for each in values):
            return True

    return False
