"""What the comparison says: a table on the screen, a page of results, a plot."""

from __future__ import annotations

import csv
import json
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

from _libraries import THEIRS
from cases import CASES, RATE, Figure


@dataclass(frozen=True)
class Row:
    """
    One line of the table: the same figure by both libraries, round by round, or by ours only.

    :ivar asked: the ratio to reach, see :class:`cases.Figure`
    """

    title: str
    unit: str
    kind: str
    asked: float | None
    theirs: list[float]
    ours: list[float]

    @classmethod
    def of(cls, figure: Figure, theirs: list[float], ours: list[float]) -> Row:
        return cls(figure.title, figure.unit, figure.kind, figure.asked, theirs, ours)

    @property
    def ratio(self) -> float:
        """Ours to theirs, the medians."""
        return median(self.ours) / median(self.theirs)

    @property
    def spread(self) -> tuple[float, float]:
        """The lowest and the highest ratio of a round."""
        ratios = [ours / theirs for ours, theirs in zip(self.ours, self.theirs, strict=True)]
        return min(ratios), max(ratios)

    @property
    def reached(self) -> bool | None:
        """Whether the ratio is what is asked; None where none is."""
        if self.asked is None:
            return None

        return self.ratio >= self.asked if self.kind == RATE else self.ratio <= self.asked

    @property
    def times_better(self) -> float:
        return self.ratio if self.kind == RATE else 1 / self.ratio

    def cells(self) -> list[str]:
        """What the columns of :data:`HEADINGS` say."""
        rounds = str(len(self.ours))
        if not self.theirs:
            return [
                self.title,
                "",
                f"{readable(median(self.ours))} {self.unit}",
                *[""] * 4,
                rounds,
            ]

        sign = "≥" if self.kind == RATE else "≤"
        low, high = self.spread
        return [
            self.title,
            f"{readable(median(self.theirs))} {self.unit}",
            f"{readable(median(self.ours))} {self.unit}",
            readable(self.ratio),
            f"{readable(low)} – {readable(high)}",
            "" if self.asked is None else f"{sign} {readable(self.asked)}",
            {True: "yes", False: "no", None: ""}[self.reached],
            rounds,
        ]


HEADINGS = ("case", "theirs", "ours", "ratio", "spread", "asked", "reached", "rounds")


def readable(value: float) -> str:
    """Write a number with three digits that count, and no exponent."""
    if value >= 100:
        return f"{value:,.0f}"

    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def print_row(row: Row) -> None:
    title, *cells = row.cells()
    print(f"{title:<56}", *(f"{cell:>16}" for cell in cells), flush=True)


def write_results(rows: Sequence[Row], folder: Path) -> list[Row]:
    """
    Write ``results.json`` and ``results.md``; return what they say.

    Lines that were not measured this time stay as they were: each was measured in turn by both
    libraries, and stands by itself.
    """
    raw = folder / "results.json"
    known = json.loads(raw.read_text()) if raw.exists() else []
    by_title = {row["title"]: Row(**row) for row in known} | {row.title: row for row in rows}
    titles = [figure.title for case in CASES for figure in case.figures]
    results = [by_title[title] for title in titles if title in by_title]

    raw.write_text(json.dumps([asdict(row) for row in results], indent=1) + "\n")
    (folder / "results.md").write_text(page(results), encoding="utf-8")
    return results


def write_table(rows: Sequence[Row], folder: Path) -> None:
    """Write ``performance.csv``, the table of the documentation."""
    with open(folder / "performance.csv", "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(HEADINGS)
        writer.writerows(row.cells() for row in rows)


def page(rows: Sequence[Row]) -> str:
    lines = [
        f"# Beside APScheduler {THEIRS}",
        "",
        f"Made by `python benchmarks/compare.py`, on {machine()}.",
        "",
        "Ratios are ours to theirs, of the medians of the rounds; the spread is from the lowest",
        "to the highest ratio of a round. Lines may have been measured at different times.",
        "",
        f"| {' | '.join(HEADINGS)} |",
        "|---|--:|--:|--:|--:|--:|---|--:|",
        *(f"| {' | '.join(row.cells())} |" for row in rows),
    ]
    return "\n".join(lines) + "\n"


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

    rows = [row for row in rows if row.theirs][::-1]
    figure, axes = pyplot.subplots(figsize=(9, 0.32 * len(rows) + 1.2), layout="constrained")
    better = [row.times_better for row in rows]
    bars = axes.barh([row.title for row in rows], [value - 1 for value in better], left=1)
    axes.bar_label(bars, [f"{value:,.3g}" for value in better], padding=3, fontsize=8)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}×"))
    axes.axvline(1, color="black", linewidth=0.8)
    axes.tick_params(labelsize=8)
    axes.margins(x=0.15)
    axes.set_xlabel(f"times better than APScheduler {THEIRS}", fontsize=9)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(folder / "performance.svg", metadata={"Date": None})
    pyplot.close(figure)
