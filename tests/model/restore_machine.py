"""The relay in a world where the database moves to other clusters: by a dump, or by its files."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from tests.model.fake_postgres import FIRST_XID
from tests.model.marks_machine import MarksMachine
from tests.model.relay_machine import RelayMachine, keys, relays

__all__ = ["RestoreMachine", "RestoredMarksMachine"]

moments = st.integers(0, 6)
xids = st.one_of(st.integers(FIRST_XID, FIRST_XID + 60), st.just(1_000))


class RestoreMachine(RelayMachine):
    """A dump is restored in a cluster that has counted further, or not as far."""

    @rule(
        published_since=moments,
        xid=xids,
        elsewhere=st.booleans(),
        written=st.lists(keys, max_size=4),
    )
    def a_dump_is_restored(
        self, published_since: int, xid: int, elsewhere: bool, written: list[str | None]
    ) -> None:
        """Writers may be back before the relay, each with a transaction of its own.

        `published_since`: the old relays went on after the dump, which is repeated.
        """
        dump = self.database.dump()
        self._let_old_relays_go_on(published_since)
        self.database.restore(dump, xid, elsewhere=elsewhere)
        self.transactions.clear()
        for key in written:
            self.a_whole_transaction([key], "commit")

    @precondition(lambda self: not self.database.prepared)
    @rule(written=st.lists(keys, max_size=2))
    def the_cluster_is_upgraded(self, written: list[str | None]) -> None:
        self.database.upgrade()
        self.transactions.clear()
        for key in written:
            self.a_whole_transaction([key], "commit")

    @rule(relay=relays, key=keys, behind=st.integers(1, 8))
    def one_is_open_while_a_relay_begins(self, relay: int, key: str | None, behind: int) -> None:
        """It has drawn a low position, and commits when others have passed it."""
        late = self.database.begin()
        self._write(late, key)
        for _ in range(behind):
            self.a_whole_transaction([None], "commit")
        self.processes[relay].run(6)
        late.commit()

    @rule(relay=relays, key=keys, behind=st.integers(3, 8), steps=st.integers(1, 8))
    def the_rings_are_looked_at_soon_after_a_restore(
        self, relay: int, key: str | None, behind: int, steps: int
    ) -> None:
        """What has come with the dump is not published yet, and the ring has turned since."""
        self.a_whole_transaction([key], "commit")
        self.a_dump_is_restored(0, FIRST_XID, elsewhere=True, written=behind * [None])
        self.processes[relay].run(steps)
        self.a_whole_pass_over_the_rings(relay)

    def _let_old_relays_go_on(self, steps: int) -> None:
        before = len(self.broker.records)
        self.repeatable += sum(process.unstored for process in self.processes)
        for process in self.processes:
            process.run(steps)
        self.repeatable += len(self.broker.records) - before


class RestoredMarksMachine(RestoreMachine, MarksMachine):
    """With a consumer behind it, which forgets no id: that they are bounded is a limit."""

    recent = 1_000_000
