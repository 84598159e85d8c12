"""Secrets that are planted in a whole run, and where they sang."""

from __future__ import annotations

import base64
from contextlib import suppress
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path

from tests.support.processes import RelayProcess

PASSWORD = "cnryPassword"
SASL = "cnrySasl"
PAYLOAD = "cnryPayload"
HEADER = "cnryHeader"
KEY = "cnryKey"
SECRETS = (PASSWORD, SASL, PAYLOAD, HEADER, KEY)

PATHS = ("/", "/status.json", "/metrics", "/livez", "/readyz", "/nowhere")


def sung(text: str) -> set[str]:
    """Which of the secrets stand in the text: as they are, in hexadecimal digits or in Base64."""
    lower = text.lower()
    return {
        secret
        for secret in SECRETS
        if secret.lower() in lower
        or secret.encode().hex() in lower
        or any(form in text for form in _base64(secret))
    }


def _base64(secret: str) -> list[str]:
    """Its middle, for each of the three ways in which it may lie among the bytes."""
    return [
        base64.b64encode(b"\0" * shift + secret.encode()).decode()[4 if shift else 0 : -4]
        for shift in range(3)
    ]


@dataclass
class Heard:
    """All that was said, by where. What tells a key on purpose is heard apart."""

    said: dict[str, str] = field(default_factory=dict)
    telling_keys: dict[str, str] = field(default_factory=dict)

    def leaks(self) -> dict[str, set[str]]:
        """Where something is told that is not to be."""
        found = {where: sung(text) for where, text in self.said.items()}
        found |= {where: sung(text) - {KEY} for where, text in self.telling_keys.items()}
        return {where: secrets for where, secrets in found.items() if secrets}


def titles(process: RelayProcess) -> str:
    """What any user of the machine sees of a process: its command line, and its threads' names."""
    place = Path(f"/proc/{process.pid}")
    found = [(place / "cmdline").read_text()]
    for name in place.glob("task/*/comm"):
        with suppress(OSError):  # a thread that has ended meanwhile
            found.append(name.read_text())
    return "\n".join(found)


def pages(port: int) -> dict[str, str]:
    """What is served to those who watch, head and body, by path."""
    found = {}
    for path in PATHS:
        connection = HTTPConnection("127.0.0.1", port, timeout=10)
        connection.request("GET", path)
        reply = connection.getresponse()
        found[path] = f"{reply.getheaders()}\n{reply.read().decode()}"
        connection.close()
    return found
