"""An executor of your own: a new thread for each run, and no limit to their number."""

from __future__ import annotations

from datetime import datetime
from threading import Event, Thread, current_thread
from time import monotonic

from apscheduler.executors.base import BaseExecutor, run_job
from apscheduler.job import Job
from apscheduler.schedulers.background import BackgroundScheduler


class ThreadPerRunExecutor(BaseExecutor):
    """Runs each job in a thread of its own."""

    def __init__(self) -> None:
        super().__init__()
        self._threads: set[Thread] = set()  # those that run

    def _do_submit_job(self, job: Job, run_times: list[datetime]) -> None:
        """Have the job run, and return at once. What is raised here is tried again later."""
        thread = Thread(target=self._work, args=(job, run_times))
        self._threads.add(thread)
        thread.start()

    def _work(self, job: Job, run_times: list[datetime]) -> None:
        try:
            events = run_job(job, job._jobstore_alias, run_times, self._logger.name)
        except BaseException as exc:
            self._run_job_error(job.id, exc, exc.__traceback__)
        else:
            self._run_job_success(job.id, events)
        finally:
            self._threads.discard(current_thread())

    def shutdown(self, wait: bool | float = True) -> None:
        deadline = None if wait is True else monotonic() + wait
        for thread in self._threads - {current_thread()}:  # a job may call shutdown()
            thread.join(None if deadline is None else max(deadline - monotonic(), 0))


if __name__ == "__main__":
    greeted = Event()

    def greet() -> None:
        print("Hello from a thread of my own")
        greeted.set()

    with BackgroundScheduler(executors={"default": ThreadPerRunExecutor()}) as scheduler:
        scheduler.add_job(greet)
        greeted.wait()
