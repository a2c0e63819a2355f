"""What the triggers are checked against: the time rules, written down in the slowest way.

Nothing here shares code with the package. A local time is looked at minute by minute, and what it
stands for is read off the two folds of :pep:`495`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo, available_timezones

UTC = timezone.utc
MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)

# Without the zones that are no places, and whose data come with the machine.
ALL_ZONES = sorted(available_timezones() - {"localtime", "Factory"})


def instants_named(local: datetime, zone: ZoneInfo) -> list[datetime]:
    """The instants, none, one or two, at which the clocks of a zone show a local time."""
    folds = [local.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1)]
    return sorted({i for i in folds if i.astimezone(zone).replace(tzinfo=None, fold=0) == local})


def shifted(local: datetime, zone: ZoneInfo) -> list[datetime]:
    """Keyword fields: a time in a gap is as much later as the clocks went ahead."""
    return instants_named(local, zone) or [local.replace(tzinfo=zone, fold=0).astimezone(UTC)]


def shown(local: datetime, zone: ZoneInfo) -> list[datetime]:
    """Crontab lines with wildcards: only what the clocks show."""
    return instants_named(local, zone)


def once(local: datetime, zone: ZoneInfo) -> list[datetime]:
    """Crontab lines at fixed times: the first time; after a gap, the first minute there is."""
    while not (instants := instants_named(local, zone)):
        local += MINUTE

    return instants[:1]


Rule = Callable[[datetime, ZoneInfo], "list[datetime]"]


def fire_times(
    matches: Callable[[datetime], bool],
    rule: Rule,
    zone: ZoneInfo,
    start: datetime,
    end: datetime,
) -> list[datetime]:
    """All instants from ``start`` up to ``end`` that matching local minutes stand for."""
    found = set()
    for local in _local_minutes(start, end, zone):
        if matches(local):
            found.update(i for i in rule(local, zone) if start <= i <= end)

    return sorted(found)


def _local_minutes(start: datetime, end: datetime, zone: ZoneInfo) -> Iterator[datetime]:
    local = start.astimezone(zone).replace(tzinfo=None, fold=0, second=0, microsecond=0) - DAY
    last = end.astimezone(zone).replace(tzinfo=None, fold=0) + DAY
    while local <= last:
        yield local
        local += MINUTE


def exists(moment: datetime) -> bool:
    """Whether an aware datetime is what the clocks of its zone show at its instant."""
    again = moment.astimezone(UTC).astimezone(moment.tzinfo)
    return (again.replace(tzinfo=None), again.fold) == (moment.replace(tzinfo=None), moment.fold)


def near_changes(zone: ZoneInfo, year: int) -> list[datetime]:
    """The days of a year on which the clocks of a zone change, as instants at their start."""
    day = datetime(year, 1, 1, tzinfo=UTC)
    days = [day + n * DAY for n in range(366)]
    return [
        one
        for one in days
        if one.astimezone(zone).utcoffset() != (one + DAY).astimezone(zone).utcoffset()
    ]
