"""What docstrings show as code runs: the reference shows it, too."""

from __future__ import annotations

import inspect
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.testing import JobStoreContract, ManualScheduler, SchedulerContract

from .pages import ROOT, Block, blocks_in

MODULES = sorted((ROOT / "apscheduler").rglob("*.py"))


def code_in(owner: type) -> Block:
    (block,) = blocks_in(inspect.getdoc(owner) or "", ROOT / "docs" / f"{owner.__name__}.rst")
    return block


def run(owner: type, **names: Any) -> dict[str, Any]:
    exec(code_in(owner).text, names)
    return names


def test_no_other_module_shows_code() -> None:
    with_code = {
        path.relative_to(ROOT / "apscheduler").as_posix()
        for path in MODULES
        if any(line.endswith("::") for line in path.read_text(encoding="utf-8").splitlines())
    }
    assert with_code == {
        "schedulers/twisted.py",
        "testing/_jobstores.py",
        "testing/_manual.py",
        "testing/_schedulers.py",
    }


def test_the_code_of_the_manual_scheduler_runs_a_year() -> None:
    runs: list[None] = []
    run(
        ManualScheduler,
        ManualScheduler=ManualScheduler,
        send_report=lambda: runs.append(None),
        timedelta=timedelta,
    )
    assert len(runs) == 365


def test_the_code_of_the_contracts_makes_classes_of_tests() -> None:
    names = run(JobStoreContract, JobStoreContract=JobStoreContract, pytest=pytest)
    assert issubclass(names["TestMyJobStore"], JobStoreContract)

    names = run(
        SchedulerContract, SchedulerContract=SchedulerContract, MyScheduler=BackgroundScheduler
    )
    scheduler = names["TestMyScheduler"]().create_scheduler(timezone="UTC")
    assert isinstance(scheduler, BackgroundScheduler)


def test_the_code_of_the_twisted_scheduler_waits_for_it() -> None:
    twisted = pytest.importorskip("apscheduler.schedulers.twisted", exc_type=ImportError)
    triggers: list[tuple[Any, ...]] = []
    scheduler = twisted.TwistedScheduler()
    reactor = SimpleNamespace(addSystemEventTrigger=lambda *args: triggers.append(args))
    run(twisted.TwistedScheduler, reactor=reactor, scheduler=scheduler)
    assert triggers == [("before", "shutdown", scheduler.shutdown)]
