"""outbox.is_published answers from any log of windows as the relay's own core would."""

from __future__ import annotations

from uuid import uuid4

from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine, text

from relay.core.snapshot import Snapshot
from tests.core.strategies import XID_MAX, chains

_OPEN = text(
    "insert into outbox.window (number, step, snapshot, term)"
    " values (:number, 0, cast(:snapshot as pg_snapshot), 1)"
)
_CLOSE = text("insert into outbox.window (number, step, closed, term) values (:number, 1, true, 1)")
_ADVANCE = text(
    "insert into outbox.window (number, step, last_position, term) values (:number, 1, 7, 1)"
)
_ANSWERS = text(
    "select outbox.is_published(txid, array[cast(:event as uuid)])"
    " from generate_series(1, :last) txid order by txid"
)
ENDS = {"opened": None, "advanced": _ADVANCE, "closed": _CLOSE}


def answers(connection: Connection) -> list[bool]:
    """For each transaction id from 1 on."""
    asked = {"event": uuid4(), "last": XID_MAX}
    return list(connection.scalars(_ANSWERS, asked))


@given(chain=chains(), end=st.sampled_from(sorted(ENDS)))
@settings(deadline=None)
def test_published_is_what_the_last_finished_window_sees(
    untouched_engine: Engine, chain: list[Snapshot], end: str
) -> None:
    finished = chain[-1] if end == "closed" else chain[-2]
    with untouched_engine.connect() as connection:
        for number, snapshot in enumerate(chain[1:], start=1):
            connection.execute(_OPEN, {"number": number, "snapshot": str(snapshot)})
        if (last := ENDS[end]) is not None:
            connection.execute(last, {"number": len(chain) - 1})
        found = answers(connection)
    assert found == [finished.sees(txid) for txid in range(1, XID_MAX + 1)]


def test_before_the_first_window_nothing_is_published(untouched_engine: Engine) -> None:
    with untouched_engine.connect() as connection:
        assert not any(answers(connection))
