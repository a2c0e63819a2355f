"""Runs cases in processes of their own, in turn by the one library and the other."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from importlib.util import find_spec
from typing import Any

from _libraries import HERE, Library, fetch_theirs, our_library
from _report import Row, Run
from _servers import Servers
from _signals import unbroken
from cases import Case

Figures = dict[str, Any]  # by name: a number, or many samples
Measuring = AbstractContextManager[Callable[[], Figures]]


class Measurer:
    """
    Measures cases one after the other; what fails is told, and does not end the run.

    :param timeout: seconds that a case may take in one process
    """

    def __init__(self, run: Run, servers: Servers, rounds: int, timeout: float) -> None:
        self.failures: list[str] = []
        self._run = run
        self._servers = servers
        self._rounds = rounds
        self._timeout = timeout
        self._ours = our_library()
        self._theirs = fetch_theirs()

    def compare(self, series: Sequence[Case]) -> Iterator[Row]:
        """Measure the cases of a series in turn, round by round; yield their lines."""
        # Of each case that has not failed, what the other one and ours gave in each round.
        rounds: dict[int, list[tuple[Figures, Figures]]] = {n: [] for n in range(len(series))}
        for turn in range(self._rounds):
            for number in list(rounds):
                try:
                    rounds[number] += self._round(series[number], ours_first=turn % 2 == 1)
                except Exception as exc:
                    self._fail(series[number].name, str(exc) or repr(exc))
                    del rounds[number]

        smallest = [ours for _, ours in rounds.get(0, ())]
        for number, done in rounds.items():
            for figure in series[number].figures:
                others = smallest if figure.growth else [other for other, _ in done if other]
                if others or not figure.growth:
                    yield Row.of(
                        figure,
                        [other[figure.name] for other in others],
                        [ours[figure.name] for _, ours in done],
                        self._run,
                    )

    def can(self, name: str, packages: list[str]) -> bool:
        """Tell whether what a case needs is installed; if not, say what to install."""
        missing = [package for package in packages if find_spec(package) is None]
        if missing:
            self._fail(name, f"pip install {' '.join(missing)}")

        return not missing

    def _fail(self, name: str, words: str) -> None:
        print(f"{name} is left out: {words}", file=sys.stderr, flush=True)
        self.failures.append(f"{name}: {words.strip().splitlines()[-1]}")

    def _round(self, case: Case, ours_first: bool) -> list[tuple[Figures, Figures]]:
        repeats = 1 if self._run.quick else case.repeats
        return [self._both(case, ours_first) for _ in range(repeats)]

    def _both(self, case: Case, ours_first: bool) -> tuple[Figures, Figures]:
        ours = self._measuring(self._ours, case.function, case)
        other = self._by_other(case)
        if case.together:
            with other as wait_for_other, ours as wait_for_ours:
                return wait_for_other(), wait_for_ours()
        if ours_first:
            figures = finish(ours)
            return finish(other), figures

        return finish(other), finish(ours)

    def _by_other(self, case: Case) -> Measuring:
        if case.only_ours:
            return nullcontext(dict)
        if case.against is not None:
            return self._measuring(self._ours, case.against, case)

        return self._measuring(self._theirs, case.function, case)

    @contextmanager
    def _measuring(
        self, library: Library, function: str, case: Case
    ) -> Iterator[Callable[[], Figures]]:
        """Start a process that measures; give what waits for its figures."""
        with (
            self._servers.place_for(case) as store,
            tempfile.TemporaryDirectory(dir=self._servers.folder) as elsewhere,
            ExitStack() as running,
        ):
            options = {**case.options, **(case.quick if self._run.quick else {}), **store}
            arguments = [function, json.dumps(options), str(library.folder), library.version]
            with unbroken:
                process = subprocess.Popen(
                    [sys.executable, HERE / "_measure.py", *arguments],
                    env={**os.environ, "PYTHONPATH": str(library.folder)},
                    cwd=elsewhere,  # where there is no package to be imported by mistake
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    text=True,
                )
                running.callback(end, process)
            yield lambda: self._figures(process, f"{function} with {library}")

    def _figures(self, process: subprocess.Popen[str], what: str) -> Figures:
        try:
            written, errors = process.communicate(timeout=self._timeout)
        except subprocess.TimeoutExpired:
            words = f"{what} took more than {self._timeout:g} s; --timeout gives it more"
            raise RuntimeError(words) from None
        if process.returncode:
            raise RuntimeError(f"{what} failed:\n{errors}")

        figures: Figures = json.loads(written.splitlines()[-1])
        return figures


def end(process: subprocess.Popen[str]) -> None:
    with process:
        process.kill()  # unless it has ended


def finish(measuring: Measuring) -> Figures:
    with measuring as wait_for_figures:
        return wait_for_figures()
