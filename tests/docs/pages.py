"""The pages of the documentation, taken apart into the blocks that a test can run or check."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
DOCS = ROOT / "docs"
PAGES = sorted(
    [*DOCS.rglob("*.rst"), *ROOT.glob("*.rst"), *(ROOT / "examples").glob("*.rst")],
    key=lambda path: path.relative_to(ROOT).as_posix(),
)
PAGES = [page for page in PAGES if not {"_build", "newsfragments"} & set(page.parts)]

_DIRECTIVE = re.compile(
    r"^(?P<indent>[ *-]*)\.\. (?:\|[^|]+\| )?(?P<name>[\w:+.-]+?)::(?: +(?P<argument>.*))?$"
)
_LITERAL = re.compile(r"^(?P<indent>[ ]*)(?!\.\. ).*::\s*$")
_SESSION = re.compile(r"^(?P<indent>[ *-]*)>>>( |$)")
_OPTION = re.compile(r"^\s*:(?P<name>[\w-]+):\s*(?P<value>.*)$")

# Other names of one directive
_CODE = {"code-block", "code", "sourcecode"}
# These hold no code, or what they hold is looked at in its turn.
_NO_CODE = {
    "contents",
    "csv-table",
    "list-table",
    "note",
    "py:data",
    "toctree",
    *("autoclass", "autodata", "autoexception", "autofunction", "automodule"),
}


@dataclass
class Block:
    """
    A code block of a page.

    :param kind: the language of a code block, ``literal`` for one that names none, else the
        directive
    :param line: number of the first line of the text, from 1
    """

    page: Path
    kind: str
    argument: str
    line: int
    text: str
    options: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{name_of(self.page)}:{self.line}"


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def blocks_of(page: Path) -> Iterator[Block]:
    """Iterate over the code blocks, included files and pictures of a page, in order."""
    yield from blocks_in(page.read_text(encoding="utf-8"), page)


def blocks_in(text: str, page: Path) -> Iterator[Block]:
    """
    Iterate over the blocks of a text in the same way.

    Whatever might show code is a block: that of a directive that is not known has its name for its
    kind, that of a paragraph which ends with two colons is ``literal``, and a session that stands
    there without a directive is ``pycon``.
    """
    lines = text.splitlines()
    position = 0
    while position < len(lines):
        line = lines[position]
        start = position
        position += 1
        options: dict[str, str] = {}
        if (found := _DIRECTIVE.match(line)) is not None:
            kind, argument = found["name"], found["argument"] or ""
            if kind in _NO_CODE:
                continue
            while position < len(lines) and (option := _OPTION.match(lines[position])):
                options[option["name"]] = option["value"]
                position += 1
            if kind in _CODE:
                kind, argument = argument or "literal", ""
            start, position = position, _end_of(lines, position, len(found["indent"]))
        elif (found := _SESSION.match(line)) is not None:
            kind, argument = "pycon", ""
            while position < len(lines) and lines[position].strip():
                position += 1
        elif (found := _LITERAL.match(line)) is not None:
            kind, argument = "literal", ""
            start, position = position, _end_of(lines, position, len(found["indent"]))
        else:
            continue

        yield _block(page, kind, argument, lines, start, position, options)


def _end_of(lines: list[str], start: int, indent: int) -> int:
    """Return the position after the lines that are indented more deeply."""
    position = start
    while position < len(lines):
        line = lines[position]
        if line.strip() and len(line) - len(line.lstrip()) <= indent:
            break
        position += 1

    return position


def _block(
    page: Path,
    kind: str,
    argument: str,
    lines: list[str],
    start: int,
    end: int,
    options: dict[str, str],
) -> Block:
    while start < end and not lines[start].strip():
        start += 1
    depth = min((len(s) - len(s.lstrip()) for s in lines[start:end] if s.strip()), default=0)
    text = "\n".join(line[depth:] for line in lines[start:end]).rstrip() + "\n"

    return Block(page, kind, argument, start + 1, text, options)
