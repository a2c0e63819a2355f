"""What the schedulers of event loops share: one timer, and nothing that blocks the loop."""

from __future__ import annotations

import atexit
from abc import abstractmethod
from collections.abc import Callable
from contextlib import suppress
from contextvars import copy_context
from functools import partial
from threading import Event, Thread, current_thread, get_ident, local
from time import monotonic
from typing import Any

from .._forks import notice_fork
from .._log import log_may_fail
from ..executors._leftovers import HoldsRuns
from ..executors._loop import CANCEL_SECONDS, CHECK_SECONDS, own_submission
from ..executors.base import BaseExecutor
from ._backlog import Backlog
from ._interrupts import is_amid_own_work
from ._stopping import EXIT_SECONDS, STORE_SECONDS
from .base import MAX_WAIT, STATE_STOPPED, BaseScheduler

# After the runs of so many jobs, the loop has its turn before more are handed over.
RUNS_AT_ONCE = 50

# So many seconds a thread takes to notice that the loop it waits for has ended, and some more.
NOTICE_SECONDS = CHECK_SECONDS + CANCEL_SECONDS

# Ctrl+C that strikes before the first line of a callback loses it to any loop; so what has not
# been called after so many seconds is given to the loop once more, if somebody asks for it.
LOST_SECONDS = 1.0

_OWN_EXECUTORS = BaseExecutor.__module__.removesuffix("base")

# In a thread that makes a pass beside the loop: the scheduler whose pass it is.
_beside_loop = local()


def _do_nothing() -> None:
    pass


def _has_to_be_told(executor: BaseExecutor) -> bool:
    """Tell whether it matters to an executor if it is to wait: it has runs, or ways of its own."""
    is_own = getattr(executor.shutdown, "__module__", "").startswith(_OWN_EXECUTORS)
    return bool(executor._instances) or not is_own


class _Pass:
    """A pass beside the loop; another one takes its place when the scheduler is started anew."""

    thread: Thread | None = None

    def __init__(self, scheduler: EventLoopScheduler) -> None:
        self.scheduler = scheduler


# Passes that write to job stores: the exit waits for them, but for those that were given up.
_unfinished: set[_Pass] = set()


@atexit.register
def _finish_passes() -> None:
    notice_fork()
    begin = monotonic()
    for each in list(_unfinished):
        if each.thread is not None:
            patience = each.scheduler._patience_at_exit()
            each.thread.join(max(begin + patience - monotonic(), 0.0))


class EventLoopScheduler(BaseScheduler, HoldsRuns):
    """
    Looks for due jobs on an event loop that somebody else runs.

    A framework says how to do three things on its loop: :meth:`_call_soon`, :meth:`_call_later`
    and :meth:`_cancel`. All is done on the thread of the loop, but for what may block: that is
    done in a thread of its own, and the loop goes on with what comes of it.
    """

    _timeout: Any = None  # what _call_later() returned; None if no timer is armed
    _loop_thread: int | None = None  # where the loop runs; None: it has not called us yet
    _pass: _Pass | None = None  # the one that is going on beside the loop
    _after_pass: Callable[[], object] | None = None  # what waits for that pass to end
    _called_soon: dict[str, float]  # methods that the loop is about to call, and since when
    _when_shut_down: Callable[[], object] | None = None  # None in a direct call of _shutdown()
    _shutdown_number = 0
    _shutdown_wait: bool | float = True  # what the last shutdown was given
    _stopping: Any = None  # the thread that waits for running jobs, beside the loop

    @abstractmethod
    def _call_soon(self, func: Callable[..., object], *args: Any) -> None:
        """
        Call a function on the loop, after what it does now; return at once.

        It is called from any thread, also from that of the loop, and must wake a loop that waits.
        What was given first is to be called first. Functions that are given before the loop runs
        are called when it does.

        :raises RuntimeError: if the loop was closed
        """

    @abstractmethod
    def _call_later(self, seconds: float, func: Callable[[], object]) -> Any:
        """
        Call a function on the loop after so many seconds.

        It is called on the thread of the loop only.

        :param seconds: of real time, 0 or more, with fractions
        :return: what :meth:`_cancel` takes; None if there is nothing to cancel
        """

    @abstractmethod
    def _cancel(self, timer: Any) -> None:
        """
        Cancel what :meth:`_call_later` returned.

        It is called on the thread of the loop, or while the loop does not run. The function may
        have been called already; then nothing is to happen.
        """

    def _is_loop_running(self) -> bool:
        """
        Tell whether the loop runs; True if that is not known, as here.

        It is called from any thread. A scheduler whose loop does not run is shut down without it,
        and waits for no run that needs the loop.
        """
        return True

    # --- looking for due jobs ------------------------------------------------------------------

    def _prepare(self) -> None:
        super()._prepare()
        self._forget_loop()

    def _enter_start(self) -> None:
        super()._enter_start()
        self._forget_loop()

    def _forget_loop(self) -> None:
        """Forget what went on, on a loop that may have ended in the middle of it."""
        self._timeout = self._loop_thread = self._pass = None
        self._after_pass = self._when_shut_down = None
        self._called_soon = {}

    def _call_once_soon(self, method: Callable[[], object]) -> None:
        """Call a method on the loop soon: once, however often this is asked for until then."""
        name, now = method.__name__, monotonic()
        if now - self._called_soon.get(name, -LOST_SECONDS) < LOST_SECONDS:
            return

        self._called_soon[name] = now
        try:
            self._call_soon(method)
        except BaseException:
            self._called_soon.pop(name, None)
            raise

    def wakeup(self) -> None:
        if self.state == STATE_STOPPED:
            return
        try:
            self._call_once_soon(self._tick)
        except RuntimeError as exc:
            if self.running:  # it may have been shut down meanwhile
                with log_may_fail:
                    self._logger.error(
                        "No job will run any more, for the event loop has ended (%s): shut the "
                        "scheduler down, and start it on a loop that runs",
                        exc,
                    )

    def _tick(self) -> None:
        """Look for due jobs: here or, if a job store may keep the loop waiting, in a thread."""
        try:
            self._called_soon.pop("_tick", None)
            self._loop_thread = get_ident()
            if self.state == STATE_STOPPED:
                return  # and the timer is the one that a shutdown needs to give up a store

            self._stop_timer()
            if self._pass is not None:
                self._after_pass = self._after_pass or self._tick
            elif self._may_block():
                self._begin_pass(self._look)
            else:
                self._start_timer(self._look())
        except BaseException:  # Ctrl+C: if the loop goes on all the same, so does the scheduler
            self._start_timer(self.jobstore_retry_interval)
            raise

    def _may_block(self) -> bool:
        return any(store.may_block() for store in list(self._jobstores.values()))

    def _begin_pass(self, look: Callable[[], float | None]) -> None:
        own = self._pass = _Pass(self)
        self._note_whether_runs_are_held(True)
        _unfinished.add(own)
        try:
            own.thread = self._start_beside(partial(self._look_beside_loop, own, look))
        except BaseException:  # Ctrl+C: nobody knows whether it has begun
            self._pass = None
            raise

    def _look_beside_loop(self, own: _Pass, look: Callable[[], float | None]) -> None:
        own.thread = current_thread()
        wait_seconds: float | None = self.jobstore_retry_interval
        backlog = self._backlog
        _beside_loop.scheduler = self
        try:
            wait_seconds = look()
        except BaseException:  # no signal ends this thread: it is a fault of some part
            with log_may_fail:
                self._logger.exception(
                    "Looking for due jobs failed -- trying again in %s seconds", wait_seconds
                )
        finally:
            _beside_loop.scheduler = None
            if self._backlog is not backlog:  # a shutdown did not wait for the end of this
                self._handover.drop(backlog)

        try:
            self._call_soon(self._end_pass, own, wait_seconds)
        except RuntimeError:
            self._drop_after_end_of_loop(own)
        finally:
            _unfinished.discard(own)

    def _drop_after_end_of_loop(self, own: _Pass) -> None:
        """Tell of the runs that a pass has moved on when the loop had ended before it."""
        if self._pass is own:
            self._pass = None
            if self.running:
                with log_may_fail:
                    self._logger.exception(
                        "The event loop ended before the scheduler was shut down"
                    )
                self._drop_runs()
            else:  # a shutdown waits for the end of this
                self._shut_down_without_loop(False, _do_nothing)

    def _drop_runs(self) -> None:
        """Tell of the runs that were moved on, and that no executor will get."""
        self._handover.drop(self._backlog)
        self._backlog = Backlog()
        self._note_whether_runs_are_held(False)

    def _patience_at_exit(self) -> float:
        """Return how many seconds the exit of the interpreter waits for a job store."""
        wait = self._shutdown_wait
        if not self._shutting_down or wait is True:
            return EXIT_SECONDS

        return min(wait + STORE_SECONDS, EXIT_SECONDS)

    def _tell_at_exit(self) -> None:
        if self._pass in _unfinished:
            self._end_without_stores()
        else:
            self._end_left_shutdown()
        self._drop_runs()

    def _end_without_stores(self) -> None:
        """Tell what there is to tell, though a job store keeps a pass from ending."""
        with log_may_fail:
            self._logger.error("A job store does not answer: the program ends all the same")
        if self._shutting_down:
            self._stop_executors(False)
            self._leave_shutdown()

    def _hand_over_ready_runs(self) -> None:
        if getattr(_beside_loop, "scheduler", None) is self:
            return  # executors and listeners expect the thread of the loop

        if self.state == STATE_STOPPED:
            super()._hand_over_ready_runs()
            return

        try:
            self._handover.hand_over(self._backlog, RUNS_AT_ONCE)
        finally:  # Ctrl+C: the loop may go on all the same
            backlog = self._backlog
            self._note_whether_runs_are_held(bool(self._pass or backlog.ready or backlog.stuck))
            if backlog.ready and not self._handover.is_held:
                self._call_once_soon(self._hand_over_more)

    def _hand_over_more(self) -> None:
        """Go on with handing over, after the loop has had a turn."""
        self._called_soon.pop("_hand_over_more", None)
        self._hand_over_ready_runs()
        if not self._backlog.ready:
            self.wakeup()  # jobs that are due again were passed over while they waited here

    def _end_pass(self, own: _Pass, wait_seconds: float | None) -> None:
        """Hand over what a pass beside the loop has moved on."""
        if self._pass is not own:
            self.wakeup()  # if the scheduler was started anew, what it moved on is still there
            return

        self._pass = None
        then, self._after_pass = self._after_pass, None
        try:
            self._hand_over_ready_runs()
        finally:
            if self._backlog.stuck:
                retry = self.jobstore_retry_interval
                wait_seconds = retry if wait_seconds is None else min(wait_seconds, retry)
            if then is not None:
                then()
            else:
                self._start_timer(wait_seconds)

    def _start_timer(self, wait_seconds: float | None) -> None:
        """Have the loop look again after so many seconds, or after a minute at the latest."""
        self._stop_timer()
        if self.state == STATE_STOPPED:
            return

        if wait_seconds == 0 and self._backlog.ready:
            wait_seconds = self.jobstore_retry_interval  # _hand_over_more() will look earlier
        seconds = MAX_WAIT if wait_seconds is None else min(wait_seconds, MAX_WAIT)
        # In 3.x it calls wakeup(), which programs override to look only when they want to.
        is_own = getattr(self.wakeup, "__func__", None) is EventLoopScheduler.wakeup
        self._timeout = self._call_later(seconds, self._tick if is_own else self.wakeup)

    def _stop_timer(self) -> None:
        timer, self._timeout = self._timeout, None
        if timer is not None:
            self._cancel(timer)

    # --- shutting down -------------------------------------------------------------------------

    def _enter_shutdown(self, wait: bool | float) -> None:
        super()._enter_shutdown(wait)
        self._shutdown_number += 1
        self._shutdown_wait = wait
        self._note_whether_runs_are_held(True)  # the loop may end before the shutdown does

    def shutdown(self, wait: bool | float = True) -> Any:
        is_amid = is_amid_own_work()
        self._enter_shutdown(wait)
        self._on_loop(self._stop_timer)
        self._stop(wait, is_amid)

    def _stop_now(self, wait: bool | float) -> None:
        super()._stop_now(wait)
        if self._shutting_down:
            self._let_exit_pass_over()

    def _begin_shutdown(self, wait: bool | float, then: Callable[[], object]) -> None:
        """
        Stop everything that was started, on the loop, which goes on meanwhile.

        :param then: called when all is stopped
        """
        self._call_for_shutdown(self._call_hook, wait, then)

    def _call_for_shutdown(
        self, go_on: Callable[..., object], wait: bool | float, then: Callable[[], object]
    ) -> None:
        """Go on with the shutdown on the loop; if that does not run, here."""
        func = partial(self._unless_ended, self._shutdown_number, go_on, wait, then)
        # The context tells executors which run asks for this, so as not to wait for it.
        run: Callable[..., object] = copy_context().run
        is_amid = is_amid_own_work()  # then what a signal has interrupted has to go on first
        if is_amid:  # it may be a run, and that has not asked for this
            run(own_submission.set, None)
        if not self._is_loop_running():
            if is_amid:
                self._start_beside(partial(run, func), daemon=False)
            else:
                func()
        elif is_amid:
            self._call_soon(run, func)
        else:
            self._on_loop(run, func)

    def _unless_ended(
        self,
        number: int,
        go_on: Callable[..., object],
        wait: bool | float,
        then: Callable[[], object],
    ) -> None:
        """Go on with a shutdown, unless a start has ended it before the loop came to this."""
        if self._shutting_down and number == self._shutdown_number:
            go_on(wait, then)
        else:
            then()

    def _call_hook(self, wait: bool | float, then: Callable[[], object]) -> None:
        self._when_shut_down = then
        self._shutdown(wait)

    def _on_loop(self, func: Callable[..., object], *args: Any) -> None:
        """Call a function on the loop: at once if this is its thread."""
        if self._loop_thread in (get_ident(), None):
            func(*args)
        else:
            self._call_soon(func, *args)

    def _shutdown(self, wait: bool | float = True) -> None:
        """
        Stop everything that was started; :meth:`shutdown` has this called on the loop.

        It is a hook of 3.x, which programs override, and also call in the place of ``shutdown()``.

        :raises SchedulerNotRunningError: if the scheduler is stopped
        """
        then, self._when_shut_down = self._when_shut_down, None
        if then is None:
            self._enter_shutdown(wait)
            self._call_for_shutdown(self._shut_down, wait, _do_nothing)
        else:
            self._shut_down(wait, then)

    def _shut_down(self, wait: bool | float, then: Callable[[], object]) -> None:
        """
        Stop everything that was started; the loop goes on meanwhile. Needs the stopped state.

        :param then: called on the loop when all is stopped
        """
        if not self._is_loop_running():
            self._shut_down_without_loop(wait, then)
            return

        self._stop_timer()
        if self._pass is not None:
            self._when_pass_ends(self._shut_down, wait, then)
        elif self._may_block():
            # What failed has to be settled, which reads and writes: the last pass.
            self._begin_pass(self._hand_over_last_runs)
            self._when_pass_ends(self._shut_down_parts, wait, then)
        else:
            self._hand_over_last_runs()
            self._shut_down_parts(wait, then)

    def _when_pass_ends(
        self, go_on: Callable[..., object], wait: bool | float, then: Callable[[], object]
    ) -> None:
        """Go on with the shutdown after the pass; if it lasts too long, without it."""
        run: Callable[..., object] = copy_context().run
        begin = monotonic()

        def time_left() -> bool | float:
            return wait if isinstance(wait, bool) else max(begin + wait - monotonic(), 0.0)

        self._after_pass = lambda: run(go_on, time_left(), then)
        if wait is not True:
            patience = wait + STORE_SECONDS
            give_up = partial(run, self._give_up_pass, False if wait is False else 0.0, then)
            self._timeout = self._call_later(patience, give_up)

    def _give_up_pass(self, wait: bool | float, then: Callable[[], object]) -> None:
        with log_may_fail:
            self._logger.error(
                "A job store does not answer: the scheduler shuts down all the same"
            )
        self._let_exit_pass_over()
        self._pass = self._after_pass = None
        self._shut_down_parts(wait, then)

    def _let_exit_pass_over(self) -> None:
        """Have the exit of the interpreter not wait for a job store that does not answer."""
        if self._pass is not None:
            _unfinished.discard(self._pass)

    def _shut_down_parts(self, wait: bool | float, then: Callable[[], object]) -> None:
        """Stop executors and job stores: beside the loop, if one of them may keep it waiting."""
        self._stop_timer()
        executors = list(self._executors.values())
        if any(map(_has_to_be_told, executors)) or self._may_block():
            run: Callable[..., object] = copy_context().run
            stop = partial(run, self._stop_beside_loop, self._shutdown_number, wait, then)
            self._stopping = self._start_beside(stop)
        else:
            self._stop_parts(wait=False)
            self._end_shutdown(self._shutdown_number, then)

    def _shut_down_without_loop(self, wait: bool | float, then: Callable[[], object]) -> None:
        """Stop when the loop does not run: no job that needs it would begin, nor end."""
        self._stop_timer()
        is_done = Event()

        def finish() -> None:
            then()
            is_done.set()

        stop = partial(self._stop_beside_loop, self._shutdown_number, wait, finish)
        if self._may_block():
            self._stopping = self._start_beside(stop)
            is_done.wait()
        else:
            stop()

    def _end_left_shutdown(self) -> None:
        """Bring a shutdown to its end whose loop has ended in the middle of it."""
        if not self._shutting_down or self._is_loop_running():
            return

        stopping = self._stopping
        if stopping is not None:
            # It notices that the loop has ended, if no job store keeps it.
            stopping.join(NOTICE_SECONDS)
            if stopping.is_alive():
                return
        if self._shutting_down:
            self._shut_down_without_loop(False, _do_nothing)

    def _stop_beside_loop(
        self, number: int, wait: bool | float, then: Callable[[], object]
    ) -> None:
        self._stop_executors(wait if self._is_loop_running() else False)
        if self._may_block():
            closing = self._start_beside(self._stop_jobstores)
            if closing is not None:
                closing.join(None if wait is True else STORE_SECONDS)
            if closing is not None and closing.is_alive():
                with log_may_fail:
                    self._logger.error(
                        "A job store does not answer: it is closed when it does, and the "
                        "scheduler cannot be started again before"
                    )
                self._let_exit_pass_over()
                self._call_soon_or_here(then)
                then = _do_nothing
                closing.join()
        else:
            self._stop_jobstores()
        self._call_soon_or_here(self._end_shutdown, number, then)

    def _call_soon_or_here(self, func: Callable[..., object], *args: Any) -> None:
        """Call a function on the loop; if that has ended, call it here."""
        if self._is_loop_running():
            with suppress(RuntimeError):  # it was closed meanwhile
                self._call_soon(func, *args)
                return

        func(*args)

    def _end_shutdown(self, number: int, then: Callable[[], object]) -> None:
        try:
            if self._shutting_down and number == self._shutdown_number:
                self._stopping = None
                self._leave_shutdown()
        finally:
            then()

    def _leave_shutdown(self) -> None:
        self._note_whether_runs_are_held(False)
        super()._leave_shutdown()

    def _after_fork(self) -> None:
        super()._after_fork()
        self._stopping = None
