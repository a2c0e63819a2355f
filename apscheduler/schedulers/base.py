"""The scheduler: its public methods, its state and its locks."""

from __future__ import annotations

import logging
import sys
from abc import ABCMeta, abstractmethod
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import datetime, timedelta, tzinfo
from threading import RLock, get_ident
from time import monotonic
from typing import IO, TYPE_CHECKING, Any, ClassVar, TypeVar

from tzlocal import get_localzone

from .._context import importing_in_worker, starting_worker
from .._forks import notice_fork
from .._log import is_logged, log_may_fail
from .._refs import takes_keyword, undefined
from .._settings import suggest
from .._time import astimezone, earliest, is_later
from ..events import (
    EVENT_ALL,
    EVENT_ALL_JOBS_REMOVED,
    EVENT_EXECUTOR_ADDED,
    EVENT_EXECUTOR_REMOVED,
    EVENT_JOB_ADDED,
    EVENT_JOB_MODIFIED,
    EVENT_JOB_REMOVED,
    EVENT_JOBSTORE_ADDED,
    EVENT_JOBSTORE_REMOVED,
    EVENT_SCHEDULER_PAUSED,
    EVENT_SCHEDULER_RESUMED,
    EVENT_SCHEDULER_SHUTDOWN,
    EVENT_SCHEDULER_START,
    JobEvent,
    SchedulerEvent,
)
from ..executors.base import BaseExecutor
from ..executors.pool import ThreadPoolExecutor
from ..job import Job
from ..jobstores.base import (
    BaseJobStore,
    JobLookupError,
    RepeatedIdError,
    UnrestorableJobError,
)
from ..jobstores.memory import MemoryJobStore
from ..triggers.base import BaseTrigger
from . import SchedulerAlreadyRunningError, SchedulerNotRunningError
from ._adding import Adding, Entries, Entry, check_ever_runs, first_run_time
from ._backlog import Backlog
from ._clock import ClockWatch
from ._config import (
    DEFAULT_RETRY_INTERVAL,
    nest,
    read_job_defaults,
    read_logger,
    read_retry_interval,
    warn_of_unknown,
    warn_of_unprefixed,
)
from ._dispatch import DispatchPass
from ._forks import follow_forks
from ._handover import Handover, is_free_within
from ._interrupts import is_amid_own_work, is_interrupt
from ._plugins import (
    SPOKEN,
    build,
    build_all,
    check_arguments_of_no_trigger,
    load_class,
)
from ._specs import ADDING_ARGUMENTS, JOB_ARGUMENTS, read_specs
from ._stopping import EXIT_SECONDS, BoundedStop, start_beside

Component = TypeVar("Component", BaseExecutor, BaseJobStore)

if TYPE_CHECKING:
    Func = TypeVar("Func", bound=Callable[..., Any])
    Listener = Callable[[Any], object]

#: The scheduler does nothing.
STATE_STOPPED = 0
#: The scheduler starts jobs.
STATE_RUNNING = 1
#: The scheduler keeps and changes jobs, but starts none.
STATE_PAUSED = 2

# A loop looks again after so many seconds at the latest, so that a changed clock is noticed.
MAX_WAIT = 60.0


class BaseScheduler(metaclass=ABCMeta):
    """
    Keeps jobs in job stores and, when they are due, has executors run them.

    Configuration is given as keywords, as a dict, or as a dict of dotted names, see
    :meth:`configure`:

    * ``logger``: a logger, or its name (default: ``apscheduler.scheduler``)
    * ``timezone``: default time zone of triggers (default: the computer's)
    * ``jobstore_retry_interval``: seconds after which what failed is tried again (default: 10)
    * ``job_defaults``: settings of jobs that have no own: ``misfire_grace_time`` (default: None,
      run however late), ``coalesce`` (default: True), ``max_instances`` (default: 1)
    * ``jobstores``: job stores by alias, each an instance or a dict with ``type`` or ``class``
      and the constructor's arguments
    * ``executors``: executors by alias, likewise

    All public methods may be called from any thread, and from jobs and listeners.

    :param gconfig: options, read as :meth:`configure` does
    :param options: options, before those of ``gconfig``
    """

    # What this class and its subclasses read from the configuration; others are reported.
    _known_options: ClassVar[tuple[str, ...]] = (
        "executors",
        "job_defaults",
        "jobstore_retry_interval",
        "jobstores",
        "logger",
        "timezone",
    )

    # Plugin classes by name, found so far.
    _trigger_classes: ClassVar[dict[str, Any]] = {}
    _executor_classes: ClassVar[dict[str, Any]] = {}
    _jobstore_classes: ClassVar[dict[str, Any]] = {}

    #: one of STATE_STOPPED, STATE_RUNNING and STATE_PAUSED
    state: int = STATE_STOPPED
    #: default time zone of triggers
    timezone: tzinfo

    def __init__(self, gconfig: Mapping[str, Any] = {}, **options: Any) -> None:
        super().__init__()
        self._executors: dict[str, BaseExecutor] = {}
        self._jobstores: dict[str, BaseJobStore] = {}
        self._listeners: list[tuple[Listener, int]] = []
        # Jobs added before the start: (job, alias of its store, replace_existing)
        self._pending_jobs: list[Entry] = []
        # While they are, jobs are looked for in them: also when the scheduler is about to start,
        # and while it waits for running jobs to end.
        self._stores_are_open = False
        # While they are, those that are added are started: also when the scheduler is about to.
        self._executors_are_open = False
        self._is_starting = False

        self._prepare()
        self.configure(gconfig, **options)
        follow_forks(self)

    def _prepare(self) -> None:
        """Make locks, and forget all that is going on."""
        self._shutting_down = False
        # Guards the state. It is never held for long, as the job store lock is by a slow store.
        self._state_lock = self._create_lock()
        self._executors_lock = self._create_lock()
        self._jobstores_lock = self._create_lock()
        self._listeners_lock = self._create_lock()
        self._backlog = Backlog()
        self._handover = Handover(self)
        self._clock_watch = ClockWatch()
        # When the loop will look by itself; None: not known. Guarded by the job store lock.
        self._next_look: datetime | None = None

    def __getstate__(self) -> Any:
        raise TypeError(
            "Schedulers cannot be serialized. Do not pass a scheduler to a job as an argument, "
            "nor schedule a method of an object that has one as an attribute; inside a job, "
            "apscheduler.current_scheduler.get() returns its scheduler."
        )

    # --- configuration -------------------------------------------------------------------------

    def configure(
        self,
        gconfig: Mapping[str, Any] = {},
        prefix: str | None = "apscheduler.",
        **options: Any,
    ) -> None:
        """
        Configure the scheduler anew; what was configured before is forgotten.

        :param gconfig: options by dotted names, such as
            ``{"apscheduler.jobstores.default.type": "memory"}``; values may be strings
        :param prefix: only options of ``gconfig`` that begin with it are read; empty or None to
            read all
        :param options: options by name; they come before those of ``gconfig``
        :raises SchedulerAlreadyRunningError: unless the scheduler is stopped, and done with it
        :raises ValueError: if an option cannot be read
        :raises TypeError: if an option is of a wrong type
        :raises LookupError: if there is no plugin by a name that was given
        """
        self._end_left_shutdown()
        self._check_is_stopped()
        self._configure({**nest(gconfig, prefix), **nest(options, None)})
        warn_of_unprefixed(gconfig, prefix, self._known_options, self._logger)

    def _configure(self, config: dict[str, Any]) -> None:
        """Take over the options; subclasses take out theirs first."""
        # All is read and built before any is taken over: an error leaves the scheduler as it was.
        default_logger = logging.getLogger("apscheduler.scheduler")
        logger = read_logger(config.pop("logger", None), default_logger)
        timezone = astimezone(config.pop("timezone", None)) or astimezone(get_localzone())
        retry_interval = read_retry_interval(
            config.pop("jobstore_retry_interval", DEFAULT_RETRY_INTERVAL)
        )
        job_defaults = read_job_defaults(config.pop("job_defaults", {}), logger)
        executors = self._build_all("executor", config)
        jobstores = self._build_all("jobstore", config)
        warn_of_unknown("scheduler option", config, self._known_options, logger)

        self._logger = logger
        self.timezone = timezone
        self.jobstore_retry_interval = retry_interval
        self._job_defaults = job_defaults
        self._executors.clear()
        for alias, executor in executors.items():
            self.add_executor(executor, alias)

        self._jobstores.clear()
        for alias, jobstore in jobstores.items():
            self.add_jobstore(jobstore, alias)

    def _build_all(self, type_: str, config: dict[str, Any]) -> dict[str, Any]:
        kind, base = _PLUGINS[type_]
        return build_all(kind, config.pop(kind, {}), base, getattr(self, f"_{type_}_classes"))

    # --- start and stop ------------------------------------------------------------------------

    def start(self, paused: bool = False) -> None:
        """
        Start executors and job stores, take the pending jobs to their stores, and run due jobs.

        If something cannot be started, what was started before is shut down again.

        :param paused: whether to start no jobs until :meth:`resume` is called
        :raises SchedulerAlreadyRunningError: unless the scheduler is stopped, and done with it
        :raises RuntimeError: under uWSGI without threads, or while a worker of a process pool
            imports the module that calls this
        """
        notice_fork()
        self._check_uwsgi()
        _check_is_no_import_of_worker()
        self._enter_start()
        try:
            self._start_executors()
            self._start_jobstores()
            self._schedule_pending_jobs(STATE_PAUSED if paused else STATE_RUNNING)
        except BaseException:
            self._stop_parts(wait=False)
            raise
        finally:
            self._is_starting = False

        with log_may_fail:
            self._logger.info("Scheduler started")
        try:
            self._dispatch_event(SchedulerEvent(EVENT_SCHEDULER_START))
        finally:  # Ctrl+C that strikes a listener leaves it running, as one that strikes later
            if not paused:
                self.wakeup()

    def _enter_start(self) -> None:
        """Make sure that nobody else starts or stops the scheduler now."""
        self._end_left_shutdown()
        with self._state_lock:
            self._check_is_stopped()
            self._is_starting = True

    def _check_is_stopped(self) -> None:
        """Make sure that the scheduler neither runs, nor is about to, nor still shuts down."""
        if self.state != STATE_STOPPED or self._is_starting:
            raise SchedulerAlreadyRunningError
        if self._shutting_down:
            raise SchedulerAlreadyRunningError(
                "Scheduler is still shutting down; start or configure it when that is done"
            )

    def _end_left_shutdown(self) -> None:  # noqa: B027
        """Bring a shutdown to its end that nobody else does; there is none but on event loops."""

    def _start_executors(self) -> None:
        if "default" not in self._executors:
            self.add_executor(self._create_default_executor(), "default")

        with self._executors_lock:
            executors = list(self._executors.items())
            self._executors_are_open = True
            for alias, executor in executors:
                executor.start(self, alias)

    def _start_jobstores(self) -> None:
        if "default" not in self._jobstores:
            self.add_jobstore(self._create_default_jobstore(), "default")

        with self._jobstores_lock:
            stores = list(self._jobstores.items())
            self._stores_are_open = True
            for alias, store in stores:
                store.start(self, alias)

    def _schedule_pending_jobs(self, state: int) -> None:
        """Take pending jobs to their stores; when none is left, enter the state."""
        taken: list[Entry] = []
        while True:
            with self._jobstores_lock:
                if not self._pending_jobs:
                    self._next_look = None
                    self.state = state
                    return
                entries = list(self._pending_jobs)
                self._pending_jobs.clear()

            try:
                self._check_stores(entries)
                if self._adds_one_by_one(entries):
                    self._add_one_by_one(entries)
                else:
                    self._add_entries(entries)
            except BaseException:
                self._pending_jobs[:0] = [*self._as_stored(taken), *entries]  # for the next start
                raise
            taken += entries

    def _as_stored(self, entries: list[Entry]) -> Iterator[Entry]:
        """Take jobs back from stores, some of which forget them: as listeners left them there."""
        for job, alias, _ in entries:
            found: Job | None = job
            with suppress(Exception), self._jobstores_lock:  # it may be down
                found = self._lookup_jobstore(alias).lookup_job(job.id)
            if found is not None:
                found._jobstore_alias = None
                yield found, alias, True

    def _check_stores(self, entries: list[Entry]) -> None:
        for job, alias, _ in entries:
            try:
                self._lookup_jobstore(alias)
            except KeyError as exc:
                raise KeyError(
                    f'Cannot add job "{job.name}" (id {job.id}): {exc.args[0]}'
                ) from exc

    def _adds_one_by_one(self, entries: list[Entry]) -> bool:
        """Whether programs follow each addition, or some jobs are to replace others of them."""
        method = getattr(self._real_add_job, "__func__", None)
        ids = {(alias, job.id) for job, alias, _ in entries}
        return method is not BaseScheduler._real_add_job or len(ids) < len(entries)

    def _add_one_by_one(self, entries: list[Entry]) -> None:
        for position, (job, alias, _) in enumerate(list(entries)):
            self._real_add_job(*entries[position])
            # If a later one fails: some stores still hold this one then, and some forgot it.
            entries[position] = (job, alias, True)

    def shutdown(self, wait: bool | float = True) -> None:
        """
        Stop the scheduler, its executors and its job stores. It may be started again.

        A signal handler that interrupts the scheduler itself cannot wait for it: then this returns
        at once, and the rest is done in a thread, for which the exit of the interpreter waits.

        :param wait: True to wait until the running jobs have ended (but for one that calls this).
            False not to wait here: those in threads and processes go on, and the exit of the
            interpreter waits for them. A number of seconds to wait, 0 or more: then threads are
            left behind, and processes terminated. Job stores, triggers and executors that do not
            answer are waited for only if it is True
        :raises SchedulerNotRunningError: if the scheduler is stopped
        """
        is_amid = is_amid_own_work()  # first: Ctrl+C may strike while this is being found out
        self._enter_shutdown(wait)
        self._stop(wait, is_amid)

    def _enter_shutdown(self, wait: bool | float) -> None:
        """Enter the stopped state: no pass will begin any more."""
        check_wait(wait)
        notice_fork()
        with self._state_lock:
            if self.state == STATE_STOPPED:
                raise SchedulerNotRunningError
            self._shutting_down = True
            self.state = STATE_STOPPED
            self._handover.is_held = False

    def _stop(self, wait: bool | float, is_amid: bool) -> None:
        """
        Stop everything that was started.

        :param is_amid: whether a signal handler that interrupted the scheduler calls this
        """
        if is_amid:  # to wait for others would be to wait for ever
            self._start_beside(lambda: self._stop_now(wait), daemon=False)
        else:
            self._stop_now(wait)

    def _stop_now(self, wait: bool | float) -> None:
        if wait is not True:
            BoundedStop(self, wait).run()
            return

        try:
            try:
                self._hand_over_last_runs()
            except BaseException:  # Ctrl+C: running jobs are not waited for
                wait = False
                raise
            finally:
                self._stop_parts(wait)
        finally:
            self._leave_shutdown()

    def _start_beside(self, func: Callable[[], object], daemon: bool = True) -> Any:
        """
        Call a function in a thread, or what the framework has in its place; return that.

        :param daemon: whether the interpreter may exit meanwhile
        """
        return start_beside(func, daemon)

    def _hand_over_last_runs(self) -> None:
        self._settle_writes()
        self._hand_over_ready_runs()

    def _settle_writes(self) -> None:
        with self._jobstores_lock:
            self._dispatch_pass(self._now(), self._jobstores).settle()

    def _leave_shutdown(self) -> None:
        backlog, self._backlog = self._backlog, Backlog()
        try:
            if not self._handover.runs_inline():  # else that thread makes the rest
                self._handover.drop(backlog)
        finally:
            self._shutting_down = False
            with log_may_fail:
                self._logger.info("Scheduler has been shut down")
            self._dispatch_event(SchedulerEvent(EVENT_SCHEDULER_SHUTDOWN))

    def _before_exit(self) -> None:
        """Move no more jobs on: the interpreter exits, and executors are about to refuse them."""
        with self._state_lock:
            if self.state != STATE_RUNNING:
                return
            self.state = STATE_PAUSED

        is_free_within(EXIT_SECONDS, self._jobstores_lock)  # the last pass is over, or hangs

    def _after_fork(self) -> None:
        """
        Stop, in a forked child: the thread that ran this scheduler is in the parent process.

        Locks may have been held by other threads, which are not there to release them.
        """
        was_running, self.state = self.running, STATE_STOPPED
        self._stores_are_open = self._executors_are_open = self._is_starting = False
        self._prepare()
        parts: list[BaseExecutor | BaseJobStore] = [
            *self._executors.values(),
            *self._jobstores.values(),
        ]
        for part in parts:
            try:
                part.after_fork()
            except Exception:
                with log_may_fail:
                    self._logger.exception("%r failed to get over a fork", part)

        if was_running and starting_worker.get() is None:
            with log_may_fail:
                self._logger.warning(
                    "This process was forked from one with a running scheduler, which goes on in "
                    "that process only; here it is stopped. To run jobs in this process, too, "
                    "call start()"
                )

    def _stop_parts(self, wait: bool | float) -> None:
        # The locks are not held: jobs that are waited for may need them.
        try:
            self._stop_executors(wait)
        finally:
            self._stop_jobstores()

    def _stop_executors(self, wait: bool | float) -> None:
        deadline = None if isinstance(wait, bool) else monotonic() + wait
        interrupt: BaseException | None = None
        with self._executors_lock:
            self._executors_are_open = False

        try:
            self._wait_for_inline_runs(wait)
        except BaseException as exc:
            if not is_interrupt(exc):
                raise
            interrupt, wait, deadline = exc, False, None
        for alias, executor in list(self._executors.items()):
            try:
                executor.shutdown(wait if deadline is None else max(deadline - monotonic(), 0.0))
            except BaseException as exc:
                if is_interrupt(exc):  # the others are not waited for, but stopped
                    interrupt, wait, deadline = exc, False, None
                else:
                    with log_may_fail:
                        self._logger.exception('Executor "%s" failed to shut down', alias)

        if interrupt is not None:
            raise interrupt

    def _wait_for_inline_runs(self, wait: bool | float) -> None:
        """Wait for jobs that run in the threads that hand them over, but for one that asks."""
        if wait is False:
            return
        deadline = None if wait is True else monotonic() + wait
        if not self._handover.wait_for_inline(None if wait is True else wait):
            return

        # What came after they had looked
        if deadline is None:
            self._hand_over_ready_runs()
        else:
            beside = self._start_beside(self._hand_over_what_is_left)
            if beside is not None:
                beside.join(max(deadline - monotonic(), 0.0))

    def _hand_over_what_is_left(self) -> None:
        backlog = self._backlog
        self._hand_over_ready_runs()
        # The shutdown may not have waited for this. Who runs jobs inline makes or drops the rest.
        if self._backlog is not backlog and not self._handover.runs_inline():
            self._handover.drop(backlog)

    def _stop_jobstores(self) -> None:
        with self._jobstores_lock:
            self._stores_are_open = False

        for alias, store in list(self._jobstores.items()):
            try:
                with self._jobstores_lock:
                    store.shutdown()
            except BaseException as exc:
                if is_interrupt(exc):
                    raise
                with log_may_fail:
                    self._logger.exception('Job store "%s" failed to shut down', alias)

    def pause(self) -> None:
        """
        Start no more jobs until :meth:`resume` is called. Running ones go on.

        :raises SchedulerNotRunningError: if the scheduler is stopped
        """
        if self._change_state(STATE_RUNNING, STATE_PAUSED):
            with log_may_fail:
                self._logger.info("Paused scheduler job processing")
            self._dispatch_event(SchedulerEvent(EVENT_SCHEDULER_PAUSED))

    def resume(self) -> None:
        """
        Start jobs again, first those that came due meanwhile.

        :raises SchedulerNotRunningError: if the scheduler is stopped
        """
        if self._change_state(STATE_PAUSED, STATE_RUNNING):
            with log_may_fail:
                self._logger.info("Resumed scheduler job processing")
            self._dispatch_event(SchedulerEvent(EVENT_SCHEDULER_RESUMED))
            self.wakeup()

    def _change_state(self, old: int, new: int) -> bool:
        """Change the state if it is the old one; tell whether it was."""
        notice_fork()
        # The job store lock: when a pause begins, no pass is going on.
        with self._jobstores_lock, self._state_lock:
            if self.state == STATE_STOPPED:
                raise SchedulerNotRunningError

            is_old = self.state == old
            if is_old:
                self.state = new
                self._handover.is_held = new == STATE_PAUSED
            return is_old

    @property
    def running(self) -> bool:
        """Whether the scheduler has been started; True while it is paused, too."""
        notice_fork()
        return self.state != STATE_STOPPED

    @abstractmethod
    def wakeup(self) -> None:
        """Have the loop look for due jobs at once, rather than when the next one is due."""

    def _check_uwsgi(self) -> None:
        """
        Refuse to start where no thread would ever run.

        :raises RuntimeError: under uWSGI without threads
        """
        uwsgi = sys.modules.get("uwsgi")
        if uwsgi is not None and not getattr(uwsgi, "has_threads", True):
            raise RuntimeError(
                "uWSGI runs this program with threads disabled, so that no job would ever run. "
                "Run uWSGI with the --enable-threads option."
            )

    # --- executors and job stores --------------------------------------------------------------

    def add_executor(
        self, executor: BaseExecutor | str, alias: str = "default", **executor_opts: Any
    ) -> None:
        """
        Add an executor; if the scheduler runs, it is started.

        :param executor: an instance, or the name of a plugin ("threadpool")
        :param alias: the name by which jobs choose it
        :param executor_opts: arguments of the plugin
        :raises ValueError: if there is an executor by this alias
        :raises TypeError: if ``executor`` is neither instance nor name, or an option is unknown
        :raises LookupError: if there is no such plugin
        """
        with self._executors_lock:
            self._take_in(self._executors, "executor", executor, alias, executor_opts)

        self._dispatch_event(SchedulerEvent(EVENT_EXECUTOR_ADDED, alias))
        if self.state == STATE_RUNNING:
            with self._jobstores_lock:
                self._backlog.release_stuck()
            self.wakeup()  # jobs may have been waiting for this executor

    def remove_executor(self, alias: str, shutdown: bool = True) -> None:
        """
        Remove an executor. Its jobs stay, and run when there is one by its alias again.

        :param shutdown: whether to shut it down, which waits for its running jobs
        :raises KeyError: if there is no executor by this alias
        :raises: what its shutdown raises; it is removed all the same
        """
        with self._executors_lock:
            executor = self._lookup_executor(alias)
            del self._executors[alias]

        try:
            if shutdown:
                executor.shutdown()
        finally:  # it is removed, whatever that raises
            self._dispatch_event(SchedulerEvent(EVENT_EXECUTOR_REMOVED, alias))

    def add_jobstore(
        self, jobstore: BaseJobStore | str, alias: str = "default", **jobstore_opts: Any
    ) -> None:
        """
        Add a job store; if the scheduler runs, it is started.

        :param jobstore: an instance, or the name of a plugin ("sqlalchemy")
        :param alias: the name by which jobs choose it
        :param jobstore_opts: arguments of the plugin
        :raises ValueError: if there is a job store by this alias
        :raises TypeError: if ``jobstore`` is neither instance nor name, or an option is unknown
        :raises LookupError: if there is no such plugin
        """
        with self._jobstores_lock:
            self._take_in(self._jobstores, "jobstore", jobstore, alias, jobstore_opts)

        self._dispatch_event(SchedulerEvent(EVENT_JOBSTORE_ADDED, alias))
        if self.state != STATE_STOPPED:
            self.wakeup()

    def remove_jobstore(self, alias: str, shutdown: bool = True) -> None:
        """
        Remove a job store; what it keeps stays in it.

        Runs that are due already, of jobs that it has moved on, are made all the same.

        :param shutdown: whether to shut it down
        :raises KeyError: if there is no job store by this alias
        :raises: what its shutdown raises; it is removed all the same
        """
        with self._jobstores_lock:
            jobstore = self._lookup_jobstore(alias)
            self._dispatch_pass(self._now(), {alias: jobstore}).settle()
            del self._jobstores[alias]
            self._backlog.forget_store(alias)

        if self._backlog.ready or self._backlog.dropped:
            self.wakeup()
        try:
            if shutdown:
                with self._jobstores_lock:
                    jobstore.shutdown()
        finally:  # it is removed, whatever that raises
            self._dispatch_event(SchedulerEvent(EVENT_JOBSTORE_REMOVED, alias))

    def _take_in(
        self, known: dict[str, Any], type_: str, component: Any, alias: str, options: Any
    ) -> None:
        """Add an executor or a job store to the known ones; start it if the others are."""
        kind, base = _PLUGINS[type_]
        name = ("an " if type_ == "executor" else "a ") + SPOKEN[kind]
        if alias in known:
            raise ValueError(f'This scheduler already has {name} by the alias of "{alias}"')

        if isinstance(component, str):
            component = self._create_plugin_instance(type_, component, options)
        elif not isinstance(component, base):
            raise TypeError(
                f"Expected {name} instance or a string, got {type(component).__name__} instead"
            )

        if type_ == "executor":
            is_open = self._executors_are_open or self.state != STATE_STOPPED
        else:
            is_open = self._has_open_stores()
        if is_open:
            component.start(self, alias)
        known[alias] = component

    # --- listeners -----------------------------------------------------------------------------

    def add_listener(self, callback: Listener, mask: int = EVENT_ALL) -> None:
        """
        Call a function for each event.

        It is called in the thread in which the event happens, and should return soon. What it
        raises is logged.

        :param callback: takes the event as its only argument
        :param mask: the codes (``EVENT_*``) of the events to call it for, joined by ``|``
        :raises TypeError: if the callback cannot be called, or the mask is no int
        """
        if not callable(callback):
            raise TypeError(f"A listener must be callable, got {callback!r} instead")
        if not isinstance(mask, int):
            raise TypeError(
                f"The mask of a listener must be codes (EVENT_*) joined by |, got {mask!r} instead"
            )

        with self._listeners_lock:
            self._listeners.append((callback, mask))

    def remove_listener(self, callback: Listener) -> None:
        """Call a function for no more events; if it is not called for any, nothing happens."""
        with self._listeners_lock:
            for position, (known, _) in enumerate(self._listeners):
                if known == callback:
                    del self._listeners[position]
                    return

    def _tell(self, code: int, job_id: str, alias: str | None) -> None:
        """Tell listeners, if there are any, what happened to a job."""
        if self._is_heard(code):
            self._dispatch_event(JobEvent(code, job_id, alias))

    def _is_heard(self, codes: int) -> bool:
        """Tell whether an event of one of these codes would reach anybody."""
        if getattr(self._dispatch_event, "__func__", None) is not _dispatch_event:
            return True  # overridden, or replaced: events go there first

        for _, mask in self._listeners:  # noqa: SIM110  # any() is slow, and this is asked often
            if mask & codes:
                return True

        return False

    def _dispatch_event(self, event: SchedulerEvent) -> None:
        """Call the listeners of this event."""
        for callback, mask in list(self._listeners):
            if event.code & mask:
                try:
                    callback(event)
                except BaseException as exc:
                    if is_interrupt(exc):
                        raise
                    with log_may_fail:
                        self._logger.exception(
                            "Error notifying listener %r of %r", callback, event
                        )

    def _may_tell(self, outcome: SchedulerEvent) -> bool:
        """Tell whether listeners may hear of an outcome now. If not, they will later."""
        return not self._handover.holds_back(outcome)

    # --- jobs ----------------------------------------------------------------------------------

    def add_job(
        self,
        func: Callable[..., Any] | str,
        trigger: BaseTrigger | str | None = None,
        args: Iterable[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        id: str | None = None,
        name: str | None = None,
        misfire_grace_time: Any = undefined,
        coalesce: Any = undefined,
        max_instances: Any = undefined,
        next_run_time: Any = undefined,
        jobstore: str = "default",
        executor: str = "default",
        replace_existing: bool = False,
        **trigger_args: Any,
    ) -> Job:
        """
        Add a job. While the scheduler is stopped, the job is kept aside until it starts.

        Settings that are not given are those of ``job_defaults``.

        :param func: the function to call, or a reference to it (``"module:function"``)
        :param trigger: says when to run: a trigger, or the name of one ("date", "interval",
            "cron", ...) that is built from ``trigger_args``; None: once, now
        :param args: positional arguments of the function
        :param kwargs: keyword arguments of the function
        :param id: id of the job, unique in its store; None: a random one
        :param name: description for people; None: the name of the function
        :param misfire_grace_time: how many seconds late a run may start; None = however late
        :param coalesce: whether runs that are due together become one, the latest
        :param max_instances: how many runs of the job may go on at once
        :param next_run_time: when to run first, whatever the trigger says; None: the job is added
            paused
        :param jobstore: alias of the job store that keeps the job
        :param executor: alias of the executor that runs it
        :param replace_existing: whether to replace the job that has the same id, if there is one.
            Then its next run time is kept, unless the schedule has changed or ``next_run_time``
            is given
        :raises ConflictingIdError: if the id is taken and ``replace_existing`` is False
        :raises ValueError: if arguments do not fit the function, or the job would never run
        :raises TypeError: if a setting is of a wrong type, or an argument of the trigger unknown
        :raises LookupError: if there is no trigger by this name, or no function by this reference
        :raises SchedulerNotRunningError: while the scheduler shuts down
        """
        notice_fork()
        settings = {
            "func": func,
            "args": args,
            "kwargs": kwargs,
            "id": id,
            "name": name,
            "executor": executor,
        }
        if misfire_grace_time is not undefined:
            settings["misfire_grace_time"] = misfire_grace_time
        if coalesce is not undefined:
            settings["coalesce"] = coalesce
        if max_instances is not undefined:
            settings["max_instances"] = max_instances
        if next_run_time is not undefined:
            settings["next_run_time"] = next_run_time
        job = self._create_job(settings, trigger, trigger_args)
        is_stopped = self.state == STATE_STOPPED  # asked again under the lock
        if not (is_stopped and self._keep_aside([(job, jobstore, replace_existing)])):
            self._real_add_job(job, jobstore, replace_existing)

        return job

    def add_jobs(self, specs: Iterable[Mapping[str, Any]]) -> list[Job]:
        """
        Add many jobs at once, which is much faster than one by one: all of them or none.

        Jobs that are given the same trigger by its name, with equal numbers and strings as its
        arguments, may share one trigger object.

        :param specs: for each job, a mapping with the arguments of :meth:`add_job`
        :return: the jobs, in the same order
        :raises ConflictingIdError: if an id is taken, or given to two of them
        :raises: what else :meth:`add_job` raises; then no job was added
        """
        notice_fork()
        entries = read_specs(
            specs, self._create_trigger, self._create_job, self._makes_equal_jobs()
        )
        _check_ids_differ(entries)
        if not self._keep_aside(entries):
            self._add_entries(entries)

        return entries.jobs

    def scheduled_job(
        self,
        trigger: BaseTrigger | str,
        args: Iterable[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        id: str | None = None,
        name: str | None = None,
        misfire_grace_time: Any = undefined,
        coalesce: Any = undefined,
        max_instances: Any = undefined,
        next_run_time: Any = undefined,
        jobstore: str = "default",
        executor: str = "default",
        **trigger_args: Any,
    ) -> Callable[[Func], Func]:
        """
        Return a decorator that adds a job for a function, replacing one that has the same id.

        The parameters are those of :meth:`add_job`. Give an ``id`` if the job is kept in a store
        that outlives the program; otherwise each start adds one more.
        """

        def decorate(func: Func) -> Func:
            self.add_job(
                func,
                trigger,
                args,
                kwargs,
                id,
                name,
                misfire_grace_time,
                coalesce,
                max_instances,
                next_run_time,
                jobstore,
                executor,
                True,
                **trigger_args,
            )
            return func

        return decorate

    def modify_job(self, job_id: str, jobstore: str | None = None, **changes: Any) -> Job:
        """
        Change settings of a job.

        :param jobstore: alias of its job store; None to look in all
        :param changes: ``func``, ``args``, ``kwargs``, ``name``, ``misfire_grace_time``,
            ``coalesce``, ``max_instances``, ``executor``, ``trigger`` (an instance),
            ``next_run_time`` (None: paused)
        :return: the job
        :raises JobLookupError: if there is no such job
        :raises AttributeError: if a name is none of these
        :raises TypeError: if a value is of a wrong type
        :raises ValueError: if arguments do not fit the function
        """
        with self._jobstores_lock:
            if "next_run_time" in changes:
                self._read_clock()
            job, alias = self._lookup_job(job_id, jobstore)
            has_run_ready = alias is not None and self._backlog.clear_up(alias, job_id, job)
            before = {name: getattr(job, name) for name in _SETTINGS if hasattr(job, name)}
            job._modify(**changes)
            if alias is not None:
                try:
                    self._lookup_jobstore(alias).update_job(job)
                except BaseException:
                    for name, value in before.items():
                        setattr(job, name, value)
                    self._put_back(alias, job)
                    raise
                if "next_run_time" in changes:
                    self._backlog.set_backs.leave_out(alias, [job_id])
                if "next_run_time" in changes and job.next_run_time is None:
                    has_run_ready |= self._backlog.drop(alias, job_id)
                else:
                    has_run_ready |= self._backlog.change_stuck(alias, job)

            if alias is not None:
                self._backlog.resting.pop(alias, None)
            is_earlier = alias is not None and self._is_before_next_look(job.next_run_time)

        self._tell(EVENT_JOB_MODIFIED, job_id, alias)
        if is_earlier or has_run_ready:
            self.wakeup()

        return job

    def _put_back(self, alias: str, job: Job) -> None:
        """Have a store that holds this very job, and may have taken in a change, go by it."""
        store = self._lookup_jobstore(alias)
        with suppress(Exception):  # the first error is the one to raise
            if store.lookup_job(job.id) is job:
                store.update_job(job)

    def reschedule_job(
        self,
        job_id: str,
        jobstore: str | None = None,
        trigger: BaseTrigger | str | None = None,
        **trigger_args: Any,
    ) -> Job:
        """
        Give a job another trigger; its next run time is the first one of the new schedule.

        :param jobstore: alias of its job store; None to look in all
        :param trigger: as in :meth:`add_job`
        :return: the job
        :raises JobLookupError: if there is no such job
        :raises LookupError: if there is no trigger by this name
        :raises TypeError: if the trigger takes no such arguments
        :raises ValueError: if one of them is no use, or the new schedule has no time to run
        """
        new_trigger = self._create_trigger(trigger, trigger_args)
        next_run_time = first_run_time(new_trigger, self._now(), job_id, self._logger)
        return self.modify_job(job_id, jobstore, trigger=new_trigger, next_run_time=next_run_time)

    def pause_job(self, job_id: str, jobstore: str | None = None) -> Job:
        """
        Keep a job from running until it is resumed.

        :param jobstore: alias of its job store; None to look in all
        :return: the job
        :raises JobLookupError: if there is no such job
        """
        return self.modify_job(job_id, jobstore, next_run_time=None)

    def resume_job(self, job_id: str, jobstore: str | None = None) -> Job | None:
        """
        Let a paused job run again, from now on. If its schedule has ended, it is removed.

        :param jobstore: alias of its job store; None to look in all
        :return: the job; None if it was removed
        :raises JobLookupError: if there is no such job
        """
        with self._jobstores_lock:
            job, _ = self._lookup_job(job_id, jobstore)
            next_run_time = _run_time_on_resume(job.trigger, self._now())

        if next_run_time is None:
            self.remove_job(job_id, jobstore)
            return None

        return self.modify_job(job_id, jobstore, next_run_time=next_run_time)

    def get_jobs(self, jobstore: str | None = None, pending: bool | None = None) -> list[Job]:
        """
        Return the jobs: those of each store by next run time, or the pending ones.

        :param jobstore: only those of the store by this alias; None: of all stores
        :param pending: 3.x had a use for this; it is ignored
        """
        with self._jobstores_lock:
            jobs = [job for job, alias, _ in self._pending_jobs if jobstore in (None, alias)]
            for _, store in self._open_stores(jobstore):
                jobs += store.get_all_jobs()

            return jobs

    def get_job(self, job_id: str, jobstore: str | None = None) -> Job | None:
        """
        Return a job, or None if there is no such job.

        :param jobstore: alias of its job store; None to look in all
        """
        with self._jobstores_lock, suppress(JobLookupError):
            return self._lookup_job(job_id, jobstore)[0]

        return None

    def get_unrestorable_jobs(
        self, jobstore: str | None = None
    ) -> list[tuple[str, str, Exception]]:
        """
        Return the stored jobs that cannot be restored, and so do not run: (id, store, error).

        They are kept, and run again when what they need is back.

        While the scheduler is not started, its stores are not read: there are none.

        :param jobstore: only those of the store by this alias; None: of all stores
        """
        with self._jobstores_lock:
            if self.state == STATE_STOPPED:
                return []

            return [
                (job_id, alias, error)
                for alias, store in self._open_stores(jobstore)
                for job_id, error in store.get_unrestorable_jobs()
            ]

    def remove_job(self, job_id: str, jobstore: str | None = None) -> None:
        """
        Remove a job. A run that is going on goes on.

        :param jobstore: alias of its job store; None to look in all
        :raises JobLookupError: if there is no such job
        """
        with self._jobstores_lock:
            alias = self._remove_from_store(job_id, jobstore)

        self._tell(EVENT_JOB_REMOVED, job_id, alias)
        with log_may_fail:
            self._logger.info("Removed job %s", job_id)
        if self._backlog.dropped:
            self.wakeup()

    def _remove_from_store(self, job_id: str, jobstore: str | None) -> str:
        for position, (job, alias, _) in enumerate(self._pending_jobs):
            if job.id == job_id and jobstore in (None, alias):
                del self._pending_jobs[position]
                return alias

        for alias, store in _parked_last(self._open_stores(jobstore), job_id):
            try:
                store.remove_job(job_id)
            except JobLookupError:
                # Its last run: it has left its store.
                if self._backlog.drop(alias, job_id, EVENT_JOB_REMOVED):
                    return alias
            else:
                self._backlog.forget(alias, job_id)
                return alias

        raise JobLookupError(job_id)

    def remove_all_jobs(self, jobstore: str | None = None) -> None:
        """
        Remove all jobs.

        :param jobstore: only those of the store by this alias; None: of all stores
        """
        with self._jobstores_lock:
            self._pending_jobs[:] = [
                entry for entry in self._pending_jobs if jobstore not in (None, entry[1])
            ]
            for alias, store in self._open_stores(jobstore):
                store.remove_all_jobs()
                self._backlog.forget(alias)

        self._dispatch_event(SchedulerEvent(EVENT_ALL_JOBS_REMOVED, jobstore))
        if self._backlog.dropped:
            self.wakeup()

    def print_jobs(self, jobstore: str | None = None, out: IO[str] | None = None) -> None:
        """
        Print the jobs, by store.

        :param jobstore: only those of the store by this alias; None: of all stores
        :param out: where to print; None: to the standard output
        """
        with self._jobstores_lock:
            if self.state == STATE_STOPPED:
                listing = {"Pending jobs:": self.get_jobs(jobstore)}
            else:
                listing = {
                    f"Jobstore {alias}:": self._jobstores[alias].get_all_jobs()
                    for alias in sorted(self._jobstores)
                    if jobstore in (None, alias)
                }

        none = "No pending jobs" if "Pending jobs:" in listing else "No scheduled jobs"
        for heading, jobs in listing.items():
            print(heading, file=out)
            for line in [str(job) for job in jobs] or [none]:
                print(f"    {line}", file=out)

    def export_jobs(self, outfile: Any, jobstore: str | None = None) -> None:
        """
        Write jobs as JSON, which APScheduler 3.11 reads as well.

        If that fails, a file that was there before is left as it was. Jobs that cannot be restored
        are left out; a warning in the log tells how many.

        :param outfile: a path, or a text file that is open for writing
        :param jobstore: only those of the store by this alias; None: of all stores
        :raises RuntimeError: if the scheduler is stopped: then no store is open
        :raises ValueError: if there is no textual reference to the function of a job
        """
        from ._transfer import write_jobs  # seldom needed

        if self.state == STATE_STOPPED:
            raise RuntimeError("The scheduler must have been started for job export to work")

        write_jobs(self.get_jobs(jobstore), outfile)
        left_out = len(self.get_unrestorable_jobs(jobstore))
        if left_out:
            with log_may_fail:
                self._logger.warning(
                    "%d jobs that cannot be restored were not exported: get_unrestorable_jobs() "
                    "lists them",
                    left_out,
                )

    def import_jobs(self, infile: Any, jobstore: str = "default") -> None:
        """
        Add jobs that :meth:`export_jobs` wrote, here or in APScheduler 3.11: all or none.

        Import only files that you trust: they can make this process call any function.

        :param infile: a path, or a text file that is open for reading
        :param jobstore: alias of the store to add them to
        :raises ConflictingIdError: if one of the ids is taken
        :raises ValueError: if the file holds no such jobs
        :raises LookupError: if a function or a class that a job names cannot be found
        """
        from ._transfer import read_jobs  # seldom needed

        entries = Entries()
        for state in read_jobs(infile):
            job = Job.__new__(Job)
            job.__setstate__(state)
            job._scheduler = self
            job._jobstore_alias = None
            entries.append(job, jobstore, False)

        if not self._keep_aside(entries):
            self._add_entries(entries)

    # --- the steps of adding a job -------------------------------------------------------------

    def _create_job(
        self,
        settings: Mapping[str, Any],
        trigger: BaseTrigger | str | None,
        trigger_args: dict[str, Any],
    ) -> Job:
        given = {name: value for name, value in settings.items() if value is not undefined}
        if given.get("args") is None:
            given["args"] = ()
        if given.get("kwargs") is None:
            given["kwargs"] = {}
        given["trigger"] = self._create_trigger(trigger, trigger_args)

        return Job(self, **given)

    def _keep_aside(self, entries: Iterable[Entry]) -> bool:
        """Keep jobs until the scheduler starts. False if it has started."""
        with self._jobstores_lock:
            if self.state != STATE_STOPPED:
                return False
            if self._shutting_down:
                raise _no_more_jobs(entries)
            for job, _, _ in entries:
                if not hasattr(job, "next_run_time"):
                    check_ever_runs(job.trigger, job.name, self._now())
            self._pending_jobs.extend(entries)

        with log_may_fail:
            self._logger.info(
                "Adding job tentatively -- it will be properly scheduled when the scheduler starts"
            )
        return True

    def _real_add_job(self, job: Job, jobstore_alias: str, replace_existing: bool) -> None:
        """Take a job to its store."""
        entries = [(job, jobstore_alias, replace_existing)]
        with self._jobstores_lock:
            self._check_takes_jobs(entries)
            store = self._lookup_jobstore(jobstore_alias)
            adding = self._adding()
            adding.add(store, job, replace_existing)
            job._jobstore_alias = jobstore_alias
            self._backlog.resting.pop(jobstore_alias, None)
            has_run_ready = self._start_as_replaced(entries)
            is_earlier = self._is_before_next_look(job.next_run_time)

        self._announce_added(entries)
        if is_earlier or has_run_ready or adding.has_run_ready:
            self.wakeup()

    def _add_entries(self, entries: Iterable[Entry]) -> None:
        """Take jobs to their stores: all of them or none."""
        # For each store the new ones, and those that may replace others.
        by_store: defaultdict[str, tuple[list[Job], list[Job]]] = defaultdict(lambda: ([], []))
        for job, alias, replace_existing in entries:
            by_store[alias][1 if replace_existing else 0].append(job)

        with self._jobstores_lock:
            self._check_takes_jobs(entries)
            with self._adding() as adding:
                adding.add_many(
                    [(self._lookup_jobstore(alias), *jobs) for alias, jobs in by_store.items()]
                )

            for job, alias, _ in entries:
                job._jobstore_alias = alias
            for alias in by_store:
                self._backlog.resting.pop(alias, None)
            has_run_ready = self._start_as_replaced(entries)
            first = earliest(job.next_run_time for job, _, _ in entries)
            is_earlier = self._is_before_next_look(first)

        self._announce_added(entries)
        if is_earlier or has_run_ready or adding.has_run_ready:
            self.wakeup()

    def _start_as_replaced(self, entries: Iterable[Entry]) -> bool:
        """Have runs started that could not be before jobs were replaced; tell if there are any."""
        if not self._backlog.stuck:
            return False

        found = [
            self._backlog.change_stuck(alias, job, is_paused=job.next_run_time is None)
            for job, alias, _ in entries
        ]
        return any(found)

    def _check_takes_jobs(self, entries: Iterable[Entry]) -> None:
        """Refuse jobs if a shutdown has begun, or is over, since the scheduler was seen to run."""
        if self._shutting_down or not self._has_open_stores():
            raise _no_more_jobs(entries)

    def _adding(self) -> Adding:
        is_starting = self.state == STATE_STOPPED  # jobs that are not taken wait for another start
        now = self._read_clock()
        return Adding(self._job_defaults, now, self._backlog, self._logger, is_starting)

    def _announce_added(self, entries: Iterable[Entry]) -> None:
        is_heard = self._is_heard(EVENT_JOB_ADDED)
        is_told = is_logged(self._logger, logging.INFO)
        for job, alias, _ in entries:
            if is_told:
                with log_may_fail:
                    self._logger.info('Added job "%s" to job store "%s"', job.name, alias)
            if job.executor not in self._executors:
                self._warn_of_unknown_executor(job)
            if is_heard:
                self._dispatch_event(JobEvent(EVENT_JOB_ADDED, job.id, alias))

    def _warn_of_unknown_executor(self, job: Job) -> None:
        with log_may_fail:
            self._logger.warning(
                'Job "%s" will not run until its executor is added: there is none by the alias of '
                '"%s"%s',
                job.name,
                job.executor,
                suggest(job.executor, self._executors),
            )

    # --- the loop ------------------------------------------------------------------------------

    def _now(self) -> datetime:
        """Return the current time; nothing else of the scheduler reads the clock."""
        return datetime.now(self.timezone)

    def _elapsed(self) -> float | None:
        """
        Return seconds on a clock that goes with :meth:`_now`, but cannot be set.

        None if there is none: a test suite has put a clock of its own in the place of ours.
        """
        return monotonic() if datetime is _computers_clock else None

    def _process_jobs(self) -> float | None:
        """
        Start the jobs that are due.

        :return: seconds until the next look; None if no job waits for a time, or while the
            scheduler is paused
        """
        backlog = self._backlog
        before = self._now()
        next_look = self._advance_due_jobs()
        self._hand_over_ready_runs()
        if self._backlog is not backlog:
            # A signal handler has shut the scheduler down in the middle of this.
            self._handover.drop(backlog)
            return None

        if backlog.stuck and self.state == STATE_RUNNING:
            next_look = earliest((next_look, backlog.earliest_retry()))
        if next_look is None:
            with log_may_fail:
                self._logger.debug("No jobs; waiting until a job is added")
            return None

        # The clock may have been set back since the pass has read it.
        now = max(before.timestamp(), self._now().timestamp())
        wait_seconds = max(next_look.timestamp() - now, 0.0)
        if is_logged(self._logger, logging.DEBUG):
            with log_may_fail:
                self._logger.debug(
                    "Next wakeup is due at %s (in %f seconds)", next_look, wait_seconds
                )
        return wait_seconds

    def _look(self) -> float | None:
        """Start due jobs as _process_jobs() does; an error does not end the loop."""
        try:
            return self._process_jobs()
        except BaseException as exc:
            if is_interrupt(exc):
                raise
            with log_may_fail:
                self._logger.exception(
                    "Looking for due jobs failed -- trying again in %s seconds",
                    self.jobstore_retry_interval,
                )
            return self.jobstore_retry_interval

    def _advance_due_jobs(self) -> datetime | None:
        """Move due jobs on in their stores, and return when to look again."""
        with self._jobstores_lock:
            if self.state != STATE_RUNNING:
                return None

            now = self._read_clock()
            self._next_look = None  # whatever is added meanwhile has the loop look once more
            self._next_look = self._dispatch_pass(now, self._jobstores).run()
            if len(self._jobstores) > 1 and self._backlog.ready:
                self._handover.put_in_order(self._backlog)
            return self._next_look

    def _read_clock(self) -> datetime:
        """
        Return the current time, by which run times are about to be set.

        Those that were set before are noted to follow the clock if it was set back meanwhile.
        Needs the job store lock.
        """
        now = self._now()
        set_back_by = self._clock_watch.set_back_by(now, self._elapsed())
        if set_back_by is not None:
            if set_back_by > timedelta(0):
                with log_may_fail:
                    self._logger.warning("The clock was set back by %s", set_back_by)
            self._backlog.set_backs.note(self._jobstores, set_back_by, self._clock_watch.shown)
        return now

    def _dispatch_pass(self, now: datetime, stores: Mapping[str, BaseJobStore]) -> DispatchPass:
        return DispatchPass(
            stores,
            self._lookup_executor,
            self._backlog,
            now,
            self._now,
            timedelta(seconds=self.jobstore_retry_interval),
            self._logger,
        )

    def _hand_over_ready_runs(self) -> None:
        """Hand the runs of the jobs that were moved on to their executors."""
        self._handover.hand_over(self._backlog)

    def _is_before_next_look(self, run_time: datetime | None) -> bool:
        """Tell whether the loop has to look earlier than it would. Needs the job store lock."""
        if self.state != STATE_RUNNING or run_time is None:
            return False

        return self._next_look is None or run_time.timestamp() < self._next_look.timestamp()

    # For executors that run jobs in the thread that hands them over.
    _is_interrupt = staticmethod(is_interrupt)

    # Tells threads apart, or what the framework has in their place.
    _get_ident: Callable[[], Any] = staticmethod(get_ident)

    # --- hooks and look-ups --------------------------------------------------------------------

    def _create_lock(self) -> Any:
        """Return a reentrant lock that suits the framework."""
        return RLock()

    def _create_default_executor(self) -> BaseExecutor:
        """Return the executor that is used where none by the alias "default" was added."""
        return ThreadPoolExecutor()

    def _create_default_jobstore(self) -> BaseJobStore:
        """Return the job store that is used where none by the alias "default" was added."""
        return MemoryJobStore()

    def _create_trigger(
        self, trigger: BaseTrigger | str | None, trigger_args: dict[str, Any]
    ) -> BaseTrigger:
        if trigger is None:
            check_arguments_of_no_trigger(trigger_args, ADDING_ARGUMENTS)
            trigger = "date"
        elif not isinstance(trigger, str):
            if not isinstance(trigger, BaseTrigger):
                raise TypeError(
                    f"Expected a trigger instance or string, got {type(trigger).__name__} instead"
                )
            if trigger_args:
                warn_of_unknown("job argument", trigger_args, ADDING_ARGUMENTS, self._logger)
            return trigger

        # Some have no zone, like "and" and "or": their parts have one each.
        cls = load_class("triggers", trigger, BaseTrigger, self._trigger_classes)
        if takes_keyword(cls, "timezone"):
            trigger_args = {"timezone": self.timezone, **trigger_args}
        return self._create_plugin_instance("trigger", trigger, trigger_args)  # type: ignore[no-any-return]

    def _makes_equal_jobs(self) -> bool:
        """Tell whether jobs of equal arguments are equal: programs may spread triggers out."""
        methods = (self._create_job, self._create_trigger, self._create_plugin_instance)
        return tuple(getattr(method, "__func__", None) for method in methods) == _make_jobs

    def _create_plugin_instance(
        self, type_: str, alias: str, constructor_kwargs: Mapping[str, Any]
    ) -> Any:
        """
        Build a plugin by its name.

        :param type_: "trigger", "executor" or "jobstore"
        :param alias: the name of the plugin
        """
        kind, base = _PLUGINS[type_]
        classes = getattr(self, f"_{type_}_classes")
        others = ADDING_ARGUMENTS if type_ == "trigger" else ()
        return build(load_class(kind, alias, base, classes), constructor_kwargs, others)

    def _lookup_executor(self, alias: str) -> BaseExecutor:
        return _look_up(self._executors, alias, "executor")

    def _lookup_jobstore(self, alias: str) -> BaseJobStore:
        return _look_up(self._jobstores, alias, "job store")

    def _lookup_job(self, job_id: str, jobstore_alias: str | None) -> tuple[Job, str | None]:
        """
        Find a job.

        :param jobstore_alias: alias of its store; None to look in all
        :return: the job, and the alias of its store, which is None for a pending job
        :raises JobLookupError: if there is no such job, or it cannot be restored
        """
        for job, alias, _ in self._pending_jobs:
            if job.id == job_id and jobstore_alias in (None, alias):
                return job, None

        parked: JobLookupError | None = None
        for alias, store in self._open_stores(jobstore_alias):
            found = store.lookup_job(job_id)
            if found is not None:
                return found, alias
            if error := store.get_error_of_job(job_id):
                parked = parked or UnrestorableJobError(job_id, alias, error)

        raise parked or JobLookupError(job_id)

    def _open_stores(self, alias: str | None = None) -> list[tuple[str, BaseJobStore]]:
        """Return the job stores with their aliases: none but while they are open."""
        if not self._has_open_stores():
            return []

        return [entry for entry in self._jobstores.items() if alias in (None, entry[0])]

    def _has_open_stores(self) -> bool:
        # Test suites assign the state rather than start the scheduler.
        return self._stores_are_open or self.state != STATE_STOPPED


def _check_is_no_import_of_worker() -> None:
    """Refuse to start one more scheduler in each worker process, with workers of its own."""
    if importing_in_worker.get():
        raise RuntimeError(
            "A worker process of a ProcessPoolExecutor imports this module to find the function "
            "of a job: that must not start a scheduler. Call start() in a function that only the "
            "program calls, or keep the functions of jobs in a module of their own."
        )


# What _is_heard() compares with: a test suite may replace the method of the class, too.
_dispatch_event = BaseScheduler._dispatch_event

# What _makes_equal_jobs() compares with.
_make_jobs = (
    BaseScheduler._create_job,
    BaseScheduler._create_trigger,
    BaseScheduler._create_plugin_instance,
)

# Plugins: the entry-point group, and the class that all of them derive from.
_PLUGINS: dict[str, tuple[str, type]] = {
    "trigger": ("triggers", BaseTrigger),
    "executor": ("executors", BaseExecutor),
    "jobstore": ("jobstores", BaseJobStore),
}

# What modify_job() may change, and has to restore when the store refuses the change.
_SETTINGS = ("func_ref", "trigger", *(name for name in JOB_ARGUMENTS if name != "id"))


_computers_clock = datetime


def _parked_last(
    stores: list[tuple[str, BaseJobStore]], job_id: str
) -> Iterator[tuple[str, BaseJobStore]]:
    """Iterate over the stores, last over those that cannot restore a job: others may hold one."""
    parked = []
    for alias, store in stores:
        # Looked up only if there is a choice.
        is_found = len(stores) == 1 or store.lookup_job(job_id) is not None
        if is_found or store.get_error_of_job(job_id) is None:
            yield alias, store
        else:
            parked.append((alias, store))

    yield from parked


def _look_up(known: Mapping[str, Component], alias: str, name: str) -> Component:
    try:
        return known[alias]
    except KeyError:
        raise KeyError(f"No such {name}: {alias}{suggest(alias, known)}") from None


def _check_ids_differ(entries: Entries) -> None:
    if len({job.id for job in entries.jobs}) == len(entries.jobs):
        return

    seen: set[tuple[str, str]] = set()
    for job, alias, _ in entries:
        if (alias, job.id) in seen:
            raise RepeatedIdError(job.id)
        seen.add((alias, job.id))


def _run_time_on_resume(trigger: BaseTrigger, now: datetime) -> datetime | None:
    first = trigger.get_first_fire_time(None, now)
    if first is None or not is_later(now, first):
        return first

    # A date that has passed. If others are to come, it may have been run at before the pause.
    return trigger.get_first_fire_time(now - timedelta(microseconds=1), now) or first


def _no_more_jobs(entries: Iterable[Entry]) -> SchedulerNotRunningError:
    names = ", ".join(job.name for job, _, _ in entries)
    return SchedulerNotRunningError(
        f"Scheduler is shutting down and takes no more jobs; not added: {names}"
    )


def check_wait(wait: Any) -> None:
    """
    Refuse what says neither whether nor how long to wait for running jobs.

    :raises TypeError: if it is no number
    :raises ValueError: if it is a negative number of seconds
    """
    if not isinstance(wait, (bool, int, float)):
        raise TypeError(
            f"wait must be True, False or a number of seconds, got {type(wait).__name__} instead"
        )
    if not 0 <= wait < float("inf"):
        raise ValueError(f"wait must be a finite number of seconds, 0 or more, got {wait!r}")
