"""The state machine that Hypothesis drives: writers, two relays, a database and a broker that fail.

Every rule is something that the world may do at any time. When the rules are over the faults heal,
one relay drains, and the log is judged by the checker that judges the real Kafka.
"""

from __future__ import annotations

from typing import ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from relay.core.checker import History, check
from relay.core.lease import LEASE_TTL_S
from tests.model.fake_broker import PARTITIONS, Doubt, FakeBroker
from tests.model.fake_parking import TOPIC
from tests.model.fake_postgres import FakePostgres, Transaction
from tests.model.fake_rotation import MODEL_RING
from tests.model.judgement import Violated, by_partition, meant_by
from tests.model.two_step_pump import Parts, Process

__all__ = ["RelayMachine"]

# Each in a partition of its own; what has no key goes to that of "a".
KEYS = (None, "a", "d")
WRITERS = 3
RELAYS = 2
STEPS_OF_A_BURST = 20
STEPS_TO_DRAIN_MAX = 2_000

writers = st.integers(0, WRITERS - 1)
relays = st.integers(0, RELAYS - 1)
keys = st.sampled_from(KEYS)
some_keys = st.lists(keys, max_size=2)
endings = st.sampled_from(["commit", "commit, not waiting for the flush", "roll back", "prepare"])
refusals = st.sampled_from(["refused", "refused", "too large", "missing", "forbidden"])
counts = st.lists(st.integers(0, 3), min_size=PARTITIONS, max_size=PARTITIONS)


class RelayMachine(RuleBasedStateMachine):
    """The relay in its world. A planted bug is a subclass with other parts.

    Attributes:
        judged: the invariants that are looked at: the checker's, I9, that it drains at all, and
            I10, that writers are not kept out.
    """

    parts: ClassVar[Parts] = Parts()
    judged: ClassVar[frozenset[str]] = frozenset(
        {"I1", "I2", "I3", "I4", "I5", "I6", "I7", "I9", "I10"}
    )

    def __init__(self) -> None:
        super().__init__()
        self.database = FakePostgres()
        self.broker = FakeBroker()
        self.written: dict[str, str | None] = {}
        self.transactions: dict[int, Transaction] = {}
        self.lives = 0
        self.is_violated = False
        self.buried: list[Process] = []
        self.processes = [self._start() for _ in range(RELAYS)]
        self.repeatable = 0
        self.looked_at = [0] * RELAYS
        self.discarded: set[str] = set()

    # Writers

    @rule(writer=writers)
    def write_something_that_is_no_event(self, writer: int) -> None:
        self._transaction(writer).touch()

    @rule(writer=writers, key=keys)
    def write(self, writer: int, key: str | None) -> None:
        self._write(self._transaction(writer), key)

    @rule(writer=writers, inside=some_keys, kept=st.booleans())
    def write_in_a_savepoint(self, writer: int, inside: list[str | None], kept: bool) -> None:
        transaction = self._transaction(writer)
        transaction.savepoint()
        for key in inside:
            self._write(transaction, key)
        if not kept:
            transaction.rollback_to_savepoint()

    @rule(writer=writers, how=endings)
    def end(self, writer: int, how: str) -> None:
        self._end(self._transaction(writer), how)
        del self.transactions[writer]

    @rule(written=st.lists(keys, max_size=3), how=endings)
    def a_whole_transaction(self, written: list[str | None], how: str) -> None:
        transaction = self.database.begin()
        transaction.touch()
        for key in written:
            self._write(transaction, key)
        self._end(transaction, how)

    @rule(key=keys, first=endings, second=endings)
    def one_waits_for_the_lock_of_the_other(self, key: str | None, first: str, second: str) -> None:
        """The one that waits has had its id all the while, and commits later with the lower one."""
        waits, holds = self.database.begin(), self.database.begin()
        waits.touch()
        self._write(holds, key)
        self._end(holds, first)
        self._write(waits, key)
        self._end(waits, second)

    @precondition(lambda self: self.database.prepared)
    @rule(commit=st.booleans())
    def end_a_prepared_transaction(self, commit: bool) -> None:
        self.database.end_prepared(self.database.prepared[0], commit=commit)

    # Relays

    @rule(relay=relays, steps=st.integers(1, 12))
    def run(self, relay: int, steps: int) -> None:
        self.processes[relay].run(steps)

    @rule()
    def all_is_published(self) -> None:
        for process in self.processes:
            process.run_until_idle(STEPS_OF_A_BURST)

    @rule(relay=relays)
    def half_a_step(self, relay: int) -> None:
        self.processes[relay].half_a_step()

    @rule(relay=relays)
    def take_over(self, relay: int) -> None:
        """The others are paused for longer than the lease lasts, wherever they are."""
        self.database.now_s += LEASE_TTL_S + 1.0
        self.processes[relay].run(5)

    @rule(relay=relays, steps=st.integers(0, 4))
    def one_is_handed_over_to_the_other(self, relay: int, steps: int) -> None:
        """Found by a renewal at any point of a window; the pump learns of it in the midst."""
        leader, heir = self.processes[relay], self.processes[1 - relay]
        heir.claim()
        leader.elector.attempt()
        leader.run(steps)
        heir.run(steps)

    @rule(relay=relays, cleanly=st.booleans())
    def end_and_start_again(self, relay: int, cleanly: bool) -> None:
        process = self.processes[relay]
        if cleanly:
            process.stop(steps_max=100)
            repeats = process.unstored
            self._require("I5", not repeats, f"{repeats} repeats after a clean stop")
        else:
            process.die()
        self._replace(relay)

    # The rings

    @rule(relay=relays)
    def look_at_the_rings(self, relay: int) -> None:
        self.processes[relay].look_at_the_rings()
        self.looked_at[relay] = self.database.new_position() - 1

    @rule(relay=relays)
    def empty_a_leaf(self, relay: int) -> None:
        emptied = self.processes[relay].empty_a_leaf()
        writers_at = MODEL_RING.slot_of(self.looked_at[relay])
        taken = {writers_at, (writers_at + 1) % MODEL_RING.slots} & set(emptied)
        self._require("I10", not taken, "a leaf that is written to was locked")

    @rule(relay=relays)
    def a_whole_pass_over_the_rings(self, relay: int) -> None:
        self.look_at_the_rings(relay)
        self.empty_a_leaf(relay)

    @rule(key=keys, events_between=st.integers(3, 6), within=st.booleans(), how=endings)
    def one_commits_late_in_a_leaf_that_is_due(
        self, key: str | None, events_between: int, within: bool, how: str
    ) -> None:
        """The ring turns, and all others are published meanwhile. `within`: the commit comes
        between the two halves of a pass."""
        late = self.database.begin()
        self._write(late, key)
        for _ in range(events_between):
            self.a_whole_transaction([None], "commit")
        self.all_is_published()
        if not within:
            self._end(late, how)
        for relay in range(RELAYS):
            self.look_at_the_rings(relay)
        if within:
            self._end(late, how)
        for relay in range(RELAYS):
            self.empty_a_leaf(relay)

    # The world

    @rule(seconds=st.sampled_from([0.01, 2.0]))
    def time_passes(self, seconds: float) -> None:
        self.database.now_s += seconds

    @rule(
        before=st.lists(st.tuples(some_keys, endings), max_size=3),
        steps=st.integers(0, 8),
        flushed=st.sampled_from([0, 0, 0, 1, 2, 4]),
        after=some_keys,
    )
    def database_crashes_under_load(
        self,
        before: list[tuple[list[str | None], str]],
        steps: int,
        flushed: int,
        after: list[str | None],
    ) -> None:
        """Writers may be back before the relay, and get ids that were handed out before."""
        for written, how in before:
            self.a_whole_transaction(written, how)
        for process in self.processes:
            process.run(steps)
        self.database.flush(flushed)
        self.database.crash()
        self.transactions.clear()
        self.a_whole_transaction(after, "commit")

    @rule(arrive=counts, arrive_late=counts)
    def next_send_is_in_doubt(self, arrive: list[int], arrive_late: list[int]) -> None:
        self.broker.doubt = Doubt(arrive, arrive_late)

    @rule(queue=st.integers(0, 3), records_max=st.integers(1, 3))
    def records_arrive_late(self, queue: int, records_max: int) -> None:
        self.repeatable += self.broker.deliver_late(queue, records_max)

    @rule(written=st.lists(keys, min_size=1, max_size=3), how=endings, why=refusals)
    def broker_refuses_the_first_of_a_transaction(
        self, written: list[str | None], how: str, why: str
    ) -> None:
        match why:
            case "refused":
                self.broker.refused.add(self._next_id())
            case "too large":
                self.broker.too_large.add(self._next_id())
            case "missing":
                self.broker.missing.add(self._next_id())
            case "forbidden":
                self.broker.forbidden = True
        self.a_whole_transaction(written, how)

    @rule()
    def broker_takes_everything_again(self) -> None:
        self.broker.take_everything_again()

    # Operators

    @rule(action=st.sampled_from(["retry", "discard", "pause", "resume"]), key=keys)
    def an_operator_acts(self, action: str, key: str | None) -> None:
        """Whether or not the broker would take it now. Without a key: all, or the topic."""
        desk = self.database.desk
        match action:
            case "retry":
                self.database.operate(desk.retry(key))
            case "discard":
                self._discard_first(key)
            case "pause":
                self.database.operate(desk.pause(key))
            case "resume":
                self.database.operate(desk.resume())

    def _discard_first(self, key: str | None) -> None:
        for one in self.database.desk.parked:
            if one.event.key == key and one.release_window is None:
                self.database.operate(self.database.desk.discard([one.event.event_id]))
                self.discarded.add(one.event.event_id)
                return

    # The judgement

    def teardown(self) -> None:
        if self.is_violated:
            return  # what a relay with a planted bug does from here on says nothing
        self._heal_and_drain()
        self._judge()

    def _heal_and_drain(self) -> None:
        for transaction in self.transactions.values():
            transaction.commit()
        for xid in self.database.prepared:
            self.database.end_prepared(xid, commit=True)
        self.database.flush()
        self.broker.take_everything_again()
        self.broker.doubt = None
        for process in self.processes:
            process.half_a_step()
        leader = self._leader()
        self.end_and_start_again(relay=1 - leader, cleanly=False)
        # A claim of the one that is gone may still be granted, and is then waited for.
        self.processes[leader].run(STEPS_OF_A_BURST)
        self.database.now_s += 60.0
        self.processes[leader].run_until_idle(STEPS_TO_DRAIN_MAX)
        self.database.operate(self.database.desk.retry(None).resume())
        self.processes[leader].run_until_idle(STEPS_TO_DRAIN_MAX)
        self._require("I9", self.processes[leader].idle, "not drained")
        left = self.database.desk
        self._require("I9", not left.parked and not left.holds, f"not released: {left}")

    def _leader(self) -> int:
        owners = [process.owner for process in self.processes]
        owner = self.database.lease.owner
        return owners.index(owner) if owner in owners else 0

    def _judge(self) -> None:
        processes = [*self.buried, *self.processes]
        most = max(process.most_in_flight for process in processes)
        page = self.parts.reading.page_events_max
        self._require("I5", most <= page, f"{most} in flight, a page has {page}")
        history = History(
            meant_by(self.database, self.written),
            by_partition(self.broker.records),
            self.discarded,
        )
        repeatable = self._repeatable(processes)
        verdict = check(history, partitions={TOPIC: PARTITIONS}, max_duplicates=repeatable)
        for found in verdict.violations:
            self._require(found.invariant, False, found.sentence)

    def _repeatable(self, processes: list[Process]) -> int:
        """How many records the faults allow to be there twice."""
        return self.repeatable + sum(process.repeatable for process in processes)

    def _require(self, invariant: str, held: bool, otherwise: str) -> None:
        if invariant in self.judged and not held:
            self.is_violated = True
            raise Violated(f"{invariant}: {otherwise}")

    def _transaction(self, writer: int) -> Transaction:
        if writer not in self.transactions:
            self.transactions[writer] = self.database.begin()
        return self.transactions[writer]

    def _next_id(self) -> str:
        return f"e{len(self.written)}"

    def _write(self, transaction: Transaction, key: str | None) -> None:
        event_id = self._next_id()
        if transaction.emit(event_id, key):
            self.written[event_id] = key

    def _end(self, transaction: Transaction, how: str) -> None:
        match how:
            case "commit":
                transaction.commit()
            case "commit, not waiting for the flush":
                transaction.commit(synchronous=False)
            case "roll back":
                transaction.rollback()
            case "prepare":
                transaction.prepare()

    def _start(self) -> Process:
        self.lives += 1
        return Process(f"relay/{self.lives}", self.database, self.broker, self.parts)

    def _replace(self, relay: int) -> None:
        self.buried.append(self.processes[relay])
        self.processes[relay] = self._start()
