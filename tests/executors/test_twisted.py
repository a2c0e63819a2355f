"""Jobs in the thread of Twisted's reactor, and in its thread pool."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Generator
from datetime import datetime, timedelta
from functools import partial
from threading import Event, current_thread
from typing import Any

import pytest
from twisted.internet import reactor as twisted_reactor
from twisted.internet.defer import CancelledError, Deferred, fail, inlineCallbacks, succeed
from twisted.internet.task import deferLater
from twisted.internet.threads import blockingCallFromThread

from apscheduler import current_run_time
from apscheduler.events import EVENT_JOB_ERROR, EVENT_JOB_EXECUTED, EVENT_JOB_MISSED
from apscheduler.executors.twisted import TwistedExecutor
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.schedulers.twisted import TwistedScheduler
from tests.loops import Loop
from tests.recorder import OUTCOMES, PATIENCE, Recorder

native_reactor: Any = twisted_reactor


def later(value: Any = None) -> Any:
    return deferLater(native_reactor, 0.01, lambda: value)


async def coroutine() -> str:
    await later()
    return current_thread().name


@inlineCallbacks
def generator() -> Generator[Any, Any, str]:
    yield later()
    return current_thread().name


def annotated() -> Deferred[str]:
    return later(current_thread().name)  # type: ignore[no-any-return]


def blocking() -> str:
    return current_thread().name


def unannotated():  # type: ignore[no-untyped-def]
    return later(current_thread().name)


class Service:
    @inlineCallbacks
    def method(self) -> Generator[Any, Any, str]:
        yield later()
        return current_thread().name

    async def __call__(self) -> str:
        return await coroutine()


def outcome_of(loop: Loop, func: Any, **settings: Any) -> Any:
    """Run a job; return the event that tells what became of it."""
    scheduler = TwistedScheduler()
    recorder = Recorder(scheduler)
    loop.call(scheduler.start)
    loop.call(scheduler.add_job, func, **settings)
    recorder.wait_for(OUTCOMES)
    blockingCallFromThread(native_reactor, scheduler.shutdown)
    (outcome,) = recorder.of(OUTCOMES)
    return outcome


@pytest.mark.parametrize(
    "func",
    [
        coroutine,
        generator,
        annotated,
        partial(coroutine),
        partial(generator),
        Service().method,
        Service(),
    ],
)
def test_what_returns_a_deferred_for_sure_runs_in_the_thread_of_the_reactor(
    reactor: Loop, func: Any
) -> None:
    event = outcome_of(reactor, func)
    assert event.code == EVENT_JOB_EXECUTED
    assert event.retval == reactor.call(current_thread).name


@pytest.mark.parametrize("func", [blocking, unannotated])
def test_other_functions_run_in_the_thread_pool(reactor: Loop, func: Any) -> None:
    event = outcome_of(reactor, func)
    assert event.code == EVENT_JOB_EXECUTED
    assert "PoolThread" in event.retval


def fails_at_once() -> Deferred[None]:
    raise LookupError("as is to be expected")


def fails_later() -> Deferred[None]:
    return fail(LookupError("as is to be expected"))


@inlineCallbacks
def fails_on_the_way() -> Generator[Any, Any, None]:
    yield later()
    raise LookupError("as is to be expected")


@pytest.mark.parametrize(
    "func", [fails_at_once, fails_later, fails_on_the_way, lambda: fails_later()]
)
def test_failures_are_told(reactor: Loop, func: Any) -> None:
    event = outcome_of(reactor, func)
    assert event.code == EVENT_JOB_ERROR
    assert isinstance(event.exception, LookupError)


def test_a_function_that_is_annotated_wrongly_runs_all_the_same(reactor: Loop) -> None:
    def plain() -> Deferred[str]:
        return "no Deferred"  # type: ignore[return-value]

    assert outcome_of(reactor, plain).retval == "no Deferred"


def test_a_deferred_that_has_fired_already_is_a_result(reactor: Loop) -> None:
    assert outcome_of(reactor, lambda: succeed("fired")).retval == "fired"


@pytest.mark.parametrize("wait", [False, 0.01])
def test_a_shutdown_cancels_deferreds(reactor: Loop, wait: bool | float) -> None:
    begun = Event()

    async def job() -> None:
        begun.set()
        await Deferred()

    scheduler = TwistedScheduler()
    recorder = Recorder(scheduler)
    reactor.call(scheduler.start)
    reactor.call(scheduler.add_job, job)
    assert begun.wait(PATIENCE)
    blockingCallFromThread(native_reactor, scheduler.shutdown, wait)
    (event,) = recorder.of(EVENT_JOB_ERROR)
    assert isinstance(event.exception, CancelledError)
    assert recorder.names[-2:] == ["JOB_ERROR", "SCHEDULER_SHUTDOWN"]


def test_a_job_may_wait_for_the_shutdown_that_it_asks_for(reactor: Loop) -> None:
    scheduler = TwistedScheduler()
    recorder = Recorder(scheduler)

    @inlineCallbacks
    def job() -> Generator[Any, Any, str]:
        yield scheduler.shutdown()
        return "survived"

    reactor.call(scheduler.start)
    reactor.call(scheduler.add_job, job)
    (event,) = recorder.wait_for(EVENT_JOB_EXECUTED)
    assert event.retval == "survived"
    assert recorder.names[-2:] == ["SCHEDULER_SHUTDOWN", "JOB_EXECUTED"]


def test_a_scheduler_without_a_reactor_is_told_what_to_use() -> None:
    scheduler = BackgroundScheduler(executors={"default": TwistedExecutor()})
    with pytest.raises(TypeError, match="BackgroundScheduler has none: use TwistedScheduler"):
        scheduler.start()


def overdue(scheduler: TwistedScheduler) -> dict[str, Any]:
    """Return the settings of a job that has three runs to make up for, or more."""
    begin = scheduler._now() - timedelta(seconds=2)
    return {
        "trigger": "interval",
        "seconds": 1,
        "start_date": begin,
        "next_run_time": begin,
        "coalesce": False,
    }


def test_a_run_begins_when_the_deferred_of_the_one_before_has_fired(reactor: Loop) -> None:
    said: list[str] = []
    seen: list[datetime] = []

    def job():  # type: ignore[no-untyped-def]
        seen.append(current_run_time.get())
        said.append("begins")
        return later().addCallback(lambda _: said.append("ends"))

    scheduler = TwistedScheduler()
    recorder = Recorder(scheduler)
    scheduler.add_listener(lambda _: said.append("told"), EVENT_JOB_EXECUTED)
    reactor.call(scheduler.start)
    reactor.call(scheduler.add_job, job, **overdue(scheduler))
    outcomes = recorder.wait_for(OUTCOMES, 3)
    blockingCallFromThread(native_reactor, scheduler.shutdown)
    assert said[:9] == ["begins", "ends"] * 3 + ["told"] * 3
    assert seen[:3] == [event.scheduled_run_time for event in outcomes[:3]]


@pytest.mark.parametrize("in_reactor", [True, False])
def test_a_run_that_is_cancelled_by_itself_does_not_take_the_others_with_it(
    reactor: Loop, in_reactor: bool
) -> None:
    def job():  # type: ignore[no-untyped-def]
        cancelled: Deferred[None] = Deferred()
        cancelled.cancel()
        return cancelled

    async def coroutine_job() -> None:
        begun.append("run")
        await job()  # type: ignore[no-untyped-call]

    def thread_job():  # type: ignore[no-untyped-def]
        begun.append("run")
        return job()  # type: ignore[no-untyped-call]

    begun: list[str] = []
    scheduler = TwistedScheduler()
    recorder = Recorder(scheduler)
    reactor.call(scheduler.start)
    settings = overdue(scheduler)
    reactor.call(scheduler.add_job, coroutine_job if in_reactor else thread_job, **settings)
    recorder.wait_for(EVENT_JOB_ERROR, 3)
    blockingCallFromThread(native_reactor, scheduler.shutdown)
    assert len(begun) >= 3


@pytest.mark.parametrize("wait", [False, 0.01])
def test_a_shutdown_cancels_deferreds_of_functions_in_the_thread_pool(
    reactor: Loop, wait: bool | float
) -> None:
    begun = Event()

    def job():  # type: ignore[no-untyped-def]
        begun.set()
        return Deferred()

    scheduler = TwistedScheduler()
    recorder = Recorder(scheduler)
    reactor.call(scheduler.start)
    reactor.call(scheduler.add_job, job)
    assert begun.wait(PATIENCE)
    blockingCallFromThread(native_reactor, scheduler.shutdown, wait)
    (event,) = recorder.wait_for(EVENT_JOB_ERROR)
    assert isinstance(event.exception, CancelledError)


def test_a_function_in_the_thread_pool_may_return_the_shutdown_that_it_asks_for(
    reactor: Loop,
) -> None:
    scheduler = TwistedScheduler()
    recorder = Recorder(scheduler)
    reactor.call(scheduler.start)
    reactor.call(scheduler.add_job, lambda: scheduler.shutdown())
    recorder.wait_for(EVENT_JOB_EXECUTED)
    assert recorder.names[-2:] == ["SCHEDULER_SHUTDOWN", "JOB_EXECUTED"]


PROGRAM = """
import threading
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from apscheduler.events import EVENT_JOB_ERROR, EVENT_JOB_EXECUTED, EVENT_JOB_MISSED
from apscheduler.jobstores.memory import MemoryJobStore
from apscheduler.schedulers.twisted import TwistedScheduler

stopped = threading.Event()
reactor.addSystemEventTrigger("during", "shutdown", stopped.set)

class Slow(MemoryJobStore):
    def may_block(self):
        return True
    def get_due_jobs(self, now):
        jobs = super().get_due_jobs(now)
        if jobs:
            reactor.callFromThread(reactor.stop)
            stopped.wait()
        return jobs

async def coroutine():
    reactor.stop()
    await Deferred()

def function():
    reactor.callFromThread(reactor.stop)
    stopped.wait()
    return "result"

def returns_deferred():
    reactor.callFromThread(reactor.stop)
    return Deferred()

def tell(event):
    print(event.code, getattr(event, "retval", None))

scheduler = TwistedScheduler(jobstores={"slow": Slow()})
scheduler.add_listener(tell, EVENT_JOB_ERROR | EVENT_JOB_EXECUTED | EVENT_JOB_MISSED)
scheduler.start()
"""


@pytest.mark.parametrize(
    ("job", "told"),
    [
        ("coroutine", f"{EVENT_JOB_ERROR} None"),
        ("function", f"{EVENT_JOB_EXECUTED} result"),
        ("returns_deferred", f"{EVENT_JOB_ERROR} None"),
        ("print, jobstore='slow'", f"{EVENT_JOB_MISSED} None"),
    ],
)
@pytest.mark.parametrize("end", ["", "scheduler.shutdown()"])
def test_no_run_is_lost_in_silence_when_the_reactor_stops(job: str, told: str, end: str) -> None:
    program = f"{PROGRAM}\nscheduler.add_job({job})\nreactor.run()\n{end}"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout == f"{told}\n", done.stderr
    assert done.returncode == 0
