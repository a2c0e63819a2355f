"""What GeventScheduler does beyond SchedulerContract."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import gevent
import pytest
from gevent.event import Event as GeventEvent
from gevent.lock import RLock

from apscheduler.schedulers.gevent import GeventScheduler

ROOT = Path(__file__).parent.parent.parent

PATCHED_CONTRACT = """
from gevent import monkey
monkey.patch_all()
import sys, pytest
arguments = ["-q", "-p", "no:cacheprovider", "tests/contracts/test_schedulers.py"]
sys.exit(pytest.main([*arguments, "-k", "TestGeventScheduler"]))
"""


def test_start_returns_a_greenlet_that_ends_with_the_scheduler() -> None:
    scheduler = GeventScheduler()
    scheduler.add_job(scheduler.shutdown)
    greenlet = scheduler.start()
    assert greenlet is scheduler._greenlet
    greenlet.join(30)
    assert greenlet.successful()
    assert not scheduler.running


def test_its_locks_and_its_event_are_those_of_gevent() -> None:
    with GeventScheduler() as scheduler:
        assert isinstance(scheduler._create_lock(), RLock)
        assert isinstance(scheduler._jobstores_lock, RLock)
        assert isinstance(scheduler._event, GeventEvent)


def test_other_greenlets_run_while_it_waits() -> None:
    with GeventScheduler() as scheduler:
        scheduler.add_job(print, "interval", hours=1)
        assert gevent.spawn(lambda: "ran").get(timeout=30) == "ran"


@pytest.mark.timeout(300)
def test_it_behaves_the_same_in_a_program_that_is_monkey_patched() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PATCHED_CONTRACT], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout
