"""How long the next fire time of a crontab line takes, beside three other packages.

``python benchmarks/triggers.py`` prints, for UTC and for Europe/Berlin, microseconds per fire time
of twelve lines, and the ratios. Each package runs in a process of its own, in turn with the
others, and the best of five rounds counts. APScheduler 3.11.3 is installed into a folder of its
own; cronsim and croniter have to be there.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from datetime import datetime, timezone
from itertools import islice
from math import exp, log
from pathlib import Path
from time import perf_counter
from zoneinfo import ZoneInfo

from _libraries import Library, fetch_theirs, our_library
from cases.cron import LINES

ROUNDS = 5
FIRES = 100
ZONES = ("UTC", "Europe/Berlin")
PACKAGES = ("ours", "3.11.3", "cronsim", "croniter")

Figures = dict[str, list[float]]  # microseconds per fire time of each line, by zone


def fire_times(package: str, line: str, start: datetime) -> Iterator[datetime]:
    if package == "cronsim":
        from cronsim import CronSim

        yield from CronSim(line, start)
    elif package == "croniter":
        from croniter import croniter

        yield from croniter(line, start, ret_type=datetime)
    else:
        from apscheduler.triggers.cron import CronTrigger

        trigger = CronTrigger.from_crontab(line, timezone=start.tzinfo)
        fire_time = trigger.get_next_fire_time(None, start)
        while fire_time is not None:
            yield fire_time
            fire_time = trigger.get_next_fire_time(fire_time, fire_time)


def measure(package: str) -> Figures:
    return {zone: [_microseconds(package, zone, line) for line in LINES] for zone in ZONES}


def _microseconds(package: str, zone: str, line: str) -> float:
    # The packages know this object as a zone without changes of the clocks.
    tz = timezone.utc if zone == "UTC" else ZoneInfo(zone)
    times = fire_times(package, line, datetime(2026, 1, 1, tzinfo=tz))
    next(times)  # not counted: it may compile
    begin = perf_counter()
    count = sum(1 for _ in islice(times, 10 if line == "0 0 29 2 *" else FIRES))

    return (perf_counter() - begin) / count * 1e6


def best(rounds: list[Figures], zone: str) -> list[float]:
    return [min(figures) for figures in zip(*(one[zone] for one in rounds), strict=True)]


def ratio(theirs: list[float], ours: list[float]) -> float:
    """The geometric mean of the ratios: no line counts for more because it takes longer."""
    return exp(sum(log(a / b) for a, b in zip(theirs, ours, strict=True)) / len(ours))


def report(rounds: dict[str, list[Figures]]) -> None:
    for zone in ZONES:
        figures = {package: best(rounds[package], zone) for package in PACKAGES}
        print(f"\n{zone:18}" + "".join(f"{package:>10}" for package in PACKAGES) + "   us")
        for number, line in enumerate(LINES):
            print(f"{line:18}" + "".join(f"{figures[name][number]:10.2f}" for name in PACKAGES))
        for package in PACKAGES[1:]:
            mean = ratio(figures[package], figures["ours"])
            total = sum(figures[package]) / sum(figures["ours"])
            print(f"{package} / ours: {mean:.1f} (geometric mean), {total:.1f} (sums)")


def main() -> None:
    ours, theirs = our_library(), fetch_theirs()
    rounds: dict[str, list[Figures]] = {package: [] for package in PACKAGES}
    for _ in range(ROUNDS):
        for package in PACKAGES:
            library = theirs if package == "3.11.3" else ours
            rounds[package].append(library.run("triggers.py", package))

    report(rounds)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        package, folder, version = sys.argv[1:]
        Library(Path(folder), version).check_imported()
        print(json.dumps(measure(package)))
    else:
        main()
