"""The two libraries that are compared, each in a folder that goes on PYTHONPATH."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from configparser import ConfigParser
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ROOT = HERE.parent
RELEASE = "3.11.3"


@dataclass(frozen=True)
class Library:
    folder: Path
    version: str

    def __str__(self) -> str:
        return f"apscheduler {self.version} of {self.folder}"

    def check_imported(self) -> None:
        """Make sure that this process imports this library, and no other that is installed."""
        import apscheduler

        folder = Path(apscheduler.__file__ or "").parent.parent
        found = Library(folder.resolve(), apscheduler.version)
        if found != Library(self.folder.resolve(), self.version):
            raise RuntimeError(
                f"{found} was imported, but {self} is to be measured: "
                "see what APSCHEDULER_311 names, or remove that folder to have it made anew"
            )

    def run(self, script: str, *arguments: str) -> Any:
        """Run a script of ours with this library, in a process of its own; return what it prints.

        It is given its arguments, then the folder and the version to check.
        """
        done = subprocess.run(
            [sys.executable, HERE / script, *arguments, self.folder, self.version],
            env={**os.environ, "PYTHONPATH": str(self.folder)},
            stdout=subprocess.PIPE,
            check=True,
        )
        return json.loads(done.stdout)


def our_library() -> Library:
    settings = ConfigParser()
    settings.read(ROOT / "setup.cfg", encoding="utf-8")
    return Library(ROOT, settings["metadata"]["version"])


def fetch_theirs() -> Library:
    """
    Install APScheduler 3.11.3 into a folder of its own, unless it is there.

    The environment variable ``APSCHEDULER_311`` may name such a folder. What the library depends
    on is taken from where this runs, so that both libraries use the same versions.
    """
    if given := os.environ.get("APSCHEDULER_311"):
        return Library(Path(given).absolute(), RELEASE)

    folder = HERE / ".cache" / f"apscheduler-{RELEASE}"
    if not (folder / "apscheduler").exists():
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps"]
        subprocess.run([*pip, "--target", str(folder), f"APScheduler=={RELEASE}"], check=True)

    return Library(folder, RELEASE)
