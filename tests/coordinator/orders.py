"""A domain of a stranger's: orders, a ledger, and what paying one does to them."""

from __future__ import annotations

from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

from coordinator import DomainResult, OutboxEvent, Transaction
from coordinator.engine.claims import transaction_claims, transaction_records
from coordinator.outbox.table import outbox_event
from tests.coordinator.database import count

KEY = ("acme", 7)
TABLES = "create table orders (id int primary key, status text); create table ledger (amount text);"
ROWS = "insert into orders values (7, 'open')"


def make_orders(engine: Engine) -> Engine:
    """Order 7 is open, and nothing stands in the ledger."""
    with engine.begin() as connection:
        connection.execute(text(TABLES))
        connection.execute(text(ROWS))
    return engine


def statuses(engine: Engine) -> dict[int, str]:
    """Each order's status."""
    with engine.connect() as connection:
        return {row.id: row.status for row in connection.execute(text("select * from orders"))}


def done(engine: Engine) -> dict[str, int]:
    """How many rows stand where a transaction writes; without those that have none."""
    tables = (transaction_claims, transaction_records, outbox_event)
    counts = {table.name: count(engine, table) for table in tables}
    with engine.connect() as connection:
        counts["ledger"] = connection.scalar(text("select count(*) from ledger")) or 0
    return {name: rows for name, rows in counts.items() if rows}


DONE_ONCE = {"transaction_claims": 1, "transaction_records": 1, "event": 1, "ledger": 1}


def pay(tx: Transaction, order_id: int, *, amount: str, note: str | None = None) -> object:
    """Pay an order: two domains and one event; `note` is there to be given or not."""

    def set_paid(session: Session) -> DomainResult:
        session.execute(text("update orders set status = 'paid' where id = :id"), {"id": order_id})
        return DomainResult("order", id=str(order_id))

    def book(session: Session) -> None:
        session.execute(text("insert into ledger values (:amount)"), {"amount": amount})

    tx.operation("order", set_paid)
    tx.operation("ledger", book)
    order_event(tx, order_id)
    return {"order": order_id, "amounts": (amount,)}


def order_event(tx: Transaction, order_id: int = 7) -> None:
    """Emit that an order was paid."""
    tx.emit(
        OutboxEvent.json(
            topic="orders", key=str(order_id), type="order.paid", data={"id": order_id}
        )
    )
