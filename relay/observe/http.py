"""One port for those who watch: a table of paths, each with what answers it.

Only GET and HEAD: nothing can be changed through it. It must not be in anybody's way, and a probe
must get through whatever others do to the port:

    slow       the request has REQUEST_WITHIN_S in all, and so has the answer, however the bytes
               trickle. Naive: a timeout on the socket, which each byte begins anew
    endless    a request is read up to REQUEST_BYTES_MAX
    many       SERVED_AT_ONCE_MAX at once. Naive: the next is refused; then so many idle connections
               shut the probes out, and the relay is restarted for it. Here the next is served, and
               the connection that is oldest is ended for it

What answers asks nobody: it says what is known already, so no scrape can hang in a database, and
none holds a lock that a publishing loop wants.
"""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from socket import AF_INET6, SHUT_RDWR, socket
from socketserver import TCPServer, ThreadingMixIn
from typing import cast

__all__ = ["PLAIN", "HttpServer", "Reply", "Routes"]

SERVED_AT_ONCE_MAX = 32
ROOM_WITHIN_S = 0.5
"""A connection that was ended is gone in milliseconds, unless its answer is being made."""

CLOSES_WITHIN_S = 0.1

REQUEST_WITHIN_S = 5.0
REQUEST_BYTES_MAX = 16_384
"""Prometheus sends 500 bytes, a browser with cookies of other ports on the same host some 4 KB."""

PLAIN = "text/plain; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Reply:
    """The body and its type, and headers beside those."""

    content_type: str
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    status: HTTPStatus = HTTPStatus.OK


Routes = Mapping[str, Callable[[], Reply]]


class HttpServer:
    """Serves `routes` from `start` to `close`."""

    def __init__(self, host: str, port: int, routes: Routes, clock: Callable[[], float]) -> None:
        """Raises OSError where the address is not to be had. Port 0: any that is free.

        `clock`: monotonic seconds.
        """
        self._server = (_Server6 if ":" in host else _Server)((host, port), routes, clock)
        serve = partial(self._server.serve_forever, poll_interval=CLOSES_WITHIN_S)
        self._thread = threading.Thread(target=serve, name="http", daemon=True)

    @property
    def port(self) -> int:
        """The one that it listens on."""
        return int(self._server.server_address[1])

    def start(self) -> None:
        """Begin to serve."""
        self._thread.start()

    def close(self) -> None:
        """Serve nobody any more."""
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
        self._server.server_close()


# Not http.server's: it asks the name server for its own name before it listens.
class _Server(ThreadingMixIn, TCPServer):
    daemon_threads = True
    block_on_close = False
    # A relay that is started anew finds its port free, though connections of the last one linger.
    allow_reuse_address = True
    request_queue_size = 128  # whoever finds it full tries again a second later

    def __init__(
        self, address: tuple[str, int], routes: Routes, clock: Callable[[], float]
    ) -> None:
        self.routes = routes
        self.clock = clock
        self._room = threading.BoundedSemaphore(SERVED_AT_ONCE_MAX)
        self._served: dict[socket, None] = {}
        super().__init__(address, _Handler)

    def process_request(
        self, request: socket | tuple[bytes, socket], client_address: object
    ) -> None:
        if not (self._room.acquire(blocking=False) or self._made_room()):
            self.shutdown_request(request)
            return
        self._served[cast(socket, request)] = None
        super().process_request(request, client_address)

    def _made_room(self) -> bool:
        """End the oldest connection; its thread finds that out and leaves."""
        oldest = next(iter(tuple(self._served)), None)
        if oldest is not None:
            _end(oldest)
        return self._room.acquire(timeout=ROOM_WITHIN_S)

    def process_request_thread(
        self, request: socket | tuple[bytes, socket], client_address: object
    ) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._served.pop(cast(socket, request), None)
            self._room.release()

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that goes away in the middle is no news."""


class _Server6(_Server):
    address_family = AF_INET6


class _Limited(io.RawIOBase):
    """What a client sends, up to a number of bytes and a moment; OSError beyond either."""

    def __init__(self, connection: socket, left_s: Callable[[], float]) -> None:
        self._connection = connection
        self._left_s = left_s
        self._left_bytes = REQUEST_BYTES_MAX

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # as BufferedReader calls it
        if (left_s := self._left_s()) <= 0:
            raise TimeoutError
        if self._left_bytes <= 0:
            raise ConnectionAbortedError
        self._connection.settimeout(left_s)
        read = self._connection.recv_into(buffer[: self._left_bytes])
        self._left_bytes -= read
        return read


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    server_version = "outbox-relay"
    sys_version = ""

    def setup(self) -> None:
        super().setup()
        self.rfile.close()
        clock = self.server.clock
        until_s = clock() + REQUEST_WITHIN_S
        limited = _Limited(self.connection, lambda: until_s - clock())
        self.rfile = io.BufferedReader(limited)

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def _answer(self, *, with_body: bool) -> None:
        answers = self.server.routes.get(self.path.partition("?")[0])
        if answers is None:
            self.send_error(HTTPStatus.NOT_FOUND)
        else:
            self._send(answers(), with_body=with_body)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """As plain text, and without a word of what was asked."""
        # What has no do_<METHOD> here is known to others, and not allowed.
        status = HTTPStatus(code)
        if status is HTTPStatus.NOT_IMPLEMENTED:
            status = HTTPStatus.METHOD_NOT_ALLOWED
        allow = {"Allow": "GET, HEAD"} if status is HTTPStatus.METHOD_NOT_ALLOWED else {}
        reply = Reply(PLAIN, f"{status.phrase}\n".encode(), allow, status)
        self._send(reply, with_body=self.command != "HEAD")

    def _send(self, reply: Reply, *, with_body: bool) -> None:
        self.connection.settimeout(REQUEST_WITHIN_S)
        self.send_response(reply.status)
        self.send_header("Content-Type", reply.content_type)
        self.send_header("Content-Length", str(len(reply.body)))
        for name, value in reply.headers.items():
            self.send_header(name, value)
        self.end_headers()
        if with_body:
            self.wfile.write(reply.body)

    def log_message(self, *_: object) -> None:
        """Who looks is not told."""


def _end(connection: socket) -> None:
    try:
        connection.shutdown(SHUT_RDWR)
    except OSError:  # it is gone already
        return
