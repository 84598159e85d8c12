"""The memory `marks`: one row for each partition tells which events of our relay were taken.

`ids` pays for each event with a row and its index. Here a batch, however large, costs one read and
one write for each partition in it: its mark is moved, and its ids are added to those of the last
events. `places.py` has the argument why that is enough, and what the ids are for.

Two consumers may hold the same partition: one that lost it in a rebalance while it was paused, and
the one that has it now. Naive: read the mark, act, write it; both read the same one. Here the row
is locked before it is read, so the second waits for the end of the first and judges by the mark
that was committed. The ids are read by a later statement, under that lock: READ COMMITTED gives it
a snapshot of its own. In REPEATABLE READ and SERIALIZABLE the locking fails with a serialisation
failure instead. Where there is no row yet there is nothing to lock, so one is added first, and its
primary key makes the second wait.

Replayed events are told by what the mark knows of them and, if that is nothing, by their ids, in
`inbox.seen` as `ids` keeps them: they are few, and come once.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from coordinator.autocommit import refuse_autocommit
from coordinator.errors import BadInput
from coordinator.inbox.memory import REPLAY, Record
from coordinator.inbox.once import first_seen
from coordinator.inbox.places import RECENT, Event, Note, Reached, Taking, Track
from coordinator.validation import check_name

_BATCH = "unnest(cast(:topics as text[]), cast(:partitions as int[]), cast(:sources as text[]))"

# In the order of the key: two consumers with the same partitions would else wait for each other.
_LOCK = text(f"""
    select m.topic, m.partition, m.source, m.taken, m.epochs
    from inbox.mark m join {_BATCH} as b (topic, partition, source)
      on (m.topic, m.partition, m.source) = (b.topic, b.partition, b.source)
    where m.consumer = :consumer
    order by m.topic, m.partition, m.source
    for update of m
""")  # noqa: S608 - a constant of this file

_ADD = text(f"""
    insert into inbox.mark (consumer, topic, partition, source)
    select :consumer, b.topic, b.partition, b.source from {_BATCH} as b (topic, partition, source)
    order by b.topic, b.partition, b.source
    on conflict do nothing
""")  # noqa: S608 - a constant of this file

_RECENT = text("""
    select r.epoch, r.since, cast(r.event_ids as text[]) from inbox.recent r
    where r.consumer = :consumer and r.topic = :topic and r.partition = :partition
      and r.source = :source
    order by r.upto
""")

# One statement for the whole batch: a mark and the ids behind it never part.
_NOTE = text("""
    with batch as (
        select * from unnest(cast(:topics as text[]), cast(:partitions as int[]),
                             cast(:sources as text[]), cast(:taken as bigint[]),
                             cast(:epochs as text[]), cast(:notes as text[]))
                      as b (topic, partition, source, taken, epochs, notes)
    ), moved as (
        update inbox.mark m set taken = b.taken, epochs = cast(b.epochs as jsonb) from batch b
        where m.consumer = :consumer
          and (m.topic, m.partition, m.source) = (b.topic, b.partition, b.source)
    ), added as (
        insert into inbox.recent (consumer, topic, partition, source, upto, epoch, since, event_ids)
        select :consumer, b.topic, b.partition, b.source, b.taken, n.epoch, n.since,
               cast(n.event_ids as uuid[])
        from batch b, jsonb_to_recordset(cast(b.notes as jsonb))
                      as n (epoch text, since text, event_ids text)
    )
    delete from inbox.recent r using batch b
    where r.consumer = :consumer
      and (r.topic, r.partition, r.source) = (b.topic, b.partition, b.source)
      and r.upto <= b.taken - :recent
""")

_UUID = re.compile(rb"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_FORMS = {
    "ce_source": re.compile(rb"[\x21-\x7e]{1,255}"),
    "ce_outboxepoch": _UUID,
    "ce_sequence": re.compile(rb"\d{19}\.\d{19}"),
    "ce_time": re.compile(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z"),
    "ce_id": _UUID,
}
_OWN = ("ce_sequence", "ce_time", "ce_id")
_OWN_FORM = re.compile(b" ".join(_FORMS[name].pattern for name in _OWN))


class _Partition(NamedTuple):
    topic: str
    number: int
    source: str


class Marks:
    """A Memory of the events of our relay; of constant size, and without a time after which it
    forgets.
    """

    def __init__(self, recent: int = RECENT) -> None:
        """Make a memory; all that it remembers is in the database.

        Args:
            recent: of how many events of a partition the ids are kept, at least 8,192; as many as
                your relay publishes while a standby that may be promoted lags behind.

        Raises:
            BadInput: `recent` is below its limit.
        """
        if recent < RECENT:
            raise BadInput("recent", f"{recent} is below {RECENT}, what a relay has in flight")
        self._recent = recent

    def take(self, session: Session, consumer: str, records: Sequence[Record]) -> list[bool]:
        """Note `records` in the session's transaction, and tell for each whether it is new.

        Args:
            session: of the batch; never committed here.
            consumer: who takes them, 1 to 255 characters.
            records: those of one partition in rising offset; of any number of partitions.

        Raises:
            BadInput: a record is not of our relay, or `consumer` breaks its rule.
            NoTransaction: the connection is in autocommit.
            PlacesWentBack: the database of a source was put back; nothing of the batch is taken.
        """
        check_name("consumer", consumer, BadInput)
        refuse_autocommit(session.connection())
        asked = list(_asked(records))
        tracks = _locked(session, consumer, {place for place, _ in asked})
        takings = {
            place: Taking(track, partial(_recalled, session, consumer, place), self._recent)
            for place, track in tracks.items()
        }
        answers: list[bool] = []
        untraced: dict[str, int] = {}
        for record, (place, event) in zip(records, asked, strict=True):
            taking = takings[place]
            if event.is_replayed:
                by_id = record.is_for(consumer) and not taking.has_trace_of(event)
                if by_id:
                    taking.note_replayed(event)
                is_new = False
            else:
                is_new = taking.is_new(event)
                by_id = is_new and taking.may_be_replayed(event)
            if by_id:
                untraced.setdefault(event.event_id, len(answers))
            answers.append(is_new and not by_id)
        for event_id in first_seen(session, [UUID(one) for one in untraced], consumer=consumer):
            answers[untraced[str(event_id)]] = True
        self._note(
            session,
            consumer,
            {p: one for p, one in takings.items() if one.notes or one.has_replayed},
        )
        return answers

    def tidy(self, session: Session) -> None:
        """Forget the oldest ids of replayed events; of all others each batch forgets what it puts
        out of date.
        """
        session.execute(select(func.inbox.expire()))

    def _note(self, session: Session, consumer: str, takings: dict[_Partition, Taking]) -> None:
        if not takings:
            return
        after = [taking.after() for taking in takings.values()]
        values = {
            **_columns(takings),
            "consumer": consumer,
            "taken": [track.taken for track in after],
            "epochs": [_epochs_json(track) for track in after],
            "notes": [_notes_json(taking.notes.values()) for taking in takings.values()],
            "recent": self._recent,
        }
        session.execute(_NOTE, values)


def _asked(records: Sequence[Record]) -> Iterator[tuple[_Partition, Event]]:
    """Of each record its partition and its event; by one pattern, as this runs for every record."""
    recurring: dict[tuple[str, int, bytes | None, bytes | None], tuple[_Partition, str]] = {}
    for record in records:
        topic, number = record.topic, record.partition
        headers = dict(record.headers)
        kind = topic, number, headers.get("ce_source"), headers.get("ce_outboxepoch")
        if (known := recurring.get(kind)) is None:
            partition = _Partition(topic, number, _checked(headers, "ce_source"))
            known = recurring[kind] = partition, _checked(headers, "ce_outboxepoch")
        place, time, event_id = _own(headers)
        released, replayed = "ce_outboxreleased" in headers, REPLAY in headers
        yield known[0], Event(known[1], place, time, event_id, released, replayed)


def _own(headers: dict[str, bytes | None]) -> list[str]:
    """Place, time and id of the record alone."""
    with suppress(KeyError, TypeError):  # left out, or without a value: told by name below
        own = b" ".join((headers["ce_sequence"], headers["ce_time"], headers["ce_id"]))  # type: ignore[arg-type]  # see above
        if _OWN_FORM.fullmatch(own):
            return own.decode().split(" ")
    return [_checked(headers, name) for name in _OWN]


def _checked(headers: dict[str, bytes | None], name: str) -> str:
    value = headers.get(name)
    if value is None or not _FORMS[name].fullmatch(value):
        raise BadInput(
            name,
            "missing, or not as our relay writes it: `marks` knows events of our relay only; "
            "for those of other producers use the memory `ids`",
        )
    return value.decode()


def _locked(session: Session, consumer: str, places: set[_Partition]) -> dict[_Partition, Track]:
    values = {**_columns(places), "consumer": consumer}
    rows = session.execute(_LOCK, values).all()
    if len(rows) < len(places):
        session.execute(_ADD, values)
        rows = session.execute(_LOCK, values).all()
    return {
        _Partition(topic, number, source): Track(taken, _epochs(epochs))
        for topic, number, source, taken, epochs in rows
    }


def _recalled(session: Session, consumer: str, place: _Partition) -> list[Note]:
    values = {"topic": place.topic, "partition": place.number, "source": place.source}
    return [Note(*row) for row in session.execute(_RECENT, {**values, "consumer": consumer})]


def _columns(places: Iterable[_Partition]) -> dict[str, list[str] | list[int]]:
    listed = list(places)
    return {
        "topics": [place.topic for place in listed],
        "partitions": [place.number for place in listed],
        "sources": [place.source for place in listed],
    }


def _epochs(stored: dict[str, dict[str, str | int]]) -> dict[str, Reached]:
    return {epoch: Reached(**reached) for epoch, reached in stored.items()}  # type: ignore[arg-type]  # as _epochs_json wrote it


def _epochs_json(track: Track) -> str:
    return json.dumps({epoch: reached._asdict() for epoch, reached in track.epochs.items()})


def _notes_json(notes: Iterable[Note]) -> str:
    """The ids as one text in PostgreSQL's form of an array: it reads that at a stroke."""
    return json.dumps(
        [{**note._asdict(), "event_ids": f"{{{','.join(note.event_ids)}}}"} for note in notes]
    )
