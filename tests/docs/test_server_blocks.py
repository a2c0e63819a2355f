"""The page about keeping jobs in databases, run with real servers in place of its own."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.schedulers.base import BaseScheduler

from .pages import DOCS, Block, blocks_of
from .test_code_blocks import run_code

PAGE = DOCS / "howto" / "keep-jobs.rst"
BLOCKS = [block for block in blocks_of(PAGE) if block.kind in ("python", "testsetup")]


def block_with(text: str) -> Block:
    (block,) = [block for block in BLOCKS if text in block.text]
    return block


def replaced(block: Block, replacements: dict[str, str]) -> Block:
    """Return a block with real addresses in place of those that the page shows."""
    text = block.text
    for old, new in replacements.items():
        assert old in text, f"{block}: {old} is not in it"
        text = text.replace(old, new)

    return replace(block, text=text)


def postgresql(server: Any) -> Block:
    url = "postgresql+psycopg://scheduler:secret@db.example.com/myapp"
    return replaced(block_with("postgresql+psycopg://"), {url: server.fresh()["url"]})


def mariadb(server: Any) -> Block:
    url = "mysql+pymysql://scheduler:secret@db.example.com/myapp?charset=utf8mb4"
    return replaced(block_with("mysql+pymysql://"), {url: server.fresh()["url"]})


def mongodb(server: Any) -> Block:
    place = server.fresh()
    return replaced(
        block_with('"type": "mongodb"'),
        {"mongodb://db.example.com:27017": place["host"], "myapp": place["database"]},
    )


def redis(server: Any) -> Block:
    place = ", ".join(f"{name!r}: {value!r}" for name, value in server.fresh().items())
    return replaced(
        block_with('"type": "redis"'), {'"host": "db.example.com", "port": 6379, "db": 0': place}
    )


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A module for the code of the page, with what its first block imports."""
    monkeypatch.chdir(tmp_path)
    module = ModuleType("page_of_the_documentation")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    vars(module)["BackgroundScheduler"] = BackgroundScheduler
    run_code(block_with("def start("), module)

    return module


@pytest.mark.parametrize(
    ("fixture", "with_server"),
    [
        ("postgresql", postgresql),
        ("mariadb", mariadb),
        ("mongodb", mongodb),
        ("redis_server", redis),
    ],
)
def test_a_job_is_kept_in_a_database(
    fixture: str,
    with_server: Callable[[Any], Block],
    request: pytest.FixtureRequest,
    page: ModuleType,
) -> None:
    configuration = with_server(request.getfixturevalue(fixture))
    next_run_times = []
    for _ in ("first start", "second start"):
        run_code(configuration, page)
        scheduler: BaseScheduler = vars(page)["scheduler"]
        vars(page)["start"](scheduler)
        next_run_times += [job.next_run_time for job in scheduler.get_jobs()]
        scheduler.shutdown()

    assert len(next_run_times) == 2
    assert next_run_times[0] == next_run_times[1]


def test_jobs_are_kept_in_several_stores(page: ModuleType, tmp_path: Path) -> None:
    run_code(block_with('"lasting":'), page)
    run_code(BLOCKS[-1], page)  # the part that the page hides: starts, looks and shuts down
    assert (tmp_path / "jobs.sqlite").is_file()
