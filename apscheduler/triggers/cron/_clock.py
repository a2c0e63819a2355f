"""From local times to instants where a zone's clocks change."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta, timezone, tzinfo
from enum import Enum
from functools import lru_cache
from zoneinfo import ZoneInfo

from ..._time import UTC, exists

SECOND = timedelta(seconds=1)
MICROSECOND = timedelta(microseconds=1)
ZERO = timedelta()
TWO_DAYS, FIVE_DAYS = timedelta(days=2), timedelta(days=5)
DAY = timedelta(days=1)  # no change of the clocks has been longer than a day

# In so many years in a row all local times were in gaps, so they are for ever.
MAX_GAPS = 400

NextAfter = Callable[[datetime], "datetime | None"]


class ClockRule(Enum):
    """What becomes of local times that do not exist, and of those that come twice."""

    # Of CronTrigger's keyword fields, as in 3.x: a time in a gap comes as long after the change
    # as it would have without one; a time in a repeated hour comes twice.
    SHIFT = "shift"
    # Of crontab lines with wildcards: whatever the clock shows counts, and nothing else.
    SHOWN = "shown"
    # Of crontab lines at fixed times: once a day whatever happens. All times in a gap come right
    # after it, those in a repeated hour only the first time.
    ONCE = "once"


class Change:
    """A change of the offset from UTC in a zone."""

    __slots__ = ("after", "at", "before")

    def __init__(self, at: datetime, before: timedelta, after: timedelta) -> None:
        self.at = at  # the first instant, in UTC, of the offset ``after``
        self.before = before
        self.after = after


class ZoneClock:
    """The clocks of one zone: when they run evenly, and where they change near an instant."""

    __slots__ = ("_change", "even", "tz")

    def __init__(self, tz: tzinfo) -> None:
        self.tz = tz
        # Local times, from and to, between which all exist once and no change is near.
        first, last = datetime.min.replace(tzinfo=tz), datetime.max.replace(tzinfo=tz)
        # Zones that know their offset without knowing the time never change it.
        fixed = isinstance(tz, (timezone, ZoneInfo)) and tz.utcoffset(None) is not None
        self.even = (first, last) if fixed else (first, first)
        self._change: Change | None = None

    def even_from(self, local: datetime) -> datetime:
        """Return up to when, after ``local``, each local time exists once.

        That is ``local`` itself if a change is less than a day before it or soon after. Answers
        are remembered in :attr:`even`.
        """
        if not 1 < local.year < 9999:
            return datetime.max.replace(tzinfo=self.tz)  # no sums beyond the calendar's ends

        # Equal offsets mean that there was no change: two that undo each other are more than six
        # days apart in all zones (those of Gaza in October 2040 by an hour less than seven), and
        # the spans here are shorter. The last day is left out, since its end may be in a repeated
        # hour that began before.
        offset = local.utcoffset()
        if (local - DAY).utcoffset() == offset:
            for days in (FIVE_DAYS, TWO_DAYS):
                end = local + days
                if end.utcoffset() == offset:
                    even_until = end - DAY
                    self.even = (local, even_until)
                    return even_until

        return local

    def change_near(self, instant: datetime) -> Change | None:
        """Return the change within a day before or after an instant, if there is one."""
        change = self._change
        if change is not None and abs(instant - change.at) <= DAY:
            return change

        start, end = instant.astimezone(UTC) - DAY, instant.astimezone(UTC) + DAY
        before, after = self.offset_at(start), self.offset_at(end)
        if before == after:
            return None

        while end - start > SECOND:
            middle = start + (end - start) // 2
            if self.offset_at(middle) == before:
                start = middle
            else:
                end = middle

        # Others may ask about another time meanwhile, so what is returned is not what is shared.
        change = Change(end.replace(microsecond=0), before, after)
        self._change = change
        return change

    def offset_at(self, instant: datetime) -> timedelta:
        """Return how far the clocks are ahead of UTC at an instant."""
        return instant.astimezone(self.tz).utcoffset() or ZERO


def next_instant(
    next_after: NextAfter, clock: ZoneClock, rule: ClockRule, after: datetime
) -> datetime | None:
    """Return, in UTC, the first instant later than another one that a local time stands for.

    :param next_after: finds the next local time; takes and returns naive ones here
    """
    instant = after.astimezone(UTC)
    for _ in range(MAX_GAPS):
        change = clock.change_near(instant)
        if change is not None:
            found = _near_change(next_after, change, rule, instant)
            if found is not None:
                return found
            instant = max(instant, change.at + DAY)

        local = next_after(_local(instant, clock.offset_at(instant)))
        if local is None:
            return None

        # The first of two: the rules differ only in what comes after it, which is near a change.
        named = local.replace(tzinfo=clock.tz)
        change = None if exists(named) else clock.change_near(named)
        if change is None:
            return named.astimezone(UTC)

        # Nothing lies before the gap that this time is in, so go on from there.
        instant = change.at - MICROSECOND

    return None


def _near_change(
    next_after: NextAfter, change: Change, rule: ClockRule, instant: datetime
) -> datetime | None:
    """Return the first instant later than another one up to a day after a change."""
    gap = change.after - change.before
    repeated = -gap
    candidates = []

    # The clock as it was goes on until the change, or through the gap.
    old_end = change.at + max(gap, ZERO)
    local = next_after(_local(instant, change.before))
    if local is not None and instant < old_end:
        found = _instant(local, change.before)
        if found < change.at or (found < old_end and rule is ClockRule.SHIFT):
            candidates.append(found)
        elif found < old_end and rule is ClockRule.ONCE and instant < change.at:
            candidates.append(change.at)

    # The clock as it is from then on.
    start = max(instant, change.at - MICROSECOND)
    if rule is ClockRule.ONCE and repeated > ZERO:
        start = max(start, change.at + repeated - MICROSECOND)
    local = next_after(_local(start, change.after))
    if local is not None:
        found = _instant(local, change.after)
        if found <= change.at + DAY:
            candidates.append(found)

    return min(candidates, default=None)


def _local(instant: datetime, offset: timedelta) -> datetime:
    return instant.replace(tzinfo=None) + offset


def _instant(local: datetime, offset: timedelta) -> datetime:
    return (local - offset).replace(tzinfo=UTC)


@lru_cache(maxsize=1024)
def _shared_clock(tz: tzinfo) -> ZoneClock:
    return ZoneClock(tz)


def clock_of(tz: tzinfo) -> ZoneClock:
    """Return the clock of a zone; triggers of one zone share it."""
    try:
        hash(tz)
    except TypeError:  # some tzinfo classes, dateutil's among them, have no hash
        return ZoneClock(tz)

    return _shared_clock(tz)
