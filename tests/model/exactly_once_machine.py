"""The relay in its world, publishing in Kafka transactions: whatever happens, the log that a
read_committed consumer sees has each event once."""

from __future__ import annotations

from typing import ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import rule

from relay.core.lease import LEASE_TTL_S
from relay.ports import CursorStore, Sink
from tests.model.fake_broker import FakeBroker
from tests.model.fake_transactions import FakeTransactionalSink
from tests.model.relay_machine import RelayMachine, keys, relays
from tests.model.two_step_pump import Parts, Process, Sender

__all__ = ["ExactlyOnceMachine", "FailoverMachine"]


def transactional(broker: FakeBroker, store: CursorStore, process: Sender) -> Sink:
    return FakeTransactionalSink(broker, process.database.epoch)


class ExactlyOnceMachine(RelayMachine):
    """A commit may be carried out long after the relay has given it up, or never."""

    parts: ClassVar[Parts] = Parts(make_sink=transactional)

    @rule()
    def a_commit_arrives(self) -> None:
        self.broker.transactions.commit_arrives()

    @rule(relay=relays, key=keys, before=st.integers(0, 6), meanwhile=st.integers(2, 9))
    def is_stopped_and_wakes(
        self, relay: int, key: str | None, before: int, meanwhile: int
    ) -> None:
        """Between its look at the lease and what it does then, another takes over and goes on."""
        zombie, other = self.processes[relay], self.processes[1 - relay]
        self.a_whole_transaction([key], "commit")
        zombie.run(before)
        zombie.half_a_step()
        self.database.now_s += LEASE_TTL_S + 1.0
        other.run(meanwhile)
        zombie.half_a_step()

    def _repeatable(self, processes: list[Process]) -> int:
        return 0


class FailoverMachine(ExactlyOnceMachine):
    """A standby is promoted that may lag behind what was published, and gives numbers of windows
    again. What the database forgot may come twice and is a phantom; no event may be hidden."""

    judged = frozenset({"I1", "I9"})

    @rule(records_behind=st.integers(0, 12), key=keys, relay=relays, steps=st.integers(0, 9))
    def a_standby_is_promoted(
        self, records_behind: int, key: str | None, relay: int, steps: int
    ) -> None:
        """While a relay publishes what was written a moment before."""
        self.a_whole_transaction([key], "commit")
        self.processes[relay].run(steps)
        self.database.promote_standby(records_behind)
        self.transactions.clear()
        self.a_whole_transaction([key], "commit")

    @rule(records_behind=st.integers(2, 8), key=keys, relay=relays, steps=st.integers(3, 9))
    def what_was_published_a_moment_ago_is_lost(
        self, records_behind: int, key: str | None, relay: int, steps: int
    ) -> None:
        """The event and its window both, so that their numbers are given again."""
        self.all_is_published()
        self.a_standby_is_promoted(records_behind, key, relay, steps)
