"""A fleet of production electors on fake databases, stepped in any order.

Members come, go and are killed; requests are made late or not at all; what one knows of another is
as old as the other's last request. When the rules are over, all of them ask in their turns, and
what was promised must come about: every outbox is led, evenly, and then nothing moves any more.
"""

from __future__ import annotations

from collections import Counter
from itertools import count

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from relay.core.lease import LEASE_TTL_S, RENEW_EVERY_S, STANDBY_EVERY_S
from relay.daemon.elector import Elector
from relay.daemon.membership import Membership
from tests.model.fake_postgres import FakePostgres
from tests.model.fake_stores import FakeLeaseStore

__all__ = ["FleetMachine", "Uneven"]

OUTBOXES = 5
MEMBERS_MAX = 4
TURNS_UNTIL_EVEN = 80
TURNS_OF_REST = 20
NOBODY = ""

outboxes = st.integers(0, OUTBOXES - 1)
members = st.integers(0, MEMBERS_MAX - 1)


class Uneven(AssertionError):
    """The outboxes are not shared as they should be."""


class World:
    """The databases, on one clock."""

    def __init__(self) -> None:
        self.now_s = 1_000.0
        self.databases = [FakePostgres() for _ in range(OUTBOXES)]

    def pass_time(self, seconds: float) -> None:
        self.now_s += seconds
        for database in self.databases:
            database.now_s = self.now_s


class Candidacy:
    """One member's elector of one outbox, and whoever acts in its terms."""

    def __init__(self, name: str, world: World, membership: Membership, outbox: int) -> None:
        self.owner = f"{name}/{outbox}"
        store = FakeLeaseStore(world.databases[outbox])
        seat = membership.seat(str(outbox))
        self.elector = Elector(
            self.owner, store, lambda: world.now_s, lambda _: None, lambda _: None, seat
        )
        self.elector.when_to_leave(self._leave)
        self._world = world
        self._leaving = False
        self._asked_at_s = float("-inf")

    def ask(self) -> None:
        """A request that is due, and a clean stop if the last one found a claim."""
        term = self.elector.await_term(0.0)
        if self._leaving and term is not None:
            self.elector.hand_over(term)
            self._leaving = False
        every_s = STANDBY_EVERY_S if term is None else RENEW_EVERY_S
        if self._leaving or self._world.now_s >= self._asked_at_s + every_s:
            self._asked_at_s = self._world.now_s
            self.elector.attempt()

    def _leave(self) -> None:
        self._leaving = True


class Process:
    def __init__(self, name: str, world: World, serves: list[int]) -> None:
        membership = Membership(name, lambda: world.now_s)
        self.name = name
        self.candidacies = {one: Candidacy(name, world, membership, one) for one in serves}


class FleetMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.names = count()
        self.processes: list[Process] = []
        self.join()

    @rule()
    def join(self) -> None:
        if len(self.processes) < MEMBERS_MAX:
            name = f"relay-{next(self.names)}"
            self.processes.append(Process(name, self.world, list(range(OUTBOXES))))

    @rule(member=members)
    def is_killed(self, member: int) -> None:
        if len(self.processes) > 1:
            del self.processes[member % len(self.processes)]

    @rule(member=members, asked=st.lists(outboxes, min_size=1, max_size=8))
    def asks(self, member: int, asked: list[int]) -> None:
        process = self.processes[member % len(self.processes)]
        for outbox in asked:
            process.candidacies[outbox].ask()

    @rule(seconds=st.sampled_from([0.1, STANDBY_EVERY_S, RENEW_EVERY_S, LEASE_TTL_S + 0.1]))
    def time_passes(self, seconds: float) -> None:
        self.world.pass_time(seconds)

    @rule(order=st.permutations(range(MEMBERS_MAX)))
    def all_ask(self, order: list[int]) -> None:
        for member in order:
            if member < len(self.processes):
                for candidacy in self.processes[member].candidacies.values():
                    candidacy.ask()

    def teardown(self) -> None:
        self.world.pass_time(LEASE_TTL_S)
        for _ in range(TURNS_UNTIL_EVEN):
            self._turn()
        counts = self._counts()
        each = [counts[one.name] for one in self.processes]
        if sum(each) < OUTBOXES or max(each) - min(each) > 1:
            raise Uneven(f"not shared evenly: {counts}")
        self._require_rest()

    def _require_rest(self) -> None:
        before = [database.lease.term for database in self.world.databases]
        for _ in range(TURNS_OF_REST):
            self._turn()
        after = [database.lease.term for database in self.world.databases]
        if after != before:
            raise Uneven(f"it never comes to rest: terms {before}, then {after}")

    def _turn(self) -> None:
        """While all are led, a handover goes from more to fewer: the sum of squares only falls."""
        before = self._counts()
        for process in self.processes:
            for candidacy in process.candidacies.values():
                candidacy.ask()
        after = self._counts()
        if NOBODY not in before and _squares(after) > _squares(before):
            raise Uneven(f"handed from fewer to more: {before}, then {after}")
        self.world.pass_time(STANDBY_EVERY_S)

    def _counts(self) -> Counter[str]:
        """Of each member how many it leads, by the leases' rows."""
        names = {one.name for one in self.processes}
        leases = [one.lease for one in self.world.databases]
        owners = [
            (one.owner or NOBODY).partition("/")[0]
            if one.expires_at_s >= self.world.now_s
            else NOBODY
            for one in leases
        ]
        return Counter(name if name in names else NOBODY for name in owners)


def _squares(counts: Counter[str]) -> int:
    return sum(one * one for one in counts.values())
