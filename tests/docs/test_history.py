"""Fragments of the history are named so that towncrier finds them, and it can build with them."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

import apscheduler

from .pages import DOCS, ROOT

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # comes with pytest

FRAGMENTS = DOCS / "newsfragments"


def settings() -> dict[str, object]:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    found: dict[str, object] = tomllib.loads(text)["tool"]["towncrier"]
    return found


def kinds() -> list[str]:
    types = settings()["type"]
    assert isinstance(types, list)
    return [str(kind["directory"]) for kind in types]


@pytest.mark.parametrize("fragment", sorted(FRAGMENTS.glob("*")), ids=lambda path: str(path.name))
def test_a_fragment_has_a_name_that_towncrier_finds(fragment: Path) -> None:
    if fragment.name == "README.rst":
        return

    assert re.fullmatch(rf"(\d+|\+[\w-]+)\.({'|'.join(kinds())})\.rst", fragment.name)
    assert fragment.read_text(encoding="utf-8").strip()


def test_the_readme_of_the_fragments_names_every_kind() -> None:
    text = (FRAGMENTS / "README.rst").read_text(encoding="utf-8")
    assert set(re.findall(r"``(\w+)``", text)) == set(kinds())


def test_the_newest_section_is_that_of_this_version() -> None:
    history = (DOCS / "history.rst").read_text(encoding="utf-8")
    newest = re.findall(r"^(\S+) \(\d{4}-\d\d-\d\d\)\n-+$", history, re.MULTILINE)[0]
    assert newest == apscheduler.version


def test_the_history_has_a_place_for_the_next_release() -> None:
    assert settings()["filename"] == "docs/history.rst"
    history = (DOCS / "history.rst").read_text(encoding="utf-8")
    assert history.count("\n.. towncrier release notes start\n") == 1
