"""A connection beside a transaction, for a small commit while it is open.

Naive: a second connection of the same pool. N writers that hold one each and wait for their second
wait for each other, until the pool's timeout. Or a second pool, made of the first: nobody who
disposes his engine knows of it, so its connections would stay open. So it is opened for the one
commit and closed after it, with the address and the events of the user's pool; it waits for nobody,
and an effect outside the database is dearer than a connection.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

from sqlalchemy import Connection, Engine

__all__ = ["begin_beside"]

_ATTRIBUTE = "_coordinator_engine_beside"

_lock = Lock()


@contextmanager
def begin_beside(engine: Engine) -> Iterator[Connection]:
    """Begin a transaction on a new connection; commit it at the end of the block, and close both.

    In READ COMMITTED each statement sees what is committed by then, which the lock of an attempt
    relies on.
    """
    with _beside(engine).connect() as connection:
        try:
            with connection.begin():
                yield connection
        finally:
            # Its pool is to close it, not to keep it. Not detach(): an AsyncConnection of psycopg
            # would stay open then.
            connection.invalidate()


def _beside(engine: Engine) -> Engine:
    """Made once for each pool, as it remembers compiled statements."""
    with _lock:
        # The pool itself holds it. Naive: a dictionary with weak keys. But the second pool has the
        # first one's events, these hold the user's engine, and so no key would ever go.
        held = vars(engine.pool)
        if _ATTRIBUTE not in held:
            held[_ATTRIBUTE] = Engine(
                engine.pool.recreate(),
                engine.dialect,
                engine.url,
                hide_parameters=engine.hide_parameters,
                execution_options={"isolation_level": "READ COMMITTED"},
            )
        beside: Engine = held[_ATTRIBUTE]
        return beside
