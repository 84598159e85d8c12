"""What operators do about parked events and held keys: wishes that the leader carries out.

Nothing is sent from here, and no hold ends here: the leader would not know, and would go on holding
the key, or let a fresh event overtake those that wait. Whatever is done is noted, with who and why,
in the same transaction. A rehearsal does it all and rolls it back.

Order of the locks, as in the leader's own (parking.py): holds, then parked events.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field

import psycopg

from relay import sql
from relay.errors import UnsafeDatabase
from relay.postgres.connect import Connection, pinned_transaction, translated_errors

__all__ = ["NEWEST_LOOKED_AT", "By", "Chosen", "Copy", "ParkedDesk", "Touched", "Waiting"]

NEWEST_LOOKED_AT = 10_000

_SQL = sql.load("parked")


@dataclass(frozen=True, slots=True)
class Chosen:
    """Which of what is parked; None does not restrict. `older_than_s`: waiting for so long."""

    topic: str | None = None
    key: str | None = None
    id: str | None = None
    older_than_s: float = 0.0


@dataclass(frozen=True, slots=True)
class By:
    """Who asks for it, and why; `rehearse` changes nothing."""

    who: str
    why: str
    rehearse: bool = False


@dataclass(frozen=True, slots=True)
class Waiting:
    """A key, a topic (no key) or an event without a key that waits, and what it waits for."""

    topic: str
    key: str | None
    event_id: str | None
    reason: str
    since_seconds: float
    events: int
    paused_by: str | None
    released: bool


@dataclass(frozen=True, slots=True)
class Copy:
    """A parked event. The payload is kept out of its text form, and so out of logs."""

    event_id: str
    position: int
    topic: str
    key: str | None
    type: str
    content_type: str
    headers: dict[str, str] = field(repr=False)
    created_at: str
    parked_at: str
    reason: str
    payload_bytes: int
    payload: bytes | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class Touched:
    """What an action was about: a key or a topic, and events of it."""

    topic: str
    key: str | None
    events: tuple[str, ...]


class ParkedDesk:
    """The desk of one database. Every method raises Unreachable when it is away."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def waiting(self, chosen: Chosen) -> list[Waiting]:
        """What waits, the longest first."""
        with translated_errors():
            rows = self._connection.execute(_SQL["parked_list"], asdict(chosen)).fetchall()
        return [Waiting(*row) for row in rows]  # type: ignore[arg-type]  # by the statement

    def copies(self, event_id: str) -> list[Copy]:
        """The parked events of this id: one, unless a client wrote it twice."""
        with translated_errors():
            rows = self._connection.execute(_SQL["parked_show"], {"id": event_id}).fetchall()
        return [Copy(*row) for row in rows]  # type: ignore[arg-type]  # by the statement

    def retry(self, chosen: Chosen, by: By) -> list[Touched]:
        """Let the leader release what is refused: each key whole and in order."""
        with self._acting(by):
            rows = self._rows("parked_retry_holds", asdict(chosen))
            rows += self._rows("parked_retry_keyless", asdict(chosen))
            return self._noted("retry", rows, by)

    def discard(self, chosen: Chosen, by: By) -> list[Touched]:
        """Give up events of the one key `chosen.key`, or without a key if that is None."""
        with self._acting(by):
            self._connection.execute(_SQL["parked_lock_holds"], asdict(chosen)).fetchall()
            rows = self._rows("parked_discard", asdict(chosen))
            touched = self._noted("discard", rows, by)
            for one in touched:
                bound = {"topic": one.topic, "key": one.key}
                self._connection.execute(_SQL["parked_release_empty"], bound)
        return touched

    def pause(self, topic: str, key: str | None, by: By) -> list[Touched]:
        """Let the events of a key, or of a topic, wait from the leader's next look on."""
        bound: dict[str, object] = {"topic": topic, "key": key, "who": by.who, "why": by.why}
        with self._acting(by):
            return self._noted("pause", self._rows("parked_pause", bound), by)

    def is_known(self, topic: str) -> bool | None:
        """Whether an event of the topic is parked or among the newest; None: this role may not
        see that."""
        bound = {"topic": topic, "limit": NEWEST_LOOKED_AT}
        try:
            with translated_errors():
                row = self._connection.execute(_SQL["parked_known"], bound).fetchone()
        except UnsafeDatabase:
            return None
        return bool(row and row[0])

    def resume(self, topic: str, key: str | None, by: By) -> list[Touched]:
        """Let the leader release what was paused."""
        with self._acting(by):
            rows = self._rows("parked_resume", {"topic": topic, "key": key})
            return self._noted("resume", rows, by)

    @contextmanager
    def _acting(self, by: By) -> Iterator[None]:
        with translated_errors(), pinned_transaction(self._connection):
            yield
            if by.rehearse:
                raise psycopg.Rollback

    def _rows(self, statement: str, bound: dict[str, object]) -> list[tuple[object, ...]]:
        return self._connection.execute(_SQL[statement], bound).fetchall()

    def _noted(self, action: str, rows: Iterable[tuple[object, ...]], by: By) -> list[Touched]:
        events: dict[tuple[str, str | None], list[str]] = {}
        positions: dict[tuple[str, str | None], list[object]] = {}
        for topic, key, event_id, *position in rows:
            of = str(topic), None if key is None else str(key)
            events.setdefault(of, []).extend([] if event_id is None else [str(event_id)])
            positions.setdefault(of, []).extend(position)
        touched = [Touched(topic, key, tuple(ids)) for (topic, key), ids in events.items()]
        for one in touched:
            note: dict[str, object] = {"action": action, "who": by.who, "why": by.why}
            note |= {"topic": one.topic, "key": one.key, "events": list(one.events)}
            note["positions"] = positions[one.topic, one.key]
            self._connection.execute(_SQL["parked_note"], note)
        return touched
