"""Go through the missed times of triggers that cannot name the last one, some in each pass."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import NamedTuple

from .._time import is_later
from ..triggers.base import BaseTrigger

# So many times one pass goes through, which takes some hundredths of a second: the job store lock
# is held meanwhile, and others wait for it.
STEPS_PER_PASS = 5000

# Each job has so many, though there are none left.
STEPS_PER_JOB = 100


class _Progress(NamedTuple):
    due: datetime
    reached: datetime


class Stepping:
    """How far the passes have come with each job; the backlog keeps it from pass to pass."""

    def __init__(self) -> None:
        self._progress: dict[tuple[str, str], _Progress] = {}
        self._steps_left = STEPS_PER_PASS

    def begin_pass(self) -> None:
        self._steps_left = STEPS_PER_PASS

    def begun(self) -> Collection[tuple[str, str]]:
        """The jobs whose last time has not been reached yet."""
        return self._progress.keys()

    def forget(self, key: tuple[str, str]) -> None:
        """Begin anew with a job: it was changed, or removed."""
        self._progress.pop(key, None)

    def last_fire_time(
        self, key: tuple[str, str], trigger: BaseTrigger, due: datetime, now: datetime
    ) -> datetime | None:
        """
        Return the last time to run that is not later than ``now``.

        :param key: store and id of the job
        :param due: the time that it waits for
        :return: None if it has not been reached in this pass; another one goes on from here
        """
        if type(trigger).get_last_fire_time is not BaseTrigger.get_last_fire_time:
            return trigger.get_last_fire_time(due, now)

        progress = self._progress.pop(key, None)
        last = progress.reached if progress is not None and progress.due == due else due
        steps = max(self._steps_left, STEPS_PER_JOB)
        self._steps_left -= steps
        for step in range(steps):
            following = trigger.get_next_fire_time(last, last)
            moves_on = following is not None and is_later(following, last)
            if following is None or not moves_on or is_later(following, now):
                self._steps_left += steps - step
                return last
            last = following

        self._progress[key] = _Progress(due, last)
        return None
