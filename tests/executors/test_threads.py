"""The thread pool by itself, used as one of the standard library would be."""

from __future__ import annotations

import subprocess
import sys
import threading
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from apscheduler.executors._threads import ThreadPool
from tests.recorder import PATIENCE

ROOT = Path(__file__).parent.parent.parent


def test_a_result_comes_by_a_future() -> None:
    pool = ThreadPool(1)
    assert pool.submit(pow, 2, 10).result(PATIENCE) == 1024
    pool.shutdown()


def test_so_does_an_error() -> None:
    pool = ThreadPool(1)
    assert isinstance(pool.submit(int, "no number").exception(PATIENCE), ValueError)
    pool.shutdown()


def test_a_future_that_was_cancelled_in_time_is_not_run() -> None:
    pool = ThreadPool(1)
    release = threading.Event()
    first = pool.submit(release.wait, PATIENCE)
    second = pool.submit(pytest.fail, "it was cancelled")
    assert second.cancel()
    release.set()
    assert first.result(PATIENCE)
    pool.shutdown()
    assert second.cancelled()


def test_threads_are_started_when_they_are_needed() -> None:
    pool = ThreadPool(3)
    assert len(pool._threads) == 0
    pool.submit(int).result(PATIENCE)
    assert len(pool._threads) == 1
    together = threading.Barrier(3, timeout=PATIENCE)
    futures = [pool.submit(together.wait) for _ in range(3)]
    assert sorted(future.result(PATIENCE) for future in futures) == [0, 1, 2]
    assert len(pool._threads) == 3
    pool.shutdown()


def test_a_task_that_raises_is_logged_and_its_thread_goes_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail() -> None:
        raise SystemExit("not from here")

    pool = ThreadPool(1)
    pool.execute(fail)
    assert pool.submit(int, "1").result(PATIENCE) == 1
    pool.shutdown()
    assert "A task of the thread pool failed" in caplog.text


def test_when_no_thread_can_be_had_those_that_run_do_the_task(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pool = ThreadPool(5)
    release = threading.Event()
    pool.submit(release.wait, PATIENCE)

    def no_more(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", no_more)
        waiting = pool.submit(int, "2")
        none_yet = ThreadPool(1)
        with pytest.raises(RuntimeError, match="can't start new thread"):
            none_yet.submit(int)

    release.set()
    assert waiting.result(PATIENCE) == 2
    pool.shutdown()


@pytest.mark.parametrize("has_begun", [True, False])
def test_ctrl_c_while_a_thread_starts_takes_no_worker_from_the_pool(
    has_begun: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = threading.Thread.start

    def interrupted(thread: threading.Thread) -> None:
        if has_begun:
            start(thread)
        raise KeyboardInterrupt

    pool = ThreadPool(1)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", interrupted)
        with pytest.raises(KeyboardInterrupt):
            pool.submit(int)

    assert pool.submit(int, "1").result(PATIENCE) == 1
    assert len(pool._threads) == 1
    pool.shutdown()


def test_ctrl_c_while_a_thread_is_woken_takes_no_worker_from_the_pool() -> None:
    is_asleep = threading.Event()

    class InterruptedOnce(list[Any]):
        left = 1

        def append(self, sleeping: Any) -> None:
            super().append(sleeping)
            is_asleep.set()

        def pop(self, *args: Any) -> Any:
            sleeping = super().pop(*args)
            if self.left:
                self.left = 0
                raise KeyboardInterrupt
            return sleeping

    pool = ThreadPool(1)
    pool._sleeping = InterruptedOnce()
    pool.submit(int).result(PATIENCE)
    assert is_asleep.wait(PATIENCE)
    with pytest.raises(KeyboardInterrupt):
        pool.submit(int)

    for number in range(3):
        assert pool.submit(int, number).result(PATIENCE) == number
    assert len(pool._threads) == 1
    pool.shutdown()


def test_tasks_of_many_threads_are_all_run_while_others_fall_asleep() -> None:
    pool, done = ThreadPool(3), threading.Semaphore(0)

    def submit() -> None:
        for _ in range(500):
            pool.execute(done.release)
            done.acquire()  # so that there is often nothing to do

    submitters = [threading.Thread(target=submit, daemon=True) for _ in range(4)]
    for thread in submitters:
        thread.start()
    for thread in submitters:
        thread.join(PATIENCE)
        assert not thread.is_alive()
    assert pool.shutdown(PATIENCE) == []


def test_a_task_that_was_refused_for_want_of_a_thread_is_never_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def no_more(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    pool, ran = ThreadPool(1), []
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", no_more)
        with pytest.raises(RuntimeError, match="can't start new thread"):
            pool.execute(lambda: ran.append("refused"))

    pool.execute(lambda: ran.append("taken"))
    pool.shutdown()
    assert ran == ["taken"]


def test_a_task_whose_initializer_failed_fails_and_the_next_one_tries_again() -> None:
    outcomes = iter([OSError("no database"), None])

    def initialize() -> None:
        if outcome := next(outcomes):
            raise outcome

    pool = ThreadPool(1, initializer=initialize)
    error = pool.submit(pytest.fail, "not initialized").exception(PATIENCE)
    assert "the initializer of the thread failed" in str(error)
    assert isinstance(error, RuntimeError)
    assert str(error.__cause__) == "no database"
    assert [pool.submit(int, "2").result(PATIENCE) for _ in range(2)] == [2, 2]
    pool.shutdown()


def test_after_a_shutdown_it_takes_no_more_tasks() -> None:
    pool = ThreadPool(1)
    pool.shutdown()
    with pytest.raises(RuntimeError, match="has been shut down and takes no more tasks"):
        pool.submit(int)


def test_a_shutdown_that_waits_lets_all_tasks_be_done() -> None:
    pool = ThreadPool(2)
    futures = [pool.submit(int, number) for number in range(100)]
    assert pool.shutdown() == []
    assert [future.result(0) for future in futures] == list(range(100))


def test_a_shutdown_may_drop_the_tasks_that_have_not_begun() -> None:
    pool = ThreadPool(1)
    begun, release = threading.Event(), threading.Event()

    def run() -> None:
        begun.set()
        release.wait(PATIENCE)

    pool.execute(run)
    assert begun.wait(PATIENCE)
    pool.execute(lambda: pytest.fail("it was dropped"))
    threading.Timer(0.05, release.set).start()
    assert len(pool.shutdown(cancel_futures=True)) == 1


def test_a_shutdown_may_wait_so_long_and_no_longer() -> None:
    pool = ThreadPool(1)
    release = threading.Event()
    pool.execute(lambda: release.wait(PATIENCE))
    pool.execute(int)
    dropped = pool.shutdown(0.01)
    assert len(dropped) <= 2  # the first may not have begun either
    assert int in dropped
    release.set()


def test_a_task_may_shut_its_pool_down() -> None:
    pool = ThreadPool(2)
    assert pool.submit(pool.shutdown).result(PATIENCE) == []


@pytest.mark.parametrize(
    ("workers", "initializer", "error"),
    [(0, None, ValueError), (-1, None, ValueError), (1, "no function", TypeError)],
)
def test_wrong_arguments_are_refused(
    workers: int, initializer: object, error: type[Exception]
) -> None:
    with pytest.raises(error, match=r"max_workers must be|initializer must be"):
        ThreadPool(workers, initializer=initializer)  # type: ignore[arg-type]


@pytest.mark.parametrize(("wait", "printed"), [("True", "done\n"), ("0.01", "")])
def test_the_interpreter_waits_for_tasks_unless_they_were_left_behind(
    wait: str, printed: str
) -> None:
    program = (
        "import threading\n"
        "from apscheduler.executors._threads import ThreadPool\n"
        "pool, begun = ThreadPool(1), threading.Event()\n"
        "def run():\n"
        "    begun.set()\n"
        "    threading.Event().wait(0.3)\n"
        "    print('done')\n"
        "pool.execute(run)\n"
        "begun.wait()\n"
        f"pool.shutdown({wait})\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, printed, "")


def test_a_shutdown_that_drops_tasks_returns_each_that_is_not_run() -> None:
    for _ in range(200):
        pool = ThreadPool(2)
        done: list[int] = []
        for number in range(20):
            pool.execute(partial(done.append, number))
        dropped = pool.shutdown(cancel_futures=True)
        for task in dropped:
            task()
        assert sorted(done) == list(range(20))


def test_what_a_dropped_future_calls_back_may_use_the_pool() -> None:
    pool, release = ThreadPool(1), threading.Event()
    pool.submit(release.wait, PATIENCE)
    refused: list[BaseException | None] = []

    def try_again(future: Any) -> None:
        with pytest.raises(RuntimeError, match="takes no more tasks") as raised:
            pool.submit(int)
        refused.append(raised.value)

    pool.submit(int).add_done_callback(try_again)
    stopping = threading.Thread(target=pool.shutdown, args=[0.01], daemon=True)
    stopping.start()
    stopping.join(PATIENCE)
    release.set()

    assert not stopping.is_alive()
    assert len(refused) == 1
