"""Where to listen, as a setting says it: host:port."""

from __future__ import annotations

import re

__all__ = ["HTTP_DEFAULT", "listen_address"]

HTTP_DEFAULT = "127.0.0.1:9464"
PORT_MAX = 65_535
_ADDRESS = re.compile(r"(?:([0-9A-Za-z._-]+)|\[([0-9A-Fa-f:.]+)\]):([0-9]{1,5})")


def listen_address(text: str) -> tuple[str, int] | None:
    """Host and port, 0 for any that is free; None for an empty text: nowhere.

    Raises ValueError that says what the text should be.
    """
    if not text:
        return None
    found = _ADDRESS.fullmatch(text)
    if found is None or int(found[3]) > PORT_MAX:
        raise ValueError(
            f"is not host:port, such as {HTTP_DEFAULT} or [::1]:9464, with a port from 0 (any that"
            f" is free) to {PORT_MAX}; empty turns it off"
        )
    return found[1] or found[2], int(found[3])
