"""Worker processes die, and jobs go on in new ones."""

from __future__ import annotations

import concurrent.futures.process
import errno
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

    events = list(recorder.events)
    assert [event.job_id for event in events if event.code == EVENT_JOB_ERROR] == ["killed"]
    assert sorted(event.retval for event in events if event.job_id != "killed") == [0, 1, 2]


@pytest.mark.parametrize("delay", [0.0, 0.002, 0.005, 0.01, 0.05, 0.2])
def test_a_shutdown_that_waits_amid_the_death_of_a_worker_returns_when_all_is_told(
    delay: float,
) -> None:
    scheduler = BackgroundScheduler(executors={"default": ProcessPoolExecutor(2)})
    recorder = Recorder(scheduler)
    scheduler.start()
    scheduler.add_jobs({"func": os.getpid} for _ in range(12))
    worker = recorder.wait_for(EVENT_JOB_EXECUTED)[0].retval
    recorder.wait_for(EVENT_JOB_SUBMITTED, 12)
    os.kill(worker, signal.SIGKILL)
    threading.Event().wait(delay)  # until the pool has noticed, or has been replaced, or neither
    scheduler.shutdown()

    assert len(recorder.of(OUTCOMES)) == 12
    assert len(recorder.of(EVENT_JOB_ERROR)) <= 2  # what the two workers were at
    assert multiprocessing.active_children() == []


def test_a_shutdown_that_does_not_wait_costs_no_run_behind_a_killed_one(
    stopped: BackgroundScheduler,
) -> None:
    recorder = Recorder(stopped)
    stopped.start(paused=True)
    stopped.add_job(die, id="killed")
    stopped.add_jobs({"func": give, "args": [number]} for number in range(3))
    stopped.resume()
    recorder.wait_for(EVENT_JOB_SUBMITTED, 4)
    stopped.shutdown(wait=False)
    recorder.wait_for(OUTCOMES, 4)

    assert [event.job_id for event in recorder.of(EVENT_JOB_ERROR)] == ["killed"]
    assert len(recorder.of(EVENT_JOB_EXECUTED)) == 3


# --- the system has no more processes, threads or files ------------------------------------------


def fail_at_first(original: Any, count: int = 1) -> Any:
    """Return a function that does as the original, once it has failed so many times."""
    failures = [OSError(errno.EAGAIN, "on purpose") for _ in range(count)]

    def call(*args: Any, **kwargs: Any) -> Any:
        if failures:
            raise failures.pop()
        return original(*args, **kwargs)

    return call


def test_a_run_for_which_no_worker_could_be_started_is_told_and_not_made_later(
    scheduler: BackgroundScheduler, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(SpawnProcess, "start", fail_at_first(SpawnProcess.start))
    recorder = Recorder(scheduler, OUTCOMES)
    for number, name in enumerate(["refused", "made", "made, too"], 1):
        scheduler.add_job((tmp_path / name).touch, id=name)
        recorder.wait_for(count=number)

    errors = [event for event in recorder.events if event.code == EVENT_JOB_ERROR]
    assert [(event.job_id, event.exception.errno) for event in errors] == [
        ("refused", errno.EAGAIN)
    ]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["made", "made, too"]


def test_so_is_one_for_whose_pool_no_thread_could_be_started(
    scheduler: BackgroundScheduler, monkeypatch: pytest.MonkeyPatch
) -> None:
    manager = concurrent.futures.process._ExecutorManagerThread
    monkeypatch.setattr(manager, "start", fail_at_first(manager.start), raising=False)
    recorder = Recorder(scheduler, OUTCOMES)
    scheduler.add_job(give, args=["refused"])
    recorder.wait_for()
    scheduler.add_job(give, args=["made"])
    error, event = recorder.wait_for(count=2)

    assert error.code == EVENT_JOB_ERROR
    assert event.retval == "made"
    assert len(multiprocessing.active_children()) == 1


def test_workers_that_run_do_the_work_of_one_that_could_not_be_started(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    scheduler = BackgroundScheduler(executors={"default": ProcessPoolExecutor(2)})
    recorder = Recorder(scheduler)
    scheduler.start()
    scheduler.add_job(meet, args=[str(tmp_path), 2])  # waits for a second file
    recorder.wait_for(EVENT_JOB_SUBMITTED)
    monkeypatch.setattr(SpawnProcess, "start", fail_at_first(SpawnProcess.start))
    scheduler.add_job(give, args=["made"])
    recorder.wait_for(EVENT_JOB_SUBMITTED, 2)
    (tmp_path / "second").touch()
    recorder.wait_for(OUTCOMES, 2)
    scheduler.shutdown()

    assert not recorder.of(EVENT_JOB_ERROR)


def test_all_is_told_though_a_broken_pool_cannot_be_replaced_at_first(
    scheduler: BackgroundScheduler, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder = Recorder(scheduler, OUTCOMES)
    scheduler.add_job(os.getpid)
    recorder.wait_for()
    scheduler.pause()
    scheduler.add_job(die, id="killed")
    for name in ("refused", "made"):
        scheduler.add_job(give, args=["well"], id=name)
    wakeup = concurrent.futures.process._ThreadWakeup  # a pipe, so it takes files
    monkeypatch.setattr("concurrent.futures.process._ThreadWakeup", fail_at_first(wakeup))
    scheduler.resume()
    events = {event.job_id: event for event in recorder.wait_for(count=4)}

    assert isinstance(events["killed"].exception, BrokenProcessPool)
    assert isinstance(events["refused"].exception, OSError)
    assert events["made"].retval == "well"


def run_among_deaths(scheduler: BackgroundScheduler, recorder: Recorder) -> None:
    """Run jobs, one of which ends its worker, and shut down; all of them are told."""
    scheduler.start(paused=True)
    so_far = len(recorder.of(EVENT_JOB_SUBMITTED))
    scheduler.add_job(die)
    scheduler.add_jobs({"func": give, "args": [number]} for number in range(7))
    scheduler.resume()
    recorder.wait_for(EVENT_JOB_SUBMITTED, so_far + 8)
    scheduler.shutdown()
    assert len(recorder.of(OUTCOMES)) == so_far + 8


def test_a_pool_whose_own_thread_dies_loses_no_run_and_leaks_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Before Python 3.12 it may fail at a dictionary that changes while it looks through it."""
    scheduler = BackgroundScheduler(executors={"default": ProcessPoolExecutor(3)})
    recorder = Recorder(scheduler)
    run_among_deaths(scheduler, recorder)  # what is made once for all is made now
    join_threads_of_pools()
    before = holdings()
    manager = concurrent.futures.process._ExecutorManagerThread
    failing = fail_at_first(manager.terminate_broken, 3)
    monkeypatch.setattr(manager, "terminate_broken", failing)
    # That of pytest keeps all that the traceback refers to.
    monkeypatch.setattr(threading, "excepthook", lambda args: None)
    for _ in range(3):
        run_among_deaths(scheduler, recorder)

    assert len(recorder.of(EVENT_JOB_ERROR)) <= 4 * 3  # what the three workers were at
    after = holdings()
    assert {name: count for name, count in after.items() if count > before[name]} == {}


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
