"""What the page for contributors says about the code is what the tests keep."""

from __future__ import annotations

from tests.test_house import LAYERS

from .pages import ROOT, blocks_of


def test_imports_go_the_way_that_the_page_shows() -> None:
    (shown,) = [block for block in blocks_of(ROOT / "CONTRIBUTING.rst") if block.kind == "text"]
    layers = [set(layer.replace(",", " ").split()) for layer in shown.text.split("->")]
    first = {part for part in LAYERS[0] | LAYERS[1] if not part.startswith("_")}
    assert layers == [first, *LAYERS[2:]]
