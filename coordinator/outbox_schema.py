"""The schema that an outbox lies in: `outbox`, or another name where a database has several.

Naive: leave the schema out of the SQL, and let search_path find it. What stands in a session's path
decides then whose table is written to, and behind a pooler the session is another's a moment later.
So all SQL of ours names its schema, as `outbox`, and `in_schema` puts another name there: the SQL
can be read and tried as it stands, and there is one place that knows where the name occurs.
"""

from __future__ import annotations

import re
from functools import lru_cache

from coordinator.errors import BadInput

DEFAULT = "outbox"
BYTES_MAX = 24
"""Of PostgreSQL's 63. Names are made from it: `<schema>_alembic_version`, and those of the relay's
sessions, which hold the name of the host as well."""

_NAME = re.compile(r"[a-z_][a-z0-9_]*")
# As a qualifier and as the schema itself; and the names that are the database's, of which each
# outbox has its own: the channel, the table of revisions, and what the relay's sessions are called.
_QUALIFIER = re.compile(r"\boutbox(?=\.|'::regnamespace)|(?<=\bschema )outbox\b")
_NAMESAKE = re.compile(r"\boutbox(?=_wake\b|_alembic_version(?:_pkc)?\b)")
_SESSION = re.compile(r"(?<=')relay (?=(?:cursor|lease|pages)\b)")
_ONCE = re.compile(
    r"^-- Once in a database:\n.*?(?:^-- In each outbox:\n|\Z)", re.MULTILINE | re.DOTALL
)


def checked(field: str, name: object) -> str:
    """Return `name`, if an outbox may lie in a schema of that name.

    Raises:
        BadInput: it is not 1 to 24 of a-z, 0-9 and _, begins with a digit or with `pg_`, or is
            `inbox`, `public` or `information_schema`. `field` is who brought it.
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name) or len(name) > BYTES_MAX:
        raise BadInput(field, f"must be 1 to {BYTES_MAX} of a-z 0-9 _, and not begin with a digit")
    if name.startswith("pg_") or name in ("inbox", "public", "information_schema"):
        raise BadInput(field, "is a schema that is used for something else")
    return name


@lru_cache(maxsize=1_024)
def in_schema(sql: str, schema: str) -> str:
    """Return SQL that was written for the schema `outbox`, for `schema`.

    Args:
        sql: of ours. In the text of a user it would replace what only looks like the schema.
        schema: see `checked`.
    """
    if schema == DEFAULT:
        return sql
    sql = _SESSION.sub(f"{session_prefix(schema)} ", sql)
    # The qualifier last: it may itself end like a namesake.
    return _QUALIFIER.sub(f'"{schema}"', _NAMESAKE.sub(schema, sql))


def of_each_outbox(script: str) -> str:
    """Return a migration without the parts that a database has once, however many outboxes it has.

    Those stand between the lines `-- Once in a database:` and `-- In each outbox:`, or the end.
    """
    return _ONCE.sub("", script)


def session_prefix(schema: str) -> str:
    """Return how the names of the relay's sessions begin, which tell whose they are."""
    return "relay" if schema == DEFAULT else f"relay@{schema}"
