"""The scheduler in a thread of its own: on time, in order, and never locked up."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

import apscheduler
from apscheduler.events import (
    EVENT_JOB_ERROR,
    EVENT_JOB_EXECUTED,
    EVENT_JOB_MISSED,
    EVENT_JOB_REMOVED,
    EVENT_JOB_SUBMITTED,
    EVENT_SCHEDULER_SHUTDOWN,
)
from apscheduler.schedulers import SchedulerAlreadyRunningError, SchedulerNotRunningError
from apscheduler.schedulers.background import BackgroundScheduler
from tests import jobs
from tests.recorder import NAMES, OUTCOMES, PATIENCE, Recorder

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture
def scheduler() -> Iterator[BackgroundScheduler]:
    """A running scheduler."""
    scheduler = BackgroundScheduler(timezone=timezone.utc)
    scheduler.start()
    yield scheduler
    if scheduler.running:
        scheduler.shutdown(wait=False)


def in_another_thread(function: Callable[[], Any]) -> Any:
    """Call the function in another thread, and return what it returns."""
    results: list[Any] = []
    thread = threading.Thread(target=lambda: results.append(function()), daemon=True)
    thread.start()
    thread.join(PATIENCE)
    assert results, "the other thread did not come through: a lock is held"
    return results[0]


class TestTheThread:
    def test_if_it_cannot_be_had_the_scheduler_is_as_it_was_and_may_start_later(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(thread: threading.Thread) -> None:
            raise RuntimeError("can't start new thread")

        scheduler = BackgroundScheduler()
        scheduler.add_job(jobs.nothing, id="waiting")
        recorder = Recorder(scheduler)
        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", refuse)
            with pytest.raises(RuntimeError, match="can't start new thread"):
                scheduler.start()
        assert not scheduler.running
        assert scheduler._thread is None
        assert [(job.id, job.pending) for job in scheduler.get_jobs()] == [("waiting", True)]
        assert recorder.names == []

        scheduler.start()
        recorder.wait_for(EVENT_JOB_EXECUTED)
        scheduler.shutdown()

    def test_it_ends_if_the_scheduler_cannot_start(self) -> None:
        before = set(threading.enumerate())
        scheduler = BackgroundScheduler()
        scheduler.add_job(jobs.nothing, jobstore="elsewhere")
        with pytest.raises(KeyError, match="No such job store"):
            scheduler.start()
        assert scheduler._thread is None
        for thread in set(threading.enumerate()) - before:
            thread.join(PATIENCE)
        assert set(threading.enumerate()) <= before

    def test_start_returns_at_once_and_shutdown_ends_the_thread(self) -> None:
        scheduler = BackgroundScheduler()
        scheduler.start()
        thread = scheduler._thread
        assert thread is not None
        assert thread.is_alive()
        assert thread.daemon
        scheduler.shutdown()
        assert not thread.is_alive()

    @pytest.mark.parametrize("option", [False, "false"])
    def test_it_keeps_the_interpreter_if_it_is_no_daemon(self, option: Any) -> None:
        scheduler = BackgroundScheduler(daemon=option)
        scheduler.start()
        try:
            assert scheduler._thread is not None
            assert not scheduler._thread.daemon
        finally:
            scheduler.shutdown()

    def test_it_can_be_started_again(self) -> None:
        scheduler = BackgroundScheduler(timezone=timezone.utc)
        recorder = Recorder(scheduler, EVENT_JOB_EXECUTED)
        for count in (1, 2, 3):
            scheduler.start()
            scheduler.add_job(jobs.nothing)
            recorder.wait_for(count=count)
            scheduler.shutdown()

    def test_a_running_one_is_not_started_again(self, scheduler: BackgroundScheduler) -> None:
        with pytest.raises(SchedulerAlreadyRunningError):
            scheduler.start()

    def test_a_stopped_one_is_not_shut_down_again(self, scheduler: BackgroundScheduler) -> None:
        scheduler.shutdown()
        with pytest.raises(SchedulerNotRunningError):
            scheduler.shutdown()

    def test_an_earlier_job_wakes_it(self, scheduler: BackgroundScheduler) -> None:
        recorder = Recorder(scheduler, OUTCOMES)
        scheduler.add_job(jobs.nothing, "interval", hours=1)
        soon = datetime.now(timezone.utc) + timedelta(milliseconds=50)
        scheduler.add_job(jobs.nothing, "date", run_date=soon, id="soon")
        (event,) = recorder.wait_for()
        assert event.job_id == "soon"

    def test_it_survives_whatever_fails_in_a_pass(self, caplog: pytest.LogCaptureFixture) -> None:
        class Failing(BackgroundScheduler):
            failures = 2

            def _process_jobs(self) -> Any:
                if self.failures:
                    self.failures -= 1
                    raise MemoryError("for a moment")
                return super()._process_jobs()

        scheduler = Failing(timezone=timezone.utc, jobstore_retry_interval=0.01)
        recorder = Recorder(scheduler, EVENT_JOB_EXECUTED)
        scheduler.add_job(jobs.nothing)
        scheduler.start()
        try:
            recorder.wait_for()
        finally:
            scheduler.shutdown()
        assert caplog.text.count("Looking for due jobs failed") == 2


class TestTheOrderOfEvents:
    def test_submitted_comes_before_the_outcome_for_each_of_thousands_of_jobs(
        self, scheduler: BackgroundScheduler
    ) -> None:
        count = 3000
        heard: list[tuple[int, str]] = []
        scheduler.add_listener(
            lambda event: heard.append((event.code, event.job_id)),
            EVENT_JOB_SUBMITTED | EVENT_JOB_REMOVED | OUTCOMES,
        )
        recorder = Recorder(scheduler, OUTCOMES)
        scheduler.pause()
        long_ago = datetime(2000, 1, 1, tzinfo=timezone.utc)
        specs: dict[int, dict[str, Any]] = {
            EVENT_JOB_EXECUTED: {"func": jobs.nothing},
            EVENT_JOB_ERROR: {"func": jobs.fail},
            EVENT_JOB_MISSED: {"func": jobs.nothing, "misfire_grace_time": 1},
        }
        scheduler.add_jobs(
            {**spec, "id": f"{code} {number}", "trigger": "date", "run_date": long_ago}
            for number in range(count // 3)
            for code, spec in specs.items()
        )
        scheduler.resume()
        recorder.wait_for(count=count)

        by_job: dict[str, list[int]] = {}
        for code, job_id in heard:
            by_job.setdefault(job_id, []).append(code)
        assert len(by_job) == count
        for job_id, codes in by_job.items():
            outcome = int(job_id.split()[0])
            assert codes == [EVENT_JOB_SUBMITTED, EVENT_JOB_REMOVED, outcome]

    def test_listeners_may_call_the_scheduler_while_another_thread_waits_for_it(self) -> None:
        """Whoever held a lock while calling listeners would wait for ever here."""
        scheduler = BackgroundScheduler(timezone=timezone.utc)
        recorder = Recorder(scheduler)
        scheduler.add_listener(
            lambda event: in_another_thread(lambda: (scheduler.get_jobs(), scheduler.get_job("a")))
        )
        scheduler.start()
        scheduler.add_executor("debug", "other")
        scheduler.add_jobstore("memory", "other")
        job = scheduler.add_job(jobs.nothing, "interval", hours=1, id="a", executor="other")
        job.modify(next_run_time=datetime.now(timezone.utc))
        recorder.wait_for(EVENT_JOB_EXECUTED)
        job.modify(func=jobs.fail, next_run_time=datetime.now(timezone.utc))
        recorder.wait_for(EVENT_JOB_ERROR)
        scheduler.pause()
        job.remove()
        scheduler.remove_all_jobs()
        scheduler.remove_jobstore("other")
        scheduler.remove_executor("other")
        scheduler.resume()
        scheduler.shutdown()
        assert set(NAMES.values()) - set(recorder.names) == {"JOB_MISSED", "JOB_MAX_INSTANCES"}

    def test_the_last_event_of_a_scheduler_is_its_shutdown(
        self, scheduler: BackgroundScheduler
    ) -> None:
        recorder = Recorder(scheduler)
        release = threading.Event()
        scheduler.add_job(release.wait, args=[PATIENCE])
        recorder.wait_for(EVENT_JOB_SUBMITTED)
        threading.Timer(0.05, release.set).start()
        scheduler.shutdown()
        assert recorder.names[-2:] == ["JOB_EXECUTED", "SCHEDULER_SHUTDOWN"]


class TestFromInside:
    """Jobs and listeners call the scheduler that runs them."""

    def test_a_job_may_add_modify_pause_and_remove_jobs(
        self, scheduler: BackgroundScheduler
    ) -> None:
        recorder = Recorder(scheduler, OUTCOMES)

        def rearrange() -> list[str]:
            inside = apscheduler.current_scheduler.get()
            inside.add_job(jobs.nothing, "interval", hours=1, id="added")
            inside.modify_job("added", name="changed")
            inside.pause_job("added")
            inside.remove_job("goes")
            return [job.name for job in inside.get_jobs()]

        scheduler.add_job(jobs.nothing, "interval", hours=1, id="goes")
        scheduler.add_job(rearrange)
        (event,) = recorder.wait_for()
        assert event.exception is None
        assert event.retval == ["changed"]

    def test_a_job_may_shut_the_scheduler_down(self, scheduler: BackgroundScheduler) -> None:
        recorder = Recorder(scheduler)
        scheduler.add_job(scheduler.shutdown)
        recorder.wait_for(EVENT_SCHEDULER_SHUTDOWN)
        recorder.wait_for(EVENT_JOB_EXECUTED)
        assert not scheduler.running

    @pytest.mark.parametrize("executor", ["default", "debug"])
    @pytest.mark.parametrize("code", [EVENT_JOB_SUBMITTED, EVENT_JOB_EXECUTED])
    def test_a_listener_may_shut_the_scheduler_down(
        self, scheduler: BackgroundScheduler, code: int, executor: str
    ) -> None:
        recorder = Recorder(scheduler)
        scheduler.add_executor("debug", "debug")
        scheduler.add_listener(lambda event: scheduler.shutdown(), code)
        scheduler.add_job(jobs.nothing, executor=executor)
        recorder.wait_for(EVENT_SCHEDULER_SHUTDOWN)
        recorder.wait_for(EVENT_JOB_EXECUTED)

    def test_two_jobs_may_shut_it_down_at_once(self, scheduler: BackgroundScheduler) -> None:
        recorder = Recorder(scheduler)
        barrier = threading.Barrier(2, timeout=PATIENCE)

        def stop() -> str:
            barrier.wait()
            try:
                scheduler.shutdown()
            except SchedulerNotRunningError:
                return "was stopped already"
            return "stopped it"

        scheduler.add_job(stop, id="first")
        scheduler.add_job(stop, id="second")
        recorder.wait_for(EVENT_SCHEDULER_SHUTDOWN)
        events = recorder.wait_for(EVENT_JOB_EXECUTED | EVENT_JOB_ERROR, count=2)
        assert sorted(str(event.retval) for event in events) == [
            "stopped it",
            "was stopped already",
        ]


def test_forty_jobs_due_together_all_run_though_the_pool_is_busy(
    scheduler: BackgroundScheduler,
) -> None:
    """Ten threads take four rounds; 3.x drops the runs that begin more than a second late."""
    recorder = Recorder(scheduler, OUTCOMES)
    busy = threading.Event()
    due = datetime.now(timezone.utc) - timedelta(seconds=5)  # as if the rounds took long
    scheduler.pause()
    for number in range(40):
        scheduler.add_job(busy.wait, "date", [0.05], run_date=due, id=str(number))
    scheduler.resume()
    events = recorder.wait_for(count=40)
    assert {event.code for event in events} == {EVENT_JOB_EXECUTED}
    assert len({event.job_id for event in events}) == 40


class TestWaitingForRunningJobs:
    @pytest.fixture
    def release(self, scheduler: BackgroundScheduler) -> Iterator[threading.Event]:
        """A job is running, and ends when this is set."""
        release, begun = threading.Event(), threading.Event()

        def run() -> None:
            begun.set()
            release.wait(PATIENCE)

        scheduler.add_job(run)
        assert begun.wait(PATIENCE)
        yield release
        release.set()

    def test_shutdown_waits_for_them(
        self, scheduler: BackgroundScheduler, release: threading.Event
    ) -> None:
        recorder = Recorder(scheduler, EVENT_JOB_EXECUTED)
        threading.Timer(0.05, release.set).start()
        scheduler.shutdown()
        assert recorder.names == ["JOB_EXECUTED"]

    @pytest.mark.parametrize("wait", [False, 0.01])
    def test_or_does_not(
        self, scheduler: BackgroundScheduler, release: threading.Event, wait: bool | float
    ) -> None:
        recorder = Recorder(scheduler, EVENT_JOB_EXECUTED)
        scheduler.shutdown(wait)
        assert recorder.names == []
        release.set()
        recorder.wait_for()


class TestTheEndOfTheProgram:
    def run(self, program: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", program],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )

    def test_a_running_job_ends_first_and_nothing_is_printed(self) -> None:
        ended = self.run(
            "import threading\n"
            "from apscheduler.schedulers.background import BackgroundScheduler\n"
            "begun = threading.Event()\n"
            "def job():\n"
            "    begun.set()\n"
            "    threading.Event().wait(0.3)\n"
            "    print('finished')\n"
            "scheduler = BackgroundScheduler()\n"
            "scheduler.start()\n"
            "scheduler.add_job(job)\n"
            "begun.wait()\n"
            "print('end of main')\n"
        )
        assert ended.stdout == "end of main\nfinished\n"
        assert (ended.returncode, ended.stderr) == (0, "")

    def test_jobs_are_not_started_any_more(self) -> None:
        ended = self.run(
            "from apscheduler.schedulers.background import BackgroundScheduler\n"
            "scheduler = BackgroundScheduler()\n"
            "scheduler.add_job(print, 'interval', ['tick'], seconds=3600)\n"
            "scheduler.start()\n"
        )
        assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")

    def test_it_may_be_shut_down_by_an_exit_handler(self) -> None:
        ended = self.run(
            "import atexit\n"
            "from apscheduler.schedulers.background import BackgroundScheduler\n"
            "scheduler = BackgroundScheduler()\n"
            "scheduler.start()\n"
            "atexit.register(lambda: print('running:', scheduler.running))\n"
            "atexit.register(scheduler.shutdown)\n"
        )
        assert (ended.returncode, ended.stdout, ended.stderr) == (0, "running: False\n", "")

    def test_no_traceback_is_printed_when_the_program_ends_in_an_error(self) -> None:
        ended = self.run(
            "from apscheduler.schedulers.background import BackgroundScheduler\n"
            "scheduler = BackgroundScheduler()\n"
            "scheduler.add_job(print, 'interval', seconds=0.01)\n"
            "scheduler.start()\n"
            "raise SystemExit('stopped here')\n"
        )
        assert (ended.returncode, ended.stderr) == (1, "stopped here\n")
