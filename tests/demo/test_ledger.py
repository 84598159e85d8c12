"""The ledger keeps what was meant, as it was handed to the outbox."""

from __future__ import annotations

import psycopg
from sqlalchemy import create_engine
from sqlalchemy.orm import Session

from coordinator.event import OutboxEvent
from relay.core.history import Meant, Outcome, payload_hash
from relay.demo.ledger import SOURCE, Ledger, Tally


def events(key: str) -> list[OutboxEvent]:
    types = ("run.completed", "policy.evaluated")
    return [OutboxEvent.json(topic="runs", key=key, type=one, data={"of": key}) for one in types]


def write(ledger: Ledger, database_url: str, written: list[OutboxEvent], *, commit: bool) -> None:
    engine = create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(database_url))
    with Session(engine) as session:
        ledger.add_all(session, written)
        if commit:
            session.commit()
    engine.dispose()


def test_events_of_a_committed_run_are_meant_in_their_order(database_url: str) -> None:
    ledger, (first, second) = Ledger(), events("a")
    write(ledger, database_url, [first, second], commit=True)
    ledger.committed("a", incident=True)
    assert [(one.n, one.event_id) for one in ledger.meant()] == [
        (0, str(first.id)),
        (1, str(second.id)),
    ]
    assert ledger.tally() == Tally(committed=1, incidents=1, events=2)


def test_an_event_is_meant_with_its_bytes_and_its_headers(database_url: str) -> None:
    ledger, (event, _) = Ledger(), events("a")
    write(ledger, database_url, [event], commit=True)
    ledger.committed("a", incident=False)
    (meant,) = ledger.meant()
    headers = {"ce_source": SOURCE, "ce_type": event.type, "content-type": "application/json"}
    wanted = Meant(
        meant.writer,
        "a",
        0,
        str(event.id),
        "runs",
        payload_hash(event.payload),
        headers,
        Outcome.COMMITTED,
    )
    assert meant == wanted


def test_what_was_rolled_back_is_remembered_as_what_must_not_be_seen(database_url: str) -> None:
    ledger = Ledger()
    write(ledger, database_url, events("a"), commit=False)
    ledger.rolled_back("a")
    assert [one.outcome for one in ledger.meant()] == [Outcome.ROLLED_BACK] * 2
    assert ledger.tally() == Tally(rolled_back=1)


def test_events_pass_through_to_the_outbox(database_url: str) -> None:
    ledger, written = Ledger(), events("a")
    write(ledger, database_url, written, commit=True)
    with psycopg.connect(database_url) as connection:
        stored = connection.execute("select id from outbox.event order by position").fetchall()
    assert stored == [(one.id,) for one in written]
