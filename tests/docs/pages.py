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
    r"^(?P<indent>[ *-]*)\.\. (?P<name>code-block|code|testsetup|literalinclude|image|figure)::"
    r"[ ]*(?P<argument>.*)$"
)
_LITERAL = re.compile(r"^(?P<indent>[ ]*)(?!\.\. )\S.*::$")
_OPTION = re.compile(r"^\s*:(?P<name>[\w-]+):\s*(?P<value>.*)$")


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
    lines = page.read_text(encoding="utf-8").splitlines()
    position = 0
    while position < len(lines):
        directive = _DIRECTIVE.match(lines[position])
        literal = _LITERAL.match(lines[position])
        position += 1
        if directive is not None:
            options = {}
            while position < len(lines) and (option := _OPTION.match(lines[position])):
                options[option["name"]] = option["value"]
                position += 1
            start, position = position, _end_of(lines, position, len(directive["indent"]))
            kind, argument = directive["name"], directive["argument"]
            if kind in ("code-block", "code"):
                kind, argument = argument or "literal", ""
            yield _block(page, kind, argument, lines, start, position, options)
        elif literal is not None:
            start, position = position, _end_of(lines, position, len(literal["indent"]))
            yield _block(page, "literal", "", lines, start, position, {})


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
