"""What cases of the contract say often: write, take a lease, open a window, read what is in it."""

from __future__ import annotations

from relay.core.inputs import Loaded, Opened, Row
from relay.ports import CursorStore
from tests.contract.conftest import World

__all__ = ["event_id", "leading", "numbers_of", "opened", "read", "write"]


def event_id(n: int) -> str:
    """An id that says which event it is."""
    return f"00000000-0000-4000-8000-{n:012d}"


def write(world: World, *numbers: int, key: str | None = "k") -> None:
    """Commit events in one transaction."""
    with world.writer() as writer:
        for n in numbers:
            writer.emit(event_id(n), key)
        writer.commit()


def leading(world: World, owner: str = "a") -> CursorStore:
    """A store under a term that was just granted."""
    term = world.leases().acquire(owner)
    assert isinstance(term, int)
    return world.store(owner, term)


def opened(store: CursorStore) -> Opened:
    """The next window behind the newest entry."""
    given = store.open_next(store.load().cursor)
    assert isinstance(given, Opened)
    return given


def read(world: World, given: Opened | Loaded) -> list[Row]:
    """Every row of a window that was opened or taken up again."""
    source = world.source()
    window = given.cursor.window
    return [row for page in given.pages for row in source.read(window, page)]


def numbers_of(rows: list[Row]) -> list[int]:
    """Which events these are."""
    return [int(row[1][-12:]) for row in rows]
