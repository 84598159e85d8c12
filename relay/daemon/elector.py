"""Keeps the lease in a thread of its own, and says when trust in it ends.

A renewal must not wait behind a slow page or a slow broker, so it has its own thread and its own
connection. It can still be slow itself; then `trusted` turns false by the clock, without any word
from here.

A leader that finds a claim on its outbox, and leads enough others, gives it away (core/fleet.py):
the term goes on until whoever acts in it has stopped cleanly and says so (`hand_over`), so that
nothing is sent twice and the heir need not wait.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from relay.core.fleet import Claim, Held
from relay.core.lease import RENEW_EVERY_S, REQUEST_TIMEOUT_S, STANDBY_EVERY_S, Lease
from relay.daemon.membership import Seat
from relay.errors import Unreachable
from relay.ports import LeaseStore

__all__ = ["Elector"]


class Elector:
    """One relay's candidacy."""

    def __init__(
        self,
        owner: str,
        store: LeaseStore,
        clock: Callable[[], float],
        on_trouble: Callable[[str], None],
        on_answer: Callable[[bool], None],
        seat: Seat,
    ) -> None:
        """`on_trouble` is told, in words, why a request failed, and `on_answer` of each that did
        not, whether this relay has the lease by it; both in the elector's thread.

        `seat` is this outbox's part in what its process knows of the fleet.
        """
        self._owner = owner
        self._store = store
        self._clock = clock
        self._on_trouble = on_trouble
        self._on_answer = on_answer
        self._seat = seat
        self._lease: Lease | None = None
        self._heir: Claim | None = None
        self._leave: Callable[[], None] | None = None
        self._handing_over: int | None = None
        self._changed = threading.Condition()
        self._stopping = False
        self._wake = threading.Event()
        self._failure: Exception | None = None
        self._thread = threading.Thread(target=self._keep, name="elector", daemon=True)

    def start(self) -> None:
        """Stand for election until `stop`."""
        self._thread.start()

    def await_term(self, timeout_s: float) -> int | None:
        """The term in which this relay leads, as soon as it does; None after `timeout_s`.

        Raises what ended the candidacy, if anything did: a relay that can never lead must not look
        like a standby.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._trusted_lease() or self._failure, timeout_s)
            if self._failure is not None:
                raise self._failure
            lease = self._trusted_lease()
            if lease is None and self._lease is not None:
                # A request hangs; by now another may lead, and this one must not count as led.
                self._seat.ended()
            return None if lease is None else lease.term

    def trusted(self, term: int) -> bool:
        """Whether this relay may still act as the leader of `term`."""
        lease = self._trusted_lease()
        return lease is not None and lease.term == term

    def resign(self, term: int) -> None:
        """Stop acting in `term`, which was found to be over, and stand for another at once."""
        with self._changed:
            if self._lease is not None and self._lease.term == term:
                self._become(None)
        self._wake.set()

    def when_to_leave(self, leave: Callable[[], None]) -> None:
        """Call `leave`, in whatever thread, once this term is to be given away; at once if it is
        already.
        """
        with self._changed:
            self._leave = leave
            if self._heir is not None:
                leave()

    def hand_over(self, term: int) -> str | None:
        """After a clean stop: give `term` to its heir, if it has one; the heir's name.

        It is over for this relay at once; the database hears of it soon.
        """
        with self._changed:
            lease, heir = self._lease, self._heir
            if lease is None or lease.term != term or heir is None:
                return None
            self._lease, self._handing_over = None, term
        self._wake.set()
        return heir.owner

    def stop(self) -> bool:
        """Give the lease back, so that a standby need not wait for its expiry.

        False if a request hangs: its connection is still in use then.
        """
        self._stopping = True
        self._wake.set()
        self._thread.join(timeout=REQUEST_TIMEOUT_S)
        self._seat.ended()
        return not self._thread.is_alive()

    def attempt(self) -> None:
        """Ask for the lease, or for its renewal, or hand it over, once."""
        held, asked_at_s = self._lease, self._clock()
        try:
            if self._handing_over is not None:
                self._hand_over(self._handing_over)
                return
            lease, claim = self._asked(held, asked_at_s)
        except Unreachable as problem:
            self._on_trouble(str(problem))
            return
        self._on_answer(lease is not None)
        with self._changed:
            # A term that was resigned or given away meanwhile stays so.
            if self._lease is held:
                self._become(lease)
                self._consider(claim)
            self._changed.notify_all()

    def _trusted_lease(self) -> Lease | None:
        lease = self._lease
        return lease if lease is not None and lease.trusted(self._clock()) else None

    def _keep(self) -> None:
        try:
            while not self._stopping:
                self.attempt()
                self._wake.wait(RENEW_EVERY_S if self._lease else STANDBY_EVERY_S)
                self._wake.clear()
            self._store.release(self._owner)
        except Unreachable as problem:
            self._on_trouble(str(problem))
        except Exception as problem:  # noqa: BLE001 - handed to the main thread, which raises it
            with self._changed:
                self._failure = problem
                self._changed.notify_all()
        finally:
            self._seat.ended()

    def _asked(self, held: Lease | None, asked_at_s: float) -> tuple[Lease | None, Claim | None]:
        """The lease as it is after the request, and who claims it."""
        if held is not None:
            renewed = self._store.renew(self._owner, held.term, self._seat.leads)
            return (held.renewed(asked_at_s), renewed.claim) if renewed else (None, None)
        claims = self._seat.claims()
        leads = self._seat.leads
        answer = self._store.acquire(self._owner, leads, claims=claims)
        if isinstance(answer, Held):
            self._seat.heard(answer)
            return None, None
        return Lease.granted(answer, asked_at_s), None

    def _become(self, lease: Lease | None) -> None:
        """Under the lock. An heir is the heir of one term."""
        if lease is None or self._lease is None or lease.term != self._lease.term:
            self._heir = None
        if lease is None and self._lease is not None:
            self._seat.ended()
        if lease is not None and self._heir is None:
            self._seat.granted()
        self._lease = lease

    def _consider(self, claim: Claim | None) -> None:
        """Under the lock."""
        if claim is None or self._heir is not None or not self._seat.gives_to(claim):
            return
        self._heir = claim
        if self._leave is not None:
            self._leave()

    def _hand_over(self, term: int) -> None:
        """Once, whatever comes of it: what did not arrive is the same as a slow heir."""
        heir, self._heir, self._handing_over = self._heir, None, None
        if heir is not None:
            self._store.hand_over(self._owner, term, heir)
