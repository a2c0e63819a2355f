"""Worker processes die, and jobs go on in new ones."""

from __future__ import annotations

import concurrent.futures.process
import gc
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor as PoolOfPython
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any

import pytest

from apscheduler.events import EVENT_JOB_ERROR, EVENT_JOB_EXECUTED, EVENT_JOB_SUBMITTED
from apscheduler.executors.pool import ProcessPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.testing import ManualScheduler
from tests.jobs import about_this_run, begin_and_die, die, fail, give, meet, nothing
from tests.recorder import OUTCOMES, PATIENCE, Recorder

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")

KILLS = 100


@pytest.fixture
def stopped() -> BackgroundScheduler:
    return BackgroundScheduler(executors={"default": ProcessPoolExecutor(1)})


@pytest.fixture
def scheduler(stopped: BackgroundScheduler) -> Iterator[BackgroundScheduler]:
    stopped.start()
    yield stopped
    stopped.shutdown()


def test_the_run_of_a_killed_worker_is_an_error_and_the_next_run_works(
    scheduler: BackgroundScheduler,
) -> None:
    recorder = Recorder(scheduler)
    scheduler.add_job(die, id="killed")
    [error] = recorder.wait_for(EVENT_JOB_ERROR)
    scheduler.add_job(give, args=["well"])
    [result] = recorder.wait_for(EVENT_JOB_EXECUTED)

    assert error.job_id == "killed"
    assert isinstance(error.exception, BrokenProcessPool)
    assert "terminated abruptly" in str(error.exception)
    assert result.retval == "well"


def test_a_run_that_had_begun_when_its_worker_was_killed_is_not_made_again(
    scheduler: BackgroundScheduler, tmp_path: Path
) -> None:
    recorder = Recorder(scheduler, OUTCOMES)
    scheduler.add_job(begin_and_die, args=[str(tmp_path / "notes")])
    [error] = recorder.wait_for()

    assert error.code == EVENT_JOB_ERROR
    assert (tmp_path / "notes").read_text() == "begun\n"


def test_a_run_that_had_not_begun_is_made_when_no_worker_is_left_that_might_begin_it(
    tmp_path: Path,
) -> None:
    scheduler = BackgroundScheduler(executors={"default": ProcessPoolExecutor(2)})
    recorder = Recorder(scheduler, OUTCOMES)
    scheduler.start()
    workers: list[int] = []
    try:
        for _ in range(2):
            scheduler.add_job(meet, args=[str(tmp_path), 2])
        workers += [event.retval for event in recorder.wait_for(count=2)]
        for worker in workers:
            os.kill(worker, signal.SIGSTOP)
        submitted = Recorder(scheduler, EVENT_JOB_SUBMITTED)
        scheduler.add_job(nothing)
        submitted.wait_for(EVENT_JOB_SUBMITTED)
        os.kill(workers[0], signal.SIGKILL)  # the other one does not notice that it is to end
        event = recorder.wait_for(count=3)[-1]
        is_left = [worker for worker in workers if is_process(worker)]
    finally:
        for worker in workers:
            with suppress(ProcessLookupError):
                os.kill(worker, signal.SIGKILL)
        scheduler.shutdown()

    assert event.code == EVENT_JOB_EXECUTED
    assert is_left == []


def is_process(process_id: int) -> bool:
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_worker_that_is_killed_while_it_has_nothing_to_do_costs_no_run(
    scheduler: BackgroundScheduler,
) -> None:
    recorder = Recorder(scheduler)
    scheduler.add_job(os.getpid)
    [first] = recorder.wait_for(EVENT_JOB_EXECUTED)
    os.kill(first.retval, signal.SIGKILL)
    join_threads_of_pools()  # the pool has noticed
    scheduler.add_job(os.getpid)
    [_, second] = recorder.wait_for(EVENT_JOB_EXECUTED, 2)

    assert second.retval != first.retval
    assert not recorder.of(EVENT_JOB_ERROR)


def test_a_hundred_kills_in_a_row_leak_nothing(stopped: BackgroundScheduler) -> None:
    recorder = Recorder(stopped, EVENT_JOB_ERROR | EVENT_JOB_EXECUTED)
    run_and_kill(stopped, recorder, 1)  # what is made once for all is made now
    before = holdings()

    run_and_kill(stopped, recorder, KILLS)

    assert len(recorder.of(EVENT_JOB_ERROR)) == 1 + KILLS
    assert [event.retval for event in recorder.of(EVENT_JOB_EXECUTED)] == ["well"] * 2
    after = holdings()  # threads that other tests left behind may have ended meanwhile
    assert {name: count for name, count in after.items() if count > before[name]} == {}


def test_jobs_behind_a_killed_one_run(scheduler: BackgroundScheduler) -> None:
    recorder = Recorder(scheduler, OUTCOMES)
    scheduler.pause()
    scheduler.add_job(die, id="killed")
    scheduler.add_jobs({"func": give, "args": [number]} for number in range(20))
    scheduler.resume()
    events = recorder.wait_for(count=21)

    assert [event.job_id for event in events if event.code == EVENT_JOB_ERROR] == ["killed"]
    results = [event.retval for event in events if event.code == EVENT_JOB_EXECUTED]
    assert sorted(results) == list(range(20))


def test_a_worker_that_is_killed_just_before_a_job_comes_costs_no_run(
    scheduler: BackgroundScheduler,
) -> None:
    recorder = Recorder(scheduler, OUTCOMES)
    for round_ in range(5):
        scheduler.add_job(os.getpid)
        worker = recorder.wait_for(count=round_ + 1)[-1].retval
        os.kill(worker, signal.SIGKILL)  # the pool may or may not notice before the next job

    assert {event.code for event in recorder.events} == {EVENT_JOB_EXECUTED}


def test_a_run_that_a_pool_is_given_while_it_finds_out_that_it_is_broken_is_made(
    scheduler: BackgroundScheduler, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder = Recorder(scheduler, OUTCOMES)
    scheduler.add_job(os.getpid)
    worker = recorder.wait_for()[0].retval
    manager = scheduler._lookup_executor("default")._pool._executor_manager_thread
    victims = [worker]

    class Item(concurrent.futures.process._WorkItem):
        """Made after the look whether the pool is broken; before 3.12 the pool goes on."""

        def __init__(self, *args: Any) -> None:
            super().__init__(*args)
            if victims:
                os.kill(victims.pop(), signal.SIGKILL)
                manager.join(1)

    monkeypatch.setattr("concurrent.futures.process._WorkItem", Item)
    scheduler.add_job(give, args=["made"])

    assert [event.retval for event in recorder.wait_for(count=2)] == [worker, "made"]


def test_a_shutdown_that_waits_lets_the_jobs_behind_a_killed_one_run(
    stopped: BackgroundScheduler,
) -> None:
    recorder = Recorder(stopped, OUTCOMES)
    stopped.start(paused=True)
    stopped.add_job(die, id="killed")
    stopped.add_jobs({"func": give, "args": [number]} for number in range(3))
    submitted = Recorder(stopped, EVENT_JOB_SUBMITTED)
    stopped.resume()
    submitted.wait_for(EVENT_JOB_SUBMITTED, 4)
    stopped.shutdown()

    assert len(recorder.events) == 4  # none is lost


@pytest.mark.filterwarnings("ignore:This process .*is multi-threaded:DeprecationWarning")
def test_runs_do_not_know_the_scheduler_inside_whose_job_their_worker_was_forked() -> None:
    settings = {"mp_context": multiprocessing.get_context("fork")}
    inner = ManualScheduler(executors={"default": ProcessPoolExecutor(1, settings)})
    recorder = Recorder(inner)

    def start_inner() -> None:
        inner.add_job(about_this_run, id="inner")
        inner.start()
        inner.run_due()

    with ManualScheduler() as outer:
        outer.add_job(start_inner)
        outer.run_due()

    [event] = recorder.wait_for(EVENT_JOB_EXECUTED)
    inner.shutdown()
    process, job_id, _, has_scheduler = event.retval
    assert process != os.getpid()
    assert (job_id, has_scheduler) == ("inner", False)


def test_a_worker_whose_initializer_fails_is_not_started_for_ever() -> None:
    executor = ProcessPoolExecutor(1, {"initializer": fail})
    scheduler = BackgroundScheduler(executors={"default": executor})
    recorder = Recorder(scheduler, OUTCOMES)
    scheduler.start()
    scheduler.add_job(give, args=["never"])
    [event] = recorder.wait_for()
    scheduler.shutdown()

    assert isinstance(event.exception, BrokenProcessPool)


class BadError(Exception):
    """Can be pickled and not unpickled."""

    def __init__(self, first: str, second: str) -> None:
        super().__init__(first + second)


class BadResult:
    def __reduce__(self) -> Any:
        return int, ("no number",)


def raise_bad_error() -> None:
    raise BadError("on ", "purpose")


@pytest.mark.parametrize(
    ("func", "words"),
    [(raise_bad_error, "BadError('on purpose')"), (BadResult, "BadResult object")],
)
def test_what_cannot_be_unpickled_is_told_in_words_and_breaks_no_pool(
    scheduler: BackgroundScheduler, func: Any, words: str
) -> None:
    recorder = Recorder(scheduler, OUTCOMES)
    scheduler.add_job(os.getpid)
    [before] = recorder.wait_for()
    scheduler.add_job(func)
    bad = recorder.wait_for(count=2)[-1]
    scheduler.add_job(os.getpid)
    after = recorder.wait_for(count=3)[-1]

    assert bad.code == EVENT_JOB_ERROR
    assert words in str(bad.exception)
    assert "cannot be sent" in str(bad.exception)
    assert after.retval == before.retval  # it is the same worker


def run_and_kill(scheduler: BackgroundScheduler, recorder: Recorder, kills: int) -> None:
    scheduler.start()
    try:
        for _ in range(kills):
            so_far = len(recorder.events)
            scheduler.add_job(die)
            recorder.wait_for(OUTCOMES, so_far + 1)
        scheduler.add_job(give, args=["well"])
        recorder.wait_for(OUTCOMES, so_far + 2)
    finally:
        scheduler.shutdown()
        join_threads_of_pools()


def holdings() -> dict[str, int]:
    """Count what a pool that was not cleaned up would hold."""
    gc.collect()
    files = Path("/proc/self/fd")
    return {
        "files": len(list(files.iterdir())) if files.exists() else 0,
        "threads": threading.active_count(),
        "processes": len(multiprocessing.active_children()),
        "pools": sum(issubclass(type(thing), PoolOfPython) for thing in gc.get_objects()),
    }


def join_threads_of_pools() -> None:
    for thread in threading.enumerate():
        if type(thread).__name__ == "_ExecutorManagerThread":
            thread.join(PATIENCE)
            assert not thread.is_alive()


def test_runs_that_wait_for_their_turn_have_it_until_the_time_is_up(
    scheduler: BackgroundScheduler,
) -> None:
    recorder = Recorder(scheduler)
    for number in range(8):
        scheduler.add_job(give, args=[number])
    recorder.wait_for(EVENT_JOB_SUBMITTED, 8)

    scheduler.shutdown(PATIENCE)

    assert sorted(event.retval for event in recorder.of(OUTCOMES)) == list(range(8))
    scheduler.start()


def test_a_worker_that_dies_while_the_time_runs_costs_only_its_own_run(
    scheduler: BackgroundScheduler,
) -> None:
    recorder = Recorder(scheduler)
    scheduler.add_job(die, id="killed")
    for number in range(3):
        scheduler.add_job(give, args=[number])
    recorder.wait_for(EVENT_JOB_SUBMITTED, 4)

    scheduler.shutdown(PATIENCE)

    assert [event.job_id for event in recorder.of(EVENT_JOB_ERROR)] == ["killed"]
    assert len(recorder.of(EVENT_JOB_EXECUTED)) == 3
    scheduler.start()


@pytest.mark.parametrize("second", [True, False, 0.01])
@pytest.mark.parametrize("first", [True, False, 0.01])
def test_the_executor_may_be_shut_down_twice(
    scheduler: BackgroundScheduler, first: bool | float, second: bool | float
) -> None:
    recorder = Recorder(scheduler, OUTCOMES)
    for _ in range(3):
        scheduler.add_job(give, args=["well"])
    recorder.wait_for(count=3)
    executor = scheduler._executors["default"]

    executor.shutdown(first)
    executor.shutdown(second)

    job = scheduler.add_job(give, "interval", ["refused"], days=1)
    with pytest.raises(RuntimeError, match="shut down"):
        executor.submit_job(job, [job.next_run_time])


def test_workers_that_ignore_their_termination_share_its_grace(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """All are told to end before any is waited for, and all that go on are killed."""
    asked: list[tuple[str, int]] = []
    for action in ("terminate", "kill"):
        original = getattr(SpawnProcess, action)

        def watch(process: Any, action: str = action, original: Any = original) -> None:
            asked.append((action, process.pid))
            if action == "kill":
                original(process)

        monkeypatch.setattr(SpawnProcess, action, watch)
    scheduler = BackgroundScheduler(executors={"default": ProcessPoolExecutor(3)})
    recorder = Recorder(scheduler)
    scheduler.start()
    for _ in range(3):
        scheduler.add_job(time.sleep, args=[10 * PATIENCE])
    recorder.wait_for(EVENT_JOB_SUBMITTED, 3)

    scheduler.shutdown(0.01)

    assert [action for action, _ in asked[:6]] == ["terminate"] * 3 + ["kill"] * 3
    assert {pid for _, pid in asked[:3]} == {pid for _, pid in asked[3:6]}
