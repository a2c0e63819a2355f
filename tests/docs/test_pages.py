"""Whatever a page may show as code is found, so that none escapes the tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from .pages import blocks_in
from .test_code_blocks import CHECKED, RUN, SHOWN

PAGE = Path(__file__)


def kinds_and_texts(page: str) -> list[tuple[str, str]]:
    return [(block.kind, block.text) for block in blocks_in(page, PAGE)]


@pytest.mark.parametrize("name", ["code-block", "code", "sourcecode"])
def test_code_is_found_by_each_name_of_its_directive(name: str) -> None:
    page = f"Words\n\n.. {name}:: python\n   :caption: a\n\n   first()\n\n   second()\n\nWords"
    assert kinds_and_texts(page) == [("python", "first()\n\nsecond()\n")]


@pytest.mark.parametrize("name", ["doctest", "testcode", "parsed-literal", "raw", "highlight"])
def test_a_directive_that_no_test_knows_is_refused(name: str) -> None:
    ((kind, _),) = kinds_and_texts(f".. {name}::\n\n   >>> 1 + 1\n   2\n")
    assert kind not in RUN | CHECKED | SHOWN


@pytest.mark.parametrize("end", ["Like this::", "Like this: ::", "::", "* Like this::", "  ::"])
def test_two_colons_are_found_and_refused(end: str) -> None:
    ((kind, text),) = kinds_and_texts(f"Words\n\n{end}\n\n     first()\n\nWords")
    assert (kind, text) == ("literal", "first()\n")
    assert kind not in RUN | CHECKED | SHOWN


def test_code_that_names_no_language_is_refused() -> None:
    ((kind, _),) = kinds_and_texts(".. code-block::\n\n   first()\n")
    assert kind not in RUN | CHECKED | SHOWN


def test_a_session_that_stands_alone_is_run() -> None:
    page = "Words\n\n>>> 1 + 1\n2\n\nWords\n\n  >>> 2 + 2\n  4\n"
    assert kinds_and_texts(page) == [("pycon", ">>> 1 + 1\n2\n"), ("pycon", ">>> 2 + 2\n4\n")]
    assert "pycon" in RUN


def test_code_is_found_in_lists_tables_and_notes() -> None:
    page = """
* A point

  .. code-block:: python

      first()

* Another

.. list-table::

   * - .. code-block:: python

          second()

     - words

.. note::

   .. code-block:: python

      third()
"""
    assert [text for _, text in kinds_and_texts(page)] == ["first()\n", "second()\n", "third()\n"]


def test_a_comment_and_a_target_show_nothing() -> None:
    assert kinds_and_texts(".. _a-target:\n\n.. a comment\n\nWords: and a :doc:`link`.\n") == []
