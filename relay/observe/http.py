"""One port for those who watch: a table of paths, each with what answers it.

Only GET and HEAD: nothing can be changed through it. Whoever connects and says nothing is dropped
after a while, and no more than a few are served at once; the rest are closed at once.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socket import socket
from types import MappingProxyType
from typing import ClassVar

__all__ = ["HttpServer", "Reply"]

SERVED_AT_ONCE_MAX = 16
SILENCE_MAX_S = 5.0


@dataclass(frozen=True, slots=True)
class Reply:
    """The body and its type, and headers beside those."""

    content_type: str
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


Routes = Mapping[str, Callable[[], Reply]]


class HttpServer:
    """Serves `routes` from `start` to `close`."""

    def __init__(self, host: str, port: int, routes: Routes) -> None:
        """Raises OSError where the address is not to be had. Port 0: any that is free."""
        self._server = _Server((host, port), type("Handler", (_Handler,), {"routes": routes}))
        self._thread = threading.Thread(target=self._server.serve_forever, name="http", daemon=True)

    @property
    def port(self) -> int:
        """The one that it listens on."""
        return int(self._server.server_address[1])

    def start(self) -> None:
        """Begin to serve."""
        self._thread.start()

    def close(self) -> None:
        """Serve nobody any more."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        self._free = threading.BoundedSemaphore(SERVED_AT_ONCE_MAX)
        super().__init__(address, handler)

    def process_request(
        self, request: socket | tuple[bytes, socket], client_address: object
    ) -> None:
        if self._free.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(
        self, request: socket | tuple[bytes, socket], client_address: object
    ) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that goes away in the middle is no news."""


class _Handler(BaseHTTPRequestHandler):
    routes: ClassVar[Routes] = MappingProxyType({})
    timeout = SILENCE_MAX_S
    server_version = "outbox-relay"
    sys_version = ""

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def _answer(self, *, with_body: bool) -> None:
        answers = self.routes.get(self.path.partition("?")[0])
        if answers is None:
            self.send_error(HTTPStatus.NOT_FOUND)
            return
        reply = answers()
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", reply.content_type)
        self.send_header("Content-Length", str(len(reply.body)))
        for name, value in reply.headers.items():
            self.send_header(name, value)
        self.end_headers()
        if with_body:
            self.wfile.write(reply.body)

    def log_message(self, *_: object) -> None:
        """Who looks is not told."""
