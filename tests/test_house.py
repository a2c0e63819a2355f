"""The house rules that a machine can check: who may import whom, and what an import costs."""

from __future__ import annotations

import ast
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "apscheduler"
MODULES = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    for path in PACKAGE.rglob("*.py")
)

# Parts of the package, lowest first. A part may import itself and what stands above it here;
# the top level, which any import runs first, may import only the first line.
LAYERS = [
    {"_context", "_forks", "_log", "_overriding", "_refs", "_settings", "_time", "events"},
    {"util"},
    {"triggers", "serializers"},
    {"job"},
    {"jobstores", "executors", "brokers", "ledger"},
    {"schedulers"},
    {"testing", "contrib"},
]
HEIGHT = {part: height for height, layer in enumerate(LAYERS) for part in layer}
HEIGHT[""] = 1  # apscheduler/__init__.py

# Outside packages, and the name of the module or package that is about them.
HOMES = {
    "sqlalchemy": "sqlalchemy",
    "psycopg": "sqlalchemy",  # its arrays are sent in binary
    "redis": "redis",
    "bson": "mongodb",
    "pymongo": "mongodb",
    "kazoo": "zookeeper",
    "etcd3": "etcd",
    "grpc": "etcd",  # etcd3 speaks by it, and its errors say what was too large
    "tornado": "tornado",
    "twisted": "twisted",
    "gevent": "gevent",
    "PySide6": "qt",
    "PyQt6": "qt",
    "PySide2": "qt",
    "PyQt5": "qt",
    "pytest": "testing",
}


def is_package(module: str) -> bool:
    return ROOT.joinpath(*module.split(".")).is_dir()


def tree_of(module: str) -> ast.AST:
    path = ROOT.joinpath(*module.split("."))
    file = path / "__init__.py" if is_package(module) else path.with_suffix(".py")
    return ast.parse(file.read_text(encoding="utf-8"))


def imports_of(module: str) -> Iterator[str]:
    """Yield the full name of each module imported at run time, in functions too."""
    package = module if is_package(module) else module.rpartition(".")[0]
    todo = [tree_of(module)]
    while todo:
        node = todo.pop()
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            todo += node.orelse
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1]
            parts = (above if node.level else []) + [node.module] * bool(node.module)
            source = ".".join(parts)
            for alias in node.names:
                name = f"{source}.{alias.name}"
                yield name if name in MODULES else source
        else:
            todo += ast.iter_child_nodes(node)


def part_of(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


@pytest.mark.parametrize("module", MODULES)
def test_imports_go_one_way(module: str) -> None:
    part = part_of(module)
    assert part in HEIGHT, f"give {part} a place in LAYERS"

    for imported in imports_of(module):
        source = part_of(imported)
        if imported.split(".")[0] != "apscheduler" or source in ("", part):
            continue

        allowed = HEIGHT[source] < HEIGHT[part] or {source, part} <= LAYERS[0]
        assert allowed, f"{module} may not import {imported}, which stands beside or above it"


LOG_METHODS = ("debug", "info", "warning", "error", "exception", "critical", "log")


def lines_that_log(node: ast.AST) -> Iterator[int]:
    """Yield the lines that log other than inside of ``with log_may_fail``."""
    if isinstance(node, ast.With) and "log_may_fail" in map(
        ast.unparse, (item.context_expr for item in node.items)
    ):
        return
    is_call = isinstance(node, ast.Attribute) and node.attr in LOG_METHODS
    if is_call and "logg" in ast.unparse(node.value):
        yield node.lineno
    for child in ast.iter_child_nodes(node):
        yield from lines_that_log(child)


@pytest.mark.parametrize("module", MODULES)
def test_nothing_depends_on_what_is_logged(module: str) -> None:
    assert list(lines_that_log(tree_of(module))) == []


@pytest.mark.parametrize("module", MODULES)
def test_outside_packages_are_imported_only_where_they_are_the_subject(module: str) -> None:
    # tzlocal is the one dependency that is always there.
    everywhere = sys.stdlib_module_names | {"apscheduler", "tzlocal"}
    for imported in imports_of(module):
        outside = imported.split(".")[0]
        if outside not in everywhere:
            home = HOMES.get(outside, "a module that HOMES names")
            # Such as _sqlalchemy_engines.py, beside sqlalchemy.py
            is_home = any(name.lstrip("_").startswith(home) for name in module.split("."))
            assert is_home, f"{outside} belongs in {home}, not in {module}"


def modules_loaded_by(statement: str) -> set[str]:
    """Run a statement in a bare interpreter; return the modules that it loaded."""
    code = (
        f"import sys; sys.path += [{str(ROOT)!r}, {sysconfig.get_path('purelib')!r}]\n"
        f"before = set(sys.modules)\n{statement}\nprint(*set(sys.modules) - before)"
    )
    # -S keeps out whatever site-packages loads into every interpreter.
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=True
    )
    return set(done.stdout.split())


def test_the_background_scheduler_needs_only_tzlocal() -> None:
    loaded = modules_loaded_by("import apscheduler.schedulers.background")
    outside = {name.split(".")[0] for name in loaded} - sys.stdlib_module_names
    # The module in which sysconfig keeps its data has a name that differs by platform.
    assert {name for name in outside if not name.startswith("_sysconfigdata")} <= {
        "apscheduler",
        "tzlocal",
    }


def test_plugins_are_looked_up_when_needed_and_not_on_import() -> None:
    loaded = modules_loaded_by("import apscheduler.schedulers.background")
    assert "apscheduler.schedulers.base" in loaded
    assert "importlib.metadata" not in loaded
