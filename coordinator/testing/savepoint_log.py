"""What a transaction has done so far, of which a savepoint may take the last part back.

Naive: SQLAlchemy's events of savepoints. The one that says where a savepoint begins does not say
its name, and SQL text that makes one raises no event. So the statements are read.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

__all__ = ["SavepointLog"]

Entry = TypeVar("Entry")

_STATEMENT = re.compile(
    r"""\s*(?: (?P<begin>savepoint)
             | (?P<release>release)(?:\s+savepoint)?
             | (?P<back>rollback)(?:\s+(?:work|transaction))?\s+to(?:\s+savepoint)?
           )\s+"?(?P<name>\w+)""",
    re.IGNORECASE | re.VERBOSE,
)


@dataclass(frozen=True, slots=True)
class _Savepoint:
    name: str


class SavepointLog(Generic[Entry]):
    """The entries of one transaction, in order, with a mark for each open savepoint."""

    def __init__(self) -> None:
        """Begin empty."""
        self._log: list[Entry | _Savepoint] = []

    @property
    def entries(self) -> Sequence[Entry]:
        """What stands, if the transaction is committed now."""
        return [entry for entry in self._log if not isinstance(entry, _Savepoint)]

    def add(self, entry: Entry) -> None:
        """Append to what the innermost savepoint may take back."""
        self._log.append(entry)

    def settle(self) -> None:
        """Forget the entries, and keep the savepoints."""
        self._log = [entry for entry in self._log if isinstance(entry, _Savepoint)]

    def follow(self, statement: str) -> None:
        """Do what `statement` does to savepoints, if it does.

        As in PostgreSQL: of two with one name the later is meant; a release takes the savepoints
        inside along; a rollback leaves the savepoint itself in its place.
        """
        found = _STATEMENT.match(statement)
        if found is None:
            return
        savepoint = _Savepoint(found["name"])
        if found["begin"]:
            self._log.append(savepoint)
        elif savepoint in self._log:
            place = len(self._log) - 1 - self._log[::-1].index(savepoint)
            inside = self._log[place + 1 :]
            if found["release"]:
                kept = [entry for entry in inside if not isinstance(entry, _Savepoint)]
                self._log[place:] = kept
            else:
                del self._log[place + 1 :]
