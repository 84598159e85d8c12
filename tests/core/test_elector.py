"""The elector with a store that takes its time, on a clock that the test turns."""

from __future__ import annotations

import pytest

from relay.core.lease import LEASE_TTL_S, TRUST_MARGIN_S
from relay.daemon.elector import Elector
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

    def clock(self) -> float:
        return self.now_s

    def acquire(self, owner: str) -> int | None:
        self._answer(owner)
        if self.taken:
            return None
        self.term += 1
        return self.term

    def renew(self, owner: str, term: int) -> bool:
        self._answer(owner)
        return term == self.term and not self.taken

    def release(self, owner: str) -> None:
        self._answer(owner)

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
def elector(store: Store, troubles: list[str]) -> Elector:
    return Elector("me", store, store.clock, troubles.append)


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

    def renew_and_meanwhile_resign(owner: str, term: int) -> bool:
        elector.resign(term)
        return renew(owner, term)

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
