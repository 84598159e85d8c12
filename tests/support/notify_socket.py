"""The socket on which a service manager hears its services, as systemd opens it."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic

from tests.support.wait import until

__all__ = ["NotifySocket", "listening"]


class NotifySocket:
    """Collects what is told; `address` is what NOTIFY_SOCKET is set to.

    Attributes:
        heard: (seconds on a monotonic clock, field, value), in the order of arrival.
    """

    def __init__(self, address: str) -> None:
        self.address = address
        self.heard: list[tuple[float, str, str]] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._socket.bind("\0" + address[1:] if address.startswith("@") else address)

    def listen(self) -> None:
        """Take what has arrived."""
        while True:
            try:
                lines = self._socket.recv(4_096).decode().split("\n")
            except BlockingIOError:
                return
            self.heard += [(monotonic(), *line.partition("=")[::2]) for line in lines]

    def said(self, field: str) -> list[str]:
        """All values of this field so far."""
        self.listen()
        return [value for _, name, value in self.heard if name == field]

    def times(self, field: str) -> list[float]:
        """When this field was told, so far."""
        self.listen()
        return [at for at, name, _ in self.heard if name == field]

    def wait_for(self, field: str, value: str | None = None, more_than: int = 0) -> None:
        """Wait until it was told more than so often, with this value if there is one."""

        def found() -> bool:
            return sum(one == value or value is None for one in self.said(field)) > more_than

        until(found, what=f"{field}={value or ''} told, of {self.heard}")

    def close(self) -> None:
        self._socket.close()


@contextmanager
def listening(address: str) -> Iterator[NotifySocket]:
    """A socket that is closed at the end."""
    manager = NotifySocket(address)
    try:
        yield manager
    finally:
        manager.close()
