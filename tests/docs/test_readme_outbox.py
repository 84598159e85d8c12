"""The README's examples of writing events run as they stand there."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path
from textwrap import dedent
from typing import Any

import psycopg
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine

from coordinator import Outbox, OutboxEvent, migrating
from relay.admin import migrate
from tests.coordinator.flavours import with_driver
from tests.migrations.project import Project

README = Path(migrate.__file__).parents[2] / "README.md"


def example(heading: str, language: str) -> str:
    """The first example in `language` below a heading of the README."""
    _, found, below = README.read_text(encoding="utf-8").partition(f"\n### {heading}\n")
    assert found, heading
    block = re.search(rf"^( *)```{language}\n(.*?)^\1```$", below, re.MULTILINE | re.DOTALL)
    assert block, heading
    return dedent(block[2])


def run(heading: str, **names: Any) -> dict[str, Any]:
    exec(compile(example(heading, "python"), f"README: {heading}", "exec"), names)
    return names


def stored(url: str, columns: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(url) as connection:
        query = f"select {columns} from outbox.event order by position"
        return connection.execute(query.encode()).fetchall()


def test_on_any_connection(database_url: str) -> None:
    async def both() -> None:
        engine = create_async_engine(with_driver(database_url, "psycopg"))
        names: dict[str, Any] = {"Outbox": Outbox, "OutboxEvent": OutboxEvent}
        names |= {"AsyncSession": AsyncSession, "async_engine": engine}
        names = run("On any connection", psycopg=psycopg, url=database_url, **names)
        await names["refund"]("40")
        await engine.dispose()

    asyncio.run(both())
    assert stored(database_url, "key, type") == [
        ("41", "order.shipped"),
        ("42", "order.shipped"),
        ("40", "order.refunded"),
    ]


def test_in_any_format() -> None:
    names = run("In any format", OutboxEvent=OutboxEvent, json=json)
    assert names["invoice"].payload == b'{"total": 12.5}'


def test_in_sql(database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute(example("In SQL, from any language", "sql").encode())
    assert stored(database_url, "key, payload") == [
        ("42", b'{"id": 42}'),
        ("41", b'{"id": 41}'),
        ("42", b'{"id": 42}'),
    ]


def test_with_your_own_migrations(tmp_path: Path, empty_database_url: str) -> None:
    body = example("With your own migrations", "python")
    header = 'revision = "0001"\ndown_revision = None\n'
    project = Project(tmp_path, empty_database_url)
    (tmp_path / "versions" / "0001.py").write_text(header + body)
    project.upgrade()
    assert migrate.current(empty_database_url) == migrating.revisions()[-1]
    project.downgrade("base")
    assert migrate.current(empty_database_url) is None
