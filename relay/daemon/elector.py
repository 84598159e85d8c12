"""Keeps the lease in a thread of its own, and says when trust in it ends.

A renewal must not wait behind a slow page or a slow broker, so it has its own thread and its own
connection. It can still be slow itself; then `trusted` turns false by the clock, without any word
from here.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from relay.core.lease import RENEW_EVERY_S, REQUEST_TIMEOUT_S, STANDBY_EVERY_S, Lease
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
    ) -> None:
        """`on_trouble` is told, in words, why a request failed."""
        self._owner = owner
        self._store = store
        self._clock = clock
        self._on_trouble = on_trouble
        self._lease: Lease | None = None
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
            return None if lease is None else lease.term

    def trusted(self, term: int) -> bool:
        """Whether this relay may still act as the leader of `term`."""
        lease = self._trusted_lease()
        return lease is not None and lease.term == term

    def resign(self, term: int) -> None:
        """Stop acting in `term`, which was found to be over, and stand for another at once."""
        with self._changed:
            if self._lease is not None and self._lease.term == term:
                self._lease = None
        self._wake.set()

    def stop(self) -> bool:
        """Give the lease back, so that a standby need not wait for its expiry.

        False if a request hangs: its connection is still in use then.
        """
        self._stopping = True
        self._wake.set()
        self._thread.join(timeout=REQUEST_TIMEOUT_S)
        return not self._thread.is_alive()

    def attempt(self) -> None:
        """Ask for the lease, or for its renewal, once."""
        held = self._lease
        asked_at_s = self._clock()
        try:
            lease = self._asked(held, asked_at_s)
        except Unreachable as problem:
            self._on_trouble(str(problem))
            return
        with self._changed:
            # A term that was resigned meanwhile stays resigned.
            if self._lease is held:
                self._lease = lease
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

    def _asked(self, held: Lease | None, asked_at_s: float) -> Lease | None:
        if held is not None:
            renewed = self._store.renew(self._owner, held.term)
            return held.renewed(asked_at_s) if renewed else None
        term = self._store.acquire(self._owner)
        return None if term is None else Lease.granted(term, asked_at_s)
