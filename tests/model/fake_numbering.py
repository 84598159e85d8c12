"""How a relay that begins to lead finds out whose transaction ids the outbox has.

By the evidence of relay/sql/cluster.sql, as far as the fake database has it.
"""

from __future__ import annotations

from tests.model.fake_postgres import FakePostgres
from tests.model.fake_stores import newest

__all__ = ["before", "enter", "is_copied"]


def enter(database: FakePostgres) -> None:
    """Note that a relay leads here, if it is the first one; begin a numbering where need be."""
    numbering, floor = before(database)
    if is_copied(database):
        first = max(floor, newest(database).reach)
        database.note((numbering + 1, first), (numbering + 2, max(first, _floor(database, first))))
    elif not database.led or database.led[-1].home != database.epoch:
        database.note((numbering, floor))


def before(database: FakePostgres) -> tuple[int, int]:
    """The last numbering that was noted, and its floor."""
    last = database.led[-1] if database.led else None
    return (last.numbering, last.floor) if last else (0, 0)


def is_copied(database: FakePostgres) -> bool:
    """Whether the rows were written by others than they say, elsewhere, or tell of the future."""
    last = database.led[-1] if database.led else None
    if last is not None and (last.xmin is not None or last.system != database.system):
        return True
    now = database.snapshot()
    ahead = any(not now.sees(event.txid) for event in database.standing)
    return ahead and (last is None or last.floor == 0)


def _floor(database: FakePostgres, reach: int) -> int:
    now = database.snapshot()
    ahead = [event for event in database.standing if not now.sees(event.txid)]
    return max((event.position for event in ahead if event.position > reach), default=0)
