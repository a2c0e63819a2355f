"""A process is forked while a scheduler runs in it: the child starts anew, and never hangs."""

from __future__ import annotations

import asyncio
import errno
import gc
import multiprocessing
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from multiprocessing.connection import Connection
from pathlib import Path
from threading import Condition, Event, Lock, RLock, Thread
from types import SimpleNamespace
from typing import Any

import pytest

from apscheduler.events import EVENT_JOB_EXECUTED
from apscheduler.executors.debug import DebugExecutor
from apscheduler.executors.pool import ProcessPoolExecutor, ThreadPoolExecutor
from apscheduler.job import Job
from apscheduler.jobstores.base import BaseJobStore
from apscheduler.jobstores.memory import MemoryJobStore
from apscheduler.schedulers._flag import Flag
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.schedulers.base import BaseScheduler
from tests.faults.faulty import InjectedError
from tests.jobs import give, give_later, meet, nothing
from tests.loops import Loop, until
from tests.programs import run_program
from tests.recorder import PATIENCE, Recorder

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform has no fork")
# Since 3.12 Python warns of forks beside threads; here they are the subject.
pytestmark = pytest.mark.filterwarnings("ignore:.*use of fork.*:DeprecationWarning")


@pytest.fixture
def scheduler() -> Iterator[BackgroundScheduler]:
    scheduler = BackgroundScheduler(logger="tests.forks")
    scheduler.start()
    yield scheduler
    scheduler.shutdown()


def in_child(action: Callable[[], object]) -> str:
    """Do something in a forked child; return what it printed. A child that hangs is killed."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.alarm(PATIENCE)
            os.dup2(writing, 1)
            sys.stdout = sys.stderr = os.fdopen(1, "w")
            action()
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            os._exit(0)

    os.close(writing)
    with open(reading) as pipe:
        printed = pipe.read()
    _, status = os.waitpid(child, 0)
    assert status == 0, f"the child ended by signal {status}: {printed}"
    return printed


def run_one_job(scheduler: BackgroundScheduler) -> None:
    recorder = Recorder(scheduler, EVENT_JOB_EXECUTED)
    scheduler.start()
    scheduler.add_job(give, args=["ran in the child"])
    [event] = recorder.wait_for(EVENT_JOB_EXECUTED)
    scheduler.shutdown()
    print(event.retval, end="")


@needs_fork
def test_in_the_child_the_scheduler_is_stopped_and_says_so_once(
    scheduler: BackgroundScheduler, caplog: pytest.LogCaptureFixture
) -> None:
    def tell() -> None:
        # Schedulers that other tests have left behind speak as well.
        records = [record for record in caplog.records if record.name == scheduler._logger.name]
        warnings = [record.message for record in records if record.levelname == "WARNING"]
        print(scheduler.running, len(warnings), "call start()" in warnings[0], end="")

    caplog.clear()
    assert in_child(tell) == "False 1 True"
    assert scheduler.running


@needs_fork
def test_a_scheduler_that_did_not_run_says_nothing(caplog: pytest.LogCaptureFixture) -> None:
    scheduler = BackgroundScheduler(logger="tests.forks")
    caplog.clear()

    def tell() -> None:
        # Schedulers that other tests have left behind speak as well.
        said = [record.message for record in caplog.records if record.name == "tests.forks"]
        print(scheduler.running, said, end="")

    assert in_child(tell) == "False []"


@needs_fork
def test_in_the_child_the_scheduler_can_be_started_anew_with_its_jobs(
    scheduler: BackgroundScheduler,
) -> None:
    in_a_year = datetime.now(timezone.utc) + timedelta(days=365)
    scheduler.add_job(nothing, "date", run_date=in_a_year, id="of the parent")

    def start_anew() -> None:
        run_one_job(scheduler)
        print(*[job.id for job in scheduler.get_jobs()], end="")

    assert in_child(start_anew) == "ran in the child"
    recorder = Recorder(scheduler, EVENT_JOB_EXECUTED)
    scheduler.add_job(give, args=["ran in the parent"])
    assert recorder.wait_for()[0].retval == "ran in the parent"


def locks_of_the_package() -> Iterator[Any]:
    """Yield every lock that an object or a module of ours has as an attribute."""
    kinds = (type(Lock()), type(RLock()), Condition)
    # That of a flag guards nothing: it is held as long as the flag is not set.
    things = [thing for thing in gc.get_objects() if type(thing) is not Flag]
    owners = [thing for thing in things if is_ours(thing)]
    modules = [module for name, module in sys.modules.items() if name.startswith("apscheduler")]
    for owner in [*owners, *modules]:
        yield from (lock for lock in vars(owner).values() if isinstance(lock, kinds))


def is_ours(thing: object) -> bool:
    # str(), for some types have no name of a module there.
    return str(type(thing).__module__).startswith("apscheduler") and hasattr(thing, "__dict__")


@contextmanager
def held_by_another_thread(locks: list[Any]) -> Iterator[None]:
    held, release = Event(), Event()

    def hold() -> None:
        for lock in locks:
            lock.acquire()
        held.set()
        release.wait()
        for lock in locks:
            lock.release()

    thread = Thread(target=hold)
    thread.start()
    try:
        assert held.wait(PATIENCE)
        yield
    finally:
        release.set()
        thread.join()


@needs_fork
@pytest.mark.parametrize("executor", [ThreadPoolExecutor, ProcessPoolExecutor])
def test_locks_that_were_held_at_the_fork_do_not_block_the_child(
    executor: type, tmp_path: Path
) -> None:
    stores = pytest.importorskip("apscheduler.jobstores.sqlalchemy")
    scheduler = BackgroundScheduler(
        executors={"default": executor(1)},
        jobstores={"default": stores.SQLAlchemyJobStore(f"sqlite:///{tmp_path}/jobs.sqlite")},
    )
    recorder = Recorder(scheduler, EVENT_JOB_EXECUTED)
    scheduler.start()
    try:
        scheduler.add_job(nothing)
        recorder.wait_for()  # all that is made when it is needed is there
        locks = list(dict.fromkeys(locks_of_the_package()))
        assert len(locks) >= 6
        with held_by_another_thread(locks):
            assert in_child(lambda: run_one_job(scheduler)) == "ran in the child"
    finally:
        scheduler.shutdown()


@needs_fork
def test_nor_do_those_of_a_scheduler_on_an_event_loop(asyncio_loop: Loop) -> None:
    scheduler = AsyncIOScheduler()
    recorder = Recorder(scheduler, EVENT_JOB_EXECUTED)
    asyncio_loop.call(scheduler.start)

    async def run_on_new_loop() -> None:
        recorder.events.clear()
        scheduler.start()
        scheduler.add_job(give_later, args=["ran in the child"])
        await until(lambda: bool(recorder.events))
        await scheduler.shutdown()
        print(recorder.events[0].retval, end="")

    try:
        scheduler.add_job(give_later, args=["ran in the parent"])
        recorder.wait_for()
        with held_by_another_thread(list(dict.fromkeys(locks_of_the_package()))):
            assert in_child(lambda: asyncio.run(run_on_new_loop())) == "ran in the child"
    finally:
        asyncio_loop.call(scheduler.shutdown)


@needs_fork
def test_an_executor_that_is_added_in_the_child_is_started_with_the_scheduler(
    scheduler: BackgroundScheduler,
) -> None:
    starts: list[str] = []

    class Noting(DebugExecutor):
        def start(self, scheduler: BaseScheduler, alias: str) -> None:
            super().start(scheduler, alias)
            starts.append(alias)

    def add_and_start() -> None:
        scheduler.add_executor(Noting(), "late")
        before = list(starts)
        run_one_job(scheduler)
        print(before, starts, end="")

    assert in_child(add_and_start) == "ran in the child[] ['late']"


@needs_fork
def test_the_child_uses_no_connection_of_the_parent(tmp_path: Path) -> None:
    stores = pytest.importorskip("apscheduler.jobstores.sqlalchemy")
    from sqlalchemy import event

    store = stores.SQLAlchemyJobStore(f"sqlite:///{tmp_path}/jobs.sqlite")
    scheduler = BackgroundScheduler(jobstores={"default": store}, logger="tests.forks")
    connected_in: list[int] = []
    scheduler.start()
    try:
        event.listen(store.engine, "connect", lambda *_: connected_in.append(os.getpid()))
        scheduler.add_job(nothing, "interval", hours=1)

        def connect() -> None:
            run_one_job(scheduler)
            print(os.getpid() in connected_in, end="")

        assert in_child(connect) == "ran in the childTrue"
    finally:
        scheduler.shutdown()


class StoreThatTakesItsTime(MemoryJobStore):
    def __init__(self) -> None:
        super().__init__()
        self.is_at_work = Event()

    def get_due_jobs(self, now: datetime) -> list[Job]:
        self.is_at_work.set()
        time.sleep(0.2)
        due = super().get_due_jobs(now)
        self.is_at_work.clear()
        return due


@needs_fork
def test_a_fork_waits_for_the_pass_that_is_going_on() -> None:
    store = StoreThatTakesItsTime()  # a driver's C library has locks that no child can release
    scheduler = BackgroundScheduler(jobstores={"default": store}, logger="tests.forks")
    scheduler.start()
    try:
        assert store.is_at_work.wait(PATIENCE)
        assert in_child(lambda: print(store.is_at_work.is_set(), end="")) == "False"
        scheduler.get_jobs()  # the parent may go on
    finally:
        scheduler.shutdown()


class StoreThatCannotBeForked(MemoryJobStore):
    def after_fork(self) -> None:
        raise InjectedError("a store")


@needs_fork
def test_a_part_that_fails_after_the_fork_keeps_no_other_from_starting_anew() -> None:
    store: BaseJobStore = StoreThatCannotBeForked()
    broken = BackgroundScheduler(jobstores={"default": store})
    broken.start()
    other = BackgroundScheduler()
    other.start()
    try:
        for scheduler in (broken, other):
            assert in_child(lambda own=scheduler: run_one_job(own)) == "ran in the child"
    finally:
        broken.shutdown()
        other.shutdown()


@needs_fork
def test_children_of_multiprocessing_can_start_it_anew(scheduler: BackgroundScheduler) -> None:
    context = multiprocessing.get_context("fork")
    process = context.Process(target=run_one_job, args=(scheduler,))
    process.start()
    process.join(PATIENCE)

    assert process.exitcode == 0
    assert scheduler.running


# A program such as gunicorn's with --preload: it forks with a scheduler that is busy. Its child
# leaves the block, too, but the thread that holds the locks is not there to release them.
FORKING_PROGRAM = """
import os, sys, threading, time
from apscheduler.events import EVENT_JOB_EXECUTED, EVENT_JOB_SUBMITTED
from apscheduler.executors.pool import {executor}
from apscheduler.schedulers.background import BackgroundScheduler
from tests.faults.test_forks import held_by_another_thread, locks_of_the_package
from tests.jobs import nothing

if __name__ == "__main__":
    scheduler = BackgroundScheduler(executors={{"default": {executor}(2)}})
    ended, submitted = threading.Event(), threading.Event()
    scheduler.add_listener(lambda event: ended.set(), EVENT_JOB_EXECUTED)
    scheduler.start()
    scheduler.add_job(nothing)
    ended.wait()
    scheduler.add_listener(lambda event: submitted.set(), EVENT_JOB_SUBMITTED)
    scheduler.add_job(time.sleep, args=[0.3])  # goes on in the parent
    submitted.wait()  # its threads hold no lock now while they wait for another one
    with held_by_another_thread(list(dict.fromkeys(locks_of_the_package()))):
        child = os.fork()
    if child:
        _, status = os.waitpid(child, 0)
        sys.exit(os.waitstatus_to_exitcode(status))
"""


@needs_fork
@pytest.mark.parametrize("executor", ["ThreadPoolExecutor", "ProcessPoolExecutor"])
def test_a_child_exits_without_a_word_and_at_once(executor: str, tmp_path: Path) -> None:
    done = run_program(FORKING_PROGRAM.format(executor=executor), tmp_path, ignoring_warnings=True)

    assert done.returncode == 0, done.stderr
    # The child's one line: that its scheduler is stopped.
    assert done.stderr.count("\n") == 1, done.stderr
    assert "was forked from one with a running scheduler" in done.stderr


EXITING_PROGRAM = """
import os, sys, threading, time
from apscheduler.events import EVENT_JOB_EXECUTED
from apscheduler.executors.pool import ProcessPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler

def job(directory):
    open(directory + "/begun", "w").close()
    wait_for(directory + "/go")

def wait_for(path):
    while not os.path.exists(path):
        time.sleep(0.01)

if __name__ == "__main__":
    ran = threading.Event()
    scheduler = BackgroundScheduler(executors={"default": ProcessPoolExecutor(1)})
    scheduler.add_listener(lambda event: ran.set(), EVENT_JOB_EXECUTED)
    scheduler.start()
    scheduler.add_job(job, args=[sys.argv[1]])
    wait_for(sys.argv[1] + "/begun")
    scheduler.shutdown(wait=False)
    scheduler.start()  # with a new pool; the old one is at the job
    child = os.fork()
    if child == 0:
        scheduler.start()
        scheduler.add_job(os.getpid)
        ran.wait()
        sys.exit()  # with a worker that has nothing to do
    _, status = os.waitpid(child, 0)
    open(sys.argv[1] + "/go", "w").close()
    ran.wait()
    sys.exit(os.waitstatus_to_exitcode(status))
"""


@needs_fork
def test_child_and_parent_exit_when_each_has_had_workers_of_its_own(tmp_path: Path) -> None:
    done = run_program(EXITING_PROGRAM, tmp_path, tmp_path, ignoring_warnings=True)

    assert done.returncode == 0
    assert "Error" not in done.stderr


# Whoever forks does not wait for those who start processes in other threads.
TRACKING_PROGRAM = """
import os, signal, threading
from multiprocessing.resource_tracker import _resource_tracker
from apscheduler.executors.pool import ProcessPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler
from tests.faults.test_forks import held_by_another_thread

if __name__ == "__main__":
    with BackgroundScheduler(executors={"default": ProcessPoolExecutor(1)}) as scheduler:
        with held_by_another_thread([_resource_tracker._lock]):
            child = os.fork()
            if child == 0:
                os._exit(0)
            threading.Timer(5, os.kill, (child, signal.SIGKILL)).start()
            _, status = os.waitpid(child, 0)
    os._exit(os.waitstatus_to_exitcode(status) != 0)
"""


@needs_fork
def test_a_child_that_starts_no_scheduler_waits_for_no_lock_of_multiprocessing(
    tmp_path: Path,
) -> None:
    done = run_program(TRACKING_PROGRAM, tmp_path, ignoring_warnings=True)

    assert done.returncode == 0, done.stderr


@needs_fork
def test_a_child_leaves_the_workers_of_a_pool_to_its_parent() -> None:
    scheduler = BackgroundScheduler(executors={"default": ProcessPoolExecutor(1)})
    recorder = Recorder(scheduler, EVENT_JOB_EXECUTED)
    scheduler.start()
    try:
        scheduler.add_job(os.getpid)
        [first] = recorder.wait_for()
        assert in_child(lambda: run_one_job(scheduler)) == "ran in the child"
        scheduler.add_job(os.getpid)
        second = recorder.wait_for(count=2)[-1]
    finally:
        scheduler.shutdown()

    assert first.retval == second.retval


@needs_fork
def test_a_connection_that_another_thread_was_closing_keeps_no_child_from_closing_the_others(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    scheduler = BackgroundScheduler(executors={"default": ProcessPoolExecutor(2)})
    recorder = Recorder(scheduler, EVENT_JOB_EXECUTED)
    scheduler.start()
    parent, attempts, close = os.getpid(), [], Connection.close

    def fail_in_child(connection: Any) -> None:
        if os.getpid() == parent:
            close(connection)
        else:
            attempts.append(connection)
            raise OSError(errno.EBADF, "on purpose")

    try:
        for _ in range(2):
            scheduler.add_job(meet, args=[str(tmp_path), 2])
        recorder.wait_for(count=2)  # two workers met
        monkeypatch.setattr(Connection, "close", fail_in_child)
        printed = in_child(lambda: print(len(attempts), end=""))
    finally:
        scheduler.shutdown()

    assert int(printed) >= 2


UNTOLD = """
import ctypes, logging, os, signal, sys
from threading import Event
from apscheduler.schedulers import SchedulerNotRunningError
from apscheduler.schedulers.background import BackgroundScheduler

logging.basicConfig(format="%(message).31s")
ran = Event()
scheduler = BackgroundScheduler()
scheduler.start()
scheduler.add_job(ran.set)
assert ran.wait(20)
ran.clear()
child = ctypes.PyDLL(None).fork()  # without a word to Python
if child == 0:
    signal.alarm(20)
    try:
        exec(sys.argv[1])
    except SchedulerNotRunningError as exc:
        print(exc)
    sys.exit()  # which waits for no thread of the parent

_, status = os.waitpid(child, 0)
print("status", status)
"""


@needs_fork
@pytest.mark.parametrize(
    ("action", "printed"),
    [
        ("pass", ""),
        ("print(scheduler.running)", "False\n"),
        ("scheduler.shutdown()", "Scheduler is not running\n"),
        ("scheduler.resume()", "Scheduler is not running\n"),
        ("scheduler.start(); scheduler.add_job(ran.set); print(ran.wait(20))", "True\n"),
        ("scheduler.add_job(ran.set); scheduler.start(); print(ran.wait(20))", "True\n"),
        ("print(scheduler.add_jobs([{'func': ran.set}])[0].pending)", "True\n"),
    ],
    ids=["exit", "running", "shutdown", "resume", "start", "add_job", "add_jobs"],
)
def test_a_child_of_whose_fork_python_was_not_told_finds_out(
    action: str, printed: str, tmp_path: Path
) -> None:
    """As in the workers of uWSGI, unless it has the option ``py-call-osafterfork``."""
    result = run_program(UNTOLD, tmp_path, action)
    assert result.stdout == f"{printed}status 0\n"
    assert result.stderr == "This process was forked from on\n"


def test_uwsgi_without_threads_is_refused_with_what_to_change(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "uwsgi", SimpleNamespace(has_threads=False))
    with pytest.raises(RuntimeError, match="--enable-threads"):
        BackgroundScheduler().start()


def test_uwsgi_with_threads_is_welcome(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uwsgi", SimpleNamespace(has_threads=True))
    with BackgroundScheduler() as scheduler:
        assert scheduler.running
