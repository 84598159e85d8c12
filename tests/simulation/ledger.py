"""How many records may be in the log twice: what faults have allowed, counted as it happens.

Every record that goes out is in flight until the next entry of the log of windows is known to be
stored. A fault allows what is in flight then to go out again; what arrives later than its sender
waited for it, or from a sender that another has superseded, is allowed on arrival. What is left is
forbidden: without a fault, no record comes twice.
"""

from __future__ import annotations

__all__ = ["InFlight", "Ledger"]


class Ledger:
    """Of a whole simulation.

    Attributes:
        repeatable: how many records may be repeats.
        most_in_flight: the most that one fault has allowed.
    """

    def __init__(self) -> None:
        self.repeatable = 0
        self.most_in_flight = 0

    def allow(self, records: int) -> None:
        self.repeatable += records


class InFlight:
    """Of one process. `given_up`: how many records were in flight when it met a fault."""

    def __init__(self, ledger: Ledger) -> None:
        self.given_up = 0
        self._ledger = ledger
        self._records = 0

    def went_out(self, records: int, *, awaited: bool) -> None:
        """They have reached the broker; `awaited`: by a sender that leads and waits for them."""
        if awaited:
            self._records += records
        else:
            self._ledger.allow(records)

    def stored(self) -> None:
        """An entry that covers all of it is known to be stored."""
        self._records = 0

    def fault(self) -> None:
        """What is in flight may go out again."""
        self._ledger.allow(self._records)
        self.given_up += self._records
        self._ledger.most_in_flight = max(self._ledger.most_in_flight, self._records)
        self._records = 0
