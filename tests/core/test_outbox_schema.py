"""SQL that is written for the schema `outbox`, in an outbox of another schema."""

from __future__ import annotations

import re
from importlib import resources

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.errors import BadInput
from coordinator.migrating import migrations_folder
from coordinator.outbox_schema import BYTES_MAX, checked, in_schema, of_each_outbox
from relay import sql

CONCERNS = sorted(
    path.name.removesuffix(".sql")
    for path in resources.files("relay.sql").iterdir()
    if path.name.endswith(".sql")
)
SCRIPTS = sorted(path.name for path in (migrations_folder() / "sql").glob("*.sql"))
# The word in texts for people, and the prefix of a message in the log that nobody reads.
_NO_NAME = re.compile(
    r"pg_logical_emit_message\(true, 'outbox', ''\)"
    r"|'outbox events? refused: |the outbox in the caller|'Transactional outbox: |this outbox was"
    r"|take the outbox for|Debezium''s outbox rows"
)


def without_comments(script: str) -> str:
    return re.sub(r"^\s*--.*$", "", script, flags=re.MULTILINE)


@pytest.mark.parametrize("concern", CONCERNS)
def test_no_statement_of_the_relay_reaches_the_schema_outbox_from_another(concern: str) -> None:
    for name, statement in sql.load(concern).items():
        left = _NO_NAME.sub("", in_schema(statement, "billing"))
        assert not re.search(r"\boutbox\b|outbox_wake|outbox_alembic|'relay ", left), name


@pytest.mark.parametrize("script", SCRIPTS)
def test_no_migration_reaches_the_schema_outbox_from_another(script: str) -> None:
    text = (migrations_folder() / "sql" / script).read_text(encoding="utf-8")
    left = _NO_NAME.sub("", without_comments(in_schema(of_each_outbox(text), "billing")))
    assert not re.search(r"\boutbox\b|outbox_wake|outbox_alembic", left)
    assert not re.search(r"\binbox\b", left)
    assert set(re.findall(r"\bpublic\.\w+", left)) <= {"public.billing_alembic_version"}


@pytest.mark.parametrize("script", SCRIPTS)
def test_the_schema_outbox_gets_each_script_as_it_stands(script: str) -> None:
    text = (migrations_folder() / "sql" / script).read_text(encoding="utf-8")
    assert in_schema(text, "outbox") == text


def test_what_a_database_has_once_is_left_out_up_to_the_next_part_or_the_end() -> None:
    script = "a;\n-- Once in a database:\nb;\n-- In each outbox:\nc;\n-- Once in a database:\nd;\n"
    assert of_each_outbox(script) == "a;\nc;\n"


def test_a_word_of_sql_can_be_the_name() -> None:
    assert in_schema("select from outbox.event", "order") == 'select from "order".event'


@pytest.mark.parametrize("name", ["outbox_wake", "outbox_alembic_version", "my_outbox"])
def test_a_name_that_is_like_ours_stands_as_it_is(name: str) -> None:
    assert in_schema("select from outbox.event", name) == f'select from "{name}".event'
    assert in_schema("listen outbox_wake", name) == f"listen {name}_wake"


def test_names_that_only_contain_the_word_are_left_alone() -> None:
    text = "select my_outbox.event, outboxes.event, ce_outboxreleased from outbox_events"
    assert in_schema(text, "billing") == text


@given(st.from_regex(rf"[a-z_][a-z0-9_]{{0,{BYTES_MAX - 1}}}", fullmatch=True))
def test_any_plain_name_is_taken_and_stands_quoted(name: str) -> None:
    if name.startswith("pg_") or name in ("inbox", "public"):
        return
    assert in_schema("outbox.event", checked("schema", name)) in (f'"{name}".event', "outbox.event")


@pytest.mark.parametrize(
    "name",
    ["", "Billing", "1st", "a-b", 'a"b', "a.b", "pg_mine", "public", "inbox", "ä", "a" * 25, None],
)
def test_any_other_name_is_refused_with_the_setting_and_the_limit(name: object) -> None:
    with pytest.raises(BadInput, match=r"^RELAY_SCHEMA: (must be 1 to 24 of|is a schema)"):
        checked("RELAY_SCHEMA", name)
