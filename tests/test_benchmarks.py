"""The benchmarks still run, on small sizes, and report what they say they do."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
BENCHMARKS = ROOT / "benchmarks"


def load(name: str, path: Path) -> ModuleType:
    spec = spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    # Dataclasses look their module up by its name.
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


CASES = load("benchmark_cases", BENCHMARKS / "cases" / "__init__.py").CASES
# Those on servers run the same functions as those on SQLite.
ALONE = [case for case in CASES if case.server in (None, "SQLite")]


@pytest.mark.parametrize("case", ALONE, ids=lambda case: case.figures[0].title)
def test_a_case_returns_its_figures(case: Any, tmp_path: Path) -> None:
    options = {**case.options, **case.quick}
    if case.server is not None:
        store = "apscheduler.jobstores.sqlalchemy:SQLAlchemyJobStore"
        options["store"] = {"class": store, "url": f"sqlite:///{tmp_path / 'jobs.sqlite'}"}

    done = subprocess.run(
        [sys.executable, BENCHMARKS / "_measure.py", case.function, json.dumps(options)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    assert set(figures) == {figure.name for figure in case.figures}
    assert all(isinstance(value, float) for value in figures.values())


@pytest.fixture
def report(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    for name in ("cases", "_libraries"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return load("benchmark_report", BENCHMARKS / "_report.py")


def row(report: ModuleType, kind: str, theirs: list[float], ours: list[float]) -> Any:
    return report.Row("a case", "jobs/s", kind, 2, theirs, ours)


def test_the_ratio_is_that_of_the_medians_and_the_spread_that_of_the_rounds(
    report: ModuleType,
) -> None:
    rates = row(report, "rate", [10, 20, 100], [30, 60, 100])
    assert rates.ratio == 3
    assert rates.spread == (1, 3)


@pytest.mark.parametrize(
    ("kind", "ours", "reached"), [("rate", 20, True), ("rate", 19, False), ("cost", 21, False)]
)
def test_a_rate_must_reach_what_is_asked_and_a_cost_must_not_exceed_it(
    report: ModuleType, kind: str, ours: float, reached: bool
) -> None:
    assert row(report, kind, [10], [ours]).reached is reached


def test_lines_that_are_not_measured_again_stay(report: ModuleType, tmp_path: Path) -> None:
    first, second = (figure for case in report.CASES[:2] for figure in case.figures)
    report.write_results([report.Row.of(first, [10], [40])], tmp_path)
    report.write_results([report.Row.of(second, [10], [20])], tmp_path)

    page = (tmp_path / "results.md").read_text(encoding="utf-8")
    assert first.title in page
    assert second.title in page
