"""A TCP proxy in front of a real server, to cut real connections where it hurts.

The case that nothing else makes: a client sent COMMIT, the server did it, and the reply never came.
The proxy cuts when the server has answered, so that what the client cannot know is certain for the
test.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Self

import pytest

_CHUNK_BYTES = 65_536


@dataclass(eq=False)
class _Trap:
    """Armed once: the connection whose client sends `pattern` is cut at the server's next
    answer."""

    pattern: bytes
    drop_reply: bool


class TcpProxy:
    """Listens on `port` of 127.0.0.1 and passes every connection on to (host, port) given.

    Attributes:
        port: where clients connect.
        tripped: set when `cut_after_client_sends` has cut.
    """

    def __init__(self, host: str, port: int) -> None:
        self.tripped = threading.Event()
        self._server = (host, port)
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._trap: _Trap | None = None
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, name=f"proxy-{self.port}", daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def cut(self) -> None:
        """Cut all connections of now. New ones are passed on."""
        with self._lock:
            cut, self._open = self._open, set()
        for connection in cut:
            _sever(connection)

    def cut_after_client_sends(self, pattern: bytes, *, drop_reply: bool = True) -> None:
        """Cut the next connection whose client sends `pattern`, once the server has answered it.

        Args:
            pattern: as it stands on the wire, such as b"COMMIT".
            drop_reply: keep the answer from the client; else it gets the answer's first bytes and
            then the cut.
        """
        self.tripped.clear()
        self._trap = _Trap(pattern, drop_reply)

    def close(self) -> None:
        """Cut everything and listen no more."""
        self.refuse_new()
        self.cut()

    def refuse_new(self) -> None:
        """Listen no more; connections that are open go on."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes the accept; a close alone does not
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # closed
            while True:
                client, _ = self._listener.accept()
                try:
                    server = socket.create_connection(self._server)
                except OSError:
                    client.close()  # the server is down: the client sees its connection end
                    continue
                _Passage(self, client, server).start()

    def _opened(self, *connections: socket.socket) -> None:
        with self._lock:
            self._open.update(connections)

    def _closed(self, *connections: socket.socket) -> None:
        with self._lock:
            self._open.difference_update(connections)

    def _spring(self, sent: bytes) -> _Trap | None:
        with self._lock:
            trap = self._trap
            if trap is None or trap.pattern not in sent:
                return None
            self._trap = None
            return trap

    @property
    def _overlap_bytes(self) -> int:
        trap = self._trap
        return len(trap.pattern) - 1 if trap else 0


class _Passage:
    """One connection of a client, and ours to the server: a thread for each direction."""

    def __init__(self, proxy: TcpProxy, client: socket.socket, server: socket.socket) -> None:
        self._proxy, self._client, self._server = proxy, client, server
        self._sprung: _Trap | None = None

    def start(self) -> None:
        self._proxy._opened(self._client, self._server)
        for direction in (self._upwards, self._downwards):
            threading.Thread(target=self._run, args=(direction,), daemon=True).start()

    def _run(self, direction: Callable[[], None]) -> None:
        with contextlib.suppress(OSError):  # either side may go at any time
            direction()
        self._proxy._closed(self._client, self._server)
        _sever(self._client)
        _sever(self._server)

    def _upwards(self) -> None:
        tail = b""  # a pattern may come in two pieces
        while chunk := self._client.recv(_CHUNK_BYTES):
            seen = tail + chunk
            # Before the bytes go on: the answer must find the trap sprung.
            self._sprung = self._sprung or self._proxy._spring(seen)
            overlap = self._proxy._overlap_bytes
            tail = seen[-overlap:] if overlap else b""
            self._server.sendall(chunk)

    def _downwards(self) -> None:
        while chunk := self._server.recv(_CHUNK_BYTES):
            trap = self._sprung
            if trap is None or not trap.drop_reply:
                self._client.sendall(chunk)
            if trap is not None:
                self._proxy.tripped.set()
                return


def _sever(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):  # not connected any more
        connection.shutdown(socket.SHUT_RDWR)
    connection.close()


@pytest.fixture
def tcp_proxy() -> Iterator[Callable[[str, int], TcpProxy]]:
    """Makes proxies: `tcp_proxy("127.0.0.1", own.port)`, then `own.url(port=proxy.port)`."""
    with ExitStack() as stack:
        yield lambda host, port: stack.enter_context(TcpProxy(host, port))
