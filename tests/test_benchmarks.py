"""The benchmarks still run, on small sizes, and report what they say they do."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine
from sqlalchemy.exc import OperationalError

from tests.servers import MongoDB

ROOT = Path(__file__).parent.parent
BENCHMARKS = ROOT / "benchmarks"
sys.path.append(str(BENCHMARKS))

import _report as reports  # noqa: E402 (found by the line above)
import _servers as servers  # noqa: E402
import compare  # noqa: E402
from _libraries import our_library  # noqa: E402
from cases import CASES, COST, RATE, Case, Figure  # noqa: E402

# Those on servers run the same functions as those on SQLite.
ALONE = [case for case in CASES if case.server in (None, "SQLite")]
FUNCTIONS = [
    *((case, case.function) for case in ALONE),
    *((case, case.against) for case in ALONE if case.against),
]


@pytest.mark.parametrize(
    ("case", "function"),
    FUNCTIONS,
    ids=[f"{function}, {case.figures[0].title}" for case, function in FUNCTIONS],
)
def test_a_case_returns_its_figures(case: Case, function: str, tmp_path: Path) -> None:
    options = {**case.options, **case.quick}
    if case.server is not None:
        options["store"] = {
            "class": servers.STORES[case.server],
            "url": f"sqlite:///{tmp_path / 'jobs.sqlite'}",
        }

    library = our_library()
    done = subprocess.run(
        [
            *(sys.executable, BENCHMARKS / "_measure.py", function, json.dumps(options)),
            *(library.folder, library.version),
        ],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    assert set(figures) == {figure.name for figure in case.figures}
    for figure in case.figures:
        samples = figures[figure.name] if figure.quantile else [figures[figure.name]]
        assert samples
        assert all(isinstance(value, float) for value in samples)


@pytest.mark.parametrize("sizes", ["options", "quick"])
def test_growth_is_measured_with_as_many_due_jobs_among_others_at_each_size(sizes: str) -> None:
    growths = [getattr(case, sizes) for case in CASES if case.series]
    assert len({options["due"] for options in growths}) == 1
    assert all(options["due"] < options["size"] for options in growths)


# A whole comparison


@pytest.fixture
def beside_the_release(release: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("APSCHEDULER_311", str(release))


@pytest.mark.usefixtures("beside_the_release")
def test_a_quick_comparison_is_written_and_says_that_its_figures_mean_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output, docs = tmp_path / "output", tmp_path / "docs"
    words = ["dispatch", "lateness", "UTC, beside cronsim", "UTC, beside croniter", "SQLite: grow"]
    compare.main(["--quick", "--output", str(output), "--docs", str(docs), *words])

    rows = {row["title"]: row for row in json.loads((output / "results.json").read_text())}
    page = (output / "results.md").read_text(encoding="utf-8")
    printed = capsys.readouterr().out
    assert len(rows) == 1 + 3 + 2 + 5
    assert all(title in page and title in printed for title in rows)
    assert "these figures mean nothing" in page
    with open(docs / "performance.csv", encoding="utf-8", newline="") as file:
        *table, last = csv.DictReader(file)
    assert [line["case"] for line in table] == list(rows)
    assert {line["reached"] for line in table} == {""}
    assert "cronsim" in table[1]["beside"]
    assert "croniter" in table[2]["beside"]
    assert "these figures mean nothing" in last["case"]
    assert "cron, UTC, beside cronsim" in (docs / "performance.svg").read_text(encoding="utf-8")
    growth = rows["SQLite: growth from 10,000 to 1,000,000"]
    assert growth["others"] == rows["SQLite: a due job among 10,000"]["ours"]
    assert growth["ours"] == rows["SQLite: a due job among 1,000,000"]["ours"]


FINE = Case(
    "cron:apscheduler",
    figures=(Figure("fires", "what works", "fires/s", RATE, None),),
    options={"size": 3, "zone": "UTC"},
    quick={},
    only_ours=True,
)
BROKEN = Case(
    "cron:nothing",
    figures=(Figure("fires", "what fails", "fires/s", RATE, None),),
    options={},
    quick={},
    only_ours=True,
)
LACKING = Case(
    "cron:apscheduler",
    figures=(Figure("fires", "what lacks", "fires/s", RATE, None),),
    options={"size": 3, "zone": "UTC"},
    quick={},
    against="cron:no_such_package",
)


@pytest.mark.usefixtures("beside_the_release")
def test_cases_that_fail_do_not_end_the_run_and_are_told_at_its_end(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(compare, "CASES", (LACKING, BROKEN, FINE))

    with pytest.raises(SystemExit) as stopped:
        compare.main(["--quick"])

    _, lacking, broken = str(stopped.value).splitlines()
    assert lacking == "cron:apscheduler: pip install no_such_package"
    assert broken.startswith("cron:nothing: AttributeError")
    assert "what works" in capsys.readouterr().out


@pytest.mark.usefixtures("beside_the_release")
def test_a_case_that_takes_too_long_is_ended_and_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compare, "CASES", (FINE,))

    with pytest.raises(SystemExit, match=r"cron:apscheduler .* took more than 0\.001 s"):
        compare.main(["--quick", "--timeout", "0.001"])


def test_another_library_than_the_one_named_is_not_measured(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("APSCHEDULER_311", str(ROOT))

    with pytest.raises(SystemExit, match=r"apscheduler 3\.11\.3 of .* is to be measured"):
        compare.main(["--quick", "dispatch"])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--docs", "somewhere"], "give both"),
        (["--quick", "--docs", "somewhere"], "give both"),
        (["--rounds", "0"], "give 1 or more"),
        (["--rounds", "4"], "at least 5 rounds"),
        (["--rounds", "4", "--output", str(BENCHMARKS)], "at least 5 rounds"),
        (["--quick", "--output", "somewhere", "--docs", str(ROOT / "docs")], "at least 5 rounds"),
        (["dispatch", "dispach"], "no case has 'dispach' in its name"),
    ],
)
def test_options_that_would_mislead_are_refused(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        compare.main(arguments)

    assert words in capsys.readouterr().err


def test_the_cases_can_be_listed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        compare.main(["--list"])

    assert not stopped.value.code
    assert len(capsys.readouterr().out.splitlines()) == sum(len(case.figures) for case in CASES)


@pytest.mark.usefixtures("beside_the_release")
@pytest.mark.skipif(sys.platform == "win32", reason="Windows ends processes without a signal")
def test_a_comparison_that_is_told_to_end_writes_what_it_has_and_leaves_nothing_behind(
    tmp_path: Path,
) -> None:
    places, output = tmp_path / "places", tmp_path / "output"
    places.mkdir()
    process = subprocess.Popen(
        [
            *(sys.executable, BENCHMARKS / "compare.py", "--quick", "SQLite"),
            *("--output", output),
        ],
        env={**os.environ, "TMPDIR": str(places), "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout is not None
        first = process.stdout.readline()
        process.send_signal(signal.SIGTERM)
        process.stdout.read()

    assert process.returncode == 128 + signal.SIGTERM
    assert first.startswith("SQLite: due jobs")
    assert "SQLite: due jobs" in (output / "results.md").read_text(encoding="utf-8")
    assert not list(places.iterdir())
    assert not running_with(str(places))


def running_with(argument: str) -> list[bytes]:
    """Return the commands of the processes that were given this: on Linux, elsewhere none."""
    commands = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):  # it has ended
            commands.append(file.read_bytes())
    return [command for command in commands if argument.encode() in command]


# Servers


class Broken:
    """Stands for a server that was started, and does not answer."""

    closed = False

    def start(self) -> None:
        raise RuntimeError("did not answer")

    def close(self) -> None:
        self.closed = True


def test_a_server_that_does_not_get_through_its_start_is_closed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server = Broken()
    monkeypatch.setattr(servers, "server_of", lambda name: server)
    case = next(case for case in CASES if case.server == "Redis")

    with (
        servers.Servers() as places,
        pytest.raises(RuntimeError, match="did not answer"),
        places.place_for(case),
    ):
        pass

    assert server.closed


@pytest.mark.parametrize("fixture", ["postgresql", "mariadb"])
def test_a_database_is_dropped_after_use(fixture: str, request: pytest.FixtureRequest) -> None:
    server = request.getfixturevalue(fixture)
    place = server.fresh()
    engine = create_engine(place["url"])
    engine.connect().close()

    servers.drop(server, place)

    engine.dispose()
    with pytest.raises(OperationalError):
        engine.connect()


def test_a_database_of_mongodb_is_dropped_after_use(mongodb: MongoDB) -> None:
    from pymongo import MongoClient

    place = mongodb.fresh()
    with MongoClient[dict[str, Any]](place["host"]) as client:
        client[place["database"]].jobs.insert_one({})
        servers.drop(mongodb, place)

        assert place["database"] not in client.list_database_names()


# The report

RUN = reports.Run("2026-11-22 10:00 UTC", "a computer")


def row(kind: str, others: list[float], ours: list[float], **more: Any) -> reports.Row:
    figure = Figure("figure", "a case", "jobs/s", kind, 2, **more)
    return reports.Row.of(figure, others, ours, RUN)


def test_the_ratio_is_that_of_the_medians_and_the_spread_that_of_the_rounds() -> None:
    rates = row(RATE, [10, 20, 100], [30, 60, 100])
    assert rates.ratio == 3
    assert rates.spread == (1, 3)


def test_a_percentile_is_that_of_the_samples_of_all_rounds() -> None:
    few, many = [float(n) for n in range(100)], [1_000.0] * 10_000
    costs = row(COST, [few, few], [few, many], quantile=0.99)
    assert costs.other == pytest.approx(99, abs=1)
    assert costs.our == 1_000
    assert costs.spread == pytest.approx((1, 1_000 / 99), rel=0.02)


@pytest.mark.parametrize(
    ("kind", "ours", "reached"), [(RATE, 20, True), (RATE, 19, False), (COST, 21, False)]
)
def test_a_rate_must_reach_what_is_asked_and_a_cost_must_not_exceed_it(
    kind: str, ours: float, reached: bool
) -> None:
    assert row(kind, [10], [ours]).reached is reached


def test_lines_that_are_not_measured_again_stay_with_their_time_and_machine(
    tmp_path: Path,
) -> None:
    first, second = (figure for case in CASES[:2] for figure in case.figures)
    later = reports.Run("2026-11-23 10:00 UTC", "another computer")
    reports.write_results([reports.Row.of(first, [10], [40], RUN)], tmp_path)
    reports.write_results([reports.Row.of(second, [10], [20], later)], tmp_path)

    page = (tmp_path / "results.md").read_text(encoding="utf-8")
    assert f"{first.title} [1] |" in page
    assert f"{second.title} [2] |" in page
    assert f"[1] {RUN}" in page
    assert f"[2] {later}" in page


def test_lines_of_one_run_are_not_marked(tmp_path: Path) -> None:
    first, second = (figure for case in CASES[:2] for figure in case.figures)
    rows = [reports.Row.of(figure, [10], [40], RUN) for figure in (first, second)]
    reports.write_results(rows, tmp_path)

    page = (tmp_path / "results.md").read_text(encoding="utf-8")
    assert f"| {first.title} |" in page
    assert page.count(str(RUN)) == 1


def test_the_published_results_can_be_read_and_written(tmp_path: Path) -> None:
    published = (BENCHMARKS / "results.json").read_text(encoding="utf-8")
    (tmp_path / "results.json").write_text(published, encoding="utf-8")

    assert reports.write_results([], tmp_path)
    assert (tmp_path / "results.json").read_text(encoding="utf-8") == published
