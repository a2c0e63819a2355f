"""Signals that strike at one line after the other; see :mod:`tests.faults.strike`."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.programs import ROOT
from tests.recorder import PATIENCE

pytestmark = pytest.mark.skipif(
    sys.platform == "win32", reason="Windows sends no signal to one process"
)


@pytest.mark.parametrize(
    "arguments",
    [
        "loop",
        "loop --wait 5",
        "loop --wait 0",
        "program",
        "program --wait 5",
        "asyncio",
        "asyncio --wait 0",
        "tornado",
    ],
)
def test_a_handler_that_shuts_down_does_so_wherever_it_strikes(arguments: str) -> None:
    strike(f"{arguments} --step 13")


@pytest.mark.parametrize(
    "arguments",
    [
        "ctrl-c",
        "ctrl-c-processes --step 4",  # each of them starts an interpreter
        "ctrl-c-asyncio",
        "ctrl-c-threads",
        "ctrl-c-pausing",
        "ctrl-c-in-doubt",
    ],
)
def test_ctrl_c_amid_the_handover_loses_and_doubles_no_run_wherever_it_strikes(
    arguments: str,
) -> None:
    strike(arguments)


def strike(arguments: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.faults.strike", *arguments.split()],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=10 * PATIENCE,  # it ends by itself if one of them hangs
    )

    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 50
