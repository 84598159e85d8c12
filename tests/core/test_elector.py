"""The elector with a store that takes its time, on a clock that the test turns."""

from __future__ import annotations

import pytest

from relay.core.fleet import Claim, Held, Renewed
from relay.core.lease import LEASE_TTL_S, TRUST_MARGIN_S
from relay.daemon.elector import Elector
from relay.daemon.membership import Membership
from relay.errors import Unreachable

TRUST_S = LEASE_TTL_S - TRUST_MARGIN_S


class Store:
    """A LeaseStore that takes its time: each answer turns the clock by `takes_s`."""

    def __init__(self) -> None:
        self.now_s = 1_000.0
        self.takes_s = 0.0
        self.term = 0
        self.taken = False
        self.away = False
        self.owners: list[str] = []
        self.claim: Claim | None = None
        self.handed: list[tuple[str, int, Claim]] = []

    def clock(self) -> float:
        return self.now_s

    def acquire(self, owner: str, leads: int = 0, *, claims: bool = False) -> int | Held:
        self._answer(owner)
        if self.taken:
            return Held(1)
        self.term += 1
        return self.term

    def renew(self, owner: str, term: int, leads: int = 1) -> Renewed | None:
        self._answer(owner)
        return Renewed(self.claim) if term == self.term and not self.taken else None

    def release(self, owner: str) -> None:
        self._answer(owner)

    def hand_over(self, owner: str, term: int, claim: Claim) -> bool:
        self._answer(owner)
        self.taken = True
        self.handed.append((owner, term, claim))
        return True

    def _answer(self, owner: str) -> None:
        self.owners.append(owner)
        self.now_s += self.takes_s
        if self.away:
            raise Unreachable("database: away")


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
def troubles() -> list[str]:
    return []


@pytest.fixture
def membership(store: Store) -> Membership:
    return Membership("me", store.clock)


@pytest.fixture
def elector(store: Store, troubles: list[str], membership: Membership) -> Elector:
    return Elector(
        "me", store, store.clock, troubles.append, lambda _: None, membership.seat("this")
    )


@pytest.fixture
def claimed(store: Store, membership: Membership) -> None:
    """Another claims the outbox, and this process leads a second one."""
    membership.seat("that").granted()
    store.claim = Claim("heir", 0)


def test_a_granted_term_is_trusted_and_no_other(elector: Elector) -> None:
    elector.attempt()

    assert elector.await_term(0.0) == 1
    assert elector.trusted(1)
    assert not elector.trusted(2)


def test_nobody_leads_while_another_holds_the_lease(elector: Elector, store: Store) -> None:
    store.taken = True
    elector.attempt()

    assert elector.await_term(0.0) is None


def test_trust_ends_by_the_clock_without_a_word_from_the_database(
    elector: Elector, store: Store
) -> None:
    elector.attempt()
    store.now_s += TRUST_S

    assert not elector.trusted(1)


def test_a_slow_grant_is_trusted_from_its_request_on(elector: Elector, store: Store) -> None:
    store.takes_s = 4.0
    elector.attempt()
    store.now_s = 1_000.0 + TRUST_S - 0.001
    assert elector.trusted(1)

    store.now_s = 1_000.0 + TRUST_S
    assert not elector.trusted(1)


def test_a_slow_but_successful_renewal_does_not_lengthen_trust(
    elector: Elector, store: Store
) -> None:
    elector.attempt()
    store.now_s += 1.5
    asked_at_s = store.now_s
    store.takes_s = 4.0
    elector.attempt()

    store.now_s = asked_at_s + TRUST_S - 0.001
    assert elector.trusted(1)
    store.now_s = asked_at_s + TRUST_S
    assert not elector.trusted(1)


def test_a_grant_whose_reply_took_longer_than_trust_is_never_trusted(
    elector: Elector, store: Store
) -> None:
    store.takes_s = TRUST_S
    elector.attempt()

    assert elector.await_term(0.0) is None


def test_a_renewal_that_finds_another_in_office_ends_trust_at_once(
    elector: Elector, store: Store
) -> None:
    elector.attempt()
    store.taken = True
    elector.attempt()

    assert not elector.trusted(1)


def test_a_request_that_fails_leaves_trust_as_it_was_and_is_told(
    elector: Elector, store: Store, troubles: list[str]
) -> None:
    elector.attempt()
    store.away = True
    store.now_s += 1.5
    elector.attempt()

    assert elector.trusted(1)
    store.now_s = 1_000.0 + TRUST_S
    assert not elector.trusted(1)
    assert troubles == ["database: away"]


def test_a_resigned_term_is_not_trusted_any_more(elector: Elector) -> None:
    elector.attempt()
    elector.resign(1)

    assert not elector.trusted(1)


def test_a_late_resignation_of_an_older_term_does_not_end_the_present_one(
    elector: Elector,
) -> None:
    elector.attempt()
    elector.resign(1)
    elector.attempt()
    elector.resign(1)

    assert elector.trusted(2)


def test_a_term_that_was_resigned_while_its_renewal_was_on_the_way_stays_resigned(
    elector: Elector, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    elector.attempt()
    renew = store.renew

    def renew_and_meanwhile_resign(owner: str, term: int, leads: int) -> Renewed | None:
        elector.resign(term)
        return renew(owner, term, leads)

    monkeypatch.setattr(store, "renew", renew_and_meanwhile_resign)
    elector.attempt()

    assert not elector.trusted(1)


def test_after_a_resignation_a_new_term_is_asked_for(elector: Elector) -> None:
    elector.attempt()
    elector.resign(1)
    elector.attempt()

    assert elector.await_term(0.0) == 2


def test_a_stopped_elector_has_given_the_lease_back(
    elector: Elector, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    released: list[str] = []
    monkeypatch.setattr(store, "release", released.append)
    elector.start()
    elector.await_term(5.0)
    elector.stop()

    assert released == ["me"]


@pytest.mark.usefixtures("claimed")
def test_a_claim_lets_the_term_go_on_until_it_was_left_cleanly(
    elector: Elector, store: Store
) -> None:
    left: list[bool] = []
    elector.attempt()
    elector.when_to_leave(lambda: left.append(True))
    elector.attempt()
    elector.attempt()

    assert left == [True]
    assert elector.trusted(1)
    assert store.handed == []


@pytest.mark.usefixtures("claimed")
def test_what_was_left_is_handed_to_the_claimant_and_not_trusted_any_more(
    elector: Elector, store: Store
) -> None:
    elector.attempt()
    elector.attempt()

    assert elector.hand_over(1) == "heir"
    assert not elector.trusted(1)
    elector.attempt()
    assert store.handed == [("me", 1, Claim("heir", 0))]


@pytest.mark.usefixtures("claimed")
def test_who_begins_to_act_in_a_term_that_was_claimed_before_leaves_at_once(
    elector: Elector,
) -> None:
    left: list[bool] = []
    elector.attempt()
    elector.attempt()
    elector.when_to_leave(lambda: left.append(True))

    assert left == [True]


@pytest.mark.usefixtures("claimed")
def test_an_outbox_that_is_given_away_is_not_counted_any_more(
    elector: Elector, membership: Membership
) -> None:
    elector.attempt()
    assert membership.leads == 2
    elector.attempt()
    elector.attempt()

    assert membership.leads == 1


def test_the_leader_of_one_outbox_does_not_give_it_away(elector: Elector, store: Store) -> None:
    store.claim = Claim("heir", 0)
    elector.attempt()
    elector.attempt()

    assert elector.hand_over(1) is None
    assert elector.trusted(1)


@pytest.mark.usefixtures("claimed")
def test_a_handover_that_does_not_arrive_is_told_and_the_lease_is_asked_for_again(
    elector: Elector, store: Store, troubles: list[str]
) -> None:
    elector.attempt()
    elector.attempt()
    elector.hand_over(1)
    store.away = True
    elector.attempt()
    store.away = False
    elector.attempt()

    assert troubles == ["database: away"]
    assert elector.await_term(0.0) == 2


def test_a_lease_that_hangs_is_not_counted_as_led(
    elector: Elector, store: Store, membership: Membership
) -> None:
    elector.attempt()
    store.now_s += TRUST_S

    assert elector.await_term(0.0) is None
    assert membership.leads == 0
    elector.attempt()
    assert membership.leads == 1
