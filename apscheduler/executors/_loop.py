"""What the executors of event loops share: which runs go on, how to wait for and cancel them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from contextvars import ContextVar
from datetime import datetime
from threading import Condition, get_ident
from time import monotonic
from typing import TYPE_CHECKING, Any, ClassVar

from .._log import log_may_fail
from ._claims import Claimable
from ._leftovers import HoldsRuns
from .base import BaseExecutor, LoopEndedError, Runs

if TYPE_CHECKING:
    from ..events import JobExecutionEvent
    from ..job import Job
    from ..schedulers.base import BaseScheduler

# The submission that the code belongs to: a run that shuts its scheduler down and waits for that
# must neither be waited for nor cancelled.
own_submission: ContextVar[Submission | None] = ContextVar("apscheduler.own_submission")

# So many seconds a cancelled coroutine has to clean up; then it is left to itself.
CANCEL_SECONDS = 1.0
# So often whoever waits makes sure that the loop still runs.
CHECK_SECONDS = 1.0


# Returns the events of a submission, or raises why there are none.
Result = Callable[[], "list[JobExecutionEvent]"]


def raising(exc: BaseException) -> Result:
    """Return a result that raises."""

    def result() -> list[JobExecutionEvent]:
        raise exc

    return result


class Submission(Claimable):
    """
    The runs of one submission, on their way through a loop.

    It is claimed by whoever begins with them, or sees to it that nobody will.

    :ivar future: what is kept while they go on
    :ivar needs_loop: whether only the loop can bring them to an end; the runs in a thread end
        whatever becomes of it. They can be cancelled, too, which a thread cannot
    :ivar outcome: what became of them, if a thread has made them and the loop is to take it
    :ivar is_cancelled: whether a shutdown has told them to end
    :ivar is_told: whether listeners have been told of them, or need not be
    :ivar teller: the thread that does so
    :ivar is_alone: whether the thread that makes them is to report them itself, for no future does
    """

    def __init__(self, job: Job, run_times: list[datetime], loop: Any, logger_name: str) -> None:
        super().__init__()
        self.job = job
        self.run_times = run_times
        self.loop = loop
        self.runs = Runs(job, job._jobstore_alias, logger_name)
        self.future: Any = None
        self.needs_loop = True
        self.outcome: Result | None = None
        self.is_cancelled = False
        self.is_alone = False
        self.is_told = False
        self.teller: int | None = None

    def fail(self, executor: BaseExecutor, exc: BaseException) -> None:
        """Report the runs that have been made, and that the others failed."""
        made = list(self.runs.events)
        executor._dispatch(made)
        executor._fail(self.job, self.run_times[len(made) :], exc)


class LoopExecutor(BaseExecutor, HoldsRuns):
    """Runs jobs on an event loop, and functions that would keep it waiting in threads."""

    #: the attribute of schedulers, and of the executor, that has the loop
    _loop_attribute: ClassVar[str]
    #: the scheduler that goes with the executor
    _scheduler_name: ClassVar[str]

    def __init__(self) -> None:
        super().__init__()
        self._changed = Condition()
        self._forget_runs()

    def _forget_runs(self) -> None:
        self._pending_futures: set[Any] = set()
        self._submissions: dict[Any, Submission] = {}  # by their futures
        # What threads have for their loops, and the loops have not taken yet.
        self._deliveries: dict[Callable[[], None], Any] = {}

    def start(self, scheduler: BaseScheduler, alias: str) -> None:
        """
        Take over the scheduler's event loop; see the base class.

        :raises TypeError: if the scheduler has none
        """
        loop = getattr(scheduler, self._loop_attribute, None)
        if loop is None:
            raise TypeError(
                f"{type(self).__name__} runs jobs on the event loop of its scheduler, but "
                f"{type(scheduler).__name__} has none: use {self._scheduler_name}, or another "
                f"executor"
            )

        self._tell_of_lost_runs()
        super().start(scheduler, alias)
        setattr(self, self._loop_attribute, loop)
        with self._changed:
            # What goes on after an earlier shutdown is left to itself by this one.
            self._pending_futures = set()

    def after_fork(self) -> None:
        super().after_fork()
        self._changed = Condition()  # the old one may be held for ever
        self._forget_runs()

    @abstractmethod
    def _is_running(self, loop: Any) -> bool:
        """Tell whether a loop runs."""

    @abstractmethod
    def _runs_elsewhere(self) -> bool:
        """Tell whether the loop runs, and in another thread: one may wait for it here."""

    @abstractmethod
    def _call_soon(self, func: Callable[..., object], *args: Any) -> None:
        """
        Call a function on the loop. May be called from any thread.

        :raises RuntimeError: if the loop was closed
        """

    # --- from the beginning of a run to its end ------------------------------------------------

    def _new_submission(self, job: Job, run_times: list[datetime]) -> Submission:
        loop = getattr(self, self._loop_attribute)
        return Submission(job, run_times, loop, self._logger.name)

    def _do_submit_job(self, job: Job, run_times: list[datetime]) -> None:
        submission = self._new_submission(job, run_times)
        try:
            self._begin(submission)
            self._taken = run_times
        except BaseException:  # Ctrl+C, or the loop was closed
            if not self._withdraw(submission):
                self._taken = run_times
            raise

    @abstractmethod
    def _begin(self, submission: Submission) -> None:
        """Have the runs made; return without waiting for them."""

    def _withdraw(self, submission: Submission) -> bool:
        """Take back what was to begin, when that was interrupted; False if it has begun."""
        if not submission.claim():
            self._leave_alone(submission)
            return False

        with self._changed:
            submission.is_told = True
            self._forget(submission)
        return True

    def _leave_alone(self, submission: Submission) -> None:
        """See to it that runs are reported though no future may do so."""
        with self._changed:
            submission.is_alone = True
            outcome = submission.outcome
        if outcome is not None:
            self._finish(submission, outcome)

    def _forget(self, submission: Submission) -> None:
        self._pending_futures.discard(submission.future)
        self._submissions.pop(submission.future, None)
        self._note_whether_runs_are_held(bool(self._submissions))

    def _keep(self, submission: Submission, future: Any, needs_loop: bool) -> None:
        """Note that runs go on."""
        submission.future = future
        submission.needs_loop = needs_loop
        with self._changed:
            self._pending_futures.add(future)
            self._submissions[future] = submission
            self._note_whether_runs_are_held(True)

    def _deliver(self, submission: Submission, call: Callable[[], object]) -> None:
        """Go on, on the loop, with what a thread has done; if the loop has ended, go on here."""

        def deliver() -> None:
            with self._changed:
                is_due = self._deliveries.pop(deliver, None) is not None
            if is_due:
                call()

        with self._changed:
            self._deliveries[deliver] = submission.loop
        if self._is_running(submission.loop):
            try:
                self._call_soon(deliver)
            except RuntimeError:  # it has ended meanwhile
                deliver()
        else:
            deliver()

    def _finish(self, submission: Submission, result: Result) -> None:
        """Report what became of runs."""
        try:
            self._report(submission, result)
        except BaseException:  # Ctrl+C: nobody comes back to it
            self._report(submission, result)
            raise

    def _report(self, submission: Submission, result: Result) -> None:
        """Report what became of runs, and that they do not go on; what is done is not repeated."""
        with self._changed:
            if submission.teller not in (None, get_ident()):
                return  # the loop was taken for dead
            submission.teller = get_ident()

        try:
            if not submission.is_told:
                self._tell(submission, result)
        finally:
            with self._changed:
                self._forget(submission)
                self._changed.notify_all()

    def _tell(self, submission: Submission, result: Result) -> None:
        try:
            events = result()
        except BaseException as exc:
            submission.is_told = True
            submission.fail(self, exc)
        else:
            submission.is_told = True
            self._run_job_success(submission.job.id, events)

    # --- when the loop has ended ---------------------------------------------------------------

    def _tell_of_lost_runs(self) -> None:
        """Report the runs that nothing will bring to an end, for their loop has ended."""
        self._tell_of_runs(lambda loop: not self._is_running(loop))

    def _tell_at_exit(self) -> None:
        self._tell_of_runs(lambda loop: True)

    def _tell_of_runs(self, has_ended: Callable[[Any], bool]) -> None:
        for deliver, loop in list(self._deliveries.items()):
            if has_ended(loop):
                deliver()

        for submission in list(self._submissions.values()):
            if has_ended(submission.loop):
                self._finish_without_loop(submission)

    def _finish_without_loop(self, submission: Submission) -> None:
        if submission.outcome is not None:
            self._finish(submission, submission.outcome)
        elif submission.needs_loop:
            self._finish(submission, raising(LoopEndedError(submission.job.id)))
        # Else a thread is at it, and tells when it has ended.

    # --- shutting down -------------------------------------------------------------------------

    def shutdown(self, wait: bool | float = True) -> None:
        """
        Free what the executor holds. It may be started again.

        On the thread of the loop, which must not wait, True lets the runs end by themselves.

        :param wait: True to wait until the running jobs have ended, False to cancel coroutines,
            or the number of seconds to wait before they are cancelled. Functions that run in
            threads end by themselves
        """
        submission = own_submission.get(None)
        own = submission and submission.future
        if self._runs_elsewhere():
            self._end_runs_elsewhere(wait, own)
        elif wait is not True:
            self._cancel_all(own)
        self._tell_of_lost_runs()

    def _end_runs_elsewhere(self, wait: bool | float, own: Any) -> None:
        """Wait for the runs on a loop of another thread, and cancel them if that is asked for."""
        if wait is not False and self._wait(lambda: self._pending_futures - {own}, wait):
            return
        try:
            self._call_soon(self._cancel_all, own)
        except RuntimeError:
            return  # the loop was closed meanwhile
        self._wait(lambda: self._to_cancel(own), CANCEL_SECONDS)

    def _wait(self, going_on: Callable[[], set[Any]], wait: bool | float) -> bool:
        """Wait until nothing goes on any more; False if something still does."""
        deadline = None if wait is True else monotonic() + wait
        with self._changed:
            while going_on():
                left = CHECK_SECONDS if deadline is None else deadline - monotonic()
                if left <= 0 or not self._runs_elsewhere():
                    return False
                self._changed.wait(min(left, CHECK_SECONDS))

        return True

    def _to_cancel(self, own: Any) -> set[Any]:
        """Return the futures that can be cancelled, those that subclasses keep included."""
        submissions = self._submissions
        return {
            future
            for future in self._pending_futures
            if future is not own and (future not in submissions or submissions[future].needs_loop)
        }

    def _cancel_all(self, own: Any) -> None:
        for future, submission in list(self._submissions.items()):
            submission.is_cancelled = future is not own
        for future in self._to_cancel(own):
            try:
                future.cancel()
            except RuntimeError:
                with log_may_fail:
                    self._logger.debug("%r cannot be cancelled: its loop was closed", future)
