"""What the schedulers of event loops share: one timer, and nothing that blocks the loop."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from contextvars import copy_context
from threading import Thread, get_ident
from typing import Any

from . import SchedulerNotRunningError
from ._dispatch import Backlog
from .base import MAX_WAIT, STATE_STOPPED, BaseScheduler, check_wait

# After the runs of so many jobs, the loop has its turn before more are handed over.
RUNS_AT_ONCE = 50


class EventLoopScheduler(BaseScheduler):
    """
    Looks for due jobs on an event loop that somebody else runs.

    A framework says how to do three things on its loop: :meth:`_call_soon`, :meth:`_call_later`
    and :meth:`_cancel`. All is done on the thread of the loop, but for what may block: that is
    done in a thread of its own, and the loop goes on with what comes of it.
    """

    _timeout: Any = None  # what _call_later() returned; None if no timer is armed
    _loop_thread: int | None = None  # where the loop runs; None: it has not called us yet
    _pass_thread: int | None = None  # where a pass is going on beside the loop
    _pass_is_on = False
    _after_pass: Callable[[], None] | None = None  # what waits for that pass to end

    @abstractmethod
    def _call_soon(self, func: Callable[..., object], *args: Any) -> None:
        """
        Call a function on the loop. May be called from any thread.

        :raises RuntimeError: if the loop was closed
        """

    @abstractmethod
    def _call_later(self, seconds: float, func: Callable[[], object]) -> Any:
        """Call a function on the loop after so many seconds; return what cancels it."""

    @abstractmethod
    def _cancel(self, timer: Any) -> None:
        """Cancel what :meth:`_call_later` returned. It may have been called already."""

    # --- looking for due jobs ------------------------------------------------------------------

    def wakeup(self) -> None:
        self._call_soon(self._tick)

    def _tick(self) -> None:
        """Look for due jobs: here or, if a job store may keep the loop waiting, in a thread."""
        self._loop_thread = get_ident()
        self._stop_timer()
        if self.state == STATE_STOPPED:
            return

        if self._pass_is_on:
            self._after_pass = self._after_pass or self._tick
        elif any(store.may_block() for store in list(self._jobstores.values())):
            self._pass_is_on = True
            # No daemon: the exit of the interpreter waits for what is being written.
            _start_thread(self._look_beside_loop, daemon=False)
        else:
            self._start_timer(self._look())

    def _look_beside_loop(self) -> None:
        self._pass_thread = get_ident()
        wait_seconds = self._look()
        self._pass_thread = None
        try:
            self._call_soon(self._end_pass, wait_seconds)
        except RuntimeError:
            self._pass_is_on = False
            if self.running:
                self._logger.exception("The event loop ended before the scheduler was shut down")
                self._handover.drop(self._backlog)
                self._backlog = Backlog()

    def _hand_over_ready_runs(self) -> None:
        if get_ident() == self._pass_thread:
            return  # executors and listeners expect the thread of the loop

        if self.state == STATE_STOPPED:
            super()._hand_over_ready_runs()
            return

        self._handover.hand_over(self._backlog, RUNS_AT_ONCE)
        if self._backlog.ready:
            self._call_soon(self._hand_over_more)

    def _hand_over_more(self) -> None:
        """Go on with handing over, after the loop has had a turn."""
        self._hand_over_ready_runs()
        if not self._backlog.ready:
            self._tick()  # jobs that are due again were passed over while they waited here

    def _end_pass(self, wait_seconds: float | None) -> None:
        """Hand over what a pass beside the loop has moved on."""
        self._pass_is_on = False
        then, self._after_pass = self._after_pass, None
        try:
            self._hand_over_ready_runs()
        finally:
            if self._backlog.stuck:
                retry = self.jobstore_retry_interval
                wait_seconds = retry if wait_seconds is None else min(wait_seconds, retry)
            if then is not None:
                then()
            elif self.state != STATE_STOPPED:
                self._start_timer(wait_seconds)

    def _start_timer(self, wait_seconds: float | None) -> None:
        """Have the loop look again after so many seconds, or after a minute at the latest."""
        self._stop_timer()
        seconds = MAX_WAIT if wait_seconds is None else min(wait_seconds, MAX_WAIT)
        self._timeout = self._call_later(seconds, self._tick)

    def _stop_timer(self) -> None:
        timer, self._timeout = self._timeout, None
        if timer is not None:
            self._cancel(timer)

    # --- shutting down -------------------------------------------------------------------------

    def _enter_shutdown(self, wait: bool | float) -> None:
        check_wait(wait)
        # Not the job store lock: a pass in a thread may hold it for long, and the loop would wait.
        with self._executors_lock:
            if self.state == STATE_STOPPED:
                raise SchedulerNotRunningError
            self.state = STATE_STOPPED
            self._shutting_down = True

    def shutdown(self, wait: bool | float = True) -> Any:
        self._enter_shutdown(wait)
        self._on_loop(self._stop_timer)
        self._stop(wait)

    def _on_loop(self, func: Callable[..., object], *args: Any) -> None:
        """Call a function on the loop: at once if this is its thread."""
        if self._loop_thread in (get_ident(), None):
            func(*args)
        else:
            self._call_soon(func, *args)

    def _shutdown(
        self, wait: bool | float = True, then: Callable[[], object] = lambda: None
    ) -> None:
        """
        Stop everything that was started; the loop goes on meanwhile. Needs the stopped state.

        :param then: called on the loop when all is stopped
        """
        self._stop_timer()
        if self._pass_is_on:
            run = copy_context().run
            self._after_pass = lambda: run(self._shutdown, wait, then)
            return

        self._hand_over_last_runs()
        if any(executor._instances for executor in list(self._executors.values())):
            # The context tells executors which run asks for this, so as not to wait for it.
            run = copy_context().run
            _start_thread(lambda: run(self._stop_beside_loop, wait, then), daemon=True)
        else:
            self._stop_parts(wait=False)
            self._end_shutdown(then)

    def _shut_down_without_loop(self, then: Callable[[], object]) -> None:
        """Stop when the loop does not run: no job that needs it would begin, nor end."""
        self._stop_timer()
        self._stop_parts(wait=False)
        self._end_shutdown(then)

    def _stop_beside_loop(self, wait: bool | float, then: Callable[[], object]) -> None:
        self._stop_parts(wait)
        try:
            self._call_soon(self._end_shutdown, then)
        except RuntimeError:  # the loop was closed: nobody waits any more
            self._leave_shutdown()

    def _end_shutdown(self, then: Callable[[], object]) -> None:
        try:
            self._leave_shutdown()
        finally:
            then()

    def _after_fork(self) -> None:
        super()._after_fork()
        self._timeout = self._loop_thread = self._after_pass = None
        self._pass_is_on = False


def _start_thread(func: Callable[[], object], daemon: bool) -> None:
    try:
        Thread(target=func, name="APScheduler", daemon=daemon).start()
    except RuntimeError:  # no thread can be had: better a loop that waits than nothing done
        func()
