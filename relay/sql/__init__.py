"""The relay's SQL, one file a concern, loaded as named statements.

A statement begins at a header comment `-- <concern>_<name>: what it does`; the header goes on with
the index and the lock that it takes and the guarantee it stands for. It ends before the next
header. Values are bound by name. What is filled in is only ever an identifier: `{leaf}`, the name
of a leaf of a ring, as neither LOCK nor TRUNCATE takes a value there; and in `adopt.sql` the names
of a table of the user's and of its columns.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib import resources
from types import MappingProxyType
from typing import LiteralString

__all__ = ["load"]


def load(concern: str) -> Mapping[str, LiteralString]:
    """The statements of `relay/sql/<concern>.sql` by name.

    FileNotFoundError if there is no such file.
    """
    text = resources.files(__name__).joinpath(f"{concern}.sql").read_text(encoding="utf-8")
    pieces = re.split(rf"^-- ({concern}_[a-z_]+): ", text, flags=re.MULTILINE)[1:]
    return MappingProxyType(
        {name: _statement(body) for name, body in zip(pieces[::2], pieces[1::2], strict=True)}
    )


def _statement(body: str) -> LiteralString:
    """The text without its comments: the first line is the rest of the header."""
    lines = body.splitlines()[1:]
    return "\n".join(line for line in lines if not line.startswith("--")).strip()
