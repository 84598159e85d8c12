"""Names that an operator gives, and a table has, are names in the statements and never SQL."""

from __future__ import annotations

import pytest
from psycopg.sql import SQL, Identifier

from tests.cli.command import relay
from tests.relay.events import connected, value_of

HOSTILE = '"; drop table outbox.parked cascade; --'
THE_TABLE = "select to_regclass('outbox.parked') is not null"


def test_a_table_and_columns_of_hostile_names_are_taken_over(database_url: str) -> None:
    table, key, payload = (Identifier(f"{part}{HOSTILE}") for part in ("t", "k", "p"))
    with connected(database_url) as connection:
        connection.execute(
            SQL(
                "create table {} (id int primary key, {} text, {} text, published_at timestamptz)"
            ).format(table, key, payload)
        )
        connection.execute(SQL("insert into {} values (1, 'k', 'x')").format(table))
        quoted = table.as_string(connection)
    outcome = relay(
        "adopt",
        quoted,
        *("--key-column", f"k{HOSTILE}", "--payload-column", f"p{HOSTILE}"),
        *("--topic", "orders", "--type", "thing.happened"),
        database_url=database_url,
    )
    assert outcome.exit_code == 0, outcome.said
    assert value_of(database_url, "select payload from outbox.event") == b"x"
    assert value_of(database_url, THE_TABLE)


@pytest.mark.parametrize("option", ["--topic", "--key"])
def test_what_an_operator_selects_by_is_a_value(database_url: str, option: str) -> None:
    outcome = relay("parked", "list", option, f"x'{HOSTILE}", database_url=database_url)
    assert outcome.exit_code == 0, outcome.said
    assert value_of(database_url, THE_TABLE)
