"""Compare this library's speed and memory with those of APScheduler 3.11.3, in one run.

Each measurement is made in a new process, in turn by the one library and the other, so that
whatever else the computer does falls on both. What is compared are the medians of the rounds.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from _libraries import HERE, OURS, fetch_theirs
from _report import Row, draw, print_row, write_results, write_table
from _servers import MissingServerError, Servers
from cases import CASES, Case

DOCS = OURS / "docs"


def main(arguments: list[str] | None = None) -> None:
    options = read_options(arguments)
    cases = [case for case in CASES if is_wanted(case, options.cases)]
    if not cases:
        sys.exit(f"No case matches {' '.join(options.cases)}")

    rows: list[Row] = []
    try:
        with Servers() as servers:
            measurer = Measurer(options, servers)
            for case in cases:
                for row in measurer.compare(case):
                    rows.append(row)
                    print_row(row)
    finally:
        # What was measured before an error, or Ctrl+C, is not measured again for nothing.
        if rows and options.output:
            report(rows, options.output, options.docs or options.output)


def report(rows: list[Row], folder: Path, docs: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    results = write_results(rows, folder)
    write_table(results, docs)
    draw(results, docs)


def read_options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cases", nargs="*", help="only cases with one of these words in the name")
    parser.add_argument("--rounds", type=int, default=5, help="measurements by each library")
    parser.add_argument("--quick", action="store_true", help="see whether the cases work: no time")
    parser.add_argument("--output", type=Path, help="where to write the results")
    parser.add_argument("--docs", type=Path, help="where to write table and plot, if elsewhere")
    options = parser.parse_args(arguments)
    if options.output is None and not options.quick:
        options.output, options.docs = HERE, DOCS
    return options


def is_wanted(case: Case, words: list[str]) -> bool:
    titles = " ".join(figure.title for figure in case.figures)
    text = f"{case.function} {case.server or ''} {titles}".lower()
    return not words or any(word.lower() in text for word in words)


class Measurer:
    """Runs cases in processes of their own."""

    def __init__(self, options: argparse.Namespace, servers: Servers) -> None:
        self._quick = options.quick
        self._rounds = 1 if options.quick else options.rounds
        self._theirs = fetch_theirs()
        self._servers = servers

    def compare(self, case: Case) -> Iterator[Row]:
        """Measure a case in turn by both libraries; yield its lines of the table."""
        rounds: list[tuple[dict[str, float], dict[str, float]]] = []
        try:
            for number in range(self._rounds):
                if number % 2:
                    ours = self._by_ours(case)
                    theirs = self._by_theirs(case)
                else:
                    theirs = self._by_theirs(case)
                    ours = self._by_ours(case)
                rounds.append((theirs, ours))
        except MissingServerError as exc:
            print(f"{case.function} is left out: {exc}", file=sys.stderr)
            return

        for figure in case.figures:
            yield Row.of(
                figure,
                theirs=[theirs[figure.name] for theirs, _ in rounds if theirs],
                ours=[ours[figure.name] for _, ours in rounds],
            )

    def _by_ours(self, case: Case) -> dict[str, float]:
        return self._measure(OURS, case.function, case)

    def _by_theirs(self, case: Case) -> dict[str, float]:
        if case.only_ours:
            return {}
        if case.against is not None:
            return self._measure(OURS, case.against, case)

        return self._measure(self._theirs, case.function, case)

    def _measure(self, library: Path, function: str, case: Case) -> dict[str, float]:
        with self._servers.place_for(case) as store, tempfile.TemporaryDirectory() as elsewhere:
            options = {**case.options, **(case.quick if self._quick else {}), **store}
            done = subprocess.run(
                [sys.executable, HERE / "_measure.py", function, json.dumps(options)],
                env={**os.environ, "PYTHONPATH": str(library)},
                cwd=elsewhere,  # where there is no package to be imported by mistake
                capture_output=True,
                text=True,
            )
        if done.returncode:
            raise RuntimeError(f"{function} failed with {library}:\n{done.stderr}")

        figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
        return figures


if __name__ == "__main__":
    main()
