"""What the driver says of a server whose certificate it refuses, with the reason put in."""

from __future__ import annotations

import re
from pathlib import Path

from psycopg.conninfo import conninfo_to_dict

from relay.certificate import VERIFY_FAILED, Trust, why_refused
from relay.plaintext import libpq_defaults

__all__ = ["explained"]

_SSL_REQUEST = bytes.fromhex("0000000804d2162f")
"""PostgreSQL's protocol begins in the clear; this asks for TLS."""

_SERVER = re.compile(r'server at "([^"]+)"(?: \([^)]*\))?, port ([0-9]+) failed: [^\n]*')
_AUTHORITIES = Path("~/.postgresql/root.crt")
"""Where libpq looks unless it is told."""


def explained(said: str, url: str) -> str:
    """What the driver said of a connection by `url`, or better. It may take a second."""
    if VERIFY_FAILED not in said:
        return said
    trust = _trust(url)

    def with_reason(server: re.Match[str]) -> str:
        why = None
        if VERIFY_FAILED in server[0]:
            why = why_refused(server[1], int(server[2]), trust, _SSL_REQUEST)
        return server[0] if why is None else f"{server[0]}: {why}"

    return _SERVER.sub(with_reason, said)


def _trust(url: str) -> Trust:
    location = str({**libpq_defaults(), **conninfo_to_dict(url)}.get("sslrootcert", ""))
    location = "" if location == "system" else location or str(_AUTHORITIES.expanduser())
    # Of a wrong name the driver says so itself.
    return Trust("sslrootcert", location, names=False)
