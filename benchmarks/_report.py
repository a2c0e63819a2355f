"""What the comparison says: a table on the screen, a page of results, a plot."""

from __future__ import annotations

import csv
import json
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from functools import partial
from itertools import chain
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from _libraries import RELEASE
from cases import CASES, RATE, Figure


@dataclass(frozen=True)
class Run:
    """
    When and where a figure was measured.

    :ivar quick: whether only to see that the cases work, so that the figure means nothing
    """

    when: str
    machine: str
    quick: bool = False

    @classmethod
    def now(cls, quick: bool) -> Run:
        return cls(f"{datetime.now(timezone.utc):%Y-%m-%d %H:%M} UTC", machine(), quick)

    def __str__(self) -> str:
        words = f"measured {self.when} on {self.machine}"
        return f"{words}, by --quick: these figures mean nothing" if self.quick else words


@dataclass(frozen=True)
class Row:
    """
    One line of the table: ours beside another figure, or alone.

    :ivar asked: the ratio to reach, see :class:`cases.Figure`
    :ivar beside: what the other figure is, if not that of 3.11.3
    :ivar others: the other figure, round by round; empty where there is none
    :ivar ours: ours, round by round
    :ivar other: the other figure of all rounds
    :ivar our: ours of all rounds
    """

    title: str
    unit: str
    kind: str
    asked: float | None
    beside: str
    others: list[float]
    ours: list[float]
    other: float | None
    our: float
    run: Run

    @classmethod
    def of(cls, figure: Figure, others: list[Any], ours: list[Any], run: Run) -> Row:
        """Make a line of what the rounds gave: numbers, or samples to take a quantile of."""
        names = (figure.title, figure.unit, figure.kind, figure.asked, figure.beside)
        if figure.quantile is None:
            return cls(*names, others, ours, median(others) if others else None, median(ours), run)

        take = partial(quantile, part=figure.quantile)
        return cls(
            *names,
            [take(samples) for samples in others],
            [take(samples) for samples in ours],
            take([*chain(*others)]),
            take([*chain(*ours)]),
            run,
        )

    @property
    def ratio(self) -> float:
        """Ours to the other."""
        assert self.other is not None
        return self.our / self.other

    @property
    def spread(self) -> tuple[float, float]:
        """The lowest and the highest ratio of a round."""
        ratios = [ours / other for ours, other in zip(self.ours, self.others, strict=True)]
        return min(ratios), max(ratios)

    @property
    def reached(self) -> bool | None:
        """Whether the ratio is what is asked; None where none is, or where no time was taken."""
        if self.asked is None or self.run.quick:
            return None

        return self.ratio >= self.asked if self.kind == RATE else self.ratio <= self.asked

    @property
    def times_better(self) -> float:
        return self.ratio if self.kind == RATE else 1 / self.ratio

    def cells(self) -> list[str]:
        """What the columns of :data:`HEADINGS` say."""
        our = f"{readable(self.our)} {self.unit}"
        rounds = "quick" if self.run.quick else str(len(self.ours))
        if self.other is None:
            return [self.title, "", our, *[""] * 4, rounds]

        sign = "≥" if self.kind == RATE else "≤"
        low, high = self.spread
        return [
            self.title,
            f"{readable(self.other)} {self.unit}" + (f" ({self.beside})" if self.beside else ""),
            our,
            readable(self.ratio),
            f"{readable(low)} – {readable(high)}",
            "" if self.asked is None else f"{sign} {readable(self.asked)}",
            {True: "yes", False: "no", None: ""}[self.reached],
            rounds,
        ]


def quantile(samples: list[float], part: float) -> float:
    """Return the sample below which such a part of all lies, in hundredths."""
    return quantiles(samples, n=100)[round(part * 100) - 1]


HEADINGS = ("case", "beside", "ours", "ratio", "spread", "asked", "reached", "rounds")


def readable(value: float) -> str:
    """Write a number with three digits that count, and no exponent."""
    if value >= 100:
        return f"{value:,.0f}"

    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def print_row(row: Row) -> None:
    title, *cells = row.cells()
    print(f"{title:<48}", *(f"{cell:>18}" for cell in cells), flush=True)


def write_results(rows: Sequence[Row], folder: Path) -> list[Row]:
    """
    Write ``results.json`` and ``results.md``; return what they say.

    Lines that were not measured this time stay as they were, with their time and machine.
    """
    raw = folder / "results.json"
    known = json.loads(raw.read_text()) if raw.exists() else []
    kept = [Row(**{**row, "run": Run(**row["run"])}) for row in known]
    by_title = {row.title: row for row in (*kept, *rows)}
    titles = [figure.title for case in CASES for figure in case.figures]
    results = [by_title[title] for title in titles if title in by_title]

    raw.write_text(json.dumps([asdict(row) for row in results], indent=1) + "\n")
    (folder / "results.md").write_text(page(results), encoding="utf-8")
    return results


def write_table(rows: Sequence[Row], folder: Path) -> None:
    """Write ``performance.csv``, the table of the documentation."""
    lines, runs = with_runs(rows)
    with open(folder / "performance.csv", "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(HEADINGS)
        writer.writerows(lines)
        writer.writerows([run, *[""] * (len(HEADINGS) - 1)] for run in runs)


def page(rows: Sequence[Row]) -> str:
    lines, runs = with_runs(rows)
    return "\n".join(
        (
            f"# Beside APScheduler {RELEASE}",
            "",
            "Made by `python benchmarks/compare.py`. Ratios are of ours to the figure beside it,",
            f"which is that of APScheduler {RELEASE} unless its cell names something else, of the",
            "medians of the rounds; the spread is from the lowest to the highest ratio of a",
            "round. Lateness is that of the runs of all rounds together.",
            "",
            *(f"- {run}" for run in runs),
            "",
            f"| {' | '.join(HEADINGS)} |",
            "|---|--:|--:|--:|--:|--:|---|--:|",
            *(f"| {' | '.join(cells)} |" for cells in lines),
            "",
        )
    )


def with_runs(rows: Sequence[Row]) -> tuple[list[list[str]], list[str]]:
    """Return the cells of the lines, and their runs, marked where there are several."""
    runs = list(dict.fromkeys(row.run for row in rows))
    if len(runs) == 1:
        return [row.cells() for row in rows], [str(runs[0])]

    marks = {run: f"[{number}]" for number, run in enumerate(runs, start=1)}
    lines = [row.cells() for row in rows]
    for row, cells in zip(rows, lines, strict=True):
        cells[0] += f" {marks[row.run]}"
    return lines, [f"{mark} {run}" for run, mark in marks.items()]


def machine() -> str:
    """Name what the figures depend on."""
    names = [line for line in _cpu_info() if line.startswith("model name")]
    processor = names[0].partition(":")[2].strip() if names else platform.machine()
    return (
        f"{os.cpu_count()} cores of {processor}, {platform.system()}, "
        f"{platform.python_implementation()} {platform.python_version()}"
    )


def _cpu_info() -> list[str]:
    path = Path("/proc/cpuinfo")
    return path.read_text().splitlines() if path.exists() else []


def draw(rows: Sequence[Row], folder: Path) -> None:
    """Draw ``performance.svg``: how many times better each figure is, on a log axis."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "apscheduler"  # the same figures, the same file
    from matplotlib import pyplot
    from matplotlib.ticker import FuncFormatter

    # Growth is beside ours, not beside the release.
    growths = {figure.title for case in CASES for figure in case.figures if figure.growth}
    rows = [row for row in rows if row.others and row.title not in growths][::-1]
    figure, axes = pyplot.subplots(figsize=(9, 0.32 * len(rows) + 1.2), layout="constrained")
    better = [row.times_better for row in rows]
    bars = axes.barh([row.title for row in rows], [value - 1 for value in better], left=1)
    axes.bar_label(bars, [f"{value:,.3g}" for value in better], padding=3, fontsize=8)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}×"))
    axes.axvline(1, color="black", linewidth=0.8)
    axes.tick_params(labelsize=8)
    axes.margins(x=0.15)
    axes.set_xlabel(f"times better than APScheduler {RELEASE}", fontsize=9)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(folder / "performance.svg", metadata={"Date": None})
    pyplot.close(figure)
