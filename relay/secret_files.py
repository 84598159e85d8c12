"""Secrets in files, as systemd's LoadCredential and Kubernetes hand them over, taken anew when they
change.

A setting NAME may be given as NAME_FILE, the path of a file that holds its value. Naive: read it
once at the start. A secret that is rotated is then taken with a restart only, and a relay that runs
for months finds out at its first reconnection, at night. So the file is read again for each new
connection. Whoever rotates it may write it in place: for a moment it is empty, or half there. What
cannot be read, or is not what it was meant to be, changes nothing then; the last value stands, and
if that is refused the connection is tried again with whatever stands there by then.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

__all__ = ["SUFFIX", "Secret", "WithSecrets", "read"]

SUFFIX = "_FILE"
BYTES_MAX = 1_048_576
"""Far above a chain of certificates; /dev/zero, or a log by mistake, ends the reading here."""


class Secret:
    """A value that may change while the process runs. Call it for the present one."""

    def __init__(self, take: Callable[[], str]) -> None:
        """`take` gives the value as it stands now; raises what it raises, for the first one."""
        self._take = take
        self._last = take()

    def __call__(self) -> str:
        """The value as it stands now, or the last that could be read."""
        with suppress(ValueError):
            self._last = self._take()
        return self._last


class WithSecrets(Mapping[str, str]):
    """Texts by name, some of which are read anew whenever they are asked for."""

    def __init__(self, texts: Mapping[str, str], secrets: Mapping[str, Secret]) -> None:
        self._texts = texts
        self._secrets = secrets

    def __getitem__(self, name: str) -> str:
        secret = self._secrets.get(name)
        return self._texts[name] if secret is None else secret()

    def __iter__(self) -> Iterator[str]:
        return iter({**self._texts, **self._secrets})

    def __len__(self) -> int:
        return len({**self._texts, **self._secrets})


def read(path: str) -> str:
    """The text of a file, without the newline that editors leave at its end.

    Raises ValueError, with what is wrong and neither the path nor any of the content: a secret that
    was set in the place of its path must not be told.
    """
    try:
        content = _content(Path(path))
    except OSError as problem:
        raise ValueError(f"cannot be read: {problem.strerror}") from None
    try:
        text = content.decode().rstrip("\r\n")
    except UnicodeDecodeError:
        raise ValueError("names a file that is not UTF-8 text") from None
    if not text.strip():
        raise ValueError("names a file that is empty")
    if "\0" in text:
        raise ValueError("names a file that holds a NUL")
    return text


def _content(path: Path) -> bytes:
    # Before it is opened: a pipe that nobody writes to would be waited for.
    if not path.is_file():
        path.stat()
        raise ValueError("does not name a regular file")
    with path.open("rb") as file:
        content = file.read(BYTES_MAX + 1)
    if len(content) > BYTES_MAX:
        raise ValueError(f"names a file of more than {BYTES_MAX} bytes")
    return content
