"""Worker processes die, and jobs go on in new ones."""

from __future__ import annotations

import errno
import gc
import logging
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from multiprocessing.popen_fork import Popen
from pathlib import Path
from typing import Any

import pytest

from apscheduler.events import EVENT_JOB_ERROR, EVENT_JOB_EXECUTED, EVENT_JOB_SUBMITTED
from apscheduler.executors._worker import BEGUN
from apscheduler.executors._workers import Worker, finish_pools
from apscheduler.executors.pool import AbandonedError, ProcessPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.testing import ManualScheduler
from tests.jobs import about_this_run, begin_and_die, die, fail, give, meet
from tests.programs import run_program
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


@pytest.fixture
def is_sent(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Set when anything has been sent to a worker."""
    send, is_sent = Connection.send_bytes, threading.Event()

    def send_and_note(connection: Connection, message: bytes, *args: Any) -> None:
        send(connection, message, *args)
        is_sent.set()

    monkeypatch.setattr(Connection, "send_bytes", send_and_note)
    return is_sent


def test_a_run_that_had_not_begun_is_made_by_another_worker(
    scheduler: BackgroundScheduler, is_sent: threading.Event
) -> None:
    recorder = Recorder(scheduler)
    scheduler.add_job(os.getpid)
    [first] = recorder.wait_for(EVENT_JOB_EXECUTED)
    os.kill(first.retval, signal.SIGSTOP)
    is_sent.clear()
    scheduler.add_job(os.getpid)
    assert is_sent.wait(PATIENCE)
    os.kill(first.retval, signal.SIGKILL)
    [_, second] = recorder.wait_for(EVENT_JOB_EXECUTED, 2)

    assert second.retval != first.retval
    assert not recorder.of(EVENT_JOB_ERROR)


def test_a_worker_that_is_killed_while_it_has_nothing_to_do_costs_no_run(
    scheduler: BackgroundScheduler,
) -> None:
    recorder = Recorder(scheduler)
    scheduler.add_job(os.getpid)
    [first] = recorder.wait_for(EVENT_JOB_EXECUTED)
    os.kill(first.retval, signal.SIGKILL)
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
    threading.Event().wait(delay)  # until another one has taken its place, or not
    scheduler.shutdown()

    assert len(recorder.of(OUTCOMES)) == 12
    assert len(recorder.of(EVENT_JOB_ERROR)) <= 1  # what it was at
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


def test_a_killed_worker_costs_no_run_of_the_others(tmp_path: Path) -> None:
    scheduler = BackgroundScheduler(executors={"default": ProcessPoolExecutor(2)})
    recorder = Recorder(scheduler)
    scheduler.start()
    scheduler.add_job(meet, args=[str(tmp_path), 2], id="goes on")  # waits for a second file
    scheduler.add_job(die, id="killed")
    recorder.wait_for(EVENT_JOB_ERROR)
    (tmp_path / "second").touch()
    recorder.wait_for(EVENT_JOB_EXECUTED)
    scheduler.shutdown()

    assert [event.job_id for event in recorder.of(OUTCOMES)] == ["killed", "goes on"]


def let_go_of_all_files() -> None:
    os.closerange(3, 256)


def leave_a_child_and_die() -> None:
    if os.fork() == 0:
        time.sleep(PATIENCE)
        os._exit(0)
    die()


@pytest.mark.filterwarnings("ignore:This process .*is multi-threaded:DeprecationWarning")
@pytest.mark.parametrize("func", [let_go_of_all_files, leave_a_child_and_die])
def test_a_job_that_spoils_its_worker_is_an_error_and_the_next_one_has_another(
    scheduler: BackgroundScheduler, func: Any
) -> None:
    recorder = Recorder(scheduler, OUTCOMES)
    scheduler.add_job(func)
    [error] = recorder.wait_for()
    scheduler.add_job(give, args=["well"])
    result = recorder.wait_for(count=2)[-1]

    assert isinstance(error.exception, BrokenProcessPool)
    assert result.retval == "well"
    assert len(multiprocessing.active_children()) == 1


def fork_and_come_back() -> int:
    """Return from a child first, then from the process that the job was given to."""
    child = os.fork()
    if child:
        os.waitpid(child, 0)
    return os.getpid()


@pytest.mark.filterwarnings("ignore:This process .*is multi-threaded:DeprecationWarning")
def test_a_child_that_a_job_forks_gives_no_answer_in_the_place_of_the_worker(
    scheduler: BackgroundScheduler,
) -> None:
    recorder = Recorder(scheduler, OUTCOMES)
    scheduler.add_job(os.getpid)
    scheduler.add_job(fork_and_come_back)
    first, second = recorder.wait_for(count=2)

    assert second.retval == first.retval


def leave_a_child() -> int:
    """Leave a process that has what tells of the end of this one; return the id of this one."""
    if os.fork() == 0:
        time.sleep(PATIENCE)
        os._exit(0)
    return os.getpid()


@pytest.fixture(params=["spawn", "fork"])
def overheard(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[BackgroundScheduler]:
    """A scheduler; while its first worker is started, the program forks a process that stays."""
    context: Any = multiprocessing.get_context(request.param)
    start, children = context.Process.start, []

    def fork_and_start(process: Any) -> None:
        if not children:
            children.append(os.fork())
            if children == [0]:
                time.sleep(10 * PATIENCE)
                os._exit(0)
        start(process)

    monkeypatch.setattr(context.Process, "start", fork_and_start)
    executor = ProcessPoolExecutor(1, {"mp_context": context})
    with BackgroundScheduler(executors={"default": executor}) as scheduler:
        yield scheduler
        for child in children:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)


@pytest.mark.filterwarnings("ignore:This process .*is multi-threaded:DeprecationWarning")
def test_a_worker_that_dies_while_it_is_sent_a_run_is_noticed_though_another_has_its_files(
    overheard: BackgroundScheduler, is_sent: threading.Event
) -> None:
    recorder = Recorder(overheard)
    overheard.add_job(leave_a_child)
    [event] = recorder.wait_for(OUTCOMES)
    is_sent.clear()
    os.kill(event.retval, signal.SIGSTOP)
    overheard.add_job(len, args=[b"x" * 2_000_000])  # more than the connection takes
    assert is_sent.wait(PATIENCE)
    os.kill(event.retval, signal.SIGKILL)

    assert recorder.wait_for(OUTCOMES, 2)[-1].retval == 2_000_000


@pytest.mark.filterwarnings("ignore:This process .*is multi-threaded:DeprecationWarning")
def test_so_is_one_that_dies_while_it_sends_a_result(
    overheard: BackgroundScheduler, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder = Recorder(overheard)
    overheard.add_job(leave_a_child)
    [event] = recorder.wait_for(OUTCOMES)
    receive = Connection.recv_bytes

    def kill_amid_the_answer(connection: Connection) -> bytes:
        message = receive(connection)
        if message == BEGUN and is_running(event.retval):
            assert connection.poll(PATIENCE)
            os.kill(event.retval, signal.SIGKILL)
            while is_running(event.retval):
                time.sleep(0.01)
        return message

    monkeypatch.setattr(Connection, "recv_bytes", kill_amid_the_answer)
    overheard.add_job(bytes, args=[2_000_000])  # more than the connection takes
    error = recorder.wait_for(OUTCOMES, 2)[-1]

    assert isinstance(error.exception, BrokenProcessPool)
    assert "while it made this run" in str(error.exception)


UNGUARDED_PROGRAM = """
import os, queue
from apscheduler.events import EVENT_JOB_ERROR
from apscheduler.executors.pool import ProcessPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler

if __name__ == "__mp_main__":
    os._exit(7)
settings = {"initializer": len, "initargs": (b"x" * 300_000,)}  # more than a pipe takes
with BackgroundScheduler(executors={"default": ProcessPoolExecutor(1, settings)}) as scheduler:
    events = queue.SimpleQueue()
    scheduler.add_listener(events.put, EVENT_JOB_ERROR)
    scheduler.add_job(os.getpid)
    print(events.get().exception)
"""


def test_a_worker_that_dies_before_it_has_taken_its_initargs_is_noticed(tmp_path: Path) -> None:
    done = run_program(UNGUARDED_PROGRAM, tmp_path)

    assert done.stdout == (
        "A worker process was terminated abruptly before it began this run (exit code 7)\n"
    )


LOCKS_PROGRAM = """
import multiprocessing, sys
from apscheduler.events import EVENT_JOB_EXECUTED
from apscheduler.executors.pool import ProcessPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler

def keep(*things):
    global lock, queue
    lock, queue = things

def job():
    with lock:
        queue.put("well")

if __name__ == "__main__":
    context = multiprocessing.get_context(sys.argv[1])
    things = context.Lock(), context.SimpleQueue()
    settings = {"mp_context": context, "initializer": keep, "initargs": things}
    with BackgroundScheduler(executors={"default": ProcessPoolExecutor(1, settings)}) as scheduler:
        scheduler.add_job(job)
        print(things[1].get())
"""


@pytest.mark.parametrize("method", ["spawn", "fork", "forkserver"])
def test_initargs_may_be_locks_and_queues(method: str, tmp_path: Path) -> None:
    done = run_program(LOCKS_PROGRAM, tmp_path, method, ignoring_warnings=True)

    assert (done.stdout, done.stderr) == ("well\n", "")


def test_an_answer_for_which_there_is_no_memory_does_not_spoil_the_next_one(
    scheduler: BackgroundScheduler, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Part of it may be left unread."""
    recorder = Recorder(scheduler, OUTCOMES)
    receive, failures = Connection.recv_bytes, [MemoryError(), None]

    def fail_at_answer(connection: Connection) -> bytes:
        if failures and (failure := failures.pop()) is not None:
            raise failure
        return receive(connection)

    monkeypatch.setattr(Connection, "recv_bytes", fail_at_answer)
    scheduler.add_job(give, args=["big"])
    [error] = recorder.wait_for()
    scheduler.add_job(give, args=["well"])
    result = recorder.wait_for(count=2)[-1]

    assert isinstance(error.exception, MemoryError)
    assert result.retval == "well"


# --- no more processes can be had ----------------------------------------------------------------


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


def test_so_is_one_for_which_no_file_could_be_had(scheduler: BackgroundScheduler) -> None:
    resource = pytest.importorskip("resource")  # not on Windows
    recorder = Recorder(scheduler, OUTCOMES)
    limit, hard_limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/dev/fd")), hard_limit))
    try:
        scheduler.add_job(give, args=["refused"])
        [error] = recorder.wait_for()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard_limit))
    scheduler.add_job(give, args=["made"])
    event = recorder.wait_for(count=2)[-1]

    assert error.exception.errno == errno.EMFILE
    assert event.retval == "made"


def test_workers_that_run_do_the_work_of_one_that_could_not_be_started(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    scheduler = BackgroundScheduler(executors={"default": ProcessPoolExecutor(2)})
    recorder = Recorder(scheduler)
    scheduler.start()
    scheduler.add_job(os.getpid)
    [only] = recorder.wait_for(EVENT_JOB_EXECUTED)
    monkeypatch.setattr(SpawnProcess, "start", fail_at_first(SpawnProcess.start, 1000))
    scheduler.add_job(meet, args=[str(tmp_path), 2])  # waits for a second file
    scheduler.add_job(os.getpid)
    recorder.wait_for(EVENT_JOB_SUBMITTED, 3)
    while "No further worker process" not in caplog.text:
        time.sleep(0.01)
    (tmp_path / "second").touch()
    events = recorder.wait_for(EVENT_JOB_EXECUTED, 3)
    scheduler.shutdown()

    assert {event.retval for event in events} == {only.retval}
    assert not recorder.of(EVENT_JOB_ERROR)


@pytest.fixture
def crowded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[BackgroundScheduler]:
    """A scheduler with two threads and one worker, which no other can join.

    The worker has a job until there is a second file, the other thread waits for a worker.
    """
    scheduler = BackgroundScheduler(executors={"default": ProcessPoolExecutor(2)})
    recorder, waits = Recorder(scheduler), threading.Event()
    scheduler.start()
    scheduler.add_job(meet, args=[str(tmp_path), 2], id="busy")
    while not list(tmp_path.iterdir()):
        time.sleep(0.01)
    monkeypatch.setattr(SpawnProcess, "start", fail_at_first(SpawnProcess.start, 1000))
    log = logging.getLogger("apscheduler.executors.default")
    monkeypatch.setattr(log, "warning", lambda *args, **kwargs: waits.set())
    scheduler.add_job(os.getpid, id="waiting")
    recorder.wait_for(EVENT_JOB_SUBMITTED, 2)
    assert waits.wait(PATIENCE)
    yield scheduler
    if scheduler.running:
        scheduler.shutdown()


def test_a_shutdown_leaves_a_worker_to_a_run_for_which_no_other_can_be_started(
    crowded: BackgroundScheduler, tmp_path: Path
) -> None:
    recorder = Recorder(crowded, OUTCOMES)
    crowded._executors["default"].shutdown(wait=False)
    (tmp_path / "second").touch()
    busy, waiting = recorder.wait_for(count=2)
    crowded.shutdown()

    assert (waiting.job_id, waiting.retval) == ("waiting", busy.retval)
    assert multiprocessing.active_children() == []


def test_a_run_for_which_no_worker_can_be_started_until_a_shutdown_has_not_begun(
    crowded: BackgroundScheduler,
) -> None:
    recorder = Recorder(crowded, OUTCOMES)
    crowded.shutdown(0.01)
    errors = {event.job_id: event.exception for event in recorder.wait_for(count=2)}

    assert type(errors["waiting"]) is AbandonedError


REAPING_PROGRAM = """
import signal
from multiprocessing.context import SpawnProcess
from apscheduler.executors.pool import ProcessPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler
from tests.executors.test_processes import fail_at_first
from tests.jobs import die, give
from tests.recorder import OUTCOMES, Recorder

if __name__ == "__main__":
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel reaps children
    with BackgroundScheduler(executors={"default": ProcessPoolExecutor(1)}) as scheduler:
        recorder = Recorder(scheduler, OUTCOMES)
        scheduler.add_job(die)
        recorder.wait_for()
        SpawnProcess.start = fail_at_first(SpawnProcess.start, 1000)
        scheduler.add_job(give, args=["never"])
        recorder.wait_for(count=2)
    print(*[event.exception for event in recorder.events], sep="\\n")
"""


def test_children_that_somebody_else_has_reaped_are_not_taken_for_workers(tmp_path: Path) -> None:
    done = run_program(REAPING_PROGRAM, tmp_path)

    killed, refused = done.stdout.splitlines()
    assert killed.endswith("while it made this run (exit code None)")
    assert refused == f"[Errno {errno.EAGAIN}] on purpose"


# --- ctrl-c reaches workers, too -----------------------------------------------------------------


def test_ctrl_c_does_not_end_a_worker_that_waits(scheduler: BackgroundScheduler) -> None:
    recorder = Recorder(scheduler, OUTCOMES)
    for number in range(1, 4):
        scheduler.add_job(os.getpid)
        worker = recorder.wait_for(count=number)[-1].retval
        os.kill(worker, signal.SIGINT)

    assert {event.retval for event in recorder.events} == {worker}


def interrupt_this_process() -> None:
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(PATIENCE)


def test_it_interrupts_a_job(scheduler: BackgroundScheduler) -> None:
    recorder = Recorder(scheduler, OUTCOMES)
    scheduler.add_job(interrupt_this_process)
    [event] = recorder.wait_for()

    assert isinstance(event.exception, KeyboardInterrupt)


@pytest.fixture
def told_of_signals() -> Iterator[socket.socket]:
    """What an event loop has: a socket that tells it of signals, which a child inherits."""
    told, telling = socket.socketpair()
    with told, telling:
        told.setblocking(False)
        telling.setblocking(False)
        before = signal.set_wakeup_fd(telling.fileno())
        yield told
        signal.set_wakeup_fd(before)


@pytest.fixture
def forking(told_of_signals: socket.socket) -> Iterator[BackgroundScheduler]:
    """A scheduler whose workers are forked from a program that has handlers for signals."""
    settings = {"mp_context": multiprocessing.get_context("fork")}
    scheduler = BackgroundScheduler(executors={"default": ProcessPoolExecutor(1, settings)})
    numbers = [signal.SIGINT, signal.SIGTERM]
    before = [signal.signal(number, lambda *_: None) for number in numbers]
    scheduler.start()
    yield scheduler
    if scheduler.running:
        scheduler.shutdown()
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)


@pytest.mark.filterwarnings("ignore:This process .*is multi-threaded:DeprecationWarning")
def test_it_does_so_in_a_worker_that_is_forked_from_a_program_with_a_handler(
    forking: BackgroundScheduler, told_of_signals: socket.socket
) -> None:
    recorder = Recorder(forking, OUTCOMES)
    forking.add_job(interrupt_this_process)
    [event] = recorder.wait_for()

    assert isinstance(event.exception, KeyboardInterrupt)
    with pytest.raises(BlockingIOError):
        told_of_signals.recv(1)


@pytest.mark.filterwarnings("ignore:This process .*is multi-threaded:DeprecationWarning")
def test_such_a_worker_ends_when_it_is_terminated(
    forking: BackgroundScheduler, told_of_signals: socket.socket, tmp_path: Path
) -> None:
    recorder = Recorder(forking, OUTCOMES)
    forking.add_job(meet, args=[str(tmp_path), 2])  # waits for a second file
    while not list(tmp_path.iterdir()):
        time.sleep(0.01)
    [worker] = multiprocessing.active_children()
    forking.shutdown(0.01)
    recorder.wait_for()

    assert worker.exitcode == -signal.SIGTERM  # it was not killed
    with pytest.raises(BlockingIOError):
        told_of_signals.recv(1)


INTERRUPTED_PROGRAM = """
import os, signal, sys
from apscheduler.executors.pool import ProcessPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler
from tests.recorder import OUTCOMES, Recorder

if __name__ == "__mp_main__" and not os.path.exists(sys.argv[1]):
    open(sys.argv[1], "w").close()
    os.kill(os.getpid(), signal.SIGINT)
if __name__ == "__main__":
    with BackgroundScheduler(executors={"default": ProcessPoolExecutor(1)}) as scheduler:
        recorder = Recorder(scheduler, OUTCOMES)
        scheduler.add_job(str, args=["well"])
        print(recorder.wait_for()[0].retval)
"""


def test_ctrl_c_that_ends_a_worker_as_it_starts_costs_no_run(tmp_path: Path) -> None:
    done = run_program(INTERRUPTED_PROGRAM, tmp_path, tmp_path / "interrupted")

    assert (tmp_path / "interrupted").exists()
    assert done.stdout == "well\n"


@pytest.fixture(params=multiprocessing.get_all_start_methods())
def of_each_kind(request: pytest.FixtureRequest) -> Iterator[BackgroundScheduler]:
    settings = {"mp_context": multiprocessing.get_context(request.param)}
    scheduler = BackgroundScheduler(executors={"default": ProcessPoolExecutor(1, settings)})
    scheduler.start()
    yield scheduler
    scheduler.shutdown()


def blocked_signals() -> list[str]:
    """Return what is blocked in a job, in a thread of it, and in a process that it starts."""
    found = [str(blocked_here())]
    thread = threading.Thread(target=lambda: found.append(str(blocked_here())))
    thread.start()
    thread.join()
    program = "import signal; print(signal.pthread_sigmask(signal.SIG_BLOCK, []))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    return [*found, done.stdout.strip()]


def blocked_here() -> set[Any]:
    return signal.pthread_sigmask(signal.SIG_BLOCK, [])


@pytest.mark.filterwarnings("ignore:This process .*is multi-threaded:DeprecationWarning")
def test_no_signal_stays_blocked(of_each_kind: BackgroundScheduler) -> None:
    blocked: list[Any] = []
    of_each_kind.add_listener(lambda event: blocked.append(blocked_here()), OUTCOMES)
    recorder = Recorder(of_each_kind, OUTCOMES)
    of_each_kind.add_job(blocked_signals)
    [event] = recorder.wait_for()

    assert event.retval == ["set()"] * 3
    assert blocked == [set()]  # of the thread that has started the worker


@pytest.fixture
def without_interrupts() -> Iterator[None]:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("of_each_kind", ["fork", "spawn"], indirect=True)
@pytest.mark.filterwarnings("ignore:This process .*is multi-threaded:DeprecationWarning")
def test_a_program_that_ignores_ctrl_c_has_jobs_that_do(
    without_interrupts: None, of_each_kind: BackgroundScheduler
) -> None:
    recorder = Recorder(of_each_kind, OUTCOMES)
    of_each_kind.add_job(interrupt_and_go_on)
    [event] = recorder.wait_for()

    assert event.code == EVENT_JOB_EXECUTED


terminated_as_forked: list[bool] = []


def terminate_as_forked() -> None:
    if terminated_as_forked:
        os.kill(os.getpid(), signal.SIGTERM)


@pytest.mark.filterwarnings("ignore:This process .*is multi-threaded:DeprecationWarning")
def test_a_worker_that_is_terminated_as_it_is_forked_calls_no_handler_of_the_program(
    forking: BackgroundScheduler, told_of_signals: socket.socket
) -> None:
    os.register_at_fork(after_in_child=terminate_as_forked)
    terminated_as_forked.append(True)
    recorder = Recorder(forking, OUTCOMES)
    try:
        forking.add_job(str)
        [event] = recorder.wait_for()
    finally:
        terminated_as_forked.clear()

    assert "exit code -15" in str(event.exception)
    with pytest.raises(BlockingIOError):
        told_of_signals.recv(1)


def test_a_shutdown_that_ends_a_worker_returns_when_that_is_told(
    stopped: BackgroundScheduler, tmp_path: Path
) -> None:
    stopped.add_listener(lambda event: time.sleep(0.1), OUTCOMES)  # it is told after that
    recorder = Recorder(stopped, OUTCOMES)
    stopped.start()
    stopped.add_job(meet, args=[str(tmp_path), 2])  # waits for a second file
    while not list(tmp_path.iterdir()):
        time.sleep(0.01)
    stopped.shutdown(0.01)

    assert [event.code for event in recorder.events] == [EVENT_JOB_ERROR]


def ignore_interrupts(marker: str) -> None:
    """Fail, and do so when called again."""
    if not os.path.exists(marker):
        Path(marker).touch()
        raise ValueError("on purpose")
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def interrupt_and_go_on() -> int:
    os.kill(os.getpid(), signal.SIGINT)
    return os.getpid()


def test_an_initializer_that_failed_is_called_again_in_the_same_process_and_may_ignore_it(
    tmp_path: Path,
) -> None:
    settings = {"initializer": ignore_interrupts, "initargs": (str(tmp_path / "marker"),)}
    scheduler = BackgroundScheduler(executors={"default": ProcessPoolExecutor(1, settings)})
    recorder = Recorder(scheduler, OUTCOMES)
    scheduler.start()
    scheduler.add_job(interrupt_and_go_on)
    [error] = recorder.wait_for()
    [worker] = multiprocessing.active_children()
    scheduler.add_job(interrupt_and_go_on)
    result = recorder.wait_for(count=2)[-1]
    scheduler.shutdown()

    assert "on purpose" in str(error.exception)
    assert result.retval == worker.pid


# --- what else becomes of workers ----------------------------------------------------------------


def test_a_worker_is_replaced_after_so_many_submissions() -> None:
    executor = ProcessPoolExecutor(1, {"max_tasks_per_child": 2})
    scheduler = BackgroundScheduler(executors={"default": executor})
    recorder = Recorder(scheduler, OUTCOMES)
    scheduler.start()
    for number in range(1, 6):
        scheduler.add_job(os.getpid)
        recorder.wait_for(count=number)
    scheduler.shutdown()

    first, second, third, fourth, fifth = (event.retval for event in recorder.events)
    assert first == second != third == fourth != fifth
    assert multiprocessing.active_children() == []


@pytest.mark.parametrize("limit", [0, -1, 1.5, "2"])
def test_a_wrong_number_of_submissions_is_refused(limit: Any) -> None:
    with pytest.raises(ValueError, match=r"max_tasks_per_child must be a positive .* got "):
        ProcessPoolExecutor(1, {"max_tasks_per_child": limit})


def test_an_initializer_that_cannot_be_sent_is_told(tmp_path: Path) -> None:
    executor = ProcessPoolExecutor(1, {"initializer": lambda: None})
    scheduler = BackgroundScheduler(executors={"default": executor})
    recorder = Recorder(scheduler, OUTCOMES)
    scheduler.start()
    scheduler.add_job(give, args=["never"])
    [event] = recorder.wait_for()
    scheduler.shutdown()

    assert "<lambda>" in str(event.exception)


ORPHANING_PROGRAM = """
import os, signal, sys, time
from apscheduler.events import EVENT_JOB_EXECUTED
from apscheduler.executors.pool import ProcessPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler
import multiprocessing

if __name__ == "__main__":
    context = multiprocessing.get_context(sys.argv[1])
    executor = ProcessPoolExecutor(2, {"mp_context": context})
    scheduler = BackgroundScheduler(executors={"default": executor})
    pids = []
    scheduler.add_listener(lambda event: pids.append(event.retval), EVENT_JOB_EXECUTED)
    scheduler.start()
    for _ in range(2):
        scheduler.add_job("tests.executors.test_processes:doze_and_name")
    while len(pids) < 2:
        time.sleep(0.01)
    print(*pids, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def doze_and_name() -> int:
    time.sleep(0.5)
    return os.getpid()


@pytest.mark.parametrize("method", ["spawn", "fork"])
def test_workers_end_when_the_process_of_their_scheduler_is_killed(
    method: str, tmp_path: Path
) -> None:
    done = run_program(ORPHANING_PROGRAM, tmp_path, method, ignoring_warnings=True)
    workers = [int(pid) for pid in done.stdout.split()]
    end = time.monotonic() + PATIENCE
    while (left := [pid for pid in workers if is_running(pid)]) and time.monotonic() < end:
        time.sleep(0.01)

    assert len(set(workers)) == 2
    assert left == []


def test_runs_that_a_restart_has_overtaken_have_the_workers_of_their_own_pool(
    scheduler: BackgroundScheduler, tmp_path: Path
) -> None:
    recorder = Recorder(scheduler)
    for _ in range(3):
        scheduler.add_job(meet, args=[str(tmp_path), 4])  # they wait for a fourth file
    recorder.wait_for(EVENT_JOB_SUBMITTED, 3)
    scheduler.shutdown(wait=False)
    scheduler.start()
    scheduler.add_job(os.getpid)
    [new] = recorder.wait_for(EVENT_JOB_EXECUTED)
    for name in "234":
        (tmp_path / name).touch()
    events = recorder.wait_for(EVENT_JOB_EXECUTED, 4)

    assert len({event.retval for event in events}) == 2
    assert new.retval not in {event.retval for event in events[1:]}


@pytest.mark.filterwarnings("ignore:This process .*is multi-threaded:DeprecationWarning")
def test_a_worker_that_is_forked_does_not_say_that_its_scheduler_is_stopped(
    capfd: pytest.CaptureFixture[str],
) -> None:
    settings = {"mp_context": multiprocessing.get_context("fork")}
    scheduler = BackgroundScheduler(executors={"default": ProcessPoolExecutor(1, settings)})
    recorder = Recorder(scheduler, OUTCOMES)
    scheduler.start()
    handler = logging.StreamHandler(sys.stderr)
    logging.getLogger("apscheduler").addHandler(handler)
    try:
        scheduler.add_job(give, args=["well"])
        [event] = recorder.wait_for()
    finally:
        logging.getLogger("apscheduler").removeHandler(handler)
        scheduler.shutdown()

    assert event.retval == "well"
    assert "forked" not in capfd.readouterr().err


CHILD_PROGRAM = """
import multiprocessing, os, threading
from apscheduler.events import EVENT_JOB_EXECUTED
from apscheduler.executors.pool import ProcessPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler

def run_a_job_and_end():
    global scheduler
    ran = threading.Event()
    scheduler = BackgroundScheduler(executors={"default": ProcessPoolExecutor(1)})
    scheduler.add_listener(lambda event: ran.set(), EVENT_JOB_EXECUTED)
    scheduler.start()
    scheduler.add_job(os.getpid)
    ran.wait()

if __name__ == "__main__":
    child = multiprocessing.get_context("spawn").Process(target=run_a_job_and_end)
    child.start()
    child.join()
    print("ended with", child.exitcode)
"""


def test_a_process_of_the_program_ends_with_a_scheduler_that_it_has_left_running(
    tmp_path: Path,
) -> None:
    done = run_program(CHILD_PROGRAM, tmp_path)

    assert (done.stdout, done.stderr) == ("ended with 0\n", "")


FORGETFUL_PROGRAM = """
import gc, time
from apscheduler.events import EVENT_JOB_EXECUTED
from apscheduler.executors.pool import ProcessPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler

if __name__ == "__main__":
    events = []
    scheduler = BackgroundScheduler(executors={"default": ProcessPoolExecutor(1)})
    scheduler.add_listener(events.append, EVENT_JOB_EXECUTED)
    scheduler.start()
    scheduler.add_job(time.sleep, args=[0])
    while not events:
        time.sleep(0.01)
    scheduler.remove_executor("default", shutdown=False)
    gc.collect()
    print("forgotten")
"""


def test_a_pool_that_was_never_shut_down_does_not_hold_up_the_exit(tmp_path: Path) -> None:
    done = run_program(FORGETFUL_PROGRAM, tmp_path)

    assert (done.stdout, done.stderr, done.returncode) == ("forgotten\n", "", 0)


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
    for number in range(1, 4):
        scheduler.add_job(give, args=["never"])
        event = recorder.wait_for(count=number)[-1]
    workers = multiprocessing.active_children()
    scheduler.shutdown()

    assert len(workers) == 1
    assert isinstance(event.exception, BrokenProcessPool)
    assert "The initializer of a worker process failed, or could" in str(event.exception)
    assert "in fail" in str(event.exception)  # the traceback


def test_a_worker_that_dies_at_each_start_is_told_after_three_attempts(tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    settings = {"initializer": begin_and_die, "initargs": (str(notes),)}
    scheduler = BackgroundScheduler(executors={"default": ProcessPoolExecutor(1, settings)})
    recorder = Recorder(scheduler, OUTCOMES)
    scheduler.start()
    scheduler.add_job(give, args=["never"])
    [error] = recorder.wait_for()
    scheduler.shutdown()

    assert "terminated abruptly before it began this run" in str(error.exception)
    assert notes.read_text() == "begun\n" * 3


def test_an_exit_code_is_told_though_another_thread_has_been_faster_to_ask_for_it(
    scheduler: BackgroundScheduler, monkeypatch: pytest.MonkeyPatch
) -> None:
    poll, codes = Popen.poll, []

    def be_slow(popen: Any, *args: Any) -> Any:
        """Return None as long as the other thread, which has waited, has not noted the code."""
        code = poll(popen, *args)
        codes.append(code)
        return None if codes.count(-signal.SIGKILL) <= 5 else code

    monkeypatch.setattr(Popen, "poll", be_slow)
    recorder = Recorder(scheduler, OUTCOMES)
    scheduler.add_job(die)
    [error] = recorder.wait_for()

    assert str(error.exception).endswith("while it made this run (exit code -9)")


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


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "XZ"
    except ProcessLookupError:
        return False
    except FileNotFoundError:
        return not Path("/proc").exists()


def holdings() -> dict[str, int]:
    """Count what a pool that was not cleaned up would hold."""
    gc.collect()
    files = Path("/proc/self/fd")
    return {
        "files": len(list(files.iterdir())) if files.exists() else 0,
        "threads": threading.active_count(),
        "processes": len(multiprocessing.active_children()),
        "workers": sum(issubclass(type(thing), Worker) for thing in gc.get_objects()),
    }


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


@pytest.fixture
def press_ctrl_c() -> Iterator[Any]:
    """Return a listener that interrupts the main thread when it is first called."""
    strikes = [signal.SIGINT]

    def press(event: Any) -> None:
        if strikes:
            signal.pthread_kill(threading.main_thread().ident or 0, strikes.pop())

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield press
    signal.signal(signal.SIGINT, before)


def test_ctrl_c_amid_a_shutdown_that_waits_leaves_no_process(
    stopped: BackgroundScheduler, press_ctrl_c: Any, tmp_path: Path
) -> None:
    recorder = Recorder(stopped)
    stopped.add_listener(press_ctrl_c, EVENT_JOB_EXECUTED)
    stopped.start()
    stopped.add_job(meet, args=[str(tmp_path), 2])  # waits for a second file
    recorder.wait_for(EVENT_JOB_SUBMITTED)

    def end_job() -> None:
        while stopped.running:
            time.sleep(0.01)
        (tmp_path / "second").touch()

    ending = threading.Thread(target=end_job)
    ending.start()
    with pytest.raises(KeyboardInterrupt):
        stopped.shutdown()
    ending.join()
    recorder.wait_for(OUTCOMES)

    assert_no_process_is_left()


def test_ctrl_c_while_a_shutdown_drops_runs_keeps_none_from_being_told(
    stopped: BackgroundScheduler, press_ctrl_c: Any
) -> None:
    recorder = Recorder(stopped)
    stopped.add_listener(press_ctrl_c, EVENT_JOB_ERROR)
    stopped.start()
    stopped.add_job(time.sleep, args=[10 * PATIENCE])
    recorder.wait_for(EVENT_JOB_SUBMITTED)
    for number in range(5):
        stopped.add_job(give, args=[number])
    recorder.wait_for(EVENT_JOB_SUBMITTED, 6)
    with pytest.raises(KeyboardInterrupt):
        stopped.shutdown(0.01)
    recorder.wait_for(EVENT_JOB_ERROR, 6)

    assert_no_process_is_left()


def assert_no_process_is_left() -> None:
    end = time.monotonic() + PATIENCE
    while (left := multiprocessing.active_children()) and time.monotonic() < end:
        time.sleep(0.01)
    assert left == []


def test_workers_that_ignore_their_termination_share_its_grace(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
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
        scheduler.add_job(meet, args=[str(tmp_path), 3])
    recorder.wait_for(EVENT_JOB_EXECUTED, 3)
    for _ in range(3):
        scheduler.add_job(time.sleep, args=[10 * PATIENCE])
    recorder.wait_for(EVENT_JOB_SUBMITTED, 6)

    scheduler.shutdown(0.01)

    assert [action for action, _ in asked[:6]] == ["terminate"] * 3 + ["kill"] * 3
    assert {pid for _, pid in asked[:3]} == {pid for _, pid in asked[3:6]}


def test_a_shutdown_that_ends_workers_says_so_and_does_not_blame_them(
    scheduler: BackgroundScheduler, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    recorder = Recorder(scheduler, OUTCOMES)
    scheduler.add_job(meet, args=[str(tmp_path), 2])  # waits for a second file
    while not list(tmp_path.iterdir()):
        time.sleep(0.01)
    scheduler.shutdown(0.01)
    [event] = recorder.wait_for()

    assert type(event.exception) is BrokenProcessPool
    assert "ended by the shutdown of the scheduler" in str(event.exception)
    assert [record for record in caplog.records if record.levelno == logging.WARNING] == []
    scheduler.start()


def test_a_run_that_a_worker_was_given_and_had_not_begun_at_a_shutdown_is_told_as_such(
    scheduler: BackgroundScheduler, is_sent: threading.Event
) -> None:
    recorder = Recorder(scheduler, OUTCOMES)
    scheduler.add_job(os.getpid)
    [event] = recorder.wait_for()
    os.kill(event.retval, signal.SIGSTOP)
    is_sent.clear()
    scheduler.add_job(give, args=["never"])
    assert is_sent.wait(PATIENCE)
    scheduler.shutdown(0.01)

    assert type(recorder.wait_for(count=2)[-1].exception) is AbandonedError
    scheduler.start()


def test_so_is_one_whose_worker_was_being_started_and_that_does_not_stay(
    scheduler: BackgroundScheduler, monkeypatch: pytest.MonkeyPatch
) -> None:
    start, is_starting, may_start = SpawnProcess.start, threading.Event(), threading.Event()

    def wait_and_start(process: Any) -> None:
        is_starting.set()
        assert may_start.wait(PATIENCE)
        start(process)

    monkeypatch.setattr(SpawnProcess, "start", wait_and_start)
    recorder = Recorder(scheduler, OUTCOMES)
    scheduler.add_job(give, args=["never"])
    assert is_starting.wait(PATIENCE)
    scheduler.shutdown(0)
    may_start.set()
    [event] = recorder.wait_for()

    assert type(event.exception) is AbandonedError
    assert_no_process_is_left()
    scheduler.start()


def test_ctrl_c_amid_a_shutdown_with_seconds_does_not_wait_for_the_rest_of_them(
    stopped: BackgroundScheduler, press_ctrl_c: Any, tmp_path: Path
) -> None:
    stopped.start()
    recorder = Recorder(stopped, OUTCOMES)
    stopped.add_job(meet, args=[str(tmp_path), 2])  # waits for a second file
    while not list(tmp_path.iterdir()):
        time.sleep(0.01)
    executor = stopped._executors["default"]
    pressing = threading.Thread(target=when_refusing, args=(executor, press_ctrl_c))
    ending = threading.Timer(PATIENCE / 3, (tmp_path / "second").touch)
    ending.start()
    pressing.start()
    with pytest.raises(KeyboardInterrupt):
        executor.shutdown(PATIENCE)
    pressing.join()
    ending.cancel()
    [event] = recorder.wait_for()
    stopped.shutdown()

    assert event.code == EVENT_JOB_ERROR


def when_refusing(executor: Any, action: Any) -> None:
    """Do something once an executor takes no more tasks."""
    while not is_refusing(executor._pool):
        time.sleep(0.01)
    action(None)


def is_refusing(pool: Any) -> bool:
    try:
        pool.execute(int)
    except RuntimeError:
        return True
    return False


def test_ctrl_c_at_the_exit_keeps_no_pool_from_being_finished(press_ctrl_c: Any) -> None:
    executors = [ProcessPoolExecutor(1) for _ in range(3)]
    pressing = [
        threading.Thread(target=when_refusing, args=(executor, press_ctrl_c))
        for executor in executors
    ]
    for thread, executor in zip(pressing, executors, strict=True):
        thread.start()
        executor._pool.execute(thread.join)  # so that it is waited for
    with pytest.raises(KeyboardInterrupt):
        finish_pools()

    assert all(is_refusing(executor._pool) for executor in executors)
    for thread in pressing:
        thread.join()


STARTED_BY_IMPORT = """
from apscheduler.executors.pool import ProcessPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler

scheduler = BackgroundScheduler(executors={"default": ProcessPoolExecutor(1)})
scheduler.start()

def job():
    return "ran"
"""

IMPORTING_PROGRAM = """
from tests.recorder import Recorder

if __name__ == "__main__":
    import app
    recorder = Recorder(app.scheduler)
    app.scheduler.add_job(app.job)
    [event] = recorder.wait_for()
    print(repr(event.exception))
    app.scheduler.shutdown()
"""


def test_a_module_whose_import_starts_a_scheduler_starts_none_in_the_workers(
    tmp_path: Path,
) -> None:
    (tmp_path / "app.py").write_text(STARTED_BY_IMPORT)
    result = run_program(IMPORTING_PROGRAM, tmp_path)
    assert "RuntimeError('A worker process of a ProcessPoolExecutor imports" in result.stdout
