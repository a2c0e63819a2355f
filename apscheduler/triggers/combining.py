"""Triggers made of others: when all of them run, or when any of them runs."""

from __future__ import annotations

import logging
from abc import abstractmethod
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from .._refs import obj_to_ref, ref_to_obj
from .._time import UTC, is_later
from .base import BaseTrigger, check_jitter, check_version

MICROSECOND = timedelta(microseconds=1)

logger = logging.getLogger(__name__)


class BaseCombiningTrigger(BaseTrigger):
    """What AndTrigger and OrTrigger share.

    :param triggers: the parts, as one list or as several arguments
    :param jitter: seconds by which each run may come later, chosen at random for each; None for 0
    :raises TypeError: a part is no trigger
    """

    __slots__ = ("jitter", "triggers")

    triggers: list[BaseTrigger]
    jitter: float | None

    def __init__(
        self,
        triggers: BaseTrigger | Iterable[BaseTrigger],
        *more: Any,
        jitter: float | None = None,
    ) -> None:
        parts = [triggers] if isinstance(triggers, BaseTrigger) else list(triggers)
        # In 3.x the second argument is the jitter.
        if len(more) == 1 and not isinstance(more[0], BaseTrigger):
            jitter, more = more[0], ()

        self.triggers = [_checked(part) for part in (*parts, *more)]
        self.jitter = check_jitter(jitter)

    def get_next_fire_time(
        self, previous_fire_time: datetime | None, now: datetime
    ) -> datetime | None:
        """Return the first combined time after the previous one, else from ``now`` on."""
        fire_time = self._first_after(previous_fire_time, now) if self.triggers else None
        return self._apply_jitter(fire_time, self.jitter, now)

    @abstractmethod
    def _first_after(self, after: datetime | None, now: datetime) -> datetime | None:
        """Return the first combined time after one, without jitter."""

    def start_from(self, now: datetime) -> None:
        """Let each part count from ``now`` if it was built without a start of its own."""
        for trigger in self.triggers:
            trigger.start_from(now)

    def is_same_schedule(self, other: object) -> bool:
        """Tell whether both combine the same schedules in the same order."""
        return (
            type(other) is type(self)
            and self.jitter == other.jitter
            and len(self.triggers) == len(other.triggers)
            and all(map(_same_schedule, self.triggers, other.triggers))
        )

    def __getstate__(self) -> dict[str, Any]:
        return {
            "version": 1,
            "triggers": [dump_trigger(trigger) for trigger in self.triggers],
            "jitter": self.jitter,
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        state = check_version(self, state, 1)
        self.triggers = [load_trigger(*part) for part in state["triggers"]]
        self.jitter = state.get("jitter")

    def __repr__(self) -> str:
        jitter = f", jitter={self.jitter}" if self.jitter else ""
        return f"<{type(self).__name__}({self.triggers}{jitter})>"

    def _listed(self) -> str:
        return ", ".join(map(str, self.triggers))


class AndTrigger(BaseCombiningTrigger):
    """Run when all parts would run at the same time.

    :param threshold: times less than so many seconds apart count as the same, and the earliest
        is taken; with 0 they have to be equal
    :param max_iterations: after so many rounds without a common time the schedule has ended, and
        a warning says so
    """

    __slots__ = ("max_iterations", "threshold")

    threshold: float
    max_iterations: int

    def __init__(
        self,
        triggers: BaseTrigger | Iterable[BaseTrigger],
        *more: Any,
        jitter: float | None = None,
        threshold: float = 1,
        max_iterations: int = 10_000,
    ) -> None:
        super().__init__(triggers, *more, jitter=jitter)
        if threshold < 0:
            raise ValueError(f"threshold must not be negative, but is {threshold}")

        self.threshold = threshold
        self.max_iterations = max_iterations

    def _first_after(self, after: datetime | None, now: datetime) -> datetime | None:
        tolerance = self._tolerance
        times = [trigger.get_first_fire_time(after, now) for trigger in self.triggers]
        for _ in range(self.max_iterations):
            instants = [time.astimezone(UTC) for time in times if time is not None]
            if len(instants) < len(times):
                return None

            latest_start = max(instants) - tolerance
            if min(instants) >= latest_start:
                return times[instants.index(min(instants))]

            # Whoever is too early goes on to the first time that may match the latest.
            times = [
                time
                if instant >= latest_start
                else trigger.get_first_fire_time(latest_start - MICROSECOND, now)
                for trigger, time, instant in zip(self.triggers, times, instants, strict=True)
            ]

        self._warn_of_no_match()
        return None

    def get_last_fire_time(self, previous_fire_time: datetime, now: datetime) -> datetime:
        """Return the last common time that is not later than ``now``."""
        if not self.triggers:
            return previous_fire_time

        tolerance = self._tolerance
        last = max(self._last_times(previous_fire_time, now), key=_instant)
        for _ in range(self.max_iterations):
            if not is_later(last, previous_fire_time):
                return previous_fire_time

            # No common time is later than the earliest of these; it is one if it is `last`.
            limit = last.astimezone(UTC) + tolerance
            earliest = min(self._last_times(previous_fire_time, limit), key=_instant)
            if not is_later(last, earliest):
                return last
            last = earliest

        self._warn_of_no_match()
        return previous_fire_time

    @property
    def _tolerance(self) -> timedelta:
        """How far apart times that count as the same may be, at most."""
        return max(timedelta(seconds=self.threshold) - MICROSECOND, timedelta())

    def _last_times(self, previous_fire_time: datetime, limit: datetime) -> list[datetime]:
        return [part.get_last_fire_time(previous_fire_time, limit) for part in self.triggers]

    def _warn_of_no_match(self) -> None:
        logger.warning(
            "%s found no common time in %d rounds, so it is taken to have ended "
            "-- raise max_iterations to search on",
            self,
            self.max_iterations,
        )

    def is_same_schedule(self, other: object) -> bool:
        """Tell whether both combine the same schedules in the same order and manner."""
        return (
            super().is_same_schedule(other)
            and isinstance(other, AndTrigger)
            and self.threshold == other.threshold
        )

    def __getstate__(self) -> dict[str, Any]:
        return super().__getstate__() | {
            "threshold": self.threshold,
            "max_iterations": self.max_iterations,
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self.threshold = state.get("threshold", 1)
        self.max_iterations = state.get("max_iterations", 10_000)

    def __str__(self) -> str:
        return f"and[{self._listed()}]"


class OrTrigger(BaseCombiningTrigger):
    """Run whenever one of the parts would run; once where several would at the same instant."""

    __slots__ = ()

    def _first_after(self, after: datetime | None, now: datetime) -> datetime | None:
        times = (trigger.get_first_fire_time(after, now) for trigger in self.triggers)
        return min((time for time in times if time is not None), key=_instant, default=None)

    def get_last_fire_time(self, previous_fire_time: datetime, now: datetime) -> datetime:
        """Return the last time of any part that is not later than ``now``."""
        times = (part.get_last_fire_time(previous_fire_time, now) for part in self.triggers)
        return max(times, key=_instant, default=previous_fire_time)

    def __str__(self) -> str:
        return f"or[{self._listed()}]"


def dump_trigger(trigger: BaseTrigger) -> tuple[str, Any]:
    """Return the reference of a trigger's class and its state, as they are stored."""
    # What pickle would store: not every custom trigger has a __getstate__ of its own.
    return obj_to_ref(type(trigger)), trigger.__reduce_ex__(2)[2]


def load_trigger(ref: str, state: Any) -> BaseTrigger:
    """Return the trigger that :func:`dump_trigger` stored."""
    cls = ref_to_obj(ref)
    trigger: BaseTrigger = cls.__new__(cls)
    set_state = getattr(trigger, "__setstate__", None)
    if set_state is not None:
        set_state(state)
        return trigger

    attributes, slots = state if isinstance(state, tuple) else (state, None)
    for name, value in {**(attributes or {}), **(slots or {})}.items():
        setattr(trigger, name, value)

    return trigger


def _checked(part: Any) -> BaseTrigger:
    if not isinstance(part, BaseTrigger):
        raise TypeError(f"Only triggers can be combined, not {part!r}")

    return part


def _same_schedule(first: BaseTrigger, second: BaseTrigger) -> bool:
    return first.is_same_schedule(second)


def _instant(time: datetime) -> datetime:
    return time.astimezone(UTC)
