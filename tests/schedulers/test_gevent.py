"""What GeventScheduler does beyond SchedulerContract."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from threading import Event, Thread, Timer, get_ident
from typing import Any

import gevent
import pytest
from gevent.event import Event as GeventEvent
from gevent.lock import RLock

from apscheduler.events import (
    EVENT_JOB_SUBMITTED,
    EVENT_SCHEDULER_SHUTDOWN,
    EVENT_SCHEDULER_START,
    SchedulerEvent,
)
from apscheduler.executors.base import LoopEndedError
from apscheduler.executors.gevent import GeventExecutor
from apscheduler.schedulers import SchedulerNotRunningError
from apscheduler.schedulers.gevent import GeventScheduler
from tests.jobs import nothing
from tests.recorder import OUTCOMES, Recorder

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


@pytest.mark.parametrize("code", [EVENT_SCHEDULER_START, EVENT_SCHEDULER_SHUTDOWN])
def test_a_listener_may_start_it_anew_and_it_has_one_greenlet_then(code: int) -> None:
    class Counted(GeventScheduler):
        def _main_loop(self) -> None:
            loops.append(gevent.getcurrent())
            super()._main_loop()

    def restart(event: SchedulerEvent) -> None:
        scheduler.remove_listener(restart)
        if scheduler.running:
            scheduler.shutdown()
        scheduler.start()

    loops: list[gevent.Greenlet] = []
    scheduler = Counted()
    recorder = Recorder(scheduler, OUTCOMES)
    scheduler.add_listener(restart, code)
    with gevent.Timeout(30):
        first = scheduler.start()
        if code == EVENT_SCHEDULER_SHUTDOWN:
            scheduler.shutdown()
            first.join()
        scheduler.add_job(nothing)
        while not recorder.events:
            gevent.sleep(0.001)
        assert [greenlet for greenlet in loops if not greenlet.dead] == [scheduler._greenlet]
        scheduler.shutdown()
    assert all(greenlet.dead for greenlet in loops)


def test_a_start_listener_may_shut_it_down() -> None:
    scheduler = GeventScheduler()
    scheduler.add_listener(lambda event: scheduler.shutdown(), EVENT_SCHEDULER_START)
    greenlet = scheduler.start()
    greenlet.join(30)
    assert greenlet.successful()
    assert scheduler._greenlet is None


def test_its_locks_and_its_event_are_those_of_gevent() -> None:
    with GeventScheduler() as scheduler:
        assert isinstance(scheduler._create_lock(), RLock)
        assert isinstance(scheduler._jobstores_lock, RLock)
        assert isinstance(scheduler._event, GeventEvent)


def test_greenlets_of_another_thread_may_wait_for_its_locks() -> None:
    held, goes_on = Event(), Event()

    def hold() -> None:
        with scheduler._jobstores_lock:
            held.set()
            assert goes_on.wait(30)

    scheduler = GeventScheduler()
    gevent.sleep(0)  # so that this thread has a hub, which waits for nothing
    thread = Thread(target=hold)
    thread.start()
    assert held.wait(30)
    Timer(0.05, goes_on.set).start()
    scheduler.add_job(print, id="job")
    thread.join(30)
    assert scheduler.get_job("job") is not None


def test_other_greenlets_run_while_it_waits() -> None:
    with GeventScheduler() as scheduler:
        scheduler.add_job(print, "interval", hours=1)
        assert gevent.spawn(lambda: "ran").get(timeout=30) == "ran"


class SlowToSubmit(GeventExecutor):
    """Lets other greenlets have their turn while it takes a run, until it is told to go on."""

    def __init__(self) -> None:
        super().__init__()
        self.begun, self.goes_on = GeventEvent(), GeventEvent()
        self.has_gone_on = False

    def _do_submit_job(self, job: Any, run_times: Any) -> None:
        self.begun.set()
        self.goes_on.wait(30)
        self.has_gone_on = True
        super()._do_submit_job(job, run_times)


def test_a_shutdown_of_another_greenlet_waits_no_longer_for_an_executor_than_it_is_to() -> None:
    executor = SlowToSubmit()
    scheduler = GeventScheduler(executors={"default": executor})
    recorder = Recorder(scheduler)
    scheduler.start()
    scheduler.add_job(print)
    assert executor.begun.wait(30)

    scheduler.shutdown(0.1)

    assert not executor.has_gone_on
    executor.goes_on.set()
    while not recorder.of(EVENT_SCHEDULER_SHUTDOWN):
        gevent.sleep(0.001)
    assert len(recorder.of(OUTCOMES)) == 1


@pytest.mark.parametrize("wait", [False, 0.01])
def test_a_shutdown_in_another_thread_does_not_wait_for_a_job_that_gives_no_turn(
    wait: bool | float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("apscheduler.schedulers.gevent.TURN_SECONDS", 0.05)
    begun, goes_on = Event(), Event()

    def job() -> None:
        begun.set()
        assert goes_on.wait(30)  # it keeps the whole thread

    def live() -> None:
        scheduler.start()
        scheduler.add_job(job)
        while scheduler.running:
            gevent.sleep(0.001)

    scheduler = GeventScheduler()
    recorder = Recorder(scheduler)
    thread = Thread(target=live)
    thread.start()
    assert begun.wait(30)
    scheduler.shutdown(wait)
    assert not goes_on.is_set()
    goes_on.set()
    recorder.wait_for(EVENT_SCHEDULER_SHUTDOWN)
    thread.join(30)
    assert not scheduler.running


def test_it_goes_on_when_the_program_does_so_after_ctrl_c() -> None:
    struck: list[object] = []

    def strike(event: object) -> None:
        if not struck:
            struck.append(event)
            signal.raise_signal(signal.SIGINT)

    scheduler = GeventScheduler()
    recorder = Recorder(scheduler)
    scheduler.add_listener(strike, EVENT_JOB_SUBMITTED)
    for number in range(3):
        scheduler.add_job(print, id=str(number))
    greenlet = scheduler.start()
    with pytest.raises(KeyboardInterrupt):
        greenlet.join(30)

    scheduler.add_job(print, id="later")
    with gevent.Timeout(30):
        while len(recorder.of(OUTCOMES)) < 4:
            gevent.sleep(0.001)

    scheduler.shutdown()
    assert greenlet.successful()
    assert sorted(e.job_id for e in recorder.of(OUTCOMES)) == ["0", "1", "2", "later"]


def test_its_runs_are_told_and_it_starts_anew_when_its_thread_has_ended() -> None:
    begun = GeventEvent()

    def job() -> None:
        begun.set()
        GeventEvent().wait()

    def live() -> None:
        scheduler.start()
        scheduler.add_job(job)
        assert begun.wait(30)

    scheduler = GeventScheduler()
    recorder = Recorder(scheduler)
    thread = Thread(target=live)
    thread.start()
    thread.join(30)
    scheduler.shutdown()
    (event,) = recorder.of(OUTCOMES)
    assert isinstance(event.exception, LoopEndedError)

    greenlet = scheduler.start()
    scheduler.add_job(scheduler.shutdown)
    greenlet.join(30)
    assert greenlet.successful()


@pytest.mark.parametrize("wait", [True, False, 3])
def test_a_signal_that_strikes_while_all_greenlets_wait_may_shut_it_down(
    wait: bool | float,
) -> None:
    def job() -> str:
        begun.set()
        goes_on.wait()
        return "ended"

    def handle(number: int, frame: object) -> None:
        greenlets.append(gevent.getcurrent())
        scheduler.shutdown(wait)
        with pytest.raises(SchedulerNotRunningError):
            scheduler.shutdown(wait)
        goes_on.set()

    greenlets: list[object] = []
    begun, goes_on = GeventEvent(), GeventEvent()
    scheduler = GeventScheduler()
    recorder = Recorder(scheduler)
    loop = scheduler.start()
    scheduler.add_job(job)
    assert begun.wait(30)
    hub = gevent.get_hub()
    # By then all greenlets wait, and so does the hub.
    strike = Timer(0.1, signal.pthread_kill, (get_ident(), signal.SIGTERM))
    old = signal.signal(signal.SIGTERM, handle)
    try:
        strike.start()
        loop.join(30)
    finally:
        signal.signal(signal.SIGTERM, old)
    assert greenlets == [hub]
    assert loop.successful()
    if wait is not False:
        assert [event.retval for event in recorder.of(OUTCOMES)] == ["ended"]
    with scheduler:
        assert scheduler.running


@pytest.mark.timeout(300)
def test_it_behaves_the_same_in_a_program_that_is_monkey_patched() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PATCHED_CONTRACT], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout
