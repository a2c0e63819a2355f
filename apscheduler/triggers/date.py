"""Run once, at a given time."""

from __future__ import annotations

from datetime import datetime, tzinfo
from typing import Any

from .._time import (
    choose_timezone,
    convert_to_datetime,
    datetime_repr,
    is_later,
)
from .base import BaseTrigger, check_version, same_start


class DateTrigger(BaseTrigger):
    """Run once, at ``run_date``; a job that is added later than that runs at once.

    :param run_date: a datetime, a date or a string (see the time rules); None for now
    :param timezone: zone or its name for a ``run_date`` that has none; None for the computer's
    """

    __slots__ = ("_given", "run_date")

    run_date: datetime
    _given: bool | None  # None: read from a state that does not tell

    def __init__(self, run_date: Any = None, timezone: str | tzinfo | None = None) -> None:
        zone = choose_timezone(timezone, run_date)
        given = convert_to_datetime(run_date, zone, "run_date")
        self.run_date = datetime.now(zone) if given is None else given
        self._given = given is not None

    def get_next_fire_time(
        self, previous_fire_time: datetime | None, now: datetime
    ) -> datetime | None:
        """Return the run date the first time, None ever after."""
        return self.run_date if previous_fire_time is None else None

    def get_first_fire_time(self, after: datetime | None, now: datetime) -> datetime | None:
        """Return the run date, even if it has passed, unless it is not later than ``after``."""
        return self.run_date if after is None or is_later(self.run_date, after) else None

    def get_last_fire_time(self, previous_fire_time: datetime, now: datetime) -> datetime:
        """Return the run date if it has come and is later than the time given, else that."""
        run_date = self.run_date
        due = is_later(run_date, previous_fire_time) and not is_later(run_date, now)
        return run_date if due else previous_fire_time

    def start_from(self, now: datetime) -> None:
        """Make ``now`` the run date if none was given."""
        if self._given is False:
            self.run_date = now.astimezone(self.run_date.tzinfo)

    def is_same_schedule(self, other: object) -> bool:
        """Tell whether both run at the same time; two that mean "now" are the same."""
        return type(other) is type(self) and same_start(
            (self._given, self.run_date), (other._given, other.run_date)
        )

    def __getstate__(self) -> dict[str, Any]:
        return {"version": 1, "run_date": self.run_date, "start_given": self._given}

    def __setstate__(self, state: Any) -> None:
        state = check_version(self, state, 1)
        run_date = convert_to_datetime(state["run_date"], None, "run_date")
        assert run_date is not None, "every version stored a run date"
        self.run_date = run_date
        self._given = state.get("start_given")

    def __str__(self) -> str:
        return f"date[{datetime_repr(self.run_date)}]"

    def __repr__(self) -> str:
        return f"<{type(self).__name__} (run_date='{datetime_repr(self.run_date)}')>"
