"""A world outside the database: a folder, where each booking is a file, and a journal of all deeds.

The folder outlives a killed process, as a hotel does.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from sqlalchemy import Engine, func, select

from coordinator import Transaction, undo
from coordinator.engine.intents import transaction_intents, transaction_settlements
from tests.coordinator.database import count

_JOURNAL = "journal"
_CLOSED = "closed"


class World:
    """What stands in the folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = str(folder)
        self._path = folder

    @property
    def bookings(self) -> list[str]:
        """What is booked now."""
        return sorted(path.name for path in self._path.glob("*-*"))

    @property
    def journal(self) -> list[str]:
        """Every deed, such as `book flight`, in order; without the names of the attempts."""
        path = self._path / _JOURNAL
        return path.read_text().split("\n")[:-1] if path.exists() else []

    def close(self) -> None:
        """From now on cancelling fails."""
        (self._path / _CLOSED).touch()

    def open(self) -> None:
        """Cancelling works again."""
        (self._path / _CLOSED).unlink()


def book(folder: str, what: str, attempt: str) -> str:
    """Book something, and return the booking's name."""
    path = Path(folder, f"{what}-{attempt}")
    path.touch(exist_ok=False)
    _note(folder, f"book {what}")
    return path.name


@undo("test.cancel")
def cancel(folder: str, what: str, attempt: str) -> None:
    """Cancel a booking, if there is one."""
    if Path(folder, _CLOSED).exists():
        _note(folder, f"fail to cancel {what}")
        raise OSError("the hotel is closed\nwith a second line")
    Path(folder, f"{what}-{attempt}").unlink(missing_ok=True)
    _note(folder, f"cancel {what}")


def travel(tx: Transaction, folder: str, *things: str) -> list[str]:
    """Book each of `things`."""
    return [book_in(tx, folder, what) for what in things]


def book_in(tx: Transaction, folder: str, what: str, action: Callable[..., str] = book) -> str:
    """Book one thing under the attempt's name."""
    name: str = tx.outside(action, folder, what, str(tx.attempt_id), undo="test.cancel")
    return name


def left(engine: Engine) -> int:
    """How many intents stand in the database that are not settled."""
    settled = select(transaction_settlements.c.attempt_id)
    with engine.connect() as connection:
        return (
            connection.scalar(
                select(func.count()).where(transaction_intents.c.attempt_id.not_in(settled))
            )
            or 0
        )


def swept(engine: Engine) -> bool:
    """Whether nothing of any attempt stands in the database."""
    return count(engine, transaction_intents) == count(engine, transaction_settlements) == 0


def _note(folder: str, deed: str) -> None:
    with Path(folder, _JOURNAL).open("a") as journal:
        journal.write(f"{deed}\n")
