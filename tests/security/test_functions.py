"""Functions with the owner's rights: who may call them, and that they look up what is ours."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import psycopg
import pytest

from coordinator import migrating
from relay.admin import migrate
from tests.relay.events import connected, value_of
from tests.support.roles import users_with_roles

# A CHECK runs with the rights of whoever inserts, and this one reads nothing.
MEANT_FOR_EVERYBODY = ["outbox.is_legal"]

OURS = """
from pg_proc p join pg_namespace n on n.oid = p.pronamespace
where n.nspname in ('outbox', 'inbox', 'public')
"""

# Named like what the functions of ours call, with arguments that fit as well or better.
SIGNATURES = {
    "cardinality": ["text[]", "bytea[]", "jsonb[]", "uuid[]"],
    "octet_length": ["text", "bytea"],
    "length": ["text"],
    "jsonb_typeof": ["jsonb"],
    "pg_visible_in_snapshot": ["xid8, pg_snapshot"],
    "pg_control_system": [""],
    "pg_current_xact_id": [""],
    "gen_random_uuid": [""],
    "clock_timestamp": [""],
}
TABLES = ("event", "window", "epoch", "parked")
CALLS = {
    "emit": "select outbox.emit('t', 'k', 'thing.happened', 'payload', '{\"a\": \"b\"}')",
    "emit_many": "select outbox.emit_many(array['t'], array['k'], array['thing.happened'],"
    " array['payload'::pg_catalog.bytea], array['{\"a\": \"b\"}'::pg_catalog.jsonb])",
    "is_published": f"select outbox.is_published(1, array['{'0' * 32}'::pg_catalog.uuid])",
}


@pytest.fixture
def users(database_url: str) -> Iterator[Mapping[str, str]]:
    with users_with_roles(database_url) as made:
        yield made


def names(url: str, query: str) -> list[str]:
    with connected(url) as connection:
        return [row[0] for row in connection.execute(query.encode()).fetchall()]


def plant_functions(connection: psycopg.Connection[Any], schema: str) -> None:
    """Put a trap into `schema` for every function that one of ours could look up there."""
    for name, signatures in SIGNATURES.items():
        for arguments in signatures:
            connection.execute(
                f"create function {schema}.{name}({arguments}) returns int language plpgsql as"
                " $$ begin raise exception 'hijacked'; end $$".encode()
            )


def plant_tables(connection: psycopg.Connection[Any], schema: str) -> None:
    """The same for tables."""
    for table in TABLES:
        connection.execute(f"create table {schema}.{table} (like outbox.{table})".encode())


def test_every_function_with_the_owners_rights_has_its_names_bound(database_url: str) -> None:
    """In its body when it was made (`begin atomic`), or by a search_path that no user can write."""
    unbound = f"select p.oid::regproc::text {OURS} and prosecdef and prosqlbody is null"
    fixed = "array['search_path=pg_catalog, pg_temp']"
    assert names(database_url, f"{unbound} and not coalesce(proconfig, '{{}}') @> {fixed}") == []


def test_there_are_such_functions(database_url: str) -> None:
    assert value_of(database_url, f"select count(*) {OURS} and prosecdef") >= len(CALLS)


def test_nobody_may_call_a_function_that_is_not_meant_for_everybody(database_url: str) -> None:
    open_to_all = (
        f"select p.oid::regproc::text {OURS} and exists (select from"
        " aclexplode(coalesce(proacl, acldefault('f', proowner))) where grantee = 0) order by 1"
    )
    assert names(database_url, open_to_all) == MEANT_FOR_EVERYBODY


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("path", ["hostile, pg_catalog", "hostile, pg_temp, outbox, pg_catalog"])
def test_no_object_of_a_caller_is_taken_for_ours(
    users: Mapping[str, str], database_url: str, call: str, path: str
) -> None:
    with connected(users["outbox_coordinator"]) as hostile, connected(database_url) as owner:
        owner.execute("create schema hostile")
        owner.execute("grant create, usage on schema hostile to public")
        owner.execute("grant select on all tables in schema outbox to public")
        plant_functions(hostile, "hostile")
        plant_tables(hostile, "hostile")
        plant_tables(hostile, "pg_temp")
        hostile.execute(f"set search_path = {path}".encode())
        hostile.execute(CALLS[call].encode())
        trapped = hostile.execute(
            "select count(*) from (table hostile.event union all table pg_temp.event) trapped"
        ).fetchone()
    assert trapped == (0,)
    assert value_of(database_url, "select count(*) from outbox.event") == (call != "is_published")


def test_no_object_of_another_gets_into_a_function_when_the_schema_is_made(
    empty_database_url: str,
) -> None:
    """Where everybody may create in `public`, as before PostgreSQL 15."""
    with connected(empty_database_url) as stranger:
        plant_functions(stranger, "public")
    migrate.upgrade(empty_database_url)
    bound = (
        "select distinct refobjid::regprocedure::text from pg_depend"
        " join pg_proc p on p.oid = refobjid and refclassid = 'pg_proc'::regclass"
        " where pronamespace = 'public'::regnamespace"
    )
    assert names(empty_database_url, bound) == []
    with connected(empty_database_url) as connection:
        for call in CALLS.values():
            connection.execute(call.encode())


def test_the_search_path_of_a_users_migration_is_left_as_it_was(database_url: str) -> None:
    script = migrating.roles_script()
    with connected(database_url) as connection, connection.transaction():
        connection.execute("set local search_path = mine, public")
        connection.execute(script.encode())
        assert connection.execute("show search_path").fetchone() == ("mine, public",)


def test_no_function_looks_for_types_in_a_schema_of_its_caller(database_url: str) -> None:
    """`pg_temp` comes first for types, unless it is named last."""
    loose = f"select p.oid::regproc::text {OURS} and prosqlbody is null and prolang <> 13"
    fixed = "array['search_path=pg_catalog, pg_temp']"
    assert names(database_url, f"{loose} and not coalesce(proconfig, '{{}}') @> {fixed}") == []


def test_no_type_of_a_writer_runs_with_the_owners_rights(
    users: Mapping[str, str], database_url: str
) -> None:
    with connected(users["outbox_writer"]) as writer:
        writer.execute(
            "create function pg_temp.who(value pg_catalog.text) returns boolean language plpgsql as"
            " $$ begin raise exception 'runs as %', current_user; end $$"
        )
        for name in ("text", "jsonb", "bytea", "xid8"):
            check = "check (pg_temp.who(value::pg_catalog.text))"
            writer.execute(f"create domain pg_temp.{name} as pg_catalog.{name} {check}".encode())
        writer.execute("select outbox.emit('t', 'k', 'thing.happened', '', '{\"a\": \"b\"}')")
        writer.execute(
            "select outbox.emit_many(array['t'], array['k'], array['x.y'],"
            " array[''::pg_catalog.bytea], array['{\"a\": \"b\"}'::pg_catalog.jsonb])"
        )
    assert value_of(database_url, "select count(*) from outbox.event") == 2
