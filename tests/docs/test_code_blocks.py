"""Every code block of the documentation runs, and prints what the page says."""

from __future__ import annotations

import configparser
import doctest
import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from types import ModuleType

import pytest

import apscheduler
from apscheduler.schedulers.base import BaseScheduler

from .pages import DOCS, PAGES, ROOT, Block, blocks_of, name_of

FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
RUN = {"python", "pycon", "testsetup"}
CHECKED = {"sh", "ini", "dockerfile", "json", "sql", "text"}
SHOWN = {"literalinclude", "image", "figure"}

BLOCKS = {page: list(blocks_of(page)) for page in PAGES}


def blocks_of_kinds(kinds: set[str]) -> list[Block]:
    return [block for blocks in BLOCKS.values() for block in blocks if block.kind in kinds]


# The README's program goes on until somebody stops it: test_readme.py does. What needs a server
# is run with one by test_server_blocks.py.
ELSEWHERE = {"README.rst", "docs/howto/keep-jobs.rst"}
PAGES_TO_RUN = [
    page
    for page, blocks in BLOCKS.items()
    if name_of(page) not in ELSEWHERE and any(block.kind in RUN for block in blocks)
]


@pytest.fixture
def module(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Iterator[ModuleType]:
    """A module for the code of one page, so that its functions can be found again by name."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(ROOT / "examples")  # pages may import what they show
    module = ModuleType("page_of_the_documentation")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    yield module
    for value in list(vars(module).values()):
        if isinstance(value, BaseScheduler) and value.running:
            value.shutdown()


@pytest.mark.parametrize("page", PAGES_TO_RUN, ids=name_of)
def test_code_runs_and_prints_what_the_page_says(page: Path, module: ModuleType) -> None:
    run_page(BLOCKS[page], module)


def run_page(blocks: list[Block], module: ModuleType) -> None:
    """Run the blocks of a page one after the other, as somebody would who types them in."""
    printed = ""
    for block in blocks:
        if block.kind == "pycon":
            run_session(block, module)
        elif block.kind in ("python", "testsetup"):
            with redirect_stdout(StringIO()) as output:
                run_code(block, module)
            printed = output.getvalue()
        elif block.kind == "text" and "output" in block.options.get("class", ""):
            same = doctest.OutputChecker().check_output(block.text, printed, FLAGS)
            assert same, f"{block}: the page says\n{block.text}\nbut it prints\n{printed}"


def run_code(block: Block, module: ModuleType) -> None:
    # Blank lines before it, so that a traceback shows the line of the page.
    padded = "\n" * (block.line - 1) + block.text
    exec(compile(padded, name_of(block.page), "exec"), vars(module))


def run_session(block: Block, module: ModuleType) -> None:
    name = name_of(block.page)
    test = doctest.DocTestParser().get_doctest(block.text, {}, name, name, block.line - 1)
    test.globs = vars(module)
    assert test.examples, f"{block}: a session has lines that begin with >>>"
    for example in test.examples:
        # Where the page names just the class: some are called by their module in older Pythons.
        if example.exc_msg and ":" not in example.exc_msg:
            example.options[doctest.IGNORE_EXCEPTION_DETAIL] = True
    report: list[str] = []
    runner = doctest.DocTestRunner(optionflags=FLAGS, verbose=False)
    runner.run(test, out=report.append, clear_globs=False)
    assert runner.summarize(verbose=False).failed == 0, "".join(report)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_blocks_are_of_a_kind_that_a_test_knows(page: Path) -> None:
    for block in BLOCKS[page]:
        assert block.kind in RUN | CHECKED | SHOWN, (
            f"{block}: say what kind of block it is (.. code-block:: python), so that it is tested"
        )


# Each text on these pages is compared with what it tells of, by the test that is named.
TEXT_IS_COMPARED = {
    "CONTRIBUTING.rst": "test_contributing.py",
    "docs/extending.rst": "test_examples.py",
    "docs/tutorial.rst": "test_tutorial.py",
}


def test_every_text_is_compared_by_a_test() -> None:
    tests = {path.name for path in (ROOT / "tests" / "docs").glob("test_*.py")}
    assert tests >= set(TEXT_IS_COMPARED.values())
    for block in blocks_of_kinds({"text"}):
        is_output = "output" in block.options.get("class", "") and block.page in PAGES_TO_RUN
        assert is_output or name_of(block.page) in TEXT_IS_COMPARED, (
            f"{block}: give it :class: output, if the block before it prints it, or a test of its "
            f"own"
        )


# test_sqlalchemy.py of the job stores runs it.
def test_there_is_one_statement_of_sql() -> None:
    assert [name_of(block.page) for block in blocks_of_kinds({"sql"})] == ["docs/job-stores.rst"]


def test_what_is_shown_is_there() -> None:
    for block in blocks_of_kinds(SHOWN):
        target = (block.page.parent / block.argument).resolve()
        assert target.is_file(), f"{block}: there is no {block.argument}"
        if block.kind == "literalinclude":
            executed = [ROOT / "examples", ROOT / "tests"]
            assert any(map(target.is_relative_to, executed)), (
                f"{block}: include files that the tests execute"
            )


@pytest.mark.parametrize("block", blocks_of_kinds({"sh"}), ids=str)
def test_shell_commands_can_be_read_and_install_extras_that_exist(block: Block) -> None:
    subprocess.run(["bash", "-n"], input=block.text, text=True, check=True)

    extras = known_extras()
    for group in re.findall(r"(?:apscheduler|\.)\[([\w,]+)\]", block.text):
        assert set(group.split(",")) <= extras, f"{block}: there is no such extra"
    for script in re.findall(r"python3? (examples/\S+\.py)", block.text):
        assert (ROOT / script).is_file(), f"{block}: there is no {script}"


def known_extras() -> set[str]:
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg", encoding="utf-8")
    return set(config["options.extras_require"])


# The package index has another library of this name, but not with this version.
OURS = re.compile(rf"apscheduler(\[[\w,]+\])?=={re.escape(apscheduler.version)}")


@pytest.mark.parametrize("block", blocks_of_kinds({"sh", "dockerfile"}), ids=str)
def test_no_command_installs_the_other_library_of_this_name(block: Block) -> None:
    for command in block.text.replace("\\\n", " ").splitlines():
        if "pip install" in command:
            arguments = shlex.split(command)
            named = [argument for argument in arguments if argument.startswith("apscheduler")]
            assert all(map(OURS.fullmatch, named)), f"{block}: {named}"


def test_no_page_names_the_library_with_an_extra_but_without_its_version() -> None:
    for page in PAGES:
        for named in re.findall(r"\bapscheduler\[[^`'\"\s]*", page.read_text(encoding="utf-8")):
            assert OURS.fullmatch(named), f"{name_of(page)}: {named}"


def test_every_extra_is_on_the_page_about_installing() -> None:
    page = (DOCS / "install.rst").read_text(encoding="utf-8")
    assert set(re.findall(r"^   \* - ``(\w+)``$", page, re.MULTILINE)) == known_extras()


@pytest.mark.parametrize("block", blocks_of_kinds({"dockerfile"}), ids=str)
def test_a_dockerfile_starts_a_program_that_gets_signals(block: Block) -> None:
    instructions = re.findall(r"^([A-Z]+) (.*)$", block.text, re.MULTILINE)
    assert instructions[0][0] == "FROM"
    name, command = instructions[-1]
    assert name == "CMD"
    assert json.loads(command)[0] == "python"  # a list: no shell between it and the platform


@pytest.mark.parametrize("block", blocks_of_kinds({"ini", "json"}), ids=str)
def test_configuration_can_be_read(block: Block) -> None:
    if block.kind == "json":
        assert json.loads(block.text)
    else:
        config = configparser.ConfigParser()
        config.read_string(block.text)
        assert config.sections(), f"{block}: an ini file has a [section]"


def test_every_page_is_in_the_table_of_contents() -> None:
    listed: set[Path] = set()
    for page in DOCS.rglob("*.rst"):
        for match in re.finditer(
            r"^( *)\.\. toctree::\n((?:\1 +\S.*\n|\s*\n)*)", page.read_text("utf-8"), re.MULTILINE
        ):
            for line in match[2].splitlines():
                entry = line.strip()
                if entry and not entry.startswith(":"):
                    target = re.sub(r".*<(.*)>$", r"\1", entry)
                    listed |= set(page.parent.glob(f"{target}.rst"))

    pages = {page for page in PAGES if page.is_relative_to(DOCS)} - {DOCS / "index.rst"}
    assert pages <= listed, "in no toctree: " + ", ".join(map(name_of, pages - listed))


def test_tables_of_contents_are_the_ones_that_the_theme_bears() -> None:
    # Furo has its own beside each page, and paints others red, without a warning.
    wanted = (
        ".. contents::\n   :class: this-will-duplicate-information-and-it-is-still-useful-here\n"
    )
    for page in DOCS.rglob("*.rst"):
        text = page.read_text(encoding="utf-8")
        assert text.count(".. contents::") == text.count(wanted), name_of(page)
