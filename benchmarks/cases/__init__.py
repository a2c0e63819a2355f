"""What is measured: the cases, their sizes, and the ratios that are asked of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

# How a figure reads. Of a rate more is better, of a cost less.
RATE = "rate"
COST = "cost"


@dataclass(frozen=True)
class Figure:
    """
    One line of the table.

    :ivar name: the key of the figure in what the case returns
    :ivar asked: the ratio to reach of ours to what it stands beside: at least so much of a rate,
        at most so much of a cost; None where no ratio is asked
    :ivar beside: what ours stands beside, if that is not APScheduler 3.11.3
    :ivar growth: whether that is ours in the smallest case of the series
    :ivar quantile: which quantile of the samples is taken, where the case returns samples; those
        of all rounds are put together first
    """

    name: str
    title: str
    unit: str
    kind: str
    asked: float | None
    beside: str = ""
    growth: bool = False
    quantile: float | None = None


@dataclass(frozen=True)
class Case:
    """
    A function that is run for both libraries, each time in a new process.

    :ivar function: ``module:name`` in this package; called with the options, it returns its
        figures by name
    :ivar quick: options for a look at whether the case works, in place of those for measuring
    :ivar server: name of the server that the case needs; the configuration of a job store that
        has an empty place there is added to the options
    :ivar against: a function that is measured in place of 3.11.3
    :ivar only_ours: whether 3.11.3 is left out
    :ivar together: whether both libraries are measured at the same time, not in turn
    :ivar repeats: how often a round measures each library
    :ivar series: cases of the same series follow one another, the smallest first, and are measured
        in turn, so that whatever else the computer does falls on all sizes
    """

    function: str
    figures: tuple[Figure, ...]
    options: Mapping[str, Any]
    quick: Mapping[str, Any]
    server: str | None = None
    against: str | None = None
    only_ours: bool = False
    together: bool = False
    repeats: int = 1
    series: str | None = None

    @property
    def name(self) -> str:
        return " ".join(filter(None, (self.function, self.server)))

    @property
    def packages(self) -> list[str]:
        """What has to be installed, besides the program and the driver of the server."""
        if self.against is not None:
            return [self.against.partition(":")[2]]
        if self.server is None:
            return []

        return ["sqlalchemy"] if self.server == "SQLite" else ["sqlalchemy", "pytest"]


def _rate(name: str, title: str, asked: float, unit: str = "jobs/s") -> Figure:
    return Figure(name, title, unit, RATE, asked)


def _cost(name: str, title: str, asked: float | None, unit: str) -> Figure:
    return Figure(name, title, unit, COST, asked)


def _lateness(words: str, quantile: float) -> Figure:
    title = f"lateness of 200 one-second jobs, {words}"
    return Figure("late", title, "ms", COST, 1.05, quantile=quantile)


ENGINE = (
    Case(
        "engine:dispatch",
        options={"size": 20_000},
        quick={"size": 200},
        figures=(_rate("due", "due jobs, executor that returns at once", 4),),
    ),
    Case(
        "engine:pool",
        options={"size": 20_000},
        quick={"size": 200},
        figures=(_rate("runs", "no-op jobs on ten threads, end to end", 1.7),),
    ),
    Case(
        "jobs:add_one_by_one",
        options={"size": 100_000},
        quick={"size": 200},
        figures=(_rate("added", "add_job", 2),),
    ),
    Case(
        "jobs:add_at_once",
        options={"size": 100_000},
        quick={"size": 200},
        figures=(_rate("added", "add_jobs", 4),),
    ),
    Case(
        "jobs:change",
        options={"size": 100_000},
        quick={"size": 200},
        figures=(
            _rate("modified", "modify_job among 100,000", 2),
            _rate("removed", "remove_job among 100,000", 2),
        ),
    ),
    Case(
        "jobs:memory",
        options={"size": 100_000},
        quick={"size": 200},
        figures=(_cost("bytes", "memory of an interval job", 0.8, "bytes"),),
    ),
)

CRON = tuple(
    Case(
        "cron:apscheduler",
        options={"size": 300, "zone": zone},
        quick={"size": 3},
        against=f"cron:{against}" if against else None,
        figures=(Figure("fires", f"cron, {zone}{label}", "fires/s", RATE, asked, beside=against),),
    )
    for zone in ("UTC", "Europe/Berlin")
    for against, label, asked in (
        ("", "", 10),
        ("cronsim", ", beside cronsim", 5),
        ("croniter", ", beside croniter", 10),
    )
)

LOOP = (
    Case(
        "engine:catch_up",
        options={"size": 30 * 86_400},
        quick={"size": 60},
        figures=(_rate("caught_up", "catching up 30 days of a one-second job", 1_000, "1/s"),),
    ),
    Case(
        "loop:lateness",
        # What else the computer does decides how late the latest are, by far more than either
        # library. It falls on both at the same time, and on many short processes as on one long
        # one: which of the processors a process shares with others is a matter of luck.
        options={"size": 10},
        quick={"size": 2},
        together=True,
        repeats=4,
        figures=(
            _lateness("median", 0.5),
            _lateness("99th percentile", 0.99),
            _cost("cpu", "CPU time of such a run", 0.6, "µs"),
        ),
    ),
    Case(
        "loop:idle",
        options={"size": 60, "jobs": 100_000},
        quick={"size": 1, "jobs": 100},
        figures=(_cost("cpu", "CPU time of a minute with 100,000 jobs, none due", 1.05, "ms"),),
    ),
    Case(
        "loop:ticker",
        options={"size": 10},
        quick={"size": 2},
        figures=(_cost("worst", "longest wait on asyncio, store that takes 0.2 s", 0.08, "ms"),),
    ),
    Case(
        "imports:background",
        options={"size": 15},
        quick={"size": 1},
        figures=(_cost("import", "import of the background scheduler", 0.6, "ms"),),
    ),
)


def _growth(
    place: str, sizes: tuple[int, ...], asked: float, server: str | None = None
) -> tuple[Case, ...]:
    """The time per due job among ever more jobs, and how much longer it is than at first."""
    first = sizes[0]
    cases = []
    for size in sizes:
        each = _cost("each", f"{place}: a due job among {size:,}", None, "µs")
        growth = Figure(
            "each",
            f"{place}: growth from {first:,} to {size:,}",
            "µs",
            COST,
            asked,
            beside=f"ours at {first:,}",
            growth=True,
        )
        cases.append(
            Case(
                "engine:due_among",
                server=server,
                options={"size": size, "due": 500, "warming_up": 2, "passes": 10},
                quick={"size": size // 500, "due": 1, "warming_up": 0, "passes": 1},
                figures=(each,) if size == first else (each, growth),
                # 3.11.3 would take the better part of an hour to fill such a table.
                only_ours=server is not None,
                series=place,
            )
        )
    return tuple(cases)


GROWTH = (
    *_growth("memory", (1_000, 10_000, 100_000, 1_000_000), 1.5),
    *_growth("SQLite", (10_000, 100_000, 1_000_000), 2, server="SQLite"),
    *_growth("PostgreSQL", (10_000, 100_000, 1_000_000), 2, server="PostgreSQL"),
)

SQLITE = (
    Case(
        "stores:due",
        server="SQLite",
        options={"size": 2_000},
        quick={"size": 20},
        figures=(_rate("due", "SQLite: due jobs", 30),),
    ),
    Case(
        "stores:add_one_by_one",
        server="SQLite",
        options={"size": 500},
        quick={"size": 20},
        figures=(_rate("added", "SQLite: add_job", 1.2),),
    ),
    Case(
        "stores:add_at_once",
        server="SQLite",
        options={"size": 10_000},
        quick={"size": 20},
        figures=(_rate("added", "SQLite: add_jobs", 20),),
    ),
    Case(
        "stores:list_all",
        server="SQLite",
        options={"size": 2_000},
        quick={"size": 20},
        figures=(_rate("listed", "SQLite: get_jobs", 1),),
    ),
)

SERVERS = tuple(
    Case(
        f"stores:{function}",
        server=server,
        options={"size": size},
        quick={"size": 20},
        figures=(_rate(figure, f"{server}: {title}", 10),),
    )
    for server in ("PostgreSQL", "MariaDB", "Redis", "MongoDB")
    for function, figure, title, size in (
        ("due", "due", "due jobs", 1_000),
        ("add_at_once", "added", "add_jobs", 2_000),
    )
)

CASES: tuple[Case, ...] = (
    *ENGINE,
    *SQLITE,
    *SERVERS,
    *CRON,
    *LOOP,
    *GROWTH,
)
