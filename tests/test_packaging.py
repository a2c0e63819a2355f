"""What setup.cfg says of the package is true of the package."""

from __future__ import annotations

import shutil
import subprocess
import sys
from configparser import ConfigParser
from importlib import import_module
from pathlib import Path

import pytest

import apscheduler
from apscheduler.schedulers._plugins import _OWN

ROOT = Path(__file__).parent.parent

setup_cfg = ConfigParser()
setup_cfg.read(ROOT / "setup.cfg", encoding="utf-8")


def entry_points() -> list[tuple[str, str, str]]:
    """Return group, name and "module:class" of each entry point in setup.cfg."""
    return [
        (group, *(part.strip() for part in line.split("=")))  # type: ignore[misc]
        for group, lines in setup_cfg["options.entry_points"].items()
        for line in lines.split("\n")
        if line.strip()
    ]


def test_the_version_is_the_same_everywhere() -> None:
    version = setup_cfg["metadata"]["version"]
    assert apscheduler.release == apscheduler.version == version
    assert ".".join(map(str, apscheduler.version_info)) == version


def test_the_version_is_one_that_programs_written_for_3_x_accept() -> None:
    assert (3, 10, 4) <= apscheduler.version_info < (3, 12)


@pytest.mark.parametrize(("group", "name", "reference"), entry_points())
def test_each_entry_point_leads_to_a_class(group: str, name: str, reference: str) -> None:
    module, _, class_name = reference.partition(":")
    found = getattr(import_module(module), class_name)
    base = {"triggers": "BaseTrigger", "executors": "BaseExecutor", "jobstores": "BaseJobStore"}
    kind = group.removeprefix("apscheduler.")
    assert issubclass(found, getattr(import_module(f"{group}.base"), base[kind]))


def test_our_plugins_are_known_without_metadata_by_the_same_names() -> None:
    for kind, known in _OWN.items():
        named = {name: ref for group, name, ref in entry_points() if group.endswith(kind)}
        assert known == named


def test_a_build_contains_every_file_of_the_package(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    for name in ("setup.py", "setup.cfg", "pyproject.toml", "README.rst", "LICENSE"):
        shutil.copy(ROOT / name, source)

    unwanted = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "apscheduler", source / "apscheduler", ignore=unwanted)
    build = [sys.executable, "setup.py", "--quiet", "build", "--build-lib", str(tmp_path / "lib")]
    subprocess.run(build, cwd=source, check=True, capture_output=True)

    def files(top: Path) -> set[Path]:
        return {path.relative_to(top) for path in top.rglob("*") if path.is_file()}

    assert files(tmp_path / "lib" / "apscheduler") == files(source / "apscheduler")
    assert Path("py.typed") in files(tmp_path / "lib" / "apscheduler")
