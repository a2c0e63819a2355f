"""The reference has every public name, and every public name says what it is."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import pytest

from .pages import DOCS, ROOT

PAGES = "\n".join(page.read_text(encoding="utf-8") for page in (DOCS / "reference").glob("*.rst"))
AUTOMODULES = re.findall(r"^\.\. automodule:: (\S+)$", PAGES, re.MULTILINE)


def contract() -> Iterator[tuple[str, str]]:
    """Iterate over the public classes and functions: module and name."""
    module = ""
    text = (ROOT / "tests" / "data" / "contract-3.x.txt").read_text(encoding="utf-8")
    for line in text.splitlines():
        if heading := re.fullmatch(r"\[(\S+)\]", line):
            module = heading[1]
        elif found := re.match(r"(?:class|def) ([A-Za-z]\w*)\(", line):
            yield module, found[1]


NAMES = [*contract(), ("apscheduler.triggers.excluding", "ExcludingTrigger")]
NAMES += [("apscheduler.testing", "ManualScheduler"), ("apscheduler.job", "add_function_alias")]
PATHS = [".".join(name) for name in NAMES]


def test_there_are_names_to_look_for() -> None:
    assert len(NAMES) > 80
    assert ("apscheduler.schedulers.base", "BaseScheduler") in NAMES


@pytest.mark.parametrize(("module", "name"), NAMES, ids=PATHS)
def test_a_public_name_is_in_the_reference(module: str, name: str) -> None:
    assert module in AUTOMODULES or f" {module}.{name}\n" in PAGES


@pytest.mark.parametrize(("module", "name"), NAMES, ids=PATHS)
def test_a_public_name_and_its_methods_have_docstrings(module: str, name: str) -> None:
    obj: Any = getattr(pytest.importorskip(module, exc_type=ImportError), name)
    assert inspect.getdoc(obj), f"{module}.{name}"
    if inspect.isclass(obj):
        for member, value in vars(obj).items():
            if not member.startswith("_") and (callable(value) or isinstance(value, property)):
                assert inspect.getdoc(getattr(obj, member)), f"{module}.{name}.{member}"


def test_every_event_is_in_the_table_of_events() -> None:
    events = import_module("apscheduler.events")
    table = (DOCS / "events.rst").read_text(encoding="utf-8")
    for name in vars(events):
        if name.startswith("EVENT_") and name not in ("EVENT_ALL", "EVENT_SCHEDULER_START"):
            assert f"``{name.removeprefix('EVENT_')}``" in table
