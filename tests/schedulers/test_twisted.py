"""What TwistedScheduler does beyond SchedulerContract."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from twisted.internet.task import Clock

from apscheduler.executors.debug import DebugExecutor
from apscheduler.schedulers.twisted import TwistedScheduler, run_in_reactor


class Reactor(Clock):
    """A reactor whose clock the test moves."""

    running = True

    def callFromThread(self, func: Callable[..., object], *args: Any, **kwargs: Any) -> None:
        self.callLater(0, func, *args, **kwargs)


@pytest.fixture
def reactor() -> Reactor:
    return Reactor()


@pytest.fixture
def scheduler(reactor: Reactor) -> TwistedScheduler:
    scheduler = TwistedScheduler(reactor=reactor, executors={"default": DebugExecutor()})
    scheduler.start()
    reactor.advance(0)
    return scheduler


def test_there_is_one_timer_however_often_the_loop_is_woken(
    scheduler: TwistedScheduler, reactor: Reactor
) -> None:
    for _ in range(10):
        scheduler.wakeup()
        reactor.advance(0)

    assert reactor.getDelayedCalls() == [scheduler._delayedcall]


def test_the_reactor_is_asked_once_for_a_look_that_many_want(
    scheduler: TwistedScheduler, reactor: Reactor
) -> None:
    def job() -> None:
        scheduler.wakeup()
        queued.append(len(reactor.getDelayedCalls()))

    queued: list[int] = []
    for _ in range(200):
        scheduler.add_job(job)
    assert len(reactor.getDelayedCalls()) == 2  # a look, and the timer

    reactor.advance(0)
    assert len(queued) == 200
    assert max(queued) <= 2  # a look, and the next jobs of those that are ready


def test_a_look_that_the_reactor_has_lost_is_asked_for_once_more(
    scheduler: TwistedScheduler, reactor: Reactor, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    scheduler.add_job(said.append, args=["one"])
    lost = next(call for call in reactor.getDelayedCalls() if call.getTime() == 0)
    lost.cancel()
    monkeypatch.setattr("apscheduler.schedulers._timer.LOST_SECONDS", 0)
    scheduler.add_job(said.append, args=["two"])
    reactor.advance(0)
    assert said == ["one", "two"]


def test_the_loop_looks_again_after_a_minute_at_the_latest(
    scheduler: TwistedScheduler, reactor: Reactor
) -> None:
    assert scheduler._delayedcall.getTime() == reactor.seconds() + 60
    in_an_hour = scheduler._now() + timedelta(hours=1)
    scheduler.add_job(print, "date", run_date=in_an_hour)
    reactor.advance(60)
    assert scheduler._delayedcall.getTime() == reactor.seconds() + 60


def test_nothing_is_left_in_the_reactor_after_a_shutdown(
    scheduler: TwistedScheduler, reactor: Reactor
) -> None:
    fired: list[object] = []
    scheduler.shutdown().addCallback(fired.append)
    assert fired == [None]
    assert reactor.getDelayedCalls() == []


def test_a_subclass_may_override_the_hook_of_old_by_which_it_shuts_down(reactor: Reactor) -> None:
    class Scheduler(TwistedScheduler):
        def _shutdown(self, wait: bool | float = True) -> None:
            called_with.append(wait)
            super()._shutdown(wait=wait)

    called_with: list[bool | float] = []
    fired: list[object] = []
    scheduler = Scheduler(reactor=reactor)
    scheduler.start()
    scheduler.shutdown(False).addCallback(fired.append)
    assert (called_with, fired) == ([False], [None])
    scheduler.start()
    scheduler.shutdown()


def test_a_subclass_may_look_for_jobs_in_an_override_of_wakeup_only_when_it_wants_to(
    reactor: Reactor,
) -> None:
    class Scheduler(TwistedScheduler):
        is_leader = False

        @run_in_reactor
        def wakeup(self) -> None:
            self._stop_timer()
            self._start_timer(self._process_jobs() if self.is_leader else 1)

    said: list[str] = []
    scheduler = Scheduler(reactor=reactor, executors={"default": DebugExecutor()})
    scheduler.start()
    scheduler.add_job(said.append, args=["done"])
    for _ in range(3):
        reactor.advance(1)
    assert said == []

    scheduler.is_leader = True
    reactor.advance(1)
    assert said == ["done"]
    assert reactor.getDelayedCalls() == [scheduler._delayedcall]
    scheduler.shutdown()


def test_a_pass_that_fails_is_tried_again(
    scheduler: TwistedScheduler, reactor: Reactor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise LookupError("as is to be expected")

    with monkeypatch.context() as patch:
        patch.setattr(scheduler, "_process_jobs", fail)
        scheduler.wakeup()
        reactor.advance(0)
        retry = scheduler.jobstore_retry_interval
        assert scheduler._delayedcall.getTime() == reactor.seconds() + retry

    said: list[str] = []
    scheduler.add_job(said.append, args=["goes on"])
    reactor.advance(retry)
    assert said == ["goes on"]


def test_methods_of_a_subclass_may_be_sent_to_the_reactor(reactor: Reactor) -> None:
    class Scheduler(TwistedScheduler):
        @run_in_reactor
        def look_around(self, word: str) -> None:
            said.append(word)

    said: list[str] = []
    Scheduler(reactor=reactor).look_around("word")
    assert said == []
    reactor.advance(0)
    assert said == ["word"]


@pytest.mark.parametrize("given", [5, "sys:path"])
def test_what_is_no_reactor_is_refused_when_it_is_given(given: object) -> None:
    with pytest.raises(TypeError, match=r"reactor must be a reactor of Twisted.* got (5|\[)"):
        TwistedScheduler(reactor=given)


def test_building_one_installs_no_reactor() -> None:
    code = (
        "import sys\n"
        "from apscheduler.schedulers.twisted import TwistedScheduler\n"
        "TwistedScheduler()\n"
        "print('twisted.internet.reactor' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
