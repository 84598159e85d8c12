"""The tables as the code knows them are the tables that the migrations make."""

from __future__ import annotations

from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import BLANK_SCHEMA, Column, Integer, MetaData, Table
from sqlalchemy.dialects.postgresql.base import ischema_names

from coordinator.domains.tables import metadata as domain_tables
from coordinator.engine.claims import metadata as claim_tables
from coordinator.engine.intents import metadata as intent_tables
from coordinator.inbox.parking import inbox_parked
from coordinator.outbox.table import Xid8
from coordinator.outbox.table import metadata as outbox_tables
from tests.coordinator.database import engine_on

MODELS = {
    "domains": domain_tables,
    "claims": claim_tables,
    "intents": intent_tables,
    "outbox": outbox_tables,
    "inbox": inbox_parked.metadata,
}


def schema_in_the_copy(_table: Any, _to: Any, _constraint: Any, referred: str | None) -> Any:
    return BLANK_SCHEMA if referred == "public" else referred


def as_the_database_tells_it(models: MetaData) -> MetaData:
    """A copy in which `public` has no name, as it is the default schema."""
    copy = MetaData()
    for table in models.sorted_tables:
        schema = None if table.schema == "public" else table.schema
        table.to_metadata(
            copy,
            schema=schema,  # type: ignore[arg-type]  # None is "no schema", as in Table
            referred_schema_fn=schema_in_the_copy,
        )
    return copy


def differences(url: str, models: MetaData) -> list[Any]:
    known: dict[str, set[str | None]] = {
        "schema": {table.schema for table in models.tables.values()},
        "table": {table.name for table in models.tables.values()},
    }

    def is_known(name: str | None, kind: str, _parents: object) -> bool:
        return kind not in known or name in known[kind]

    def is_ours(thing: Any, _name: object, kind: str, reflected: bool, _other: object) -> bool:
        # The outbox's indexes serve the relay; a writer's model does not have them.
        return not (kind == "index" and reflected and thing.table.schema == "outbox")

    opts = {"include_schemas": True, "include_name": is_known, "include_object": is_ours}
    with engine_on(url) as engine, engine.connect() as connection:
        return list(compare_metadata(MigrationContext.configure(connection, opts=opts), models))


@pytest.fixture(autouse=True)
def xid8_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ischema_names, "xid8", Xid8)


@pytest.mark.parametrize("models", MODELS.values(), ids=MODELS.keys())
def test_the_models_are_what_the_migrations_make(database_url: str, models: MetaData) -> None:
    assert differences(database_url, as_the_database_tells_it(models)) == []


def test_a_column_that_only_the_model_has_is_found(database_url: str) -> None:
    models = as_the_database_tells_it(domain_tables)
    models.tables["traces"].append_column(Column("only_here", Integer))
    assert [found[0] for found in differences(database_url, models)] == ["add_column"]


def test_a_table_that_only_the_model_has_is_found(database_url: str) -> None:
    models = as_the_database_tells_it(domain_tables)
    Table("only_here", models, Column("id", Integer))
    assert [found[0] for found in differences(database_url, models)] == ["add_table"]
