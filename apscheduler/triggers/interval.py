"""Run at fixed intervals of real time."""

from __future__ import annotations

from datetime import datetime, timedelta, tzinfo
from functools import lru_cache
from typing import Any

from .._time import (
    UTC,
    astimezone,
    choose_timezone,
    convert_to_datetime,
    datetime_repr,
    datetime_utc_add,
    is_later,
    same_zone,
)
from .base import BaseTrigger, check_jitter, check_version, same_start, same_time

ZERO = timedelta()


class IntervalTrigger(BaseTrigger):
    """Run at the instants ``start_date + k * interval`` for k = 0, 1, 2, ...

    Intervals are real time: "every 24 hours" moves by an hour on the wall when the clocks change
    (CalendarIntervalTrigger does not). All lengths add up; fractions are allowed, negative ones
    are refused, and zero means one second.

    :param weeks: how many times 7 days
    :param days: how many times 24 hours
    :param hours: how many hours
    :param minutes: how many minutes
    :param seconds: how many seconds
    :param start_date: the first time to run; None for one interval after the trigger is made
    :param end_date: the last time that may be run at (inclusive); None for no end
    :param timezone: zone or its name, for dates without one and for the times handed out; None
        for the zone of start_date or end_date, else the computer's
    :param jitter: seconds by which each run may come later, chosen at random for each; None for 0
    :raises ValueError: the interval is negative, not finite, or shorter than a microsecond
    """

    __slots__ = ("_given", "end_date", "interval", "jitter", "start_date", "timezone")

    start_date: datetime
    end_date: datetime | None
    interval: timedelta
    jitter: float | None
    timezone: tzinfo
    _given: bool | None  # whether start_date was; None: read from a state that does not tell

    def __init__(
        self,
        weeks: float = 0,
        days: float = 0,
        hours: float = 0,
        minutes: float = 0,
        seconds: float = 0,
        start_date: Any = None,
        end_date: Any = None,
        timezone: str | tzinfo | None = None,
        jitter: float | None = None,
    ) -> None:
        self.interval = _length(weeks, days, hours, minutes, seconds)
        self.timezone = choose_timezone(timezone, start_date, end_date)
        self.jitter = check_jitter(jitter)
        self.end_date = convert_to_datetime(end_date, self.timezone, "end_date")
        start = convert_to_datetime(start_date, self.timezone, "start_date")
        self._given = start is not None
        self.start_date = start or self._one_interval_after(datetime.now(UTC))

    def _one_interval_after(self, now: datetime) -> datetime:
        zone = self.timezone
        try:
            later = now.astimezone(UTC) + self.interval
            return later if zone is UTC else later.astimezone(zone)
        except OverflowError as exc:
            raise ValueError(
                f"One interval of {self.interval} from now is beyond the year 9999 -- "
                f"give a shorter one, or a start_date"
            ) from exc

    @property
    def interval_length(self) -> float:
        """The interval in seconds."""
        return self.interval.total_seconds()

    def get_next_fire_time(
        self, previous_fire_time: datetime | None, now: datetime
    ) -> datetime | None:
        """Return the first instant of the grid after the previous time, else from ``now`` on."""
        if previous_fire_time is None:
            steps = -(self._since_start(now) // -self.interval)
            fire_time = self._at(max(steps, 0))
        else:
            fire_time = self._after(previous_fire_time, now)

        if fire_time is None or not self.jitter:
            return fire_time

        return self._jittered(fire_time, self.jitter, self.end_date, now)

    def get_first_fire_time(self, after: datetime | None, now: datetime) -> datetime | None:
        """Return the first instant of the grid later than ``after``, or else from ``now`` on."""
        is_plain = after is None and self.end_date is None and not self.jitter
        if is_plain and not is_later(now, self.start_date):
            return self.start_date.astimezone(self.timezone)  # which is most often its own

        return self.get_next_fire_time(after, after or now)

    def get_last_fire_time(self, previous_fire_time: datetime, now: datetime) -> datetime:
        """Return the last instant of the grid that is not later than ``now``."""
        limit = now if self.end_date is None or is_later(self.end_date, now) else self.end_date
        steps = self._since_start(limit) // self.interval
        last = self._at(steps) if steps >= 0 or self._goes_back_to(limit) else None
        moved_on = last is not None and is_later(last, previous_fire_time)

        return last if last is not None and moved_on else previous_fire_time

    def get_fire_time_after_set_back(
        self, next_fire_time: datetime, before: datetime, now: datetime
    ) -> datetime:
        """Return the time that is as far away as it was, so that the interval stays real time."""
        # A time further away was set by hand, and is waited for.
        longest = self.interval + timedelta(seconds=self.jitter or 0)
        if is_later(next_fire_time, datetime_utc_add(before, longest)):
            return next_fire_time

        set_back_by = before.astimezone(UTC) - now.astimezone(UTC)
        earlier = datetime_utc_add(next_fire_time, -set_back_by)
        if self._given is not False and is_later(self.start_date, earlier):
            return self.start_date

        return earlier

    def _goes_back_to(self, now: datetime) -> bool:
        """Tell whether the clock was set back to before this trigger was made: so is its grid."""
        return self._given is False and self._since_start(now) < -self.interval

    def _since_start(self, instant: datetime) -> timedelta:
        return instant.astimezone(UTC) - self.start_date.astimezone(UTC)

    def _after(self, previous_fire_time: datetime, now: datetime) -> datetime | None:
        previous = previous_fire_time.astimezone(UTC)  # once: zones with clock changes are slow
        since_start = previous - self.start_date.astimezone(UTC)
        if since_start >= ZERO:
            return self._later(previous, self.interval - since_start % self.interval)

        return self._at(since_start // self.interval + 1 if self._goes_back_to(now) else 0)

    def _at(self, steps: int) -> datetime | None:
        """Return one instant of the grid, or None if it lies beyond the end (or the calendar)."""
        start = self.start_date
        if not steps and start.tzinfo is self.timezone:
            has_ended = self.end_date is not None and is_later(start, self.end_date)
            return None if has_ended else start

        try:
            return self._later(start.astimezone(UTC), steps * self.interval)
        except OverflowError:
            return None

    def _later(self, utc: datetime, by: timedelta) -> datetime | None:
        """Return an instant so much later, or None if it lies beyond the end (or the calendar)."""
        try:
            moved = utc + by
        except OverflowError:
            return None

        if self.end_date is not None and moved > self.end_date:
            return None

        return moved.astimezone(self.timezone)

    def start_from(self, now: datetime) -> None:
        """Begin one interval after ``now`` if no start date was given."""
        if self._given is False:
            self.start_date = self._one_interval_after(now.astimezone(self.timezone))

    def is_same_schedule(self, other: object) -> bool:
        """Tell whether both define the same grid; without a start date it is the interval only."""
        return (
            type(other) is type(self)
            and (self.interval, self.jitter) == (other.interval, other.jitter)
            and same_zone(self.timezone, other.timezone)
            and same_time(self.end_date, other.end_date)
            and same_start((self._given, self.start_date), (other._given, other.start_date))
        )

    def __getstate__(self) -> dict[str, Any]:
        return {
            "version": 2,
            "timezone": self.timezone,
            "start_date": self.start_date,
            "end_date": self.end_date,
            "interval": self.interval,
            "jitter": self.jitter,
            "start_given": self._given,
        }

    def __setstate__(self, state: Any) -> None:
        state = check_version(self, state, 2)
        self.timezone = astimezone(state["timezone"])
        self.interval = state["interval"]
        self.jitter = state.get("jitter")
        self._given = state.get("start_given")
        start, end = state["start_date"], state["end_date"]
        if "start_given" not in state:  # 3.x wrote it, with dates as they were given
            start = convert_to_datetime(start, self.timezone, "start_date")
            assert start is not None, "every version stored a start date"
            end = convert_to_datetime(end, self.timezone, "end_date")
        self.start_date, self.end_date = start, end

    def __str__(self) -> str:
        return f"interval[{self.interval}]"

    def __repr__(self) -> str:
        options = [
            f"interval={self.interval!r}",
            f"start_date='{datetime_repr(self.start_date)}'",
        ]
        if self.end_date:
            options.append(f"end_date='{datetime_repr(self.end_date)}'")
        if self.jitter:
            options.append(f"jitter={self.jitter}")

        options.append(f"timezone='{self.timezone}'")
        return f"<{type(self).__name__} ({', '.join(options)})>"


# Kept, so that triggers with the same interval share one object.
@lru_cache(maxsize=256)
def _length(weeks: float, days: float, hours: float, minutes: float, seconds: float) -> timedelta:
    parts = f"{weeks=}, {days=}, {hours=}, {minutes=}, {seconds=}"
    try:
        interval = timedelta(weeks=weeks, days=days, hours=hours, minutes=minutes, seconds=seconds)
    except (OverflowError, ValueError) as exc:
        raise ValueError(
            f"No interval can be made of {parts} -- give finite numbers that add up to at most "
            f"{timedelta.max.days} days"
        ) from exc

    if interval < ZERO:
        raise ValueError(
            f"The interval must not be negative, but weeks, days, hours, minutes and seconds "
            f"add up to {interval.total_seconds():g} seconds"
        )
    if not interval and any((weeks, days, hours, minutes, seconds)):
        raise ValueError(
            f"The smallest interval is 1 microsecond, but {parts} add up to less -- "
            f"give 0 for the default of 1 second"
        )

    return interval or timedelta(seconds=1)
