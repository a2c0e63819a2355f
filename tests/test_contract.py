"""Every name and signature of APScheduler 3.x that programs rely on, line by line."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from importlib import import_module
from inspect import Parameter
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from apscheduler.util import undefined

ROOT = Path(__file__).parent.parent
CONTRACT = ROOT / "tests" / "data" / "contract-3.x.txt"
UPGRADING = ROOT / "docs" / "upgrading.rst"

# Where we differ on purpose, by module and name: our line instead. The upgrade notes tell why.
DIFFERENCES = {
    "apscheduler.triggers.combining.BaseCombiningTrigger": (
        "class BaseCombiningTrigger(triggers, *more, jitter=None)  < BaseTrigger"
    ),
    "apscheduler.triggers.combining.AndTrigger": (
        "class AndTrigger(triggers, *more, jitter=None, threshold=1, max_iterations=10000)"
        "  < BaseCombiningTrigger"
    ),
    "apscheduler.triggers.combining.OrTrigger": (
        "class OrTrigger(triggers, *more, jitter=None)  < BaseCombiningTrigger"
    ),
    "apscheduler.schedulers.gevent.GeventScheduler.shutdown": "shutdown(self, wait=True)",
}

# Outside packages without which the module of their name cannot be imported.
OPTIONAL = ("etcd3", "gevent", "kazoo", "pymongo", "redis", "sqlalchemy", "tornado", "twisted")


class Line(NamedTuple):
    module: str
    owner: str | None  # the class that a member belongs to
    text: str

    @property
    def name(self) -> str:
        """The full name of what the line is about."""
        words = re.findall(r"\w+", self.text)
        word = next(w for w in words if w not in ("class", "def", "property", "classmethod"))
        return ".".join(part for part in (self.module, self.owner, word) if part)

    def __str__(self) -> str:
        return self.name


def read_contract() -> Iterator[Line]:
    module, owner = "", None
    for text in CONTRACT.read_text(encoding="utf-8").splitlines():
        if text.startswith("["):
            module = text.strip("[]")
        elif text and not text.startswith("#"):
            line = Line(module, owner if text.startswith(" ") else None, text.strip())
            if text.startswith("class "):
                owner = line.name.rpartition(".")[2]
            yield line


LINES = list(read_contract())


def load(module: str) -> Any:
    try:
        return import_module(module)
    except ImportError as exc:
        framework = module.rpartition(".")[2]
        if framework == "qt" or any(package in str(exc) for package in OPTIONAL):
            pytest.skip(str(exc))
        raise


def parameters_of(text: str) -> list[tuple[str, Any, Any]]:
    """Return name, kind and default of each parameter in a line such as ``f(a, b=1)``."""
    written = text[text.index("(") : text.rindex(")") + 1].replace("<undefined>", "undefined")
    function = ast.parse(f"def f{written}: pass").body[0]
    namespace: dict[str, Any] = {"undefined": undefined, "datetime": __import__("datetime")}
    exec(compile(ast.Module([function], []), str(CONTRACT), "exec"), namespace)
    return parameters(namespace["f"])


def parameters(function: Any) -> list[tuple[str, Any, Any]]:
    signature = inspect.signature(function)
    return [(p.name, p.kind, p.default) for p in signature.parameters.values()]


def test_the_contract_is_read_as_a_whole() -> None:
    assert len(LINES) > 350
    names = [line.name for line in LINES]
    assert "apscheduler.schedulers.base.BaseScheduler.add_job" in names
    assert "apscheduler.triggers.cron.CronTrigger.from_crontab" in names
    assert len(names) == len(set(names))


@pytest.mark.parametrize("line", LINES, ids=str)
def test_what_3_x_has_is_here_and_takes_the_same(line: Line) -> None:
    text = DIFFERENCES.get(line.name, line.text)
    owner = load(line.module)
    if line.owner:
        owner = getattr(owner, line.owner)
    member = inspect.getattr_static(owner, line.name.rpartition(".")[2])

    if text.startswith("property "):
        assert isinstance(member, property)
    elif text.startswith("class "):
        check_class(member, text)
    elif text.startswith("classmethod "):
        assert isinstance(member, classmethod)
        check_parameters(member.__func__, text)
    elif "(" not in text.partition("=")[0]:
        if isinstance(member, property):  # as an instance has it that was never started
            member = member.fget(owner.__new__(owner)) if member.fget else None
        check_value(member, text.partition("=")[2].strip())
    else:
        check_parameters(member, text)


def check_class(cls: Any, text: str) -> None:
    constructor, _, base = text.partition("  < ")
    if base:
        assert base in [ancestor.__name__ for ancestor in cls.__mro__]
    if not constructor.endswith("(...)"):
        check_parameters(cls, constructor)


def check_parameters(function: Any, text: str) -> None:
    """Make sure that ours has these parameters; more than these have to be optional."""
    ours, theirs = parameters(function), parameters_of(text)
    assert ours[: len(theirs)] == theirs
    for name, kind, default in ours[len(theirs) :]:
        is_optional = default is not Parameter.empty or kind in (
            Parameter.VAR_POSITIONAL,
            Parameter.VAR_KEYWORD,
        )
        assert is_optional, f"callers that know 3.x do not give {name}"


def check_value(value: Any, written: str) -> None:
    if written == "...":  # a value of our own
        assert value
    elif written == "{}":  # filled as plugins are found
        assert isinstance(value, dict)
    else:
        expected = ast.literal_eval(written)
        assert value == expected
        assert type(value) is type(expected)


@pytest.mark.parametrize("name", DIFFERENCES)
def test_each_difference_is_one_and_is_told_in_the_upgrade_notes(name: str) -> None:
    line = next(line for line in LINES if line.name == name)
    assert DIFFERENCES[name] != line.text

    notes = UPGRADING.read_text(encoding="utf-8")
    told = f"``{name.removeprefix(line.module + '.')}"
    assert told in notes.partition("Differences from APScheduler 3.x")[2]
