"""Measure one case, in this process, with the library that PYTHONPATH names; print the figures."""

from __future__ import annotations

import json
import sys
from importlib import import_module


def main() -> None:
    function, options = sys.argv[1:]
    module, _, name = function.partition(":")
    measure = getattr(import_module(f"cases.{module}"), name)
    print(json.dumps(measure(**json.loads(options))))


main()
