"""Records of Debezium's event router, and of our relay in its form: known by their header `id`."""

from __future__ import annotations

from uuid import UUID, uuid4

import pytest
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from coordinator import BadInput
from coordinator.inbox.ids import Ids
from coordinator.inbox.marks import Marks
from coordinator.inbox.memory import Memory, Record

EVENT_ID = UUID("4d47e190-0402-4048-bc2c-89dd54343cdc")


def record(*headers: tuple[str, str], offset: int = 0) -> Record:
    encoded = [(name, value.encode()) for name, value in headers]
    return Record("outbox.event.order", 0, offset, b"1", b"{}", encoded, 0)


def new(engine: Engine, memory: Memory, *records: Record) -> list[bool]:
    with Session(engine) as session, session.begin():
        return memory.take(session, "billing", records)


def test_the_identity_is_the_header_id() -> None:
    assert record(("id", str(EVENT_ID))).event_id == EVENT_ID


def test_the_type_is_the_header_event_type() -> None:
    assert record(("id", str(EVENT_ID)), ("eventType", "OrderCreated")).type == "OrderCreated"


def test_of_a_cloudevent_the_identity_is_its_own_whatever_else_is_called_id() -> None:
    one = record(("id", str(uuid4())), ("ce_id", str(EVENT_ID)), ("ce_type", "order.created"))
    assert (one.event_id, one.type) == (EVENT_ID, "order.created")


@pytest.mark.parametrize("text", ["7", "", "x" * 36])
def test_a_header_id_that_is_no_uuid_says_nothing_of_the_event(text: str) -> None:
    assert record(("id", text)).event_id == record().event_id
    assert record(("id", text), offset=1).event_id != record(("id", text)).event_id


def test_a_repeat_by_the_relay_of_what_debezium_sent_is_dropped(engine: Engine) -> None:
    of_debezium = record(("id", str(EVENT_ID)))
    of_the_relay = record(("id", str(EVENT_ID)), ("ce_sequence", "1"), offset=1)
    assert new(engine, Ids(), of_debezium, of_the_relay) == [True, False]


def test_marks_refuse_them_by_the_name_of_what_is_missing(engine: Engine) -> None:
    with pytest.raises(BadInput, match=r"ce_source: missing.*use the memory `ids`"):
        new(engine, Marks(), record(("id", str(EVENT_ID))))
