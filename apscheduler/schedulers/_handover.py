"""Hand runs to their executors, and tell listeners in order: submission first, then outcome."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Iterator
from datetime import timedelta, timezone
from time import monotonic
from typing import TYPE_CHECKING, Any, TypeVar

from .._log import log_may_fail
from ..events import (
    EVENT_JOB_MAX_INSTANCES,
    EVENT_JOB_MISSED,
    EVENT_JOB_MODIFIED,
    EVENT_JOB_REMOVED,
    EVENT_JOB_SUBMITTED,
    JobExecutionEvent,
    JobSubmissionEvent,
    SchedulerEvent,
)
from ..executors.base import BaseExecutor, MaxInstancesReachedError
from ._backlog import Advance, Backlog
from ._interrupts import is_interrupt

if TYPE_CHECKING:
    from .base import BaseScheduler

# The runs of so many jobs are handed over at the most before the lock is free for a moment, for
# whoever waits for it to shut down or to hand over others.
RUNS_IN_A_HOLD = 20

_Item = TypeVar("_Item")

# What listeners are told of when a run is handed over, before they hear of its outcome.
_ANNOUNCEMENTS = (
    EVENT_JOB_SUBMITTED | EVENT_JOB_MAX_INSTANCES | EVENT_JOB_REMOVED | EVENT_JOB_MODIFIED
)


class Held:
    """Outcomes of a job's runs that listeners are not to hear of yet."""

    __slots__ = ("outcomes", "submissions")

    def __init__(self) -> None:
        # Those that have not been announced; two threads may hand over at once.
        self.submissions: set[Advance] = set()
        self.outcomes: list[SchedulerEvent] = []


class Handover:
    """The way of runs from a scheduler's backlog to its executors."""

    def __init__(self, scheduler: BaseScheduler) -> None:
        self._scheduler = scheduler
        # Held while runs are handed over: a shutdown waits for them.
        self._submission_lock = scheduler._create_lock()
        # Guards what was held back: outcomes by store and job id.
        self._outcome_lock = scheduler._create_lock()
        self._early_outcomes: dict[tuple[str | None, str], Held] = {}
        # The thread that hands a run over with the submission lock, and what it is to tell then.
        self._submitter: Any = None
        self._put_off: deque[SchedulerEvent] = deque()
        self.is_held = False  # while the scheduler is paused, what is ready waits
        # For each thread that runs jobs as it hands them over: a lock that it holds meanwhile.
        self._inline: list[Any] = []

    def hand_over(self, backlog: Backlog, limit: int = sys.maxsize) -> None:
        """Hand over the runs that are ready: those of so many jobs at the most."""
        held: list[Any] = []
        try:
            if backlog.dropped or self._put_off:
                self._tell_put_off(backlog)
            while limit > 0:
                count = self._hand_over_next(backlog, held, min(limit, RUNS_IN_A_HOLD))
                if not count:
                    break
                limit -= count
                if backlog.dropped or self._put_off:
                    self._tell_put_off(backlog)
        finally:
            for lock in held:
                self._inline.remove(lock)
                lock.release()
            if held and self._scheduler._backlog is not backlog:
                # The scheduler has stopped meanwhile, and left what Ctrl+C has left to this.
                self.drop(backlog)

    def _note_inline(self, held: list[Any]) -> None:
        """Let a shutdown know that this thread runs jobs, until it has handed over all."""
        if not held:
            lock = self._scheduler._create_lock()
            lock.acquire()
            held.append(lock)
            self._inline.append(lock)

    def is_this_thread_at_it(self) -> bool:
        """Tell whether this thread hands runs over with the lock; others wait for it to end."""
        return bool(self._submitter == self._scheduler._get_ident())

    def runs_inline(self) -> bool:
        """Tell whether any thread runs jobs as it hands them over: it hands over the rest, too."""
        return bool(self._inline)

    def runs_inline_elsewhere(self) -> bool:
        """Tell whether another thread runs jobs as it hands them over."""
        return bool(self._of_other_threads())

    def _of_other_threads(self) -> list[Any]:
        return [lock for lock in list(self._inline) if not is_free_within(0, lock)]

    def wait_for_inline(self, seconds: float | None) -> bool:
        """
        Wait until no other thread runs jobs as it hands them over.

        :param seconds: how long to wait at most; None: as long as it takes
        :return: whether there was one
        """
        others = self._of_other_threads()
        deadline = None if seconds is None else monotonic() + seconds
        for lock in others:
            is_free_within(None if deadline is None else max(deadline - monotonic(), 0.0), lock)

        return bool(others)

    def _hand_over_next(self, backlog: Backlog, held: list[Any], limit: int) -> int:
        """
        Hand over the runs of the next jobs, up to the first of which there is something to tell.

        :param limit: those of so many jobs at the most
        :return: how many have had their turn; 0 if there are no more
        """
        count = 0
        advance: Advance | None = None
        executor: BaseExecutor | None = None
        is_heard = runs_inline = False
        me = self._scheduler._get_ident()
        outer = me if self._submitter == me else None  # another thread notes itself
        try:
            with self._submission_lock:
                try:
                    self._submitter = me
                    while count < limit:
                        place = self._place_of_next(backlog)
                        if place is None:
                            break
                        count += 1
                        advance = backlog.ready[place]
                        del backlog.ready[place]
                        if advance.dropped_as is not None:
                            self._drop(advance, backlog)
                        if advance.outcome is not None:
                            advance = None
                            break
                        is_heard = self._scheduler._is_heard(_ANNOUNCEMENTS)
                        if is_heard:
                            self._hold_outcomes(advance)
                        executor = self._executor_of(advance)
                        runs_inline = executor is not None and executor.runs_inline()
                        if runs_inline:
                            self._note_inline(held)
                            break
                        self._submit(advance, backlog, executor)
                        if is_heard or advance.ends or backlog.dropped or self._put_off:
                            break
                except BaseException:  # Ctrl+C
                    # With the lock: another thread may hand over to that executor next.
                    if advance is not None:
                        self._note_whether_taken(advance, backlog)
                    runs_inline = False
                    raise
                finally:
                    self._submitter = outer

            if advance is not None and runs_inline:  # without the lock: it may wait for a shutdown
                self._submit(advance, backlog, executor)
        except BaseException:
            if self._submitter == me:  # it struck just before that was taken back
                with self._submission_lock:
                    self._submitter = outer
            if advance is not None and runs_inline:
                self._note_whether_taken(advance, backlog)
            raise
        finally:
            if advance is not None:
                try:
                    if is_heard or advance.ends:  # the log is to tell, too
                        self._announce(advance)
                finally:
                    if is_heard:
                        self._release_outcomes(advance)

        return count

    def _drop(self, advance: Advance, backlog: Backlog) -> None:
        if advance.dropped_as == EVENT_JOB_MISSED:
            backlog.have_told(advance)
        advance.outcome = advance.outcome or advance.dropped_as

    def _place_of_next(self, backlog: Backlog) -> int | None:
        if self.is_held or not backlog.ready:
            return None
        if not (self._scheduler._shutting_down and self.runs_inline_elsewhere()):
            return 0

        # What runs in the very thread that hands it over is left to the one that is at it already.
        places = enumerate(list(backlog.ready))
        return next((at for at, advance in places if not self._runs_inline(advance)), None)

    def _tell_put_off(self, backlog: Backlog) -> None:
        """Tell what became of runs while this thread had the submission lock."""
        self._tell_dropped(backlog)
        if not self.is_this_thread_at_it():
            for outcome in _taken_from(self._put_off):
                self._scheduler._dispatch_event(outcome)

    def _hold_outcomes(self, advance: Advance) -> None:
        key = (advance.job._jobstore_alias, advance.job.id)
        with self._outcome_lock:
            self._early_outcomes.setdefault(key, Held()).submissions.add(advance)

    def _release_outcomes(self, advance: Advance) -> None:
        key = (advance.job._jobstore_alias, advance.job.id)
        with self._outcome_lock:
            held = self._early_outcomes.get(key)
            if held is None:  # Ctrl+C came before anything was held
                return
            held.submissions.discard(advance)
            if held.submissions:
                return
            del self._early_outcomes[key]

        for outcome in held.outcomes:
            self._scheduler._dispatch_event(outcome)

    def holds_back(self, event: Any) -> bool:
        """
        Keep the outcome of a run if listeners have not heard of its submission yet.

        So too if this thread holds the lock: listeners may wait for others that need it.
        """
        if self._early_outcomes:
            with self._outcome_lock:
                held = self._early_outcomes.get((event.jobstore, event.job_id))
                if held is not None:
                    held.outcomes.append(event)
                    return True

        if not self.is_this_thread_at_it():
            return False

        self._put_off.append(event)
        return True

    def put_in_order(self, backlog: Backlog) -> None:
        """Have runs that were moved on in several stores handed over in the order of one."""
        # Not while another thread hands runs over: it may be waiting for this one.
        if len({advance.alias for advance in list(backlog.ready)}) < 2:
            return
        if self._submission_lock.acquire(False):
            try:
                backlog.put_in_order()
            finally:
                self._submission_lock.release()

    def drop(self, backlog: Backlog) -> None:
        """Let listeners know of the runs that no executor has taken, as the scheduler stops."""
        self._tell_dropped(backlog)
        for advance in backlog.take_all():
            if advance.dropped_as is not None:
                self._drop(advance, backlog)
                continue
            for run_time in advance.run_times:
                with log_may_fail:
                    self._scheduler._logger.error(
                        'The run of job "%s" that was due at %s was never handed to its executor',
                        advance.job,
                        run_time,
                    )
            self._tell_missed(advance)
        self._tell_dropped(backlog)

    def _tell_dropped(self, backlog: Backlog) -> None:
        """Let listeners know of the runs that are not started; the log has been told."""
        for advance in _taken_from(backlog.dropped):
            advance.outcome = EVENT_JOB_MISSED  # Ctrl+C may have left it where it waits
            self._tell_missed(advance)

    def _tell_missed(self, advance: Advance) -> None:
        for run_time in advance.run_times:
            self._scheduler._dispatch_event(
                JobExecutionEvent(EVENT_JOB_MISSED, advance.job.id, advance.alias, run_time)
            )

    def _executor_of(self, advance: Advance) -> BaseExecutor | None:
        return self._scheduler._executors.get(advance.job.executor)

    def _runs_inline(self, advance: Advance) -> bool:
        executor = self._executor_of(advance)
        return executor is not None and executor.runs_inline()

    def _note_whether_taken(self, advance: Advance, backlog: Backlog) -> None:
        """Find out whether an executor has the runs; if not, keep them for whoever goes on."""
        if self._is_taken(advance):
            advance.outcome = advance.outcome or EVENT_JOB_SUBMITTED
        if advance.outcome is None:
            backlog.put_back(advance)

    def _is_taken(self, advance: Advance) -> bool:
        """Whether the executor has the runs, though submitting them raised something."""
        executor = self._executor_of(advance)
        return executor is not None and executor._taken is advance.run_times

    def _submit(self, advance: Advance, backlog: Backlog, executor: BaseExecutor | None) -> None:
        """Hand the runs of one job over; note what became of that, if it did not fail."""
        scheduler, job = self._scheduler, advance.job
        try:
            if executor is None:
                executor = scheduler._lookup_executor(job.executor)  # which says what is wrong
            executor.submit_job(job, advance.run_times)
        except MaxInstancesReachedError:
            advance.outcome = EVENT_JOB_MAX_INSTANCES
            with log_may_fail:
                scheduler._logger.warning(
                    'Execution of job "%s" skipped: maximum number of running instances '
                    "reached (%d)",
                    job,
                    job.max_instances,
                )
        except BaseException as exc:
            if is_interrupt(exc):
                raise
            if self._is_taken(advance):
                advance.outcome = EVENT_JOB_SUBMITTED
                with log_may_fail:
                    scheduler._logger.exception(
                        'Executor "%s" failed when it had taken job "%s" already',
                        job.executor,
                        job,
                    )
                return
            advance.retry_at = scheduler._now().astimezone(timezone.utc) + timedelta(
                seconds=scheduler.jobstore_retry_interval
            )
            backlog.stuck[advance.key] = advance
            with log_may_fail:
                scheduler._logger.exception(
                    'Error submitting job "%s" to executor "%s" -- trying again at %s',
                    job,
                    job.executor,
                    advance.retry_at,
                )
        else:
            advance.outcome = EVENT_JOB_SUBMITTED

    def _announce(self, advance: Advance) -> None:
        code = advance.outcome
        if code is None:
            return  # the runs are kept, and will be handed over once more

        scheduler, job_id, alias = self._scheduler, advance.job.id, advance.alias
        if scheduler._is_heard(code):
            event = JobSubmissionEvent(code, job_id, alias, advance.run_times)
            scheduler._dispatch_event(event)
        if advance.ends:
            with log_may_fail:
                scheduler._logger.info("Removed job %s", job_id)
            scheduler._tell(EVENT_JOB_REMOVED, job_id, alias)
        elif advance.error is not None:
            scheduler._tell(EVENT_JOB_MODIFIED, job_id, alias)


def _taken_from(queue: deque[_Item]) -> Iterator[_Item]:
    """Take out one after the other, as another thread may do at the same time."""
    while queue:
        try:
            item = queue.popleft()
        except IndexError:
            return
        yield item


def is_free_within(seconds: float | None, lock: Any) -> bool:
    """Wait until a lock is free, or held by this thread; False if it is not in that time."""
    if seconds is None:
        is_free = lock.acquire()
    else:
        is_free = lock.acquire(True, seconds) if seconds else lock.acquire(False)
    if is_free:
        lock.release()

    return bool(is_free)
