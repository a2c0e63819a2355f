"""The example of a job store of one's own passes the suite, which is how a third party uses it."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from apscheduler.testing import PersistentJobStoreContract
from apscheduler.testing._jobstores import MakeStore

ROOT = Path(__file__).parent.parent.parent
EXAMPLE = ROOT / "examples" / "own_jobstore.py"

spec = importlib.util.spec_from_file_location("own_jobstore", EXAMPLE)
assert spec is not None
assert spec.loader is not None
own_jobstore = importlib.util.module_from_spec(spec)
spec.loader.exec_module(own_jobstore)


@pytest.fixture
def make_store(tmp_path: Path) -> MakeStore:
    return lambda: own_jobstore.FileJobStore(tmp_path / "jobs")  # type: ignore[no-any-return]


class TestFileJobStore(PersistentJobStoreContract):
    pass


def run_python(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_the_example_finds_its_job_again(tmp_path: Path) -> None:
    done = run_python(str(EXAMPLE), cwd=tmp_path)
    assert done.stdout == "Kept in jobs.pickle are ['tick']\n", done.stderr


def test_the_suite_says_which_fixture_is_missing(tmp_path: Path) -> None:
    (tmp_path / "test_store.py").write_text(
        "from apscheduler.testing import JobStoreContract\n"
        "class TestStore(JobStoreContract):\n"
        "    pass\n"
    )
    done = run_python("-m", "pytest", "-x", "-p", "no:cacheprovider", cwd=tmp_path)
    assert "fixture 'make_store' not found" in done.stdout


def test_importing_the_helpers_needs_no_pytest(tmp_path: Path) -> None:
    code = "import sys, apscheduler.testing; print('pytest' in sys.modules)"
    assert run_python("-c", code, cwd=tmp_path).stdout == "False\n"
