"""Parked events and holds in PostgreSQL, as the leader writes them: always inside the transaction
of an entry of the log of windows, which a former leader cannot write.

Order of the locks, here as in what operators do (parked_desk.py): holds, then parked events.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from relay import sql
from relay.core.inputs import Holds, event_id, position
from relay.core.parking import RELEASED_MAX, Parked
from relay.errors import InvariantBroken
from relay.postgres.connect import Connection, translated_errors

__all__ = ["AwaitedTopics", "done", "holds", "park", "release"]

_SQL = sql.load("parking")


def holds(connection: Connection, number: int) -> Holds:
    """All that waits in window `number`."""
    rows = connection.execute(_SQL["parking_holds"], {"number": number}).fetchall()
    return frozenset((str(topic), None if key is None else str(key)) for topic, key in rows)


def park(connection: Connection, parked: Sequence[Parked], *, again: bool) -> None:
    """Copy events, or put released ones back (`again`), and begin the holds that they begin."""
    bound = {
        "positions": [position(one.row) for one in parked],
        "reasons": [one.reason for one in parked],
    }
    statement = _SQL["parking_put_back" if again else "parking_put"]
    kept = len(connection.execute(statement, bound).fetchall())
    if kept != len(parked):
        raise InvariantBroken(f"{len(parked)} events were to be parked, and {kept} are there")
    heads = [(one, one.hold) for one in parked if one.hold is not None]
    if heads:
        begun: dict[str, object] = {
            "topics": [topic for _, (topic, _) in heads],
            "keys": [key for _, (_, key) in heads],
            "ids": [event_id(one.row) for one, _ in heads],
            "reasons": [one.reason for one, _ in heads],
            "until_topic": [one.passing for one, _ in heads],
        }
        connection.execute(_SQL["parking_hold"], begun)


def release(connection: Connection, number: int) -> Holds:
    """Let window `number` carry out what operators released; all that is held in it."""
    news = connection.execute(_SQL["parking_news"]).fetchall()
    released = [int(str(hold)) for hold, is_released in news if is_released]
    begun = [int(str(hold)) for hold, is_released in news if not is_released]
    wanted = {"number": number, "released": released, "limit": RELEASED_MAX}
    for statement in ("parking_release", "parking_end", "parking_go_on"):
        connection.execute(_SQL[statement], wanted)
    connection.execute(_SQL["parking_take"], {"begun": begun})
    return holds(connection, number)


def done(connection: Connection, last_position: int) -> None:
    """What the window that releases has passed is out, but for what was put back."""
    connection.execute(_SQL["parking_done"], {"position": last_position})


class AwaitedTopics:
    """See relay.ports.AwaitedTopics. What a former leader asks for here does no harm: it is a wish,
    which the leader carries out."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def missing(self) -> frozenset[str]:
        """See AwaitedTopics.missing."""
        with translated_errors():
            rows = self._connection.execute(_SQL["parking_awaited"]).fetchall()
        return frozenset(str(topic) for (topic,) in rows)

    def release(self, topics: Iterable[str]) -> None:
        """See AwaitedTopics.release."""
        with translated_errors():
            self._connection.execute(_SQL["parking_there"], {"topics": sorted(topics)})
