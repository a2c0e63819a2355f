"""Configuration by keyword, by dict and by dotted names, and the words for what is wrong."""

from __future__ import annotations

import logging
from datetime import timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from apscheduler.executors.debug import DebugExecutor
from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.jobstores.memory import MemoryJobStore
from apscheduler.schedulers import SchedulerAlreadyRunningError
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.schedulers.base import BaseScheduler
from apscheduler.testing import ManualScheduler
from tests import jobs

my_logger = logging.getLogger("tests.my_logger")


def components(scheduler: BaseScheduler) -> dict[str, list[str]]:
    """Return the classes of the executors and job stores by alias."""
    return {
        "executors": [f"{alias}: {type(e).__name__}" for alias, e in scheduler._executors.items()],
        "jobstores": [f"{alias}: {type(s).__name__}" for alias, s in scheduler._jobstores.items()],
    }


class TestForms:
    EXPECTED = {  # noqa: RUF012
        "executors": ["default: ThreadPoolExecutor", "slow: DebugExecutor"],
        "jobstores": ["default: MemoryJobStore", "other: MemoryJobStore"],
    }

    def test_instances_by_keyword(self) -> None:
        scheduler = ManualScheduler(
            executors={"default": ThreadPoolExecutor(3), "slow": DebugExecutor()},
            jobstores={"default": MemoryJobStore(), "other": MemoryJobStore()},
        )
        assert components(scheduler) == self.EXPECTED

    def test_names_and_classes_in_dicts(self) -> None:
        scheduler = ManualScheduler(
            executors={
                "default": {"type": "threadpool", "max_workers": 3},
                "slow": {"class": "apscheduler.executors.debug:DebugExecutor"},
            },
            jobstores={
                "default": {"type": "memory"},
                "other": {"class": MemoryJobStore},
            },
        )
        assert components(scheduler) == self.EXPECTED

    def test_dotted_names_with_a_prefix_and_strings_as_values(self) -> None:
        scheduler = ManualScheduler(
            {
                "apscheduler.executors.default.type": "threadpool",
                "apscheduler.executors.default.max_workers": "3",
                "apscheduler.executors.slow.class": "apscheduler.executors.debug:DebugExecutor",
                "apscheduler.jobstores.default.type": "memory",
                "apscheduler.jobstores.other.type": "memory",
                "apscheduler.job_defaults.coalesce": "false",
                "apscheduler.job_defaults.max_instances": "3",
                "apscheduler.job_defaults.misfire_grace_time": "30",
                "apscheduler.jobstore_retry_interval": "2.5",
                "apscheduler.timezone": "Europe/Berlin",
                "apscheduler.logger": "tests.my_logger",
                "another.option": "of another program",
            }
        )
        assert components(scheduler) == self.EXPECTED
        assert scheduler.jobstore_retry_interval == 2.5
        assert scheduler.timezone == ZoneInfo("Europe/Berlin")
        assert scheduler._logger is my_logger

        job = scheduler.add_job(jobs.nothing)
        scheduler.start()
        assert (job.coalesce, job.max_instances, job.misfire_grace_time) == (False, 3, 30)

    @pytest.mark.parametrize("prefix", ["", None])
    def test_without_a_prefix_all_options_are_read(self, prefix: str | None) -> None:
        scheduler = ManualScheduler()
        scheduler.configure({"jobstores.other.type": "memory"}, prefix=prefix)
        assert components(scheduler)["jobstores"] == ["other: MemoryJobStore"]

    def test_a_prefix_of_ones_own(self) -> None:
        scheduler = ManualScheduler()
        scheduler.configure({"my.timezone": "Europe/Berlin"}, prefix="my.")
        assert scheduler.timezone == ZoneInfo("Europe/Berlin")

    def test_keywords_come_before_the_dict(self) -> None:
        scheduler = ManualScheduler({"apscheduler.timezone": "UTC"}, timezone="Europe/Berlin")
        assert scheduler.timezone == ZoneInfo("Europe/Berlin")

    def test_a_type_comes_before_a_class(self) -> None:
        executor = {"type": "debug", "class": "nowhere:Executor"}
        jobstore = {"type": "memory", "class": "nowhere:Store"}
        scheduler = ManualScheduler(executors={"x": executor}, jobstores={"y": jobstore})
        assert type(scheduler._executors["x"]) is DebugExecutor
        assert type(scheduler._jobstores["y"]) is MemoryJobStore

    def test_the_callers_dicts_are_not_changed(self) -> None:
        options: dict[str, Any] = {"default": {"type": "threadpool", "max_workers": 3}}
        ManualScheduler(executors=options)
        assert options == {"default": {"type": "threadpool", "max_workers": 3}}

    @pytest.mark.parametrize("is_first", [True, False])
    def test_nor_are_they_where_dotted_names_stand_beside_them(self, is_first: bool) -> None:
        stores = {"default": {"type": "memory"}}
        own = {"jobstores": stores}
        dotted = {"jobstores.other.type": "memory", "jobstores.default.class": "x:Y"}
        options: dict[str, Any] = {**own, **dotted} if is_first else {**dotted, **own}
        scheduler = ManualScheduler()
        scheduler.configure(options, prefix=None)
        assert stores == {"default": {"type": "memory"}}
        assert sorted(scheduler._jobstores) == ["default", "other"]

    def test_configuring_anew_forgets_what_was_configured(self) -> None:
        scheduler = ManualScheduler(executors={"slow": DebugExecutor()}, timezone="Europe/Berlin")
        scheduler.configure(jobstores={"other": MemoryJobStore()})
        assert components(scheduler) == {"executors": [], "jobstores": ["other: MemoryJobStore"]}
        assert scheduler.timezone == timezone.utc

    def test_configuring_a_running_scheduler_is_refused(self) -> None:
        scheduler = ManualScheduler()
        scheduler.start()
        with pytest.raises(SchedulerAlreadyRunningError):
            scheduler.configure(timezone="UTC")


class TestDefaults:
    def test_a_run_is_made_however_late_unless_a_limit_is_set(self) -> None:
        scheduler = ManualScheduler()
        scheduler.start()
        job = scheduler.add_job(jobs.nothing)
        assert (job.misfire_grace_time, job.coalesce, job.max_instances) == (None, True, 1)

    @pytest.mark.parametrize("value", [None, "none", "None", "null", ""])
    def test_no_limit_can_be_written(self, value: str | None) -> None:
        scheduler = ManualScheduler(job_defaults={"misfire_grace_time": value})
        scheduler.start()
        assert scheduler.add_job(jobs.nothing).misfire_grace_time is None

    def test_the_limit_of_3_x_can_be_had_back(self) -> None:
        scheduler = ManualScheduler(job_defaults={"misfire_grace_time": 1})
        scheduler.start()
        assert scheduler.add_job(jobs.nothing).misfire_grace_time == 1

    def test_a_job_may_differ_from_the_defaults(self) -> None:
        scheduler = ManualScheduler(job_defaults={"misfire_grace_time": 1, "coalesce": False})
        scheduler.start()
        job = scheduler.add_job(jobs.nothing, misfire_grace_time=None, coalesce=True)
        assert (job.misfire_grace_time, job.coalesce) == (None, True)

    def test_the_default_executor_and_job_store_are_made_at_the_start(self) -> None:
        scheduler = BackgroundScheduler()
        assert components(scheduler) == {"executors": [], "jobstores": []}
        scheduler.start(paused=True)
        try:
            assert components(scheduler) == {
                "executors": ["default: ThreadPoolExecutor"],
                "jobstores": ["default: MemoryJobStore"],
            }
        finally:
            scheduler.shutdown()

    def test_a_zone_may_be_any_tzinfo(self) -> None:
        offset = timezone(timedelta(hours=5))
        assert ManualScheduler(timezone=offset).timezone is offset

    def test_the_zone_of_the_computer_is_the_default(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        import apscheduler.schedulers.base as base

        monkeypatch.setattr(base, "get_localzone", lambda: ZoneInfo("America/Caracas"))
        assert BackgroundScheduler().timezone == ZoneInfo("America/Caracas")


class TestLoggers:
    @pytest.mark.parametrize(
        "value", [my_logger, "tests.my_logger", "tests.schedulers.test_config:my_logger"]
    )
    def test_a_logger_by_itself_by_name_or_by_reference(self, value: Any) -> None:
        assert ManualScheduler(logger=value)._logger is my_logger

    def test_an_adapter_will_do(self) -> None:
        adapter: Any = logging.LoggerAdapter(my_logger, {})
        assert ManualScheduler(logger=adapter)._logger is adapter


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        (
            {"executors": {"x": {"type": "thredpool"}}},
            LookupError,
            'No executor by the name "thredpool" was found; did you mean "threadpool"?',
        ),
        (
            {"jobstores": {"x": {"type": "memry"}}},
            LookupError,
            'No jobstore by the name "memry" was found; did you mean "memory"?',
        ),
        (
            {"executors": {"x": {"type": "quantum"}}},
            LookupError,
            'No executor by the name "quantum" was found (known: asyncio, debug, gevent, '
            "processpool, threadpool, tornado, twisted)",
        ),
        (
            {"executors": {"x": {}}},
            ValueError,
            'Cannot create executor "x" -- either "type" or "class" must be defined',
        ),
        (
            {"jobstores": {"x": {}}},
            ValueError,
            'Cannot create job store "x" -- either "type" or "class" must be defined',
        ),
        (
            {"executors": {"x": 1}},
            TypeError,
            'Expected executor instance or dict for executors["x"], got int instead',
        ),
        (
            {"jobstores": {"x": DebugExecutor()}},
            TypeError,
            'Expected job store instance or dict for jobstores["x"], got DebugExecutor instead',
        ),
        (
            {"executors": ["x"]},
            TypeError,
            "executors must be a dict of aliases, got list instead",
        ),
        (
            {"jobstores": 1},
            TypeError,
            "jobstores must be a dict of aliases, got int instead",
        ),
        (
            {"executors": {"x": {"type": "threadpool", "max_wrkers": 2}}},
            TypeError,
            'ThreadPoolExecutor got an unexpected keyword argument "max_wrkers"; '
            'did you mean "max_workers"?',
        ),
        (
            {"executors": {"x": {"type": "threadpool", "max_workers": "abc"}}},
            ValueError,
            "max_workers must be a positive integer, got 'abc'",
        ),
        (
            {"executors": {"x": {"type": "processpool", "max_workers": "abc"}}},
            ValueError,
            "max_workers must be a positive integer, got 'abc'",
        ),
        (
            {"executors": {"x": {"type": "asyncio", "max_workers": float("inf")}}},
            ValueError,
            "max_workers must be a positive integer, got inf",
        ),
        (
            {"executors": {"x": {"type": "threadpool", "max_workers": None}}},
            TypeError,
            "max_workers must be a positive integer, got None",
        ),
        (
            {"executors": {"x": {"type": "threadpool", "pool_kwargs": 3}}},
            TypeError,
            "pool_kwargs must be a dict, got 3",
        ),
        (
            {
                "executors": {
                    "x": {"type": "threadpool", "pool_kwargs": {"thread_name_prefx": "x"}}
                }
            },
            TypeError,
            "got an unexpected keyword argument 'thread_name_prefx' in pool_kwargs; "
            'did you mean "thread_name_prefix"?',
        ),
        (
            {"executors": {"x": {"type": "processpool", "pool_kwargs": {"max_workers": 3}}}},
            TypeError,
            "got an unexpected keyword argument 'max_workers' in pool_kwargs",
        ),
        (
            {"executors": {"x": {"class": 5}}},
            TypeError,
            'The class of executors["x"] must be a BaseExecutor class or a reference to one, such '
            'as "package.module:Class", got 5',
        ),
        (
            {"executors": {"x": {"type": ["threadpool"]}}},
            LookupError,
            'No executor by the name "[\'threadpool\']" was found; did you mean "threadpool"?',
        ),
        (
            {"executors": {"x": {"type": "threadpool", 5: 6}}},
            TypeError,
            'ThreadPoolExecutor got an unexpected keyword argument "5"',
        ),
        (
            {"executors": {"x": {"class": "nowhere:Executor"}}},
            LookupError,
            "Error resolving reference nowhere:Executor: could not import module",
        ),
        (
            {"timezone": "Nowhere/Land"},
            LookupError,
            'No time zone found with key "Nowhere/Land" -- give one such as "Europe/Berlin"',
        ),
        (
            {"timezone": 1},
            TypeError,
            'Expected tzinfo, got int instead -- give a name such as "Europe/Berlin" or a tzinfo',
        ),
        (
            {"job_defaults": 1},
            TypeError,
            "job_defaults must be a dict, got int instead",
        ),
        (
            {"job_defaults": {"coalesce": "maybe"}},
            ValueError,
            "coalesce must be true or false, got 'maybe'",
        ),
        (
            {"job_defaults": {"max_instances": 0}},
            ValueError,
            "max_instances must be a positive integer, got 0",
        ),
        (
            {"job_defaults": {"max_instances": "many"}},
            ValueError,
            "max_instances must be a positive integer, got 'many'",
        ),
        (
            {"job_defaults": {"misfire_grace_time": "long"}},
            ValueError,
            "misfire_grace_time must be a positive whole number of seconds, or None to run "
            "however late, got 'long'",
        ),
        (
            {"job_defaults": {"misfire_grace_time": 0}},
            ValueError,
            "misfire_grace_time must be a positive whole number of seconds, or None to run "
            "however late, got 0",
        ),
        (
            {"jobstore_retry_interval": 0},
            ValueError,
            "jobstore_retry_interval must be a number of seconds above 0, got 0",
        ),
        (
            {"jobstore_retry_interval": "soon"},
            ValueError,
            "jobstore_retry_interval must be a number of seconds above 0, got 'soon'",
        ),
        (
            {"logger": 3},
            TypeError,
            'Expected a logger, its name or "module:logger", got 3 instead',
        ),
        (
            {"jobstores": {"default": {"typ": "memory"}}},
            ValueError,
            'Cannot create job store "default" -- either "type" or "class" must be defined; '
            'got "typ"; did you mean "type"?',
        ),
        (
            {"executors": {"default": {"max_workers": 3}}},
            ValueError,
            'either "type" or "class" must be defined; got only: max_workers',
        ),
        (
            {"job_defaults": {"coalesce": None}},
            ValueError,
            "coalesce must be true or false, got None",
        ),
    ],
)
def test_a_mistake_gets_words(options: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error) as caught:
        ManualScheduler(**options)
    assert words in str(caught.value)


def test_an_option_that_is_both_value_and_beginning_is_refused() -> None:
    with pytest.raises(ValueError, match=r'slow\.type": "slow" has the value \'debug\' already'):
        ManualScheduler(
            {"apscheduler.executors.slow": "debug", "apscheduler.executors.slow.type": "debug"}
        )


def test_a_mistake_leaves_the_scheduler_as_it_was() -> None:
    scheduler = ManualScheduler(executors={"slow": DebugExecutor()})
    with pytest.raises(LookupError):
        scheduler.configure(jobstores={"x": {"type": "memry"}})
    assert components(scheduler)["executors"] == ["slow: DebugExecutor"]


@pytest.mark.parametrize(
    ("mistake", "error"),
    [
        ({"executors": {"default": {"type": "threadpol"}}}, LookupError),
        ({"executors": {"default": {"class": "tests.jobs:Greeter"}}}, TypeError),
        ({"jobstores": {"default": {"class": "tests.jobs:Greeter"}}}, TypeError),
        ({"job_defaults": {"coalesce": "perhaps"}}, ValueError),
    ],
)
def test_a_mistake_leaves_every_option_as_it_was(
    mistake: dict[str, Any], error: type[Exception]
) -> None:
    scheduler = BackgroundScheduler(
        timezone="Europe/Berlin",
        logger="tests.mine",
        daemon=False,
        jobstore_retry_interval=3,
        job_defaults={"max_instances": 4},
        executors={"default": {"type": "debug"}},
    )
    stores_and_executors = components(scheduler)
    with pytest.raises(error):
        scheduler.configure(timezone="UTC", daemon=True, jobstore_retry_interval=9, **mistake)

    assert scheduler.timezone == ZoneInfo("Europe/Berlin")
    assert scheduler._logger.name == "tests.mine"
    assert scheduler.jobstore_retry_interval == 3
    assert scheduler._job_defaults["max_instances"] == 4
    assert not scheduler._daemon
    assert components(scheduler) == stores_and_executors


def test_a_known_option_without_the_prefix_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    ManualScheduler({"job_defaults": {"coalesce": False}, "timezone": "UTC", "DEBUG": True})
    assert [record.getMessage().partition(":")[0] for record in caplog.records] == [
        'The option "job_defaults" is ignored, for it does not begin with "apscheduler."',
        'The option "timezone" is ignored, for it does not begin with "apscheduler."',
    ]
    assert 'write "apscheduler.timezone"' in caplog.text


def test_an_option_of_one_kind_of_scheduler_is_known_to_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    BackgroundScheduler({"daemon": False}, deamon=True)
    assert "'deamon' is ignored; did you mean \"daemon\"?" in caplog.text
    assert 'The option "daemon" is ignored, for it does not begin with' in caplog.text

    caplog.clear()
    AsyncIOScheduler({"event_loop": None}, evnt_loop=None)
    assert "'evnt_loop' is ignored; did you mean \"event_loop\"?" in caplog.text
    assert 'The option "event_loop" is ignored' in caplog.text


def test_an_option_that_is_no_boolean_is_named() -> None:
    words = r'^Unable to interpret value "maybe" as boolean.* daemon must be true or false'
    with pytest.raises(ValueError, match=words):
        BackgroundScheduler(daemon="maybe")


def test_an_option_whose_name_is_no_string_is_refused() -> None:
    with pytest.raises(TypeError, match="names of options must be strings, got 1"):
        ManualScheduler({1: 2})  # type: ignore[dict-item]


@pytest.mark.parametrize(("given", "is_logged"), [(2.7, True), (2.0, False), ("2", False)])
def test_half_a_worker_is_cut_off_and_logged(
    given: Any, is_logged: bool, caplog: pytest.LogCaptureFixture
) -> None:
    executor = ThreadPoolExecutor(given)
    assert executor._pool._max_workers == 2
    assert ("max_workers must be a positive integer, got 2.7" in caplog.text) == is_logged


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"jobstore": {}}, "option 'jobstore' is ignored; did you mean \"jobstores\"?"),
        ({"job_defaults": {"coalese": 1}}, "'coalese' is ignored; did you mean \"coalesce\"?"),
    ],
)
def test_an_unknown_option_is_logged_with_the_nearest_known_one(
    options: dict[str, Any], words: str, caplog: pytest.LogCaptureFixture
) -> None:
    ManualScheduler(**options)
    assert words in caplog.text


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "apscheduler.jobstores.memory", None)
    monkeypatch.setattr(BaseScheduler, "_jobstore_classes", {})
    with pytest.raises(ImportError, match=r"apscheduler\.jobstores\.memory"):
        ManualScheduler(jobstores={"default": {"type": "memory"}})


class TestNumbersThatAreNoWholeNumbers:
    @pytest.mark.parametrize("setting", ["max_instances", "misfire_grace_time"])
    @pytest.mark.parametrize("value", [1.9, float("inf"), float("nan")])
    def test_they_are_refused(self, setting: str, value: float) -> None:
        with pytest.raises(ValueError, match=f"{setting} must be a positive .*, got {value}"):
            ManualScheduler(job_defaults={setting: value})

    def test_whole_ones_of_another_type_are_taken(self) -> None:
        scheduler = ManualScheduler(job_defaults={"misfire_grace_time": 60.0})
        scheduler.start()
        assert scheduler.add_job(jobs.nothing).misfire_grace_time == 60

    def test_a_grace_time_that_is_no_length_of_time_is_refused(self) -> None:
        with pytest.raises(ValueError, match="must be at most 86399999999999 seconds"):
            ManualScheduler(job_defaults={"misfire_grace_time": 10**15})


def test_a_configuration_that_is_no_mapping_is_refused() -> None:
    with pytest.raises(TypeError, match="must be a dict of options, got 'default' instead"):
        ManualScheduler("default")  # type: ignore[arg-type]
