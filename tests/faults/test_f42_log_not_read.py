"""F42: standard error is a pipe that nobody reads, and it is full."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress

import pytest

from tests.support.history import Ledger, prove
from tests.support.kafka import Broker
from tests.support.processes import environment
from tests.support.workload import Writer

FATAL = 78
STOP_LIMIT_S = 12.0


@pytest.fixture
def full_pipe() -> Iterator[int]:
    """The writing end of a pipe into which nothing more fits."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    with suppress(BlockingIOError):
        while True:
            os.write(writing, b"." * 4096)
    os.set_blocking(writing, True)
    yield writing
    os.close(reading)
    os.close(writing)


@contextmanager
def mute_relay(
    url: str, bootstrap_servers: str, full_pipe: int
) -> Iterator[subprocess.Popen[bytes]]:
    """A relay all of whose output goes into the pipe."""
    relay = subprocess.Popen(
        [sys.executable, "-m", "relay.cli.main", "run"],
        env=environment(url, bootstrap_servers),
        stdin=subprocess.DEVNULL,
        stdout=full_pipe,
        stderr=full_pipe,
    )
    try:
        yield relay
    finally:
        relay.kill()
        relay.wait()


def test_everything_is_published_and_a_stop_is_clean(
    outbox_url: str, broker: Broker, ledger: Ledger, full_pipe: int
) -> None:
    with mute_relay(outbox_url, broker.bootstrap_servers, full_pipe) as relay:
        with closing(Writer("w", outbox_url, ledger)) as writer:
            writer.backlog(500)
        prove(ledger, outbox_url, broker.bootstrap_servers)
        relay.terminate()
        assert relay.wait(STOP_LIMIT_S) == 0


def test_a_fault_that_no_restart_heals_ends_it_all_the_same(
    empty_database_url: str, mock_broker: Broker, full_pipe: int
) -> None:
    with mute_relay(empty_database_url, mock_broker.bootstrap_servers, full_pipe) as relay:
        assert relay.wait(STOP_LIMIT_S) == FATAL
