"""SQL lies in relay/sql/*.sql, and each statement there says what it costs."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from tests.style.rules import Problems, Rule, Source, each

_SQL_TEXT = re.compile(
    r"""\bselect\b.+\bfrom\b | ^\s*select\s+[\w.]+\s*\( | \binsert\s+into\s+\w
      | \bupdate\s+[\w.]+\s+set\b | \bdelete\s+from\s+\w | \btruncate\s+(table|only)\b
      | ^\s*(create|alter|drop)\s+(table|schema|index|function|database|role)\b""",
    re.IGNORECASE | re.DOTALL | re.VERBOSE,
)
# As relay.sql finds them: a name is in small letters, which "Index:" is not.
_HEADER = re.compile(r"^-- [a-z_]+: \S", re.MULTILINE)


def _is_relay_code(source: Source) -> bool:
    # The demo and the bench are users of the outbox and of its peers; they bring their own SQL.
    is_relay = source.is_python and source.path.startswith("relay/")
    return is_relay and not source.path.startswith(("relay/demo/", "relay/bench/"))


def _is_relay_sql(source: Source) -> bool:
    return source.path.startswith("relay/sql/") and source.path.endswith(".sql")


def _docstrings(tree: ast.Module) -> set[int]:
    """Strings that stand for themselves: docstrings, of values too."""
    return {
        id(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }


def _texts(tree: ast.Module) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield id(node), node.value
        elif isinstance(node, ast.JoinedStr):
            parts = (one.value if isinstance(one, ast.Constant) else "x" for one in node.values)
            yield id(node), "".join(str(part) for part in parts)


def _sql_in_code(source: Source) -> Problems:
    docstrings = _docstrings(source.tree)
    lines = {id(node): getattr(node, "lineno", 0) for node in ast.walk(source.tree)}
    for node_id, text in _texts(source.tree):
        if node_id not in docstrings and _SQL_TEXT.search(text):
            yield lines[node_id], "SQL belongs into relay/sql/<concern>.sql, with its header"


def _statements(text: str) -> Iterator[tuple[int, list[str]]]:
    """The line of each statement's end, and its lines with the comments above it."""
    lines: list[str] = []
    for number, line in enumerate(text.splitlines(), 1):
        lines.append(line)
        if line.rstrip().endswith(";") and not line.startswith("--"):
            yield number, lines
            lines = []
    if any(line.strip() and not line.startswith("--") for line in lines):
        yield len(text.splitlines()), lines


def _poor_headers(source: Source) -> Problems:
    for line, statement in _statements(source.text):
        header = "\n".join(one for one in statement if one.startswith("--"))
        if not _HEADER.search(header):
            yield line, "the statement above has no header `-- name: what it does`"
        for word in ("Index:", "Lock:"):
            if word not in header:
                yield line, f"the header of the statement above does not say {word}"


_GOOD_STATEMENT = "-- one: a row.\n-- Index: none.    Lock: none.\nselect 1;\n"

SQL_RULES = (
    Rule(
        "the relay's Python holds no SQL",
        each(_sql_in_code, only=_is_relay_code),
        planted=[
            {"relay/postgres/planted.py": 'QUERY = "select id\\nfrom outbox.event"\n'},
            {"relay/postgres/planted.py": 'QUERY = "INSERT INTO outbox.event values (1)"\n'},
            {"relay/postgres/planted.py": 'QUERY = "update outbox.lease set term = 1"\n'},
            {"relay/admin/planted.py": 'QUERY = f"delete from {table} where true"\n'},
        ],
        spared={
            "relay/postgres/one.py": '"""select id from outbox.event"""\n\nx = "select a topic"\n',
            "relay/bench/two.py": 'QUERY = "select id from outbox.event"\n',
            "coordinator/three.py": 'QUERY = "delete from inbox.seen"\n',
        },
    ),
    Rule(
        "each statement names its index and its lock",
        each(_poor_headers, only=_is_relay_sql),
        planted=[
            {"relay/sql/planted.sql": f"{_GOOD_STATEMENT}\n-- two: a row.\nselect 2;\n"},
            {"relay/sql/planted.sql": "-- one: a row. Index: none.\nselect 1;\n"},
            {"relay/sql/planted.sql": "-- Index: none.    Lock: none.\nselect 1;\n"},
            {"relay/sql/planted.sql": f"{_GOOD_STATEMENT}\nselect 2\n"},
        ],
        spared={"relay/sql/spared.sql": _GOOD_STATEMENT * 2},
    ),
)
