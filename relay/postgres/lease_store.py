"""The lease row in PostgreSQL."""

from __future__ import annotations

from relay import sql
from relay.core.lease import LEASE_TTL_S, REQUEST_TIMEOUT_S
from relay.postgres.connect import Connection, connect, pinned_transaction, translated_errors

__all__ = ["PostgresLeaseStore"]

_SQL = sql.load("lease")


class PostgresLeaseStore:
    """See LeaseStore.

    On a connection of its own, so that no page and no commit delays a renewal.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._connection: Connection | None = None

    def acquire(self, owner: str) -> int | None:
        """See LeaseStore.acquire."""
        row = self._run("lease_acquire", {"owner": owner, "ttl_s": LEASE_TTL_S})
        return None if row is None else int(str(row[0]))

    def renew(self, owner: str, term: int) -> bool:
        """See LeaseStore.renew."""
        parameters = {"owner": owner, "term": term, "ttl_s": LEASE_TTL_S}
        return self._run("lease_renew", parameters) is not None

    def release(self, owner: str) -> None:
        """See LeaseStore.release."""
        self._run("lease_release", {"owner": owner})

    def close(self) -> None:
        """Give the connection back; not while a request is under way on it."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _run(self, statement: str, parameters: dict[str, object]) -> tuple[object, ...] | None:
        if self._connection is None or self._connection.broken:
            self._connection = connect(self._url, "lease", int(REQUEST_TIMEOUT_S * 1000))
        # Synchronously: a grant that a crash took back would be given to another under its term.
        with translated_errors(self._url), pinned_transaction(self._connection):
            return self._connection.execute(_SQL[statement], parameters).fetchone()
