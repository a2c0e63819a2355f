"""Measure one case, in this process, with the library that PYTHONPATH names; print the figures."""

from __future__ import annotations

import json
import sys
from importlib import import_module
from pathlib import Path

from _libraries import Library


def main() -> None:
    function, options, folder, version = sys.argv[1:]
    Library(Path(folder), version).check_imported()
    module, _, name = function.partition(":")
    measure = getattr(import_module(f"cases.{module}"), name)
    print(json.dumps(measure(**json.loads(options))))


main()
