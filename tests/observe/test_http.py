"""The port of those who watch, against those who do not mean well."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing
from time import monotonic

import pytest

from relay.daemon.clock import monotonic_s
from relay.observe.http import (
    REQUEST_BYTES_MAX,
    REQUEST_WITHIN_S,
    SERVED_AT_ONCE_MAX,
    HttpServer,
    Reply,
)
from tests.support.scrape import asked
from tests.support.wait import until

HANGS = threading.Event()


def never() -> Reply:
    HANGS.wait(60)
    return Reply("text/plain", b"at last")


@pytest.fixture
def port() -> Iterator[int]:
    HANGS.clear()
    routes = {"/": lambda: Reply("text/plain", b"fine", {"X-One": "1"}), "/hangs": never}
    server = HttpServer("127.0.0.1", 0, routes, monotonic_s)
    server.start()
    yield server.port
    HANGS.set()
    server.close()


def connected(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=20)


def ended(connection: socket.socket) -> bool:
    """Whether the server has closed it; waits for that."""
    try:
        while connection.recv(4096):
            pass
    except ConnectionResetError:
        return True
    return True


def test_a_path_is_answered_whatever_is_asked_behind_it(port: int) -> None:
    answer = asked(port, "/?from=a&probe")
    assert (answer.status, answer.text, answer.headers["x-one"]) == (200, "fine", "1")


def test_head_has_the_headers_and_no_body(port: int) -> None:
    answer = asked(port, "/", "HEAD")
    assert (answer.status, answer.text, answer.headers["content-length"]) == (200, "", "4")


def test_an_unknown_path_is_not_found_and_not_repeated(port: int) -> None:
    answer = asked(port, "/<script>alert(1)</script>")
    assert (answer.status, answer.text) == (404, "Not Found\n")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PLANT"])
def test_nothing_but_reading_is_allowed(port: int, method: str) -> None:
    answer = asked(port, "/", method)
    assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD")


def test_a_request_that_trickles_is_dropped_in_time(port: int) -> None:
    """A byte every 0.2 s begins the socket's own timeout anew each time."""
    with closing(connected(port)) as slow:
        slow.setblocking(False)
        begun = monotonic()
        slow.send(b"GET / HTTP/1.1\r\nX-Slow: ")

        def dropped() -> bool:
            try:
                slow.send(b"x")
                return slow.recv(1) == b""
            except BlockingIOError:
                return False
            except (BrokenPipeError, ConnectionResetError):
                return True

        until(dropped, every_s=0.2, timeout_s=REQUEST_WITHIN_S + 5, what="the end of it")
        assert monotonic() - begun >= REQUEST_WITHIN_S - 0.5


def test_a_request_without_an_end_is_dropped(port: int) -> None:
    with closing(connected(port)) as endless:
        try:
            endless.sendall(b"GET / HTTP/1.1\r\nX-Endless: " + b"x" * (REQUEST_BYTES_MAX * 4))
        except (BrokenPipeError, ConnectionResetError):
            return
        assert ended(endless)
    assert asked(port, "/").status == 200


def test_headers_without_an_end_are_not_taken_for_a_request(port: int) -> None:
    with closing(connected(port)) as endless:
        line = b"X-One: " + b"1" * 991 + b"\r\n"
        endless.sendall(b"GET / HTTP/1.1\r\n" + line * (REQUEST_BYTES_MAX // len(line) + 20))
        try:
            assert endless.recv(4096) == b""
        except ConnectionResetError:
            return


def test_idle_connections_shut_no_probe_out(port: int) -> None:
    with ExitStack() as stack:
        for _ in range(SERVED_AT_ONCE_MAX * 3):
            stack.enter_context(closing(connected(port)))
        begun = monotonic()
        assert asked(port, "/").status == 200
        assert monotonic() - begun < REQUEST_WITHIN_S / 2


def test_no_more_than_so_many_are_served_at_once(port: int) -> None:
    before = threading.active_count()
    with ExitStack() as stack:
        for _ in range(SERVED_AT_ONCE_MAX * 3):
            stack.enter_context(closing(connected(port)))
            assert threading.active_count() - before <= SERVED_AT_ONCE_MAX


def test_the_oldest_connection_goes_first(port: int) -> None:
    with ExitStack() as stack:
        oldest = stack.enter_context(closing(connected(port)))
        rest = [stack.enter_context(closing(connected(port))) for _ in range(SERVED_AT_ONCE_MAX)]
        begun = monotonic()
        assert ended(oldest)
        assert monotonic() - begun < REQUEST_WITHIN_S / 2
        rest[-1].sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert rest[-1].recv(100).startswith(b"HTTP/1.0 200")


def test_an_answer_that_hangs_holds_up_no_other(port: int) -> None:
    with closing(connected(port)) as hanging:
        hanging.sendall(b"GET /hangs HTTP/1.0\r\n\r\n")
        assert asked(port, "/").status == 200


@pytest.mark.parametrize("garbage", [b"\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00", b"GET\r\n\r\n"])
def test_what_is_no_request_hurts_nobody(port: int, garbage: bytes) -> None:
    with closing(connected(port)) as connection:
        connection.sendall(garbage)
        connection.shutdown(socket.SHUT_WR)
        assert ended(connection)
    assert asked(port, "/").status == 200


def test_it_serves_an_address_of_ipv6() -> None:
    try:
        server = HttpServer("::1", 0, {}, monotonic_s)
    except OSError:
        pytest.skip("no IPv6 here")
    server.close()
