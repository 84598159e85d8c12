"""Which keys are done, and what each left: the memory of the general transaction.

Naive: look for a record, do the work if there is none, write it. Two callers then both find none.
Here the claim is the first write, and its primary key decides: the second caller waits there for
the end of the first, and then reads its record, or gets the claim after a rollback.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Connection,
    DateTime,
    FetchedValue,
    ForeignKeyConstraint,
    Index,
    MetaData,
    Table,
    Text,
    Uuid,
    bindparam,
    cast,
    select,
)
from sqlalchemy import insert as plain_insert
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, insert
from sqlalchemy.orm import Session

from coordinator.autocommit import refuse_autocommit
from coordinator.engine.memory import Call
from coordinator.engine.published import RecordedPublication, look_for
from coordinator.engine.work import Transaction
from coordinator.errors import BadInput, FacadeEndedTransaction, KeyConflict, WrongUse
from coordinator.outbox_schema import DEFAULT
from coordinator.outcomes import DomainAck, Outcome

# As an event's payload: a record is kept, and read whole by each repeat.
OUTCOME_JSON_BYTES_MAX = 1_000_000

metadata = MetaData(schema="public")

transaction_records = Table(
    "transaction_records",
    metadata,
    Column("key", ARRAY(Text), primary_key=True),
    Column("call_id", Uuid, nullable=False),
    Column("arguments", JSONB, nullable=False),
    Column("outcome", JSON, nullable=False),
    Column("recorded_at", DateTime(timezone=True), FetchedValue(), nullable=False),
    Column("txid", BigInteger, FetchedValue(), nullable=False),
)

transaction_claims = Table(
    "transaction_claims",
    metadata,
    Column("key", ARRAY(Text), primary_key=True),
    ForeignKeyConstraint(
        ["key"],
        [transaction_records.c.key],
        name="claimed_key_is_recorded_in_the_same_commit",
        ondelete="CASCADE",
        deferrable=True,
        initially="DEFERRED",
    ),
)

transaction_acks = Table(
    "transaction_acks",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("key", ARRAY(Text), nullable=False),
    Column("call_id", Uuid, nullable=False),
    Column("domain", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("action_succeeded", Boolean, nullable=False),
    Column("action_error", Text),
    Column("created_at", DateTime(timezone=True), FetchedValue(), nullable=False),
    Index("transaction_acks_key_idx", "key"),
)


# All statements are built once: building one takes longer than sending it.
_CLAIM = insert(transaction_claims).on_conflict_do_nothing().returning(transaction_claims.c.key)
_KEY = bindparam("key", type_=ARRAY(Text))
_RECORD = (
    plain_insert(transaction_records)
    .from_select(
        ["key", "call_id", "arguments", "outcome"],
        select(
            transaction_claims.c.key,
            bindparam("call_id", type_=Uuid),
            bindparam("arguments", type_=JSONB),
            # Its text is made here: an engine may have a JSON of its own.
            cast(bindparam("outcome", type_=Text), JSON),
        ).where(transaction_claims.c.key == _KEY),
    )
    .returning(transaction_records.c.key)
)
_RECORDED = select(
    transaction_records.c.call_id,
    transaction_records.c.arguments,
    cast(transaction_records.c.outcome, Text).label("outcome"),
).where(transaction_records.c.key == _KEY)


class Claims:
    """A Memory in the tables `transaction_claims`, `transaction_records`, `transaction_acks`."""

    def __init__(self, schema: str = DEFAULT) -> None:
        """Tell in which schema the outbox lies that the events of a call go to."""
        # Not by the key alone: once a record was deleted, the key may be another call's.
        self._look = look_for(transaction_records, "key", "call_id", schema=schema)

    def claim(self, session: Session, call: Call) -> Outcome | None:
        """Claim the key for this transaction, or return what an earlier one recorded of it.

        Raises:
            KeyConflict: an earlier call had other arguments.
            NoTransaction: the connection is in autocommit.
        """
        refuse_autocommit(session.connection())
        claimed = session.execute(_CLAIM, {"key": list(call.key)}).one_or_none()
        return None if claimed is not None else self._recorded(session, call)

    def forbid_commit(self, session: Session) -> None:
        """Have the database refuse the commit: a claim of nobody's, which is never recorded."""
        session.execute(_CLAIM, {"key": [f"(repeated) {uuid4()}"]})

    def record(self, session: Session, call: Call, work: Transaction) -> Outcome:
        """Write the outcome that a repeat gets, last of all, and return it.

        Raises:
            BadInput: the value, or a result's detail, has no exact JSON, or too much of it.
            FacadeEndedTransaction: the claim is gone, and with it what was written before: somebody
                rolled back where the session guard does not see it.
        """
        outcome = _outcome_json(work)
        row = {
            "key": list(call.key),
            "call_id": call.call_id,
            "arguments": dict(call.arguments),
            "outcome": outcome,
        }
        written = session.execute(_RECORD, row).one_or_none()
        if written is None:
            raise FacadeEndedTransaction("of this transaction", "rollback() behind the guard")
        # Read from its text, so that a repeat gets the same: there a tuple is a list too.
        return self._outcome(session, call.key, call.call_id, outcome, replayed=False)

    def acknowledge(self, session: Session, call: Call, ack: DomainAck) -> None:
        """Write what became of a rollback action."""
        write_ack(session.connection(), call.key, call.call_id, ack)

    def _recorded(self, session: Session, call: Call) -> Outcome:
        found = session.execute(_RECORDED, {"key": list(call.key)}).one_or_none()
        if found is None:
            raise WrongUse(
                f"the key {call.key} is claimed by this very transaction, and not done yet"
            )
        if differing := call.differing(found.arguments):
            raise KeyConflict(f"the key {call.key}", differing)
        replayed = found.call_id != call.call_id
        return self._outcome(session, call.key, found.call_id, found.outcome, replayed=replayed)

    def _outcome(
        self, session: Session, key: tuple[str, ...], call_id: UUID, text: str, *, replayed: bool
    ) -> Outcome:
        outcome = Outcome.from_dict(json.loads(text), replayed=replayed)
        found = {"key": list(key), "call_id": call_id}
        return outcome.known_by(RecordedPublication(session, self._look, found, outcome.event_ids))


def write_ack(connection: Connection, key: Sequence[str], call_id: UUID, ack: DomainAck) -> None:
    """Write what became of a rollback action or an undo of a call under `key`."""
    row = {"id": uuid4(), "key": list(key), "call_id": call_id, **asdict(ack)}
    connection.execute(plain_insert(transaction_acks), row)


def _outcome_json(work: Transaction) -> str:
    results = {name: result.to_dict() for name, result in work.results.items()}
    parts = {
        "value": _json("value", work.value),
        "results": _json("results", results),
        "event_ids": _json("event_ids", [str(event.id) for event in work.events]),
    }
    text = "{" + ",".join(f'"{name}":{part}' for name, part in parts.items()) + "}"
    if len(text) > OUTCOME_JSON_BYTES_MAX:
        raise BadInput("value", f"is {len(text)} bytes, the limit is {OUTCOME_JSON_BYTES_MAX}")
    return text


def _json(field: str, data: Any) -> str:
    try:
        return json.dumps(data, allow_nan=False, separators=(",", ":"))
    except (TypeError, ValueError, RecursionError) as error:
        # The error's own message may quote the data; its type says enough.
        raise BadInput(field, f"has no exact JSON ({type(error).__name__})") from None
