"""The exit codes: one table, in the README, in the help and in the code."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from relay import errors
from relay.cli.exit_codes import EXIT_CODES
from tests.cli.command import relay
from tests.docs.readme import ROOT

_ROW = re.compile(r"^\| `(\d+)` \| ([^|]+) \|", re.MULTILINE)
# click's own: a mistake on the command line.
_BY_CLICK = {2}


def _of_sys_exit(path: Path) -> Iterator[int]:
    """Every number that a call of sys.exit in the file can end with, where it is written there."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    constants = {
        target.id: node.value.value
        for node in tree.body
        if isinstance(node, ast.Assign)
        if isinstance(node.value, ast.Constant) and isinstance(node.value.value, int)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    for call in ast.walk(tree):
        if isinstance(call, ast.Call) and ast.unparse(call.func) == "sys.exit":
            for node in (one for arg in call.args for one in ast.walk(arg)):
                if isinstance(node, ast.Constant) and isinstance(node.value, int):
                    yield node.value
                if isinstance(node, ast.Name) and node.id in constants:
                    yield constants[node.id]


def used() -> set[int]:
    of_errors = {
        one.exit_code
        for one in vars(errors).values()
        if isinstance(one, type) and issubclass(one, errors.RelayError)
    }
    of_commands = {n for path in (ROOT / "relay/cli").glob("*.py") for n in _of_sys_exit(path)}
    return of_errors | of_commands | _BY_CLICK


def test_every_code_that_the_commands_end_with_is_in_the_table_and_no_other() -> None:
    assert used() == set(EXIT_CODES)


def test_the_book_has_the_same_table() -> None:
    book = (ROOT / "relay/README.md").read_text(encoding="utf-8")
    chapter = book.split("\n## Exit codes\n")[1].split("\n## ")[0]
    assert {int(code): what.strip() for code, what in _ROW.findall(chapter)} == EXIT_CODES


def test_the_help_has_it_too_and_fits_a_terminal() -> None:
    said = relay("--help").out
    assert all(what in said for what in EXIT_CODES.values())
    assert max(map(len, said.splitlines())) <= 80
