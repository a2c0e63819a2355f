"""Computing the next fire time of a crontab line, beside the packages that do nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from itertools import islice
from math import exp, log
from time import perf_counter
from zoneinfo import ZoneInfo

# What people write in their crontabs, from a run each minute to one in four years.
LINES = (
    "*/15 * * * *",
    "0 9 * * mon-fri",
    "30 4 1 * *",
    "0 0 1 1 *",
    "5 4 * * sun",
    "0 22 * * mon-fri",
    "23 0-20/2 * * *",
    "0 0,12 1 */2 *",
    "0 4 8-14 * *",
    "15 14 1 * *",
    "* * * * *",
    "0 0 29 2 *",
)

Fires = Callable[[str, datetime], Iterator[datetime]]


def apscheduler(size: int, zone: str) -> dict[str, float]:
    """So many fire times of each line, one after the other."""
    from apscheduler.triggers.cron import CronTrigger

    def fires(line: str, start: datetime) -> Iterator[datetime]:
        trigger = CronTrigger.from_crontab(line, timezone=zone)
        fire_time = trigger.get_next_fire_time(None, start)
        while fire_time is not None:
            yield fire_time
            fire_time = trigger.get_next_fire_time(fire_time, fire_time)

    return _measure(fires, size, zone)


def cronsim(size: int, zone: str) -> dict[str, float]:
    """The same by the package cronsim."""
    from cronsim import CronSim

    return _measure(CronSim, size, zone)


def croniter(size: int, zone: str) -> dict[str, float]:
    """The same by the package croniter."""
    from croniter import croniter as iterator

    return _measure(lambda line, start: iterator(line, start, ret_type=datetime), size, zone)


def _measure(fires: Fires, size: int, zone: str) -> dict[str, float]:
    # The geometric mean: no line counts for more because it takes longer.
    # What cronsim takes for a zone without changes of the clocks; ZoneInfo("UTC") it does not.
    tz = timezone.utc if zone == "UTC" else ZoneInfo(zone)
    start = datetime(2026, 1, 1, tzinfo=tz)
    logarithms = [log(_seconds(fires(line, start), size)) for line in LINES]
    return {"fires": 1 / exp(sum(logarithms) / len(LINES))}


def _seconds(times: Iterator[datetime], size: int) -> float:
    """Return how long one fire time takes; the first is not counted, it may compile."""
    next(times)
    begin = perf_counter()
    count = sum(1 for _ in islice(times, size))
    return (perf_counter() - begin) / count
