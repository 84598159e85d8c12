"""The proxy cuts where it says, as the tests of unknown commits stand on it."""

from __future__ import annotations

from collections.abc import Callable

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from tests.support.postgres import Postgres
from tests.support.proxy import TcpProxy

MakeProxy = Callable[[str, int], TcpProxy]


@pytest.fixture
def proxy(postgres: Postgres, tcp_proxy: MakeProxy) -> TcpProxy:
    parts = conninfo_to_dict(postgres.url())
    return tcp_proxy(str(parts["host"]), int(str(parts["port"])))


def through(proxy: TcpProxy, url: str) -> str:
    return make_conninfo(url, host="127.0.0.1", port=proxy.port)


def answers(url: str) -> list[int]:
    with psycopg.connect(url) as connection:
        return [row[0] for row in connection.execute("select answer from answers")]


@pytest.fixture
def url(empty_database_url: str) -> str:
    with psycopg.connect(empty_database_url) as connection:
        connection.execute("create table answers (answer int)")
    return empty_database_url


def test_a_cut_connection_breaks_and_a_new_one_is_passed_on(proxy: TcpProxy, url: str) -> None:
    with psycopg.connect(through(proxy, url)) as connection:
        connection.execute("select 1")
        proxy.cut()
        with pytest.raises(psycopg.OperationalError):
            connection.execute("select 1")
    assert answers(through(proxy, url)) == []


def test_a_commit_whose_reply_is_dropped_was_done_and_the_client_cannot_know(
    proxy: TcpProxy, url: str
) -> None:
    connection = psycopg.connect(through(proxy, url))
    connection.execute("insert into answers values (42)")
    proxy.cut_after_client_sends(b"COMMIT")
    with pytest.raises(psycopg.OperationalError):
        connection.commit()
    connection.close()
    assert proxy.tripped.is_set()
    assert answers(url) == [42]


def test_a_trap_springs_once(proxy: TcpProxy, url: str) -> None:
    proxy.cut_after_client_sends(b"COMMIT")
    for expected in ([42], [42, 43]):
        with psycopg.connect(through(proxy, url)) as connection:
            connection.execute("insert into answers values (%s)", [expected[-1]])
            try:
                connection.commit()
            except psycopg.OperationalError:
                assert expected == [42]
        assert answers(url) == expected


def test_with_the_reply_passed_on_the_client_knows_before_the_cut(
    proxy: TcpProxy, url: str
) -> None:
    connection = psycopg.connect(through(proxy, url))
    connection.execute("insert into answers values (42)")
    proxy.cut_after_client_sends(b"COMMIT", drop_reply=False)
    connection.commit()
    with pytest.raises(psycopg.OperationalError):
        connection.execute("select 1")
    connection.close()
