"""A trigger of your own: the n-th working day of each month."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo

from apscheduler.testing import ManualScheduler
from apscheduler.triggers.base import BaseTrigger


class WorkdayTrigger(BaseTrigger):
    """
    Run on the n-th day of each month that is no Saturday and no Sunday.

    :param nth: 1 to 20
    :param hour: time of day in the zone
    :param timezone: name of the zone
    """

    def __init__(self, nth: int, hour: int, timezone: str) -> None:
        if not 1 <= nth <= 20:  # every month has twenty of them
            raise ValueError(f"nth must be 1 to 20, got {nth}")

        self.nth = nth
        self.hour = hour
        self.timezone = timezone

    def get_next_fire_time(
        self, previous_fire_time: datetime | None, now: datetime
    ) -> datetime | None:
        # Compare in UTC: two times of one zone are compared by the wall clock otherwise.
        after = (previous_fire_time or now).astimezone(timezone.utc)
        local = after.astimezone(ZoneInfo(self.timezone))
        fire_time = self._in_month(local.year, local.month)
        while fire_time < after or fire_time == previous_fire_time:
            following = fire_time.replace(day=28) + timedelta(days=4)
            fire_time = self._in_month(following.year, following.month)

        return fire_time

    def _in_month(self, year: int, month: int) -> datetime:
        zone = ZoneInfo(self.timezone)
        day = datetime(year, month, 1, self.hour, tzinfo=zone)
        workdays = 1 if day.weekday() < 5 else 0
        while workdays < self.nth:
            day += timedelta(days=1)
            workdays += day.weekday() < 5

        # There and back again: a time that clocks skip in spring becomes one that exists.
        return day.astimezone(timezone.utc).astimezone(zone)

    def __str__(self) -> str:
        return f"workday[{self.nth} at {self.hour}:00]"


if __name__ == "__main__":
    scheduler = ManualScheduler(now="2032-01-01", timezone="Europe/Berlin")
    scheduler.add_job(
        lambda: print(f"{scheduler.now:%a %d %b %Y %H:%M}"),
        WorkdayTrigger(3, hour=9, timezone="Europe/Berlin"),
    )
    scheduler.start()
    scheduler.advance(timedelta(days=150))
