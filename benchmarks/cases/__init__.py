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
    :ivar asked: the ratio, ours to theirs, to reach: at least so much of a rate, at most so much
        of a cost; None where no ratio is asked
    """

    name: str
    title: str
    unit: str
    kind: str
    asked: float | None


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
    """

    function: str
    figures: tuple[Figure, ...]
    options: Mapping[str, Any]
    quick: Mapping[str, Any]
    server: str | None = None
    against: str | None = None
    only_ours: bool = False


def _rate(name: str, title: str, asked: float, unit: str = "jobs/s") -> Figure:
    return Figure(name, title, unit, RATE, asked)


def _cost(name: str, title: str, asked: float | None, unit: str) -> Figure:
    return Figure(name, title, unit, COST, asked)


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
        f"cron:{function}",
        options={"size": 300, "zone": zone},
        quick={"size": 3},
        against=against and f"cron:{against}",
        figures=(_rate("fires", f"cron, {zone}{label}", asked, "fires/s"),),
    )
    for zone in ("UTC", "Europe/Berlin")
    for function, against, label, asked in (
        ("apscheduler", None, "", 10),
        ("apscheduler", "cronsim", ", beside cronsim", 5),
        ("apscheduler", "croniter", ", beside croniter", 10),
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
        options={"size": 20},
        quick={"size": 2},
        figures=(
            _cost("median", "lateness of 200 one-second jobs, median", 1.05, "ms"),
            _cost("p99", "lateness of 200 one-second jobs, 99th percentile", 1.05, "ms"),
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

GROWTH_SIZES = (1_000, 10_000, 100_000, 1_000_000)

GROWTH = tuple(
    Case(
        "engine:due_among",
        options={"size": size, "passes": 5},
        quick={"size": size // 1_000, "passes": 1},
        figures=(_cost("each", f"a due job among {size:,} in memory", None, "µs"),),
    )
    for size in GROWTH_SIZES
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

ROWS = (10_000, 100_000, 1_000_000)

# Only ours: 3.11.3 would take the better part of an hour to fill such a table.
STORE_GROWTH = tuple(
    Case(
        "stores:due_among",
        server=server,
        options={"size": size, "due": 1_000},
        quick={"size": size // 1_000, "due": 5},
        figures=(_cost("each", f"{server}: a due job among {size:,}", None, "µs"),),
        only_ours=True,
    )
    for server in ("SQLite", "PostgreSQL")
    for size in ROWS
)

CASES: tuple[Case, ...] = (
    *ENGINE,
    *SQLITE,
    *SERVERS,
    *CRON,
    *LOOP,
    *GROWTH,
    *STORE_GROWTH,
)
