"""PostgreSQL for tests: which server, and a fresh database for each test that asks.

The server is the one of TEST_DATABASE_URL (a superuser's), else a container, else an embedded one.
The schema is migrated once into a template; a test's database is a copy of it, which takes a tenth
of migrating.
"""

from __future__ import annotations

import os
import subprocess
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path
from typing import Final
from urllib.parse import quote

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from relay.demo.embedded_postgres import EmbeddedPostgres, find_binaries
from tests.support.containers import POSTGRES_IMAGE, engine_missing_reason, postgres_container

# Two-phase writers are among those that must not be harmed; many tests have 16 and more writers.
SERVER_OPTIONS: Final = {"max_prepared_transactions": "10", "max_connections": "200"}


class Postgres:
    """A running server, seen by its superuser.

    Args:
        admin: URL or libpq DSN of the superuser.
    """

    def __init__(self, admin: str) -> None:
        self._parts = conninfo_to_dict(admin)
        with psycopg.connect(admin) as connection:
            self.version = connection.info.parameter_status("server_version") or "unknown"
            self._admin_database = connection.info.dbname

    def url(self, dbname: str = "postgres") -> str:
        """Where the superuser finds the database `dbname`, as postgresql://..."""
        # Not by SQLAlchemy's URL: it writes a blank as "+", which libpq takes as it stands.
        parts = {name: str(value) for name, value in self._parts.items() if value is not None}
        user, password = quote(parts.pop("user", ""), ""), quote(parts.pop("password", ""), "")
        host, port = quote(parts.pop("host", ""), ""), parts.pop("port", "5432")
        parts.pop("dbname", None)
        more = "&".join(f"{name}={quote(value, '')}" for name, value in parts.items())
        url = f"postgresql://{user}:{password}@{host}:{port}/{quote(dbname, '')}"
        return f"{url}?{more}" if more else url

    @contextmanager
    def database(self, template: str = "template1") -> Iterator[str]:
        """A new database, dropped at the end even with sessions in it. Gives its name."""
        name = f"outbox_test_{uuid.uuid4().hex[:12]}"
        new = sql.Identifier(name)
        self._administer(
            sql.SQL("create database {} template {}").format(new, sql.Identifier(template))
        )
        try:
            yield name
        finally:
            self._administer(sql.SQL("drop database {} with (force)").format(new))

    def _administer(self, statement: sql.Composed) -> None:
        with psycopg.connect(self.url(self._admin_database), autocommit=True) as connection:
            connection.execute(statement)


@cache
def choice() -> str:
    """Which server the tests use, for people; nothing is started yet."""
    if os.environ.get("TEST_DATABASE_URL"):
        return "given by TEST_DATABASE_URL"
    if engine_missing_reason() is None:
        return f"container {POSTGRES_IMAGE}"
    said = subprocess.run(
        [find_binaries() / "postgres", "--version"], capture_output=True, text=True, check=True
    )
    return f"embedded, {said.stdout.strip()}"


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """The server of this test run. Others use it at the same time: do not stop it, see
    `own_postgres`."""
    with ExitStack() as stack:
        if given := os.environ.get("TEST_DATABASE_URL"):
            yield Postgres(given)
        elif engine_missing_reason() is None:
            yield Postgres(stack.enter_context(postgres_container()))
        else:
            yield Postgres(stack.enter_context(EmbeddedPostgres(SERVER_OPTIONS)).url())


@pytest.fixture(scope="session")
def migrated_template(postgres: Postgres) -> Iterator[str]:
    """Name of a database with the whole schema, to copy from. Nobody may be connected to it."""
    from relay.admin import migrate

    with postgres.database() as name:
        migrate.upgrade(postgres.url(name))
        yield name


@pytest.fixture
def database_url(postgres: Postgres, migrated_template: str) -> Iterator[str]:
    """A fresh database with the whole schema."""
    with postgres.database(migrated_template) as name:
        yield postgres.url(name)


@pytest.fixture
def empty_database_url(postgres: Postgres) -> Iterator[str]:
    """A fresh database without any schema of ours."""
    with postgres.database() as name:
        yield postgres.url(name)


class CrashablePostgres(EmbeddedPostgres):
    """A private server, which its test may crash and start again."""

    def stop_immediate(self) -> None:
        """Crash: no checkpoint, and what was not flushed is gone."""
        self.stop("immediate")


@pytest.fixture
def own_postgres() -> Iterator[Callable[..., CrashablePostgres]]:
    """Makes started private servers, of other programs if a folder is given; keyword arguments are
    settings, such as `synchronous_commit="off"`."""
    with ExitStack() as stack:

        def make(binaries: Path | None = None, **options: str) -> CrashablePostgres:
            server = CrashablePostgres({**SERVER_OPTIONS, **options}, binaries)
            return stack.enter_context(server)

        yield make
