"""The reference has every public name, and every public name says what it is."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from .pages import DOCS, ROOT

PACKAGE = ROOT / "apscheduler"
PAGES = "\n".join(page.read_text(encoding="utf-8") for page in (DOCS / "reference").glob("*.rst"))

# Classes and functions that our modules share with each other, and with nobody else.
INTERNAL = {
    "apscheduler.executors.asyncio.is_running_here",
    "apscheduler.executors.base.Outcome",
    "apscheduler.executors.base.Runs",
    "apscheduler.executors.base.complete",
    "apscheduler.executors.gevent.call_in_hub",
    "apscheduler.executors.gevent.has_thread",
    "apscheduler.executors.twisted.belongs_in_reactor",
    "apscheduler.jobstores.persistent.Parked",
    "apscheduler.jobstores.persistent.chunks",
    "apscheduler.schedulers.base.check_wait",
    "apscheduler.triggers.base.check_jitter",
    "apscheduler.triggers.base.check_version",
    "apscheduler.triggers.base.jitter_of",
    "apscheduler.triggers.base.same_start",
    "apscheduler.triggers.base.same_time",
    "apscheduler.triggers.base.twin",
    "apscheduler.triggers.combining.dump_trigger",
    "apscheduler.triggers.combining.load_trigger",
    "apscheduler.triggers.cron.crontab.CrontabLine",
    "apscheduler.triggers.cron.expressions.number_of",
}


def contract() -> Iterator[tuple[str, str]]:
    """Iterate over the public names of 3.x: module and name."""
    module = ""
    text = (ROOT / "tests" / "data" / "contract-3.x.txt").read_text(encoding="utf-8")
    for line in text.splitlines():
        if heading := re.fullmatch(r"\[(\S+)\]", line):
            module = heading[1]
        elif found := re.match(r"(?:(?:class|def) ([A-Za-z]\w*)\(|([A-Za-z]\w*) = )", line):
            yield module, found[1] or found[2]


def package() -> Iterator[tuple[str, str]]:
    """Iterate over the classes and functions of our modules that look public."""
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        module = ".".join(part for part in parts if part != "__init__")
        if "._" not in module:
            for name in defined_in(path):
                yield module, name


def defined_in(path: Path) -> Iterator[str]:
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and not node.name.startswith("_"):
            yield node.name
        elif isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            yield from (name for name in ast.literal_eval(node.value) if not name.startswith("_"))


CONTRACT = set(contract())
NAMES = sorted(CONTRACT | {name for name in package() if ".".join(name) not in INTERNAL})
PATHS = [".".join(name) for name in NAMES]


DIRECTIVES = re.findall(
    r"^\.\. (?:auto\w+|py:data):: (\S+)\n((?:   :.*\n)*)", f"{PAGES}\n", re.MULTILINE
)


@cache
def directives() -> dict[str, dict[str, set[str]]]:
    """Return the options of each directive of the reference, by the name that it is about."""
    return {
        path: {
            option: set(re.split(r",\s*", value)) - {""}
            for option, value in re.findall(r"^   :([\w-]+):[ ]*(.*)$", options, re.MULTILINE)
        }
        for path, options in DIRECTIVES
    }


def is_listed(module: str, name: str) -> bool:
    if f"{module}.{name}" in directives():
        return True

    members = directives().get(module, {}).get("members")  # of an automodule
    return members is not None and (not members or name in members)


def test_there_are_names_to_look_for() -> None:
    assert len(NAMES) > 100
    assert ("apscheduler.schedulers.base", "BaseScheduler") in NAMES
    assert ("apscheduler.events", "EVENT_JOB_ERROR") in NAMES
    assert ("apscheduler.job", "add_function_alias") in NAMES
    assert ("apscheduler.jobstores.persistent", "PersistentJobStore") in NAMES


def test_no_name_is_there_twice() -> None:
    assert len(directives()) == len(DIRECTIVES)


def test_what_is_internal_is_there_and_no_name_of_3_x() -> None:
    assert {".".join(name) for name in package()} >= INTERNAL
    assert not {".".join(name) for name in CONTRACT} & INTERNAL


@pytest.mark.parametrize(("module", "name"), NAMES, ids=PATHS)
def test_a_public_name_is_in_the_reference(module: str, name: str) -> None:
    assert is_listed(module, name), (
        f"{module}.{name}: put it into docs/reference, or into INTERNAL above if it is for the "
        f"library alone"
    )


@pytest.mark.parametrize(("module", "name"), NAMES, ids=PATHS)
def test_a_public_name_and_its_methods_have_docstrings(module: str, name: str) -> None:
    obj: Any = getattr(pytest.importorskip(module, exc_type=ImportError), name)
    if not callable(obj):
        return

    assert inspect.getdoc(obj), f"{module}.{name}"
    if inspect.isclass(obj) and not module.startswith("apscheduler.testing"):
        for member in public_members(obj):
            assert inspect.getdoc(getattr(obj, member)), f"{module}.{name}.{member}"


def public_members(cls: type) -> list[str]:
    return [
        member
        for member, value in vars(cls).items()
        if not member.startswith("_") and (callable(value) or isinstance(value, property))
    ]


CLASSES = [
    path
    for path, options in directives().items()
    if not path.startswith("apscheduler.testing.") and path.rpartition(".")[2][0].isupper()
]


@pytest.mark.parametrize("path", CLASSES)
def test_the_methods_of_a_public_class_are_in_the_reference(path: str) -> None:
    module, _, name = path.rpartition(".")
    cls = getattr(pytest.importorskip(module, exc_type=ImportError), name)
    if not inspect.isclass(cls):
        return

    for member in public_members(cls):
        shown = any(shows(base, member) for base in cls.__mro__)
        assert shown, f"{path}.{member} is in no :members: of it or of what it derives from"


def shows(cls: type, member: str) -> bool:
    """Tell whether the reference shows a method of a class, or of what it overrides there."""
    members = directives().get(f"{cls.__module__}.{cls.__name__}", {}).get("members")
    return members is not None and member in vars(cls) and (not members or member in members)


def test_the_reference_has_the_number_of_every_event() -> None:
    events = import_module("apscheduler.events")
    for name in events.__all__:
        if name.startswith("EVENT_"):
            options = directives()[f"apscheduler.events.{name}"]
            assert options["value"] == {str(getattr(events, name))}, name


def test_every_event_is_in_the_table_of_events() -> None:
    events = import_module("apscheduler.events")
    table = (DOCS / "events.rst").read_text(encoding="utf-8")
    for name in vars(events):
        if name.startswith("EVENT_") and name not in ("EVENT_ALL", "EVENT_SCHEDULER_START"):
            assert f"``{name.removeprefix('EVENT_')}``" in table


def test_the_methods_that_a_persistent_store_writes_are_in_the_reference() -> None:
    path = "apscheduler.jobstores.persistent.PersistentJobStore"
    module, _, name = path.rpartition(".")
    cls = getattr(import_module(module), name)
    to_write = {member for member in cls.__abstractmethods__ if member in vars(cls)}
    assert len(to_write) == 8
    assert to_write <= directives()[path]["private-members"]
