"""The program on the first screen of the README runs until Ctrl+C."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

from .pages import ROOT, blocks_of


def test_the_first_program_prints_and_ends_with_ctrl_c(tmp_path: Path) -> None:
    (program,) = [block for block in blocks_of(ROOT / "README.rst") if block.kind == "python"]
    file = tmp_path / "program.py"
    file.write_text(program.text, encoding="utf-8")
    process = subprocess.Popen(
        [sys.executable, "-u", str(file)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "still here\n"
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)
    finally:
        process.kill()

    assert errors.rstrip().endswith("KeyboardInterrupt")


def test_every_link_leads_to_a_file() -> None:
    text = (ROOT / "README.rst").read_text(encoding="utf-8")
    links = re.findall(r"<([\w./-]+)>`_", text)
    assert len(links) > 6
    assert [link for link in links if not (ROOT / link).is_file()] == []
