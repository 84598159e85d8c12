"""Sizes: what a reader can hold in mind at once."""

from __future__ import annotations

import ast

from tests.style.rules import Problems, Rule, Source, each, each_python

FUNCTION_LINES_MAX = 70
FILE_LINES_MAX = 300
# SQL cannot be split without hiding the order; tests of one table belong together.
LONG_FILE_LINES_MAX = 500


def _long_functions(source: Source) -> Problems:
    for node in ast.walk(source.tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if lines > FUNCTION_LINES_MAX:
                yield node.lineno, f"{node.name}() has {lines} lines, {FUNCTION_LINES_MAX} at most"


def _long_file(source: Source) -> Problems:
    is_long_kind = source.path.endswith(".sql") or source.path.startswith("tests/")
    limit = LONG_FILE_LINES_MAX if is_long_kind else FILE_LINES_MAX
    lines = len(source.text.splitlines())
    if lines > limit:
        yield limit + 1, f"{lines} lines, {limit} at most: split it by idea"


def _function_of(lines: int) -> str:
    return "def long() -> None:\n" + "    pass\n" * (lines - 1)


SIZE_RULES = (
    Rule(
        "a function has at most 70 lines",
        each_python(_long_functions),
        planted=[{"relay/long.py": _function_of(71)}],
        spared={"relay/long.py": _function_of(70)},
    ),
    Rule(
        "a file has at most 300 lines, SQL and tests 500",
        each(_long_file, only=lambda source: source.path.endswith((".py", ".sql"))),
        planted=[
            {"relay/long.py": "x = 1\n" * 301},
            {"tests/long.py": "x = 1\n" * 501},
            {"relay/sql/long.sql": "--\n" * 501},
        ],
        spared={
            "relay/long.py": "x = 1\n" * 300,
            "relay/sql/long.sql": "--\n" * 500,
            "tests/long.py": "x = 1\n" * 500,
        },
    ),
)
