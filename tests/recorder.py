"""A listener that remembers events, and on which a test can wait."""

from __future__ import annotations

from threading import Condition
from typing import Any

from apscheduler import events
from apscheduler.schedulers.base import BaseScheduler

NAMES = {
    code: name.removeprefix("EVENT_")
    for name, code in vars(events).items()
    if name.startswith("EVENT_") and name not in ("EVENT_ALL", "EVENT_SCHEDULER_STARTED")
}

OUTCOMES = events.EVENT_JOB_EXECUTED | events.EVENT_JOB_ERROR | events.EVENT_JOB_MISSED

PATIENCE = 30  # seconds; a test that waits so long has failed


class Recorder:
    """Remembers the events of a scheduler, oldest first."""

    def __init__(self, scheduler: BaseScheduler, mask: int = events.EVENT_ALL) -> None:
        self.events: list[Any] = []
        self._changed = Condition()
        scheduler.add_listener(self, mask)

    def __call__(self, event: Any) -> None:
        with self._changed:
            self.events.append(event)
            self._changed.notify_all()

    @property
    def names(self) -> list[str]:
        return [NAMES[event.code] for event in self.events]

    def of(self, mask: int) -> list[Any]:
        """Return the events that the mask lets through."""
        return [event for event in self.events if event.code & mask]

    def wait_for(self, mask: int = OUTCOMES, count: int = 1) -> list[Any]:
        """Wait until so many events of the mask have come, and return them."""
        with self._changed:
            came = self._changed.wait_for(lambda: len(self.of(mask)) >= count, PATIENCE)
            assert came, f"waited for {count} events, got {self.names}"
            return self.of(mask)
