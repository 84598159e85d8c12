"""The failpoints that the relay's code has, read from the code."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import relay

_PREFIX = "relay."

OF_TRANSACTIONS = ("relay.transaction_open", "relay.before_commit")
"""Those that only a relay passes which publishes exactly once."""


def relay_failpoints() -> list[str]:
    """Every name in a call of `hit`, the arms of a conditional name included."""
    package = Path(relay.__file__).parent
    texts = (path.read_text(encoding="utf-8") for path in sorted(package.rglob("*.py")))
    return sorted({name for text in texts for name in _names(ast.parse(text))})


def _names(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] == "hit":
            for part in ast.walk(node):
                if isinstance(part, ast.Constant) and str(part.value).startswith(_PREFIX):
                    yield str(part.value)
