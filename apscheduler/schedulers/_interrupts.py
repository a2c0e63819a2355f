"""What stops a program from outside: what signal handlers raise, and what they interrupt."""

from __future__ import annotations

import signal
import sys
from collections.abc import Container
from functools import partial
from threading import current_thread, main_thread
from types import CodeType, FrameType
from typing import Any

from ._flag import Flag

_PACKAGE = __name__.partition(".")[0]


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
        return _is_in_greenlet(greenlet)  # elsewhere, there is none to end

    # Python calls signal handlers in the main thread only, but there in any greenlet.
    if current_thread() is not main_thread() and not _is_in_greenlet(greenlet):
        return False

    return isinstance(exc, KeyboardInterrupt) or (
        isinstance(exc, SystemExit) and _came_from_signal_handler(exc)
    )


def _is_in_greenlet(greenlet: Any) -> bool:
    return greenlet is not None and greenlet.getcurrent().parent is not None


def is_amid_own_work() -> bool:
    """
    Tell whether this is called by a signal handler that has interrupted code of this package.

    That code, or a listener that it called, may hold locks for which other threads wait, and goes
    on only when the handler returns. A loop that waits for the next run holds none.
    """
    handlers = _code_of_handlers()
    frame: FrameType | None = sys._getframe()
    while frame is not None and not _is_signal_handler(frame, handlers):
        frame = frame.f_back

    if frame is None or (frame.f_back and frame.f_back.f_code is Flag.wait.__code__):
        return False

    while (frame := frame.f_back) is not None:
        if frame.f_globals.get("__name__", "").partition(".")[0] == _PACKAGE:
            return True

    return False


def _came_from_signal_handler(exc: BaseException) -> bool:
    handlers = _code_of_handlers()
    traceback = exc.__traceback__
    while traceback is not None:
        if _is_signal_handler(traceback.tb_frame, handlers):
            return True
        traceback = traceback.tb_next

    return False


def _is_signal_handler(frame: FrameType, handlers: Container[CodeType]) -> bool:
    """
    Tell whether a signal has called a function.

    Either it is a handler of the program, or it was given the frame that it interrupted: no other
    functions are. The first is not enough, for a handler may put another one in its place; nor is
    the second, for it may let go of the frame.
    """
    if frame.f_code in handlers:
        return True

    interrupted = frame.f_back
    for value in frame.f_locals.values():
        values = value if isinstance(value, tuple) else (value,)  # of a handler(*args)
        if interrupted is not None and any(each is interrupted for each in values):
            return True

    return False


def _code_of_handlers() -> set[CodeType]:
    """Return the code of the signal handlers that are written in Python."""
    found = set()
    for number in signal.valid_signals():
        handler: Any = signal.getsignal(number)
        while isinstance(handler, partial):
            handler = handler.func
        if callable(handler) and not hasattr(handler, "__code__"):  # an object with __call__()
            handler = type(handler).__call__
        code = getattr(handler, "__code__", None)  # a method has that of its function
        if isinstance(code, CodeType):
            found.add(code)

    return found
