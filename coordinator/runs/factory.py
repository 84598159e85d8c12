"""One coordinator for a whole process, or as many as are wanted.

The one place of this package that reads the environment: COORDINATOR_DATABASE_URL, a libpq
connection string or URL, is used where no engine is given.
"""

from __future__ import annotations

import os
from threading import Lock

import psycopg
from sqlalchemy import Engine, create_engine

from coordinator.engine.transaction import EventPublisher
from coordinator.errors import NotConfigured
from coordinator.runs.completion import RunCompletionTransaction

DATABASE_URL_VARIABLE = "COORDINATOR_DATABASE_URL"

_lock = Lock()
_coordinator: RunCompletionTransaction | None = None


def create_transaction_coordinator(
    publisher: EventPublisher | None = None, *, engine: Engine | None = None
) -> RunCompletionTransaction:
    """Return a new coordinator with the shipped domains.

    Args:
        publisher: takes the events inside the transaction; None for the outbox.
        engine: the service's own engine; None for one on COORDINATOR_DATABASE_URL.

    Raises:
        NotConfigured: no engine was given, and the variable is not set.
    """
    return RunCompletionTransaction(engine or _engine_of_environment(), publisher=publisher)


def get_transaction_coordinator() -> RunCompletionTransaction:
    """Return the coordinator of this process, made on the first call; safe between threads.

    Raises:
        NotConfigured: none was set, and COORDINATOR_DATABASE_URL is not set either.
    """
    global _coordinator  # noqa: PLW0603 - the process's one coordinator is what this is for
    with _lock:
        if _coordinator is None:
            _coordinator = create_transaction_coordinator()
        return _coordinator


def set_transaction_coordinator(coordinator: RunCompletionTransaction | None) -> None:
    """Make `coordinator` the one of this process; None has the next get make a new one."""
    global _coordinator  # noqa: PLW0603 - see get_transaction_coordinator
    with _lock:
        _coordinator = coordinator


def _engine_of_environment() -> Engine:
    address = os.environ.get(DATABASE_URL_VARIABLE)
    if not address:
        raise NotConfigured(
            f"give an engine, or set {DATABASE_URL_VARIABLE} to a libpq connection string or URL"
        )
    address = address.replace("postgresql+psycopg://", "postgresql://", 1)
    # libpq reads the address, so that its every form works: several hosts, services, pg_hba files.
    return create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(address))
