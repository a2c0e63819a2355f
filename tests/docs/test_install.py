"""The wheel of the page about installing is built and taken from where the page says."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import apscheduler

from .pages import DOCS, ROOT, blocks_of

pytest.importorskip("pip", reason="python -m ensurepip")

PAGE = DOCS / "install.rst"
COMMANDS = [
    line for block in blocks_of(PAGE) if block.kind == "sh" for line in block.text.splitlines()
]
# What the page has others bring over the network is here already, or not needed.
OFFLINE = ["--quiet", "--no-deps", "--no-index"]


def pip(cwd: Path, command: str, *more: str) -> None:
    """Run a command of the page, with the pip of this Python and some options more."""
    program, *arguments = shlex.split(command)
    assert program == "pip"
    subprocess.run(
        [sys.executable, "-m", "pip", *arguments, *more],
        cwd=cwd,
        env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
        check=True,
    )


def command_with(option: str) -> str:
    (command,) = [command for command in COMMANDS if option in command]
    return command


def version_in(folder: Path) -> str:
    """Return the version of the library in a folder, and make sure that it works there."""
    program = (
        "import apscheduler, apscheduler.schedulers.background as module\n"
        "assert module.BackgroundScheduler(timezone='UTC').get_jobs() == []\n"
        "print(apscheduler.__file__, apscheduler.version)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        check=True,
    )
    file, version = done.stdout.split()
    assert Path(file).is_relative_to(folder)
    return version


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory with the wheel, made in a copy of the repository as the page says."""
    copy = tmp_path_factory.mktemp("repository")
    for name in ("setup.py", "setup.cfg", "pyproject.toml", "README.rst", "LICENSE"):
        shutil.copy(ROOT / name, copy)
    unwanted = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "apscheduler", copy / "apscheduler", ignore=unwanted)
    pip(copy, command_with("pip wheel"), "--quiet", "--no-index", "--no-build-isolation")

    (wheel,) = (copy / "dist").iterdir()
    assert wheel.name == f"apscheduler-{apscheduler.version}-py3-none-any.whl"
    return copy / "dist"


def test_the_wheel_is_found_on_another_computer(dist: Path, tmp_path: Path) -> None:
    shutil.copytree(dist, tmp_path / "dist")
    pip(tmp_path, command_with("--find-links"), *OFFLINE, "--target", "there")
    assert version_in(tmp_path / "there") == apscheduler.version


def test_the_wheel_is_found_by_the_lines_of_requirements(dist: Path, tmp_path: Path) -> None:
    shutil.copytree(dist, tmp_path / "dist")
    text = PAGE.read_text(encoding="utf-8").partition("In a ``requirements.txt``")[2]
    lines = re.findall(r"``(.+?)``", text)
    assert len(lines) == 2
    (tmp_path / "requirements.txt").write_text("\n".join(lines), encoding="utf-8")
    pip(tmp_path, "pip install -r requirements.txt", *OFFLINE, "--target", "there")
    assert version_in(tmp_path / "there") == apscheduler.version
