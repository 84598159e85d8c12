"""A server that only listens: what clients send to it unasked, to see what they would give away."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

_READ_MAX = 4_096


class Listening:
    """Answers each connection's first bytes with `answer`, notes all it is sent, and hangs up.

    Attributes:
        port: where it listens on 127.0.0.1.
        heard: what each connection sent.
    """

    def __init__(self, answer: bytes) -> None:
        self.heard: list[bytes] = []
        self._answer = answer
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, name=f"listening-{self.port}", daemon=True).start()

    def close(self) -> None:
        """Take no more connections."""
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                with client, suppress(OSError):
                    client.settimeout(1.0)
                    said = client.recv(_READ_MAX)
                    client.sendall(self._answer)
                    # What a client that gives in would send next.
                    with suppress(TimeoutError):
                        said += client.recv(_READ_MAX) if self._answer else b""
                    self.heard.append(said)


@contextmanager
def listening(answer: bytes = b"") -> Iterator[Listening]:
    """One, from now to the end of the block."""
    server = Listening(answer)
    try:
        yield server
    finally:
        server.close()
