"""Modules: each has an idea, a name that says it, and somebody who imports it."""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterator
from pathlib import PurePosixPath

from tests.style.rules import Finding, Problems, Project, Rule, Source, each_python

_ATTICS = {"base", "common", "helper", "helpers", "misc", "util", "utils"}


def _module_name(path: str) -> str:
    parts = PurePosixPath(path).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _imported(source: Source) -> Iterator[str]:
    """Names of modules that a source imports; `from a import b` may mean a.b."""
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Import):
            yield from (one.name for one in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = _absolute(source, node)
            yield module
            yield from (f"{module}.{one.name}" for one in node.names)


def _absolute(source: Source, node: ast.ImportFrom) -> str:
    if not node.level:
        return node.module or ""
    package = PurePosixPath(source.path).parts[: -node.level]
    return ".".join([*package, *([node.module] if node.module else [])])


def _named_in_strings(source: Source, known: set[str]) -> Iterator[str]:
    """What is loaded lazily is named in a string: whole, or from the package of the file.

    relay.cli.main takes a command's name for its module, so its own package counts there too.
    """
    package = _module_name(str(PurePosixPath(source.path).parent))
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            for name in (node.value, f"{package}.{node.value.removeprefix('.')}"):
                if name in known:
                    yield name


def _is_lazy_door(source: Source) -> bool:
    return source.path.endswith("/__init__.py") or source.path == "relay/cli/main.py"


def _is_script(source: Source) -> bool:
    """`python -m` runs it: a process of its own needs no importer."""
    return any(
        isinstance(node, ast.If) and ast.unparse(node.test) == "__name__ == '__main__'"
        for node in source.tree.body
    )


def _entry_points(project: Project) -> set[str]:
    for source in project:
        if source.path == "pyproject.toml":
            about = tomllib.loads(source.text).get("project", {})
            tables = [about.get("scripts", {}), *about.get("entry-points", {}).values()]
            return {str(one).partition(":")[0] for table in tables for one in table.values()}
    return set()


def _dead_modules(project: Project) -> Iterator[Finding]:
    # Tests do not count: what only they import is in no product.
    python = [source for source in project if source.is_python]
    ours = {_module_name(one.path): one for one in python if one.is_product}
    used = _entry_points(project) | {name for name, one in ours.items() if _is_script(one)}
    for source in python:
        if not source.path.startswith("tests/"):
            own = _module_name(source.path)
            used.update(name for name in _imported(source) if name != own)
            if _is_lazy_door(source):
                used.update(_named_in_strings(source, set(ours)))
    for name in sorted(ours.keys() - used):
        if not ours[name].path.endswith("/__init__.py"):
            yield Finding(ours[name].path, 1, "nothing but tests imports this module")


def _is_empty(source: Source) -> Problems:
    body = source.tree.body
    says_nothing = all(
        (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))
        or (isinstance(node, ast.ImportFrom) and node.module == "__future__")
        for node in body
    )
    if says_nothing and not source.path.endswith("__init__.py"):
        yield 1, "nothing in it: make a file when it has its idea"


def _is_attic(source: Source) -> Problems:
    for part in PurePosixPath(source.path).with_suffix("").parts:
        if part in _ATTICS:
            yield 1, f"{part!r} says nothing: name the file after its idea"


_SCRIPTS = """[project.scripts]
relay = "relay.cli.main:main"
[project.entry-points.pytest11]
outbox = "coordinator.testing.plugin"
"""

MODULE_RULES = (
    Rule(
        "each module of the product is imported by another or is run",
        _dead_modules,
        planted=[
            {
                "relay/core/dead.py": "x = 1\n",
                "tests/test_dead.py": "from relay.core import dead\n",
            }
        ],
        spared={
            "pyproject.toml": _SCRIPTS,
            "relay/cli/main.py": 'COMMANDS = ("status",)\n',
            "relay/cli/status.py": "from relay.core.alive import x\n",
            "relay/core/alive.py": "from . import near\n\nx = near.y\n",
            "relay/core/near.py": "y = 1\n",
            "relay/demo/child.py": 'if __name__ == "__main__":\n    pass\n',
            "coordinator/__init__.py": 'NAMES = {"OutboxEvent": ".event"}\n',
            "coordinator/event.py": "class OutboxEvent: ...\n",
            "coordinator/testing/plugin.py": "x = 1\n",
        },
    ),
    Rule(
        "no module is empty",
        each_python(_is_empty),
        planted=[{"relay/later.py": '"""To be written."""\n'}],
        spared={"relay/__init__.py": "", "relay/now.py": "x = 1\n"},
    ),
    Rule(
        "no module is an attic",
        each_python(_is_attic),
        planted=[{"relay/core/utils.py": "x = 1\n"}, {"tests/common/x.py": "x = 1\n"}],
        spared={"relay/core/window.py": "x = 1\n"},
    ),
)
