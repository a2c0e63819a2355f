"""Compare this library's speed and memory with those of APScheduler 3.11.3, in one run.

Each measurement is made in a new process, in turn by the one library and the other, so that
whatever else the computer does falls on both. What is compared are the medians of the rounds.
"""

from __future__ import annotations

import argparse
import sys
from importlib.util import find_spec
from itertools import groupby
from pathlib import Path

from _libraries import HERE, ROOT
from _measurer import Measurer
from _report import Row, Run, draw, print_row, write_results, write_table
from _servers import Servers
from _signals import end_by_sigterm
from cases import CASES, Case

DOCS = ROOT / "docs"
ROUNDS = 5  # at least, of what is published


def main(arguments: list[str] | None = None) -> None:
    options = read_options(arguments)
    rows: list[Row] = []
    try:
        with Servers() as servers:
            rounds = 1 if options.quick else options.rounds
            measurer = Measurer(Run.now(options.quick), servers, rounds, options.timeout)
            if options.output:
                measurer.can("the plot", ["matplotlib"])
            chosen = [
                [case for case in series if measurer.can(case.name, case.packages)]
                for series in wanted(options.cases)
            ]
            for series in chosen:
                for row in measurer.compare(series):
                    rows.append(row)
                    print_row(row)
    finally:
        # What was measured before Ctrl+C is not measured again for nothing.
        if rows and options.output:
            report(rows, options.output, options.docs or options.output)

    if measurer.failures:
        sys.exit("\n".join(("Not all was measured:", *measurer.failures)))


def report(rows: list[Row], folder: Path, docs: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    docs.mkdir(parents=True, exist_ok=True)
    results = write_results(rows, folder)
    write_table(results, docs)
    if find_spec("matplotlib") is not None:
        draw(results, docs)


def read_options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cases", nargs="*", help="only cases with one of these words in the name")
    parser.add_argument("--list", action="store_true", help="print the names of the cases")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="measurements by each library")
    parser.add_argument("--quick", action="store_true", help="see whether the cases work: no time")
    parser.add_argument("--output", type=Path, help="where to write the results")
    parser.add_argument("--docs", type=Path, help="where to write table and plot, if elsewhere")
    parser.add_argument(
        "--timeout", type=float, default=1_800, help="seconds that a case may take in a process"
    )
    options = parser.parse_args(arguments)
    if options.list:
        print(names())
        sys.exit()

    for word in options.cases:
        if not wanted([word]):
            parser.error(f"no case has {word!r} in its name; there are\n{names()}")
    if options.rounds < 1:
        parser.error(f"--rounds {options.rounds} measures nothing; give 1 or more")
    if options.docs and not options.output:
        parser.error("--docs says where the table goes beside --output: give both")
    if not options.quick and not options.output:
        options.output, options.docs = HERE, DOCS
    if options.quick or options.rounds < ROUNDS:
        folders = [folder.resolve() for folder in (options.output, options.docs) if folder]
        if {HERE.resolve(), DOCS.resolve()}.intersection(folders):
            parser.error(f"what is published has at least {ROUNDS} rounds: give another --output")

    return options


def wanted(words: list[str]) -> list[list[Case]]:
    """Return the series in which a case has one of the words in its name; all without words."""
    series = [list(cases) for _, cases in groupby(CASES, lambda case: case.series or id(case))]
    return [
        cases for cases in series if not words or any(is_wanted(case, words) for case in cases)
    ]


def is_wanted(case: Case, words: list[str]) -> bool:
    text = f"{case.name} {' '.join(figure.title for figure in case.figures)}".lower()
    return any(word.lower() in text for word in words)


def names() -> str:
    return "\n".join(
        f"  {case.name:<24} {figure.title}" for case in CASES for figure in case.figures
    )


if __name__ == "__main__":
    end_by_sigterm()
    main()
