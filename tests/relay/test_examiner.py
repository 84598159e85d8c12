"""What `relay doctor` sees of the way to the database."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress

from psycopg.conninfo import conninfo_to_dict, make_conninfo

from relay.daemon.clock import monotonic_s, wall_s
from relay.postgres.connect import connect
from relay.postgres.examiner import read_server

# BackendKeyData: the kind, the length, and the number of the process.
_KEY_DATA = re.compile(rb"K\x00\x00\x00\x0c....", re.DOTALL)


@contextmanager
def pooled(url: str) -> Iterator[str]:
    """The same database behind what tells its client another process than serves it, as PgBouncer
    does. One connection."""
    parts = conninfo_to_dict(url)
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            client, _ = listener.accept()
            address = str(parts["host"]), int(str(parts["port"]))
            with client, socket.create_connection(address) as server:
                upwards = threading.Thread(target=_pass_on, args=(client, server))
                upwards.start()
                _pass_on(server, client)
                upwards.join()

        serving = threading.Thread(target=serve)
        serving.start()
        port = listener.getsockname()[1]
        yield make_conninfo(url, host="127.0.0.1", port=port, sslmode="disable")
        serving.join()


def _pass_on(source: socket.socket, to: socket.socket) -> None:
    with suppress(OSError):
        while chunk := source.recv(65_536):
            to.sendall(_KEY_DATA.sub(lambda found: found[0][:5] + b"\x00\x00\x00\x01", chunk))
        to.shutdown(socket.SHUT_WR)


def test_a_pooler_in_between_is_seen(database_url: str) -> None:
    with pooled(database_url) as url, closing(connect(url, "doctor")) as connection:
        assert read_server(connection, wall_s, monotonic_s).is_pooled


def test_a_direct_connection_is_known_as_one(database_url: str) -> None:
    with closing(connect(database_url, "doctor")) as connection:
        found = read_server(connection, wall_s, monotonic_s)
    assert not found.is_pooled
    assert abs(found.clock_ahead_s) <= found.uncertain_s + 0.5


def test_a_clock_that_is_off_is_measured(database_url: str) -> None:
    with closing(connect(database_url, "doctor")) as connection:
        found = read_server(connection, lambda: wall_s() + 60.0, monotonic_s)
    assert -61.0 < found.clock_ahead_s < -59.0
