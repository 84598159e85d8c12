"""Each test has a database of its own, and the server forgets it afterwards."""

from __future__ import annotations

import psycopg

from tests.support.postgres import Postgres


def names(postgres: Postgres) -> set[str]:
    with psycopg.connect(postgres.url()) as connection:
        return {row[0] for row in connection.execute("select datname from pg_database")}


def outbox_tables(url: str) -> int:
    statement = "select count(*) from pg_tables where schemaname = 'outbox'"
    with psycopg.connect(url) as connection:
        row = connection.execute(statement).fetchone()
        assert row is not None
        return int(row[0])


def test_a_database_has_the_whole_schema(database_url: str) -> None:
    assert outbox_tables(database_url) > 0


def test_an_empty_database_has_none_of_it(empty_database_url: str) -> None:
    assert outbox_tables(empty_database_url) == 0


def test_a_copy_does_not_share_its_rows(postgres: Postgres, migrated_template: str) -> None:
    with postgres.database(migrated_template) as first, postgres.database(first) as second:
        with psycopg.connect(postgres.url(first)) as connection:
            connection.execute("create table only_here ()")
        with psycopg.connect(postgres.url(second)) as connection:
            row = connection.execute("select to_regclass('only_here')").fetchone()
            assert row == (None,)


def test_a_database_goes_with_sessions_in_it(postgres: Postgres) -> None:
    with postgres.database() as name:
        forgotten = psycopg.connect(postgres.url(name))
        assert name in names(postgres)
    assert name not in names(postgres)
    forgotten.close()


def test_the_url_of_a_server_given_as_a_dsn_is_a_url(postgres: Postgres) -> None:
    dsn = psycopg.conninfo.make_conninfo(postgres.url(), application_name="a b")
    url = Postgres(dsn).url("postgres")
    assert url.startswith("postgresql://")
    with psycopg.connect(url) as connection:
        assert connection.info.get_parameters()["application_name"] == "a b"
