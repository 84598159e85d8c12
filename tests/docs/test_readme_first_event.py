"""The README's first event: its two scripts, as files, and the relay between them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from relay.demo.mock_broker import MockBroker
from tests.docs.readme import examples
from tests.support.processes import StartRelay, environment
from tests.support.wait import until

PLACE_ORDER, SEND_INVOICES = examples("Your first event")


@pytest.fixture
def bootstrap_servers() -> Iterator[str]:
    """A broker of this test's own: the topic has the README's name."""
    with MockBroker() as broker:
        broker.create_topic("orders")
        yield broker.bootstrap_servers


def test_a_placed_order_becomes_an_invoice(
    database_url: str, bootstrap_servers: str, relay_process: StartRelay, tmp_path: Path
) -> None:
    settings = environment(database_url, bootstrap_servers)
    for name, source in (("place_order", PLACE_ORDER), ("send_invoices", SEND_INVOICES)):
        (tmp_path / f"{name}.py").write_text(source)
    placed = subprocess.run(
        [sys.executable, "place_order.py"],
        cwd=tmp_path,
        env=settings,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    assert placed == "placed order 1\n"
    relay = relay_process(database_url, bootstrap_servers, "--until-drained")
    assert relay.wait() == os.EX_OK
    consumer = subprocess.Popen([sys.executable, "send_invoices.py"], cwd=tmp_path, env=settings)
    try:
        until(lambda: invoices(database_url), what="the invoice")
        consumer.send_signal(signal.SIGINT)
        assert consumer.wait(timeout=10.0) == os.EX_OK
    finally:
        consumer.kill()
        consumer.wait()
    assert invoices(database_url) == [(1,)]


def invoices(url: str) -> list[tuple[int]]:
    """The orders that have one; none while there is no table of them."""
    with psycopg.connect(url) as connection:
        if connection.execute("select to_regclass('invoices')").fetchone() == (None,):
            return []
        return connection.execute("select order_id from invoices").fetchall()
