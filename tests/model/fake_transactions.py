"""The sink of the model that publishes in Kafka transactions.

What is not committed is not in the broker's records: they are what a read_committed consumer sees.
"""

from __future__ import annotations

from collections.abc import Callable

from relay.core import inputs as told
from relay.core.reached import Reached
from relay.errors import Fenced
from tests.model.fake_broker import FakeBroker, FakeSink, Transaction

__all__ = ["FakeTransactionalSink"]


class FakeTransactionalSink(FakeSink):
    """See Sink. A send is a transaction; a planted bug overrides a step of it."""

    def __init__(self, broker: FakeBroker, epoch: str = "one-epoch") -> None:
        super().__init__(broker, epoch)
        self.transactions = broker.transactions
        self.producer: int | None = None
        self.reached: Reached | None = None

    def recover(self, keep_going: Callable[[], bool]) -> told.Input:
        if not keep_going():
            return told.Lost()
        if self.producer is None:
            self.producer = self.transactions.init()
            self.reached = self.transactions.reached
        return told.Recovered(self.reached)

    def send(
        self, rows: told.Rows, number: int, reached: Reached, keep_going: Callable[[], bool]
    ) -> told.Input:
        if not keep_going():
            return told.Lost()
        if self.producer is None:
            return told.Doubtful("the broker was not asked what it has")
        self.refuse_if_fenced()
        if refused := self._refused(rows):
            return refused

        def commit() -> None:
            self._append(self._partitioned(rows), number)
            self.transactions.reached = reached

        doubt, self._broker.doubt = self._broker.doubt, None
        if doubt is not None:
            self._end_in_doubt(Transaction(self.producer, commit), how=doubt.arrive[0])
            return told.Doubtful("no answer")
        commit()
        self.reached = reached
        return told.Acked()

    def refuse_if_fenced(self) -> None:
        if self.producer != self.transactions.producer:
            self.producer = None
            raise Fenced("a later producer has begun")

    def _refused(self, rows: told.Rows) -> told.Refused | None:
        """Any of them ends the whole transaction."""
        if known := self._known_in_advance(rows):
            return known
        ids = {told.event_id(row) for row in rows}
        refused = ids & self._broker.refused
        if refused or ids & self._broker.missing:
            return told.Refused("not allowed", passing=not refused)
        return None

    def _end_in_doubt(self, transaction: Transaction, how: int) -> None:
        """Committed with the reply lost, aborted, or with a commit that is still on its way."""
        self.producer = None
        if how == 0:
            transaction.commit()
        elif how > 1:
            self.transactions.under_way = transaction
