"""The relay's transactions do not depend on settings that were made for other clients."""

from __future__ import annotations

from contextlib import closing

import psycopg
import pytest

from relay.postgres.connect import connect, pinned_transaction
from tests.relay.events import connected

MEANT_FOR_OTHERS = {
    "statement_timeout": "200ms",
    "idle_in_transaction_session_timeout": "1s",
    "default_transaction_isolation": "serializable",
    "synchronous_commit": "off",
    "row_security": "on",
}


@pytest.fixture
def awkward_url(database_url: str) -> str:
    """A database whose defaults suit other clients."""
    with connected(database_url) as connection:
        database = psycopg.sql.Identifier(connection.info.dbname)
        for name, value in MEANT_FOR_OTHERS.items():
            change = psycopg.sql.SQL("alter database {} set {} = {}")
            connection.execute(change.format(database, psycopg.sql.Identifier(name), value))
    return database_url


@pytest.mark.parametrize(
    ("setting", "pinned"),
    [
        ("statement_timeout", "0"),
        ("idle_in_transaction_session_timeout", "0"),
        ("transaction_isolation", "read committed"),
        ("synchronous_commit", "on"),
        ("row_security", "off"),
    ],
)
def test_a_transaction_of_the_relay_has_its_own_settings(
    awkward_url: str, setting: str, pinned: str
) -> None:
    with closing(connect(awkward_url, "test")) as connection, pinned_transaction(connection):
        row = connection.execute("select current_setting(%s)", (setting,)).fetchone()
        assert row == (pinned,)


def test_text_is_read_as_utf8_whatever_the_client_is_told(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGCLIENTENCODING", "LATIN1")
    with closing(connect(database_url, "test")) as connection:
        assert connection.execute("select '\u2192'").fetchone() == ("\u2192",)
