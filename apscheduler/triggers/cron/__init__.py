"""Run when the fields of date and time match, or as a crontab line says."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import MAXYEAR, datetime, timedelta, tzinfo
from functools import lru_cache
from typing import Any

from ..._time import (
    UTC,
    astimezone,
    choose_timezone,
    convert_to_datetime,
    datetime_repr,
    is_later,
    same_zone,
)
from .._dates import instant_of, just_before
from ..base import BaseTrigger, check_jitter, check_version, same_time
from ._calendar import CronCalendar, calendar_of
from ._clock import ClockRule, ZoneClock, clock_of, next_instant
from .crontab import CrontabLine
from .expressions import MIN_VALUES
from .fields import (
    DEFAULT_VALUES,
    BaseField,
    DayOfMonthField,
    DayOfWeekField,
    MonthField,
    WeekField,
)

MICROSECOND = timedelta(microseconds=1)
SECOND = timedelta(seconds=1)
FEW = 8  # so many times are gone through one by one before a search is made
FIRST_YEAR = MIN_VALUES["year"] - 1  # in some zones the year begins in the one before in UTC
FIRST_MOMENT = datetime(FIRST_YEAR, 1, 1, tzinfo=UTC)

FieldMaker = Callable[[str, Any, bool], BaseField]
FIELD_CLASSES: dict[str, FieldMaker] = {
    "month": MonthField,
    "day": DayOfMonthField,
    "week": WeekField,
    "day_of_week": DayOfWeekField,
}


class CronTrigger(BaseTrigger):
    """Run when all given fields match the time that the clocks of a zone show.

    Fields are numbers or strings: ``*``, ``*/a``, ``a``, ``a-b``, ``a-b/c``, and lists of these
    with commas. Fields that are left out match every value; those less significant than the least
    significant given one are at their minimum: ``hour=5`` is once a day, at 05:00:00.

    This is not quite what cron does; :meth:`from_crontab` is.

    :param year: 4-digit year
    :param month: 1-12, jan-dec
    :param day: 1-31, ``last``, ``1st mon`` to ``5th sun``, ``last fri``
    :param week: ISO 8601 week, 1-53
    :param day_of_week: 0-6 with Monday as 0, mon-sun
    :param hour: 0-23
    :param minute: 0-59
    :param second: 0-59
    :param start_date: no run is earlier; None for no limit
    :param end_date: no run is later; None for no limit
    :param timezone: zone or its name; None for that of start_date or end_date, else the computer's
    :param jitter: seconds by which each run may come later, chosen at random for each; None for 0
    :raises ValueError: naming the field, the expression and what is allowed
    """

    __slots__ = (
        "_calendar",
        "_clock",
        "_crontab",
        "_rule",
        "end_date",
        "fields",
        "jitter",
        "start_date",
        "timezone",
    )

    FIELD_NAMES = ("year", "month", "day", "week", "day_of_week", "hour", "minute", "second")
    fields: list[BaseField]
    start_date: datetime | None
    end_date: datetime | None
    timezone: tzinfo
    jitter: float | None
    _crontab: str | None  # the line, if the trigger was made of one
    _rule: ClockRule
    _calendar: CronCalendar
    _clock: ZoneClock

    def __init__(
        self,
        year: int | str | None = None,
        month: int | str | None = None,
        day: int | str | None = None,
        week: int | str | None = None,
        day_of_week: int | str | None = None,
        hour: int | str | None = None,
        minute: int | str | None = None,
        second: int | str | None = None,
        start_date: Any = None,
        end_date: Any = None,
        timezone: str | tzinfo | None = None,
        jitter: float | None = None,
    ) -> None:
        self.timezone = choose_timezone(timezone, start_date, end_date)
        self.start_date = convert_to_datetime(start_date, self.timezone, "start_date")
        self.end_date = convert_to_datetime(end_date, self.timezone, "end_date")
        self.jitter = check_jitter(jitter)
        given = (year, month, day, week, day_of_week, hour, minute, second)
        self.fields = self._make_fields(dict(zip(self.FIELD_NAMES, given, strict=True)))
        self._compile(None)

    @classmethod
    def from_crontab(cls, expr: str, timezone: str | tzinfo | None = None) -> CronTrigger:
        """Make a trigger of a crontab line, which is read as Debian's cron reads it.

        0 and 7 are Sunday; if both the day of the month and the day of the week are restricted,
        either may match; L is the last day of the month. When clocks change, runs at fixed times
        are neither lost (they come right after a gap) nor doubled, and those with wildcards follow
        the clock.

        :param expr: minute, hour, day of month, month, day of week; with six fields, seconds come
            first; or @hourly, @daily, @midnight, @weekly, @monthly, @yearly, @annually
        :param timezone: zone or its name; None for the computer's
        :raises ValueError: naming the field, the expression and what is allowed
        """
        line = CrontabLine(expr)
        arguments: dict[str, Any] = line.fields
        trigger = cls(**arguments, timezone=timezone)
        trigger._compile(line)

        return trigger

    def _make_fields(self, given: Mapping[str, int | str | None]) -> list[BaseField]:
        least = max((i for i, value in enumerate(given.values()) if value is not None), default=-1)
        fields = []
        for position, (name, value) in enumerate(given.items()):
            default = DEFAULT_VALUES[name] if 0 <= least < position else "*"
            exprs = default if value is None else value
            fields.append(
                _shared_field(FIELD_CLASSES.get(name, BaseField), name, str(exprs), value is None)
            )

        return fields

    def _compile(self, line: CrontabLine | None) -> None:
        """Derive from fields, zone and line what makes finding the next time fast."""
        if line is None:
            self._crontab = None
            self._rule = ClockRule.SHIFT
            self._calendar = calendar_of(self.fields, either_day=False)
        else:
            self._crontab = line.text
            self._rule = ClockRule.ONCE if line.fixed_time else ClockRule.SHOWN
            self._calendar = calendar_of(self.fields, line.either_day)

        self._clock = clock_of(self.timezone)

    def get_next_fire_time(
        self, previous_fire_time: datetime | None, now: datetime
    ) -> datetime | None:
        """Return the first matching time after the previous one, else from ``now`` on."""
        after = previous_fire_time
        if after is None:
            after = just_before(now)

        fire_time = self._first_after(after)
        if fire_time is None:
            return None
        if self.end_date is not None and is_later(fire_time, self.end_date):
            return None

        return (
            self._jittered(fire_time, self.jitter, self.end_date, now)
            if self.jitter
            else fire_time
        )

    def _first_after(self, after: datetime) -> datetime | None:
        # Years of fields begin later than that, and sums go wrong where the calendar begins.
        if after.year < FIRST_YEAR:
            after = FIRST_MOMENT
        if self.start_date is not None and is_later(self.start_date, after):
            after = just_before(self.start_date)

        tz = self.timezone
        try:
            local = after if after.tzinfo is tz else after.astimezone(UTC).astimezone(tz)
            start, end = self._clock.even
            if not start <= local < end:
                end = self._clock.even_from(local)

            if local < end:
                fire_time = self._calendar.next_after(local)
                # The next call begins there: what is found out about that time will be of use.
                if (
                    fire_time is None
                    or fire_time < end
                    or fire_time < self._clock.even_from(fire_time)
                ):
                    # Sums with such times go wrong, too, beyond the end of UTC's calendar.
                    if fire_time is not None and fire_time.year == MAXYEAR:
                        fire_time.astimezone(UTC)
                    return fire_time

            instant = next_instant(self._calendar.next_after, self._clock, self._rule, after)
            return instant and instant.astimezone(tz)
        except OverflowError:  # the calendar has ended
            return None

    def get_first_fire_time(self, after: datetime | None, now: datetime) -> datetime | None:
        """Return the first matching time later than ``after``, or else from ``now`` on."""
        return self.get_next_fire_time(after, after or now)

    def get_last_fire_time(self, previous_fire_time: datetime, now: datetime) -> datetime:
        """Return the last matching time that is not later than ``now``."""
        limit = instant_of(now)
        if self.end_date is not None:
            limit = min(limit, instant_of(self.end_date))

        last = self._due_after(previous_fire_time, limit)
        if last is None:
            return previous_fire_time

        # Look back from the limit, at first as far as these two times are apart: most schedules
        # are even enough for the last time to be the next or next but one.
        reach = max(instant_of(last) - instant_of(previous_fire_time), SECOND)
        while reach < limit - instant_of(last):
            later = self._due_after(limit - reach, limit)
            if later is not None:
                last = later
                break
            reach *= 4

        for _ in range(FEW):
            later = self._due_after(last, limit)
            if later is None:
                return last
            last = later

        return self._last_by_halves(last, limit)

    def _last_by_halves(self, last: datetime, limit: datetime) -> datetime:
        """Return the last matching time up to a limit, from one on."""
        # Halve the time that is left until no later one can be in it. Each step asks for the
        # first time after the middle, so that the rules for changing clocks are written once.
        while (remaining := limit - last.astimezone(UTC)) >= SECOND:
            middle = limit - remaining // 2 - MICROSECOND
            later = self._due_after(middle, limit)
            if later is None:
                limit = middle
            else:
                last = later

        return last

    def _due_after(self, after: datetime, limit: datetime) -> datetime | None:
        """Return the first matching time after one if it is not later than a limit."""
        fire_time = self._first_after(after)
        return None if fire_time is None or is_later(fire_time, limit) else fire_time

    def is_same_schedule(self, other: object) -> bool:
        """Tell whether both have the same fields, dialect, limits, zone and jitter."""
        return (
            type(other) is type(self)
            and self.fields == other.fields
            and self.jitter == other.jitter
            and self._has_same_dialect(other)
            and same_zone(self.timezone, other.timezone)
            and same_time(self.start_date, other.start_date)
            and same_time(self.end_date, other.end_date)
        )

    def _has_same_dialect(self, other: CronTrigger) -> bool:
        if self._crontab == other._crontab:
            return True

        # 3.x stored the fields of a line alone. They say the same, but for runs at clock changes,
        # unless either day may match: then a job that is added again keeps its next run.
        lines = [text for text in (self._crontab, other._crontab) if text is not None]
        return len(lines) == 1 and not CrontabLine(lines[0]).either_day

    def __getstate__(self) -> dict[str, Any]:
        state = {
            "version": 2,
            "timezone": self.timezone,
            "start_date": self.start_date,
            "end_date": self.end_date,
            "fields": self.fields,
            "jitter": self.jitter,
        }
        # 3.x does not know this one, and reads the fields, which come as near as it can get.
        return state if self._crontab is None else state | {"crontab": self._crontab}

    def __setstate__(self, state: Any) -> None:
        state = check_version(self, state, 2)
        self.timezone = astimezone(state["timezone"])
        self.start_date = convert_to_datetime(state["start_date"], self.timezone, "start_date")
        self.end_date = convert_to_datetime(state["end_date"], self.timezone, "end_date")
        self.fields = state["fields"]
        self.jitter = state.get("jitter")
        crontab = state.get("crontab")
        self._compile(None if crontab is None else CrontabLine(crontab))

    def __str__(self) -> str:
        return f"cron[{', '.join(self._options())}]"

    def __repr__(self) -> str:
        options = self._options()
        if self.start_date:
            options.append(f"start_date='{datetime_repr(self.start_date)}'")
        if self.end_date:
            options.append(f"end_date='{datetime_repr(self.end_date)}'")
        if self.jitter:
            options.append(f"jitter={self.jitter}")

        options.append(f"timezone='{self.timezone}'")
        return f"<{type(self).__name__} ({', '.join(options)})>"

    def _options(self) -> list[str]:
        if self._crontab is not None:
            return [f"crontab='{self._crontab}'"]

        return [f"{field.name}='{field}'" for field in self.fields if not field.is_default]


@lru_cache(maxsize=1024)
def _shared_field(make: FieldMaker, name: str, exprs: str, is_default: bool) -> BaseField:
    """Return a field; nothing changes fields once they are made, so triggers share them."""
    return make(name, exprs, is_default)
