"""What happens when clocks change, case by case.

Berlin, 31 March 2024: at 02:00 CET clocks go on to 03:00 CEST (01:00 UTC).
Berlin, 27 October 2024: at 03:00 CEST clocks go back to 02:00 CET (01:00 UTC).
New York, 10 March 2024: at 02:00 EST on to 03:00 EDT (07:00 UTC); 3 November: at 02:00 EDT back to
01:00 EST (06:00 UTC).
Lord Howe, 6 October 2024: at 02:00 +10:30 on to 02:30 +11 (15:30 UTC of the day before); 7 April:
at 02:00 +11 back to 01:30 +10:30 (15:00 UTC of the day before).
Apia left out 30 December 2011: after 23:59 -10 of the 29th came 00:00 +14 of the 31st (10:00 UTC).
Nuuk, 31 March 2024: at 23:00 -02 of the 30th on to 00:00 -01 (01:00 UTC).
Havana, 11 March 2029, and Beirut, 27 March 2022: at 00:00 on to 01:00, from -05 and from +02.
New York, 13 March 2022, and Berlin, 27 March 2022: at 02:00 on to 03:00.
St. John's, 7 November 2010: at 00:01 -02:30 back to 23:01 -03:30 of the day before (02:31 UTC).

Each row: the zone, from when, the trigger, and the next fire times as the clocks show them.
"""

# ruff: noqa: E501 - the rows of a table
from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from apscheduler.triggers.base import BaseTrigger
from apscheduler.triggers.calendarinterval import CalendarIntervalTrigger
from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.interval import IntervalTrigger

from . import reference

BERLIN, NEW_YORK, LORD_HOWE = "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"
APIA, NUUK, ST_JOHNS = "Pacific/Apia", "America/Nuuk", "America/St_Johns"
HAVANA, BEIRUT = "America/Havana", "Asia/Beirut"

Make = Callable[[str], BaseTrigger]


def cron(**fields: str | int) -> Make:
    return lambda zone: CronTrigger(**fields, timezone=zone)  # type: ignore[arg-type]


def crontab(line: str) -> Make:
    return lambda zone: CronTrigger.from_crontab(line, zone)


def calendar(start_date: str, **interval: int) -> Make:
    return lambda zone: CalendarIntervalTrigger(**interval, start_date=start_date, timezone=zone)


def interval(start_date: str, **lengths: int) -> Make:
    return lambda zone: IntervalTrigger(**lengths, start_date=start_date, timezone=zone)


CASES: list[tuple[str, str, Make, str]] = [
    # Keyword fields: a time in the gap comes as much later as the clocks went ahead ...
    (NEW_YORK, "03-09 12:00", cron(hour=2, minute=30), "10 03:30-04 | 11 02:30-04"),
    (BERLIN, "03-30 12:00", cron(hour=2, minute="*/20"), "31 03:00+02 | 31 03:20+02 | 31 03:40+02"),
    (BERLIN, "03-31 01:10", cron(hour="1-3", minute=30), "31 01:30+01 | 31 03:30+02 | 01 01:30+02"),
    (BERLIN, "03-31 00:30", cron(hour="*/2"), "31 03:00+02 | 31 04:00+02 | 31 06:00+02"),
    (LORD_HOWE, "10-06 01:00", cron(hour=2, minute="5,30"), "06 02:30+11 | 06 02:35+11 | 07 02:05+11"),
    (NUUK, "03-29 23:40", cron(hour=23, minute=30), "31 00:30-01 | 31 23:30-01"),
    # ... and a time in the repeated hour comes in both of its turns.
    (NEW_YORK, "11-02 12:00", cron(hour=1, minute=30), "03 01:30-04 | 03 01:30-05 | 04 01:30-05"),
    (BERLIN, "10-27 01:50", cron(minute="0,30"), "27 02:00+02 | 27 02:30+02 | 27 02:00+01 | 27 02:30+01 | 27 03:00+01"),
    (LORD_HOWE, "04-07 01:20", cron(minute="0,30,45"), "07 01:30+11 | 07 01:45+11 | 07 01:30+10:30 | 07 01:45+10:30 | 07 02:00+10:30"),
    # Crontab lines at fixed times run right after the gap, and once in the repeated hour ...
    (BERLIN, "03-30 12:00", crontab("30 2 * * *"), "31 03:00+02 | 01 02:30+02"),
    (BERLIN, "03-30 12:00", crontab("15,45 2 * * *"), "31 03:00+02 | 01 02:15+02"),
    (BERLIN, "03-31 00:00", crontab("0 2,3 * * *"), "31 03:00+02 | 01 02:00+02"),
    (BERLIN, "03-31 00:00", crontab("0 30 2 * * *"), "31 03:00+02 | 01 02:30+02"),
    (BERLIN, "10-26 12:00", crontab("30 2 * * *"), "27 02:30+02 | 28 02:30+01"),
    (BERLIN, "10-27 00:00", crontab("30 1,2,3 * * *"), "27 01:30+02 | 27 02:30+02 | 27 03:30+01"),
    # ... and those with wildcards follow the clock.
    (BERLIN, "03-30 04:00", crontab("*/30 2 * * *"), "01 02:00+02 | 01 02:30+02"),
    (BERLIN, "03-31 00:40", crontab("30 * * * *"), "31 01:30+01 | 31 03:30+02"),
    (BERLIN, "03-31 01:00", crontab("0 */2 * * *"), "31 04:00+02 | 31 06:00+02"),
    (BERLIN, "10-27 00:00", crontab("*/30 2 * * *"), "27 02:00+02 | 27 02:30+02 | 27 02:00+01 | 27 02:30+01 | 28 02:00+01"),
    # Calendar intervals leave out days without the time, and take the earlier of two.
    (BERLIN, "03-30 12:00", calendar("2024-03-01", days=1, hour=2, minute=30), "01 02:30+02 | 02 02:30+02"),
    (BERLIN, "10-26 12:00", calendar("2024-03-01", days=1, hour=2, minute=30), "27 02:30+02 | 28 02:30+01"),
    (NUUK, "03-29 12:00", calendar("2024-03-01", days=1), "30 00:00-02 | 31 00:00-01 | 01 00:00-01"),
    # Intervals are real time.
    (BERLIN, "03-31 00:50", interval("2024-01-01", minutes=30), "31 01:00+01 | 31 01:30+01 | 31 03:00+02"),
    (BERLIN, "10-27 01:50", interval("2024-01-01", hours=1), "27 02:00+02 | 27 02:00+01 | 27 03:00+01"),
    (BERLIN, "03-30 12:00", interval("2024-01-01", hours=24), "31 00:00+01 | 01 01:00+02"),
]  # fmt: skip

OTHER_YEARS: list[tuple[str, str, Make, str]] = [
    # What APScheduler 3.x left out, in the gap and on the day after.
    (HAVANA, "2029-03-09 21:00", cron(hour=0), "10 00:00-05 | 11 01:00-04 | 12 00:00-04"),
    (BEIRUT, "2022-03-25 12:00", cron(day="*"), "26 00:00+02 | 27 01:00+03 | 28 00:00+03"),
    (NEW_YORK, "2022-03-12 20:00", cron(hour="1-2"), "13 01:00-05 | 13 03:00-04 | 14 01:00-04"),
    (NEW_YORK, "2022-03-12 20:00", cron(hour="1,2", minute=30), "13 01:30-05 | 13 03:30-04 | 14 01:30-04"),
    (BERLIN, "2022-03-25 12:00", cron(day_of_week="mon-fri", hour=0, minute=30), "28 00:30+02 | 29 00:30+02"),
    # A day that was left out, and an hour that was repeated over midnight.
    (APIA, "2011-12-29 06:00", cron(hour=5, minute=0), "31 05:00+14 | 01 05:00+14"),
    (APIA, "2011-12-29 06:00", cron(day=30, hour=5), "31 05:00+14 | 30 05:00+14"),
    (APIA, "2011-12-29 06:00", crontab("0 5 * * *"), "31 00:00+14 | 31 05:00+14 | 01 05:00+14"),
    (APIA, "2011-12-29 06:00", calendar("2011-12-01", days=1, hour=5), "31 05:00+14 | 01 05:00+14"),
    (ST_JOHNS, "2010-11-06 23:10", cron(minute="0,30"), "06 23:30-02:30 | 07 00:00-02:30 | 06 23:30-03:30 | 07 00:00-03:30"),
    (ST_JOHNS, "2010-11-06 23:00", crontab("0 0 * * *"), "07 00:00-02:30 | 08 00:00-03:30"),
    (ST_JOHNS, "2010-11-06 23:00", calendar("2010-11-01", days=1), "07 00:00-02:30 | 08 00:00-03:30"),
]  # fmt: skip


def shown(moment: datetime) -> str:
    offset = moment.strftime("%z")
    return f"{moment:%d %H:%M}{offset[:3]}" + (f":{offset[3:]}" if offset[3:] != "00" else "")


@pytest.mark.parametrize(
    ("zone", "start", "make", "expected"),
    [(zone, f"2024-{start}", make, expected) for zone, start, make, expected in CASES]
    + OTHER_YEARS,
)
def test_clock_changes(zone: str, start: str, make: Make, expected: str) -> None:
    trigger = make(zone)
    now = datetime.fromisoformat(start).replace(tzinfo=ZoneInfo(zone))
    fire_times = []
    fire_time = trigger.get_first_fire_time(None, now)
    for _ in expected.split(" | "):
        assert fire_time is not None
        fire_times.append(fire_time)
        fire_time = trigger.get_next_fire_time(fire_time, fire_time)

    assert " | ".join(map(shown, fire_times)) == expected
    assert all(map(reference.exists, fire_times))
    # The last one by the time each has come is that one.
    for moment in fire_times:
        last = trigger.get_last_fire_time(fire_times[0], moment.astimezone(reference.UTC))
        assert shown(last) == shown(moment)
