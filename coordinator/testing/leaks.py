"""The leak detector: a commit that says nothing, and a message that no commit holds.

`watch(Base, tables=["orders"])` raises

- EventMissing before a commit in which a watched table was changed and no event was written;
- ProducedInTransaction before a Kafka producer takes a message inside an open transaction: if that
  is rolled back the message is out all the same, and if the broker is away the commit waits for it.

Seen is what passes through SQLAlchemy, on any Session or Connection, sync or async: flushes, bulk
and Core statements, and SQL text that names the table after `insert into`, `update`, `delete from`,
`merge into` or `truncate`. Not seen: triggers and functions that change tables or write events,
`copy`, dynamic SQL, two-phase commits, and connections of psycopg itself. A statement that found no
row to change is no change. An event counts by whichever door it comes: Outbox.add, a Coordinator,
`outbox.emit` and `outbox.emit_many` in SQL; an InMemoryOutbox, which writes none, says so itself.

The commit: that of the Connection, so after all that hooks of a session add. Where a session joined
the outer transaction of a test there is none, and its own `before_commit` is taken.

The line: of an object of the ORM it is the one that set an attribute last, or added the object,
if that was seen; a flush only says where somebody committed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary, WeakSet, ref

from sqlalchemy import Connection, Engine, MetaData, event, inspect
from sqlalchemy.orm import InstanceState, Mapper, Session, SessionTransaction

from coordinator.callers import caller
from coordinator.errors import BadInput, EventMissing, Leak, ProducedInTransaction
from coordinator.testing.kafka_calls import ProducerCalls
from coordinator.testing.savepoint_log import SavepointLog
from coordinator.testing.statements import changed_tables, writes_event

__all__ = ["Watch", "note_event", "unwatched", "watch"]

_unwatched: ContextVar[bool] = ContextVar("not watched for leaks", default=False)
# Of this thread or task: connections that began a transaction, and may have ended it since.
_begun: ContextVar[tuple[ref[Connection], ...]] = ContextVar("begun transactions", default=())


def watch(base: Any, *, tables: Sequence[str] | None = None) -> Watch:
    """Watch until `stop()`, or as a context manager.

    Args:
        base: a declarative base, or a MetaData.
        tables: names (`orders`, `shop.orders`) of tables of `base`; None for all of them.

    Raises:
        BadInput: `base` has no tables, or not one of these.
    """
    metadata = base if isinstance(base, MetaData) else getattr(base, "metadata", None)
    if not isinstance(metadata, MetaData):
        raise BadInput("base", f"must be a declarative base or a MetaData, not {base!r}")
    if unknown := sorted(set(tables or ()) - set(metadata.tables)):
        raise BadInput("tables", f"{', '.join(unknown)}: not in the metadata of `base`")
    registry = getattr(base, "registry", None)
    watched = frozenset(metadata.tables if tables is None else tables)
    return Watch(watched, () if registry is None else tuple(registry.mappers))


@contextmanager
def unwatched() -> Iterator[None]:
    """Let the code of the block, in this thread or task, do as it likes: a test's preparations."""
    token = _unwatched.set(True)
    try:
        yield
    finally:
        _unwatched.reset(token)


def note_event(connection: Connection) -> None:
    """Have an event count that no statement of `connection` shows."""
    for watching in _watching:
        watching.note_event(connection)


class _Change(NamedTuple):
    table: str
    place: str


class _Event(NamedTuple):
    pass


@dataclass(slots=True)
class _Open:
    """What is known of a connection's open transaction."""

    log: SavepointLog[_Change | _Event] = field(default_factory=SavepointLog)
    has_executed: bool = False
    # Sessions on a connection that a test has begun: then they, and not it, say what is open.
    joined: WeakSet[Session] | None = None


class Watch:
    """Raises at each leak; made by `watch`.

    Attributes:
        found: every leak so far, also those whose error somebody caught.
    """

    def __init__(self, tables: frozenset[str], mappers: Sequence[Mapper[Any]]) -> None:
        """Listen to every engine and session of this process."""
        self.found: list[Leak] = []
        self._tables = tables
        self._open: WeakKeyDictionary[Connection, _Open] = WeakKeyDictionary()
        self._set_at: WeakKeyDictionary[InstanceState[Any], str] = WeakKeyDictionary()
        self._flushed_from: dict[str, str] = {}
        _watching.add(self)
        self._listened: list[tuple[Any, str, Callable[..., Any]]] = []
        self._listen_to_engines()
        self._listen_to_sessions()
        for mapper in mappers:
            if _table_of(mapper) in tables:
                self._listen_to_objects(mapper)
        self._producers = ProducerCalls(self._before_produce)

    def stop(self) -> None:
        """Watch no longer; a second call changes nothing."""
        _watching.discard(self)
        self._producers.stop()
        while self._listened:
            event.remove(*self._listened.pop())

    def note_event(self, connection: Connection) -> None:
        """Have an event count that no statement of `connection` shows."""
        self._of(connection).log.add(_Event())

    def __enter__(self) -> Watch:
        """Watch within a block."""
        return self

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop."""
        self.stop()

    def _listen(self, target: Any, name: str, function: Callable[..., Any], **options: Any) -> None:
        event.listen(target, name, function, **options)
        self._listened.append((target, name, function))

    def _listen_to_engines(self) -> None:
        self._listen(Engine, "begin", self._on_begin)
        self._listen(Engine, "after_cursor_execute", self._on_executed)
        self._listen(Engine, "commit", self._on_commit)

    def _listen_to_sessions(self) -> None:
        self._listen(Session, "after_begin", self._on_session_begun)
        self._listen(Session, "before_commit", self._on_session_commits)
        self._listen(Session, "transient_to_pending", self._on_added)

    def _listen_to_objects(self, mapper: Mapper[Any]) -> None:
        for attribute in (*mapper.column_attrs, *mapper.relationships):
            self._listen(attribute.class_attribute, "set", self._on_set, propagate=True)
        for name in ("before_insert", "before_update", "before_delete"):
            self._listen(mapper, name, self._on_flushed)

    def _of(self, connection: Connection) -> _Open:
        return self._open.setdefault(connection, _Open())

    def _on_begin(self, connection: Connection) -> None:
        self._open[connection] = _Open()
        still = [one for one in _begun.get() if (open_ := one()) and open_.in_transaction()]
        _begun.set((*still, ref(connection)))

    def _on_executed(
        self, connection: Connection, cursor: Any, statement: str, *_parameters_context_many: Any
    ) -> None:
        state = self._of(connection)
        state.has_executed = True
        state.log.follow(statement)
        if writes_event(statement):
            state.log.add(_Event())
        if _unwatched.get() or cursor.rowcount == 0:
            return
        for table in changed_tables(statement, self._tables):
            place = self._flushed_from.pop(table, None) or _place()
            state.log.add(_Change(table, place))

    def _on_commit(self, connection: Connection) -> None:
        state = self._open.pop(connection, None)
        if state is not None and (leak := self._missing_event(state.log)) is not None:
            # SQLAlchemy holds the transaction for ended, so a rollback of the Connection would not
            # reach the database any more, and its next commit would take this change along.
            connection.dialect.do_rollback(connection.connection)
            raise leak

    def _on_session_begun(
        self, session: Session, transaction: SessionTransaction, connection: Connection
    ) -> None:
        if _joins_outer_transaction(session) and transaction.parent is None:
            state = self._of(connection)
            state.log.settle()
            state.joined = state.joined or WeakSet()
            state.joined.add(session)

    def _on_session_commits(self, session: Session) -> None:
        if not _joins_outer_transaction(session) or session.in_nested_transaction():
            return
        session.flush()
        for state in [one for one in self._open.values() if one.joined and session in one.joined]:
            if (leak := self._missing_event(state.log)) is not None:
                raise leak
            state.log.settle()

    def _missing_event(self, log: SavepointLog[_Change | _Event]) -> Leak | None:
        changes = [entry for entry in log.entries if isinstance(entry, _Change)]
        if not changes or len(changes) < len(log.entries) or _unwatched.get():
            return None
        change = changes[0]
        leak = EventMissing(
            f"table {change.table!r} was changed, and no event was written in the same transaction",
            change.place,
        )
        self.found.append(leak)
        return leak

    def _on_set(self, target: Any, _value: Any, _old: Any, _initiator: Any) -> None:
        self._set_at[inspect(target)] = _place()

    def _on_added(self, _session: Session, target: Any) -> None:
        if _table_of(inspect(target).mapper) in self._tables:
            self._set_at.setdefault(inspect(target), _place())

    def _on_flushed(self, mapper: Mapper[Any], _connection: Connection, target: Any) -> None:
        place = self._set_at.pop(inspect(target), None)
        if place is not None:
            self._flushed_from[_table_of(mapper)] = place

    def _before_produce(self, method: str) -> None:
        if _unwatched.get() or not any(self._is_open(one()) for one in _begun.get()):
            return
        leak = ProducedInTransaction(
            f"{method} inside an open transaction: the message stays out if that is rolled back; "
            "write an event instead, or produce after the commit",
            _place(),
        )
        self.found.append(leak)
        raise leak

    def _is_open(self, connection: Connection | None) -> bool:
        if connection is None or not connection.in_transaction():
            return False
        state = self._of(connection)
        if state.joined is not None:
            return any(session.in_transaction() for session in state.joined)
        return state.has_executed


_watching: WeakSet[Watch] = WeakSet()


def _table_of(mapper: Mapper[Any]) -> str:
    return getattr(mapper.local_table, "fullname", "")


def _joins_outer_transaction(session: Session) -> bool:
    return isinstance(session.bind, Connection)


def _place() -> str:
    return str(caller() or "(unknown place)")
