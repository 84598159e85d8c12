"""Which tables a text writes to, and whether it writes an event."""

from __future__ import annotations

import pytest

from coordinator.testing.statements import changed_tables, writes_event

WATCHED = ("orders", "shop.invoices")


@pytest.mark.parametrize(
    ("statement", "tables"),
    [
        ("insert into orders (id) values (1)", ["orders"]),
        ("INSERT INTO orders (id) VALUES (%(id)s)", ["orders"]),
        ('update "orders" set n = 1', ["orders"]),
        ("update only public.orders set n = 1", ["orders"]),
        ("delete from\n  orders", ["orders"]),
        ("truncate table orders", ["orders"]),
        ("truncate orders", ["orders"]),
        ("merge into orders using t on true when matched then delete", ["orders"]),
        ("with moved as (delete from orders returning *) insert into t table moved", ["orders"]),
        ("update shop . invoices set n = 1", ["shop.invoices"]),
        ('update "shop"."invoices" set n = 1', ["shop.invoices"]),
        ("update invoices set n = 1", ["shop.invoices"]),
        ("update orders set n = 1; update invoices set n = 1", ["orders", "shop.invoices"]),
        ("update other.invoices set n = 1", []),
        ("select * from orders for update", []),
        ("insert into t select * from orders", []),
        ("insert into t values ('update orders set n = 1')", []),
        ("select 1 -- update orders set n = 1", []),
        ("select 1 /* update orders\n set n = 1 */", []),
        ("insert into orders_archive values (1)", []),
        ("update t set updated = 1 where orders = 2", []),
    ],
)
def test_a_text_writes_to(statement: str, tables: list[str]) -> None:
    assert list(changed_tables(statement, WATCHED)) == tables


@pytest.mark.parametrize(
    ("statement", "does"),
    [
        ("insert into outbox.event (id) values (%b)", True),
        ('INSERT INTO "outbox"."event" (id) VALUES (1)', True),
        ("select outbox.emit('t', 'k', 'y', 'p')", True),
        ("SELECT outbox.emit_many(%(a)s)", True),
        ('insert into "billing".event (id, topic, key, type, content_type, payload)', True),
        ("select billing.emit('t', 'k', 'y', 'p')", True),
        ("insert into shop.event (id, name) values (1, 2)", False),
        ("select count(*) from outbox.event", False),
        ("insert into event values (1)", False),
        ("insert into notes values ('select outbox.emit(1)')", False),
    ],
)
def test_a_text_writes_an_event(statement: str, does: bool) -> None:
    assert writes_event(statement) is does
