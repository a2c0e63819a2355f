"""A scheduler on the event loop of a Qt application."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable
from functools import partial
from importlib import import_module
from math import ceil
from typing import Any

from ._timer import EventLoopScheduler
from ._with import WithBlock

# Newest first
BINDINGS = ("PySide6", "PyQt6", "PySide2", "PyQt5")


def _import_qt_core() -> Any:
    """Import the binding that the program uses already, or else the newest there is."""
    for name in sorted(BINDINGS, key=lambda name: name not in sys.modules):
        try:
            return import_module(f"{name}.QtCore")
        except ImportError:
            continue

    raise ImportError(
        f"QtScheduler needs one of {', '.join(BINDINGS)}: pip install apscheduler[qt]"
    )


QtCore = _import_qt_core()


class QtScheduler(WithBlock, EventLoopScheduler):
    """
    Runs on the event loop of a Qt application, and jobs in a thread pool.

    The event loop is that of the thread that starts the scheduler; if it is none of Qt's threads,
    that of the application. Jobs touch no widgets: they emit signals.
    """

    _relay: Any = None

    def start(self, paused: bool = False) -> None:
        """Start on the event loop, which may be run later; see the base class."""
        super().start(paused)

    def _enter_start(self) -> None:
        relay = None if self.running else _Relay()  # first, for it may fail
        super()._enter_start()
        self._relay = relay

    def shutdown(self, wait: bool | float = True) -> None:
        relay = self._relay
        super().shutdown(wait)
        if self._relay is relay:  # no listener has started the scheduler anew
            self._relay = None
        relay.deleteLater()  # in the thread that it lives in, as Qt demands

    def _after_fork(self) -> None:
        super()._after_fork()
        self._relay = None

    def _call_soon(self, func: Callable[..., object], *args: Any) -> None:
        relay = self._relay
        if relay is None:
            raise RuntimeError("The scheduler was shut down")

        relay.call_soon(partial(func, *args))

    def _call_later(self, seconds: float, func: Callable[[], object]) -> Any:
        relay = self._relay  # None if another thread has shut the scheduler down meanwhile
        return None if relay is None else relay.call_later(seconds, func)

    def _cancel(self, timer: Any) -> None:
        timer.stop()


class _Relay(QtCore.QObject):  # type: ignore[misc,name-defined]  # known at run time only
    """Calls functions in the thread that it lives in, which is that of the event loop."""

    def __init__(self) -> None:
        super().__init__()
        self._wanted: deque[Callable[[], object]] = deque()
        self._at_timeout: Callable[[], object] = lambda: None
        self._timer = QtCore.QTimer(self)
        self._timer.setSingleShot(True)
        # The default would be early or late by up to a twentieth of the time.
        self._timer.setTimerType(QtCore.Qt.TimerType.PreciseTimer)
        self._timer.timeout.connect(self._time_out)
        app = QtCore.QCoreApplication.instance()
        if app is not None and QtCore.QAbstractEventDispatcher.instance() is None:
            self.moveToThread(app.thread())  # this thread has no event loop

    def call_soon(self, func: Callable[[], object]) -> None:
        # An event of our own does what a queued signal does. Emitting a signal costs a reference
        # to True in PySide6 6.12.0, which ends the process on Python before 3.12.
        self._wanted.append(func)
        QtCore.QCoreApplication.postEvent(self, QtCore.QEvent(QtCore.QEvent.Type.User))

    def customEvent(self, event: Any) -> None:
        self._wanted.popleft()()

    def call_later(self, seconds: float, func: Callable[[], object]) -> Any:
        self._at_timeout = func
        self._timer.start(ceil(seconds * 1000))
        return self._timer

    def _time_out(self) -> None:
        self._at_timeout()
