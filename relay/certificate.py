"""Why a server's certificate is refused, in words.

Both clients say of every certificate that they refuse only that it could not be verified: expired
at night and never trusted at all read the same. So the server is asked for it once more, by
Python's own TLS, which says why. That is for people only: nothing is ever sent there, and nothing
is decided by what comes back.
"""

from __future__ import annotations

import socket
import ssl
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

__all__ = ["VERIFY_FAILED", "Trust", "why_refused"]

VERIFY_FAILED = "certificate verify failed"
"""OpenSSL's words, which both clients pass on."""

TIMEOUT_S = 0.5
"""The server has answered a moment ago. Whoever asks may have a lease to keep."""

_ISSUER_UNKNOWN = (18, 19, 20, 21)
"""OpenSSL's X509_V_ERR_*: self-signed, alone or at the chain's end, and an issuer not found."""


@dataclass(frozen=True, slots=True)
class Trust:
    """What a client was told to trust.

    Attributes:
        setting: which setting says so, for people.
        location: a file or folder with the authorities; empty for the system's, or `pem`.
        pem: the authorities themselves.
        names: whether the certificate has to be for the host.
    """

    setting: str
    location: str = ""
    pem: str = ""
    names: bool = True


def why_refused(host: str, port: int, trust: Trust, opening: bytes = b"") -> str | None:
    """What is wrong with the certificate of a server, None if that cannot be told or nothing is.

    `opening` asks for TLS where the protocol begins without it; one byte comes back.
    """
    # Not an error of ours: the authorities cannot be read, or the server is gone by now.
    with suppress(OSError, ValueError):
        context = _context(trust)
        with socket.create_connection((host, port), TIMEOUT_S) as plain:
            if opening:
                plain.sendall(opening)
                plain.recv(1)
            try:
                context.wrap_socket(plain, server_hostname=host).close()
            except ssl.SSLCertVerificationError as problem:
                return _in_words(problem, trust)
    return None


def _context(trust: Trust) -> ssl.SSLContext:
    # Not create_default_context: it is stricter than the clients, and would name what they accept.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = trust.names
    if trust.pem:
        context.load_verify_locations(cadata=trust.pem)
    elif not trust.location:
        context.load_default_certs()
    elif Path(trust.location).is_dir():
        context.load_verify_locations(capath=trust.location)
    else:
        context.load_verify_locations(cafile=trust.location)
    return context


def _in_words(problem: ssl.SSLCertVerificationError, trust: Trust) -> str:
    why = problem.verify_message.rstrip(".")
    if problem.verify_code in _ISSUER_UNKNOWN:
        return f"{why}: {trust.setting} does not have its issuer"
    return why
