"""Users that have a role of ours and nothing else.

The roles themselves belong to the server, and other tests use them at the same time: they stay.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from uuid import uuid4

import psycopg
from psycopg import sql

from relay.admin.roles import grant_roles

ROLES = (
    "outbox_writer",
    "outbox_coordinator",
    "outbox_relay",
    "outbox_monitor",
    "outbox_consumer",
    "outbox_operator",
)
NOBODY = "nobody"
"""A user without any role."""

_PASSWORD = "secret"


@contextmanager
def users_with_roles(database_url: str) -> Iterator[Mapping[str, str]]:
    """For each role, and for NOBODY, the URL of a user that has it; the grants are made."""
    grant_roles(database_url)
    suffix = uuid4().hex[:8]
    users = {role: f"user_of_{role}_{suffix}" for role in (*ROLES, NOBODY)}
    with psycopg.connect(database_url, autocommit=True) as owner:
        for role, user in users.items():
            made = sql.SQL("create role {} login password {}")
            owner.execute(made.format(sql.Identifier(user), sql.Literal(_PASSWORD)))
            if role != NOBODY:
                given = sql.SQL("grant {} to {}")
                owner.execute(given.format(sql.Identifier(role), sql.Identifier(user)))
        try:
            yield {
                role: re.sub("//[^@]*@", f"//{user}:{_PASSWORD}@", database_url, count=1)
                for role, user in users.items()
            }
        finally:
            for user in users.values():
                owner.execute(sql.SQL("drop owned by {} cascade").format(sql.Identifier(user)))
                owner.execute(sql.SQL("drop role {}").format(sql.Identifier(user)))
