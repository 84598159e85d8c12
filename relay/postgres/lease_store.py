"""The lease row in PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from relay import sql
from relay.address import Place
from relay.core.fleet import CLAIM_GOOD_S, HEIR_TAKES_WITHIN_S, Claim, Held, Renewed
from relay.core.lease import LEASE_TTL_S, REQUEST_TIMEOUT_S
from relay.postgres.connect import Connection, connect, pinned_transaction, translated_errors

__all__ = ["PostgresLeaseStore"]

_SQL = sql.load("lease")
_TIMES = {"ttl_s": LEASE_TTL_S, "good_s": CLAIM_GOOD_S, "keep_s": HEIR_TAKES_WITHIN_S}
Row = tuple[object, ...] | None


class PostgresLeaseStore:
    """See LeaseStore.

    On a connection of its own, so that no page and no commit delays a renewal.
    """

    def __init__(self, place: Callable[[], Place]) -> None:
        """`place` is asked for each connection, as its password may have been changed."""
        self._place = place
        self._connection: Connection | None = None

    def acquire(self, owner: str, leads: int = 0, *, claims: bool = False) -> int | Held:
        """See LeaseStore.acquire."""
        claim = ["lease_claim"] if claims else []
        granted, *_, leader = self._run(
            ["lease_acquire", *claim, "lease_leader"], owner=owner, leads=leads
        )
        if granted is not None:
            return int(str(granted[0]))
        return Held(0 if leader is None else int(str(leader[0])))

    def renew(self, owner: str, term: int, leads: int = 1) -> Renewed | None:
        """See LeaseStore.renew."""
        (row,) = self._run(["lease_renew"], owner=owner, term=term, leads=leads)
        if row is None:
            return None
        claimant, claimant_leads = row
        return Renewed(None if claimant is None else Claim(str(claimant), int(str(claimant_leads))))

    def release(self, owner: str) -> None:
        """See LeaseStore.release."""
        self._run(["lease_release"], owner=owner)

    def hand_over(self, owner: str, term: int, claim: Claim) -> bool:
        """See LeaseStore.hand_over."""
        heir = {"heir": claim.owner, "leads": claim.leads + 1}
        (row,) = self._run(["lease_hand_over"], owner=owner, term=term, **heir)
        return row is not None

    def close(self) -> None:
        """Give the connection back; not while a request is under way on it."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _run(self, statements: Sequence[str], **parameters: object) -> list[Row]:
        """One round trip for all, COMMIT included, as nothing of it is read before the end.

        Else a process that is paused between a statement and its COMMIT would hold the row's lock,
        and nobody could take over from it.
        """
        if self._connection is None or self._connection.broken:
            # By name: a standby writes nothing, and is known by this session alone (board.sql).
            purpose = f"lease {parameters['owner']}"
            self._connection = connect(self._place(), purpose, int(REQUEST_TIMEOUT_S * 1000))
        # Synchronously: a grant that a crash took back would be given to another under its term.
        with translated_errors(self._place()):
            with pinned_transaction(self._connection):
                answers = [
                    self._connection.execute(_SQL[name], {**_TIMES, **parameters})
                    for name in statements
                ]
            return [one.fetchone() if one.description else None for one in answers]
