"""What a statement does to the tables that are watched, and to the outbox, read from its text.

Everything ends up as text: a flush, Core, bulk statements, and `text()`. So there is one way to see
them, and it is the one that sees the most.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

__all__ = ["changed_tables", "writes_event"]

_LITERALS_AND_COMMENTS = re.compile(r"'(?:[^']|'')*'|--[^\n]*|/\*.*?\*/", re.DOTALL)
_CHANGE = re.compile(
    r"""\b(?:insert\s+into | update | delete\s+from | merge\s+into | truncate(?:\s+table)?)
        \s+(?:only\s+)? ((?:"[^"]+"|[\w$]+)(?:\s*\.\s*(?:"[^"]+"|[\w$]+))?)""",
    re.IGNORECASE | re.VERBOSE,
)
# In a schema of another name an outbox is known by its columns and by its functions.
_EVENT = re.compile(
    r"""\binsert\s+into\s+"?outbox"?\."?event"?\b
        | \binsert\s+into\s+"?\w+"?\."?event"?\s*\(\s*id,\s*topic,\s*key,\s*type,\s*content_type,
        | \b\w+"?\.emit(?:_many)?\s*\(""",
    re.IGNORECASE | re.VERBOSE,
)


def changed_tables(statement: str, watched: Iterable[str]) -> Iterator[str]:
    """Yield those of `watched` (`orders`, `shop.orders`) that the statement writes to.

    A name without a schema is taken for the table of any schema, on either side.
    """
    written = {
        re.sub(r'["\s]', "", name).lower()
        for name in _CHANGE.findall(_LITERALS_AND_COMMENTS.sub(" ", statement))
    }
    for table in watched:
        if any(_same_table(table.lower(), name) for name in written):
            yield table


def writes_event(statement: str) -> bool:
    """Tell whether it inserts into an outbox, or calls its `emit` or `emit_many`."""
    return _EVENT.search(_LITERALS_AND_COMMENTS.sub(" ", statement)) is not None


def _same_table(one: str, other: str) -> bool:
    if "." in one and "." in other:
        return one == other
    return one.rpartition(".")[2] == other.rpartition(".")[2]
