"""Time as a computer has it: a wall clock that people set, and one that stops while it sleeps."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from apscheduler.executors.debug import DebugExecutor
from apscheduler.schedulers.blocking import BlockingScheduler
from apscheduler.triggers.base import BaseTrigger

Action = Callable[[], object]


class World:
    """
    Real time passes in it only while a scheduler waits.

    :ivar wall: what the wall clock shows
    :ivar awake: seconds that the computer has been awake, as the monotonic clock counts them
    :ivar waits: how long the scheduler has asked to wait, each time
    """

    def __init__(self, wall: datetime) -> None:
        self.wall = wall
        self.awake = 0.0
        self.waits: list[float | None] = []
        self._actions: list[tuple[float, Action]] = []

    def at(self, awake: float, action: Action) -> None:
        """Do something when the computer has been awake for so many seconds."""
        self._actions.append((awake, action))
        self._actions.sort(key=lambda entry: entry[0])

    def set_clock(self, by: timedelta) -> None:
        self.wall += by

    def suspend(self, duration: timedelta) -> None:
        """Sleep: the wall clock goes on, the monotonic one and all who wait stand still."""
        self.wall += duration

    def wait(self, timeout: float | None, is_over: Callable[[], bool]) -> None:
        self.waits.append(timeout)
        end = float("inf") if timeout is None else self.awake + timeout
        while not is_over() and self.awake < end:
            assert self._actions or timeout is not None, "nothing would ever end this wait"
            if self._actions and self._actions[0][0] <= end:
                moment, action = self._actions.pop(0)
                self._pass(moment - self.awake)
                action()
            else:
                self._pass(end - self.awake)

    def _pass(self, seconds: float) -> None:
        self.awake += seconds
        self.wall += timedelta(seconds=seconds)


class WorldEvent:
    """What the loop waits for: an event by the time of a world."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._is_set = False

    def set(self) -> None:
        self._is_set = True

    def clear(self) -> None:
        self._is_set = False

    def wait(self, timeout: float | None = None) -> None:
        self._world.wait(timeout, lambda: self._is_set)


class WorldScheduler(BlockingScheduler):
    """The real loop, in a world of the test's own."""

    def __init__(self, world: World, **options: Any) -> None:
        self.world = world
        super().__init__(executors={"default": DebugExecutor()}, timezone="UTC", **options)

    def run(self, seconds: float) -> None:
        """Start, and shut down after so many seconds of being awake."""
        self.world.at(self.world.awake + seconds, self.shutdown)
        self.start()

    def _create_event(self) -> WorldEvent:
        return WorldEvent(self.world)

    def _create_trigger(self, trigger: Any, trigger_args: dict[str, Any]) -> BaseTrigger:
        made = super()._create_trigger(trigger, trigger_args)
        made.start_from(self.world.wall)
        return made

    def _now(self) -> datetime:
        return self.world.wall

    def _elapsed(self) -> float:
        return self.world.awake
