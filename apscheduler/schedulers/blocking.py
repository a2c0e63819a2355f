"""A scheduler that has the thread that starts it to itself."""

from __future__ import annotations

from typing import Any

from ._flag import Flag
from .base import MAX_WAIT, BaseScheduler


class BlockingScheduler(BaseScheduler):
    """
    Runs in the thread that starts it: :meth:`start` returns when the scheduler is shut down.

    Ctrl+C raises KeyboardInterrupt from it.
    """

    _event: Any = None  # a Flag, or what the framework has in its place

    def start(self, *args: Any, **kwargs: Any) -> None:
        """Start the scheduler, and return when it has been shut down; see the base class."""
        super().start(*args, **kwargs)
        try:
            self._main_loop()
        except BaseException:
            # Ctrl+C can strike inside an event that a program has put in the place of ours, whose
            # lock is then held for ever.
            self._event = self._create_event()
            # What was moved on in its store by now would never run, for it is not due any more.
            self._hand_over_last_runs()
            raise

    def _enter_start(self) -> None:
        event = self._create_event()
        super()._enter_start()
        self._event = event  # a new one, so that a loop that is about to end still does

    def _create_event(self) -> Any:
        return Flag()

    def _after_fork(self) -> None:
        super()._after_fork()
        self._event = None

    def _leave_shutdown(self) -> None:
        event = self._event  # a listener may start the scheduler anew
        try:
            super()._leave_shutdown()
        finally:
            if event is not None:  # the state was assigned
                event.set()

    def _main_loop(self) -> None:
        """Look for due jobs until the scheduler has been shut down."""
        event = self._event
        wait_seconds: float | None = 0.0
        while self._is_current_loop(event):
            event.wait(MAX_WAIT if wait_seconds is None else min(wait_seconds, MAX_WAIT))
            event.clear()
            wait_seconds = self._look()

    def _is_current_loop(self, event: Any) -> bool:
        """Tell whether the loop that waits for this event is still to go on."""
        return (self.running or self._shutting_down) and self._event is event

    def wakeup(self) -> None:
        if self._event is not None:
            self._event.set()
