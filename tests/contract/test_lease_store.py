"""LeaseStore: each case on the fake and on PostgreSQL."""

from __future__ import annotations

import pytest

from relay.core.fleet import CLAIM_GOOD_S, HEIR_TAKES_WITHIN_S, Claim, Held, Renewed
from relay.errors import Fenced
from tests.contract.conftest import World
from tests.contract.outbox import event_id


def test_the_first_to_ask_gets_the_first_term(world: World) -> None:
    assert world.leases().acquire("a") == 1


def test_another_gets_nothing_while_the_lease_lasts(world: World) -> None:
    world.leases().acquire("a")

    assert isinstance(world.leases().acquire("b"), Held)


def test_an_expired_lease_goes_to_the_next_in_a_higher_term(world: World) -> None:
    world.leases().acquire("a")
    world.lease_expires()

    assert world.leases().acquire("b") == 2


def test_the_holder_that_asks_again_gets_a_new_term(world: World) -> None:
    """The reply to its first request may have been lost; the old term must not come back."""
    world.leases().acquire("a")

    assert world.leases().acquire("a") == 2


def test_a_lease_that_is_held_can_be_renewed(world: World) -> None:
    world.leases().acquire("a")

    assert world.leases().renew("a", 1)


def test_a_renewed_lease_lasts_on(world: World) -> None:
    world.leases().acquire("a")
    world.lease_expires()
    world.leases().renew("a", 1)

    assert isinstance(world.leases().acquire("b"), Held)


def test_an_earlier_term_cannot_be_renewed(world: World) -> None:
    world.leases().acquire("a")
    world.leases().acquire("a")

    assert not world.leases().renew("a", 1)


def test_a_lease_that_went_to_another_cannot_be_renewed(world: World) -> None:
    world.leases().acquire("a")
    world.lease_expires()
    world.leases().acquire("b")

    assert not world.leases().renew("a", 1)


def test_a_released_lease_can_be_taken_at_once(world: World) -> None:
    world.leases().acquire("a")
    world.leases().release("a")

    assert world.leases().acquire("b") == 2


def test_a_released_lease_cannot_be_renewed(world: World) -> None:
    world.leases().acquire("a")
    world.leases().release("a")

    assert not world.leases().renew("a", 1)


def test_nobody_can_release_the_lease_of_another(world: World) -> None:
    world.leases().acquire("a")
    world.leases().release("b")

    assert world.leases().renew("a", 1)


def test_a_new_term_knows_of_no_refused_event(world: World) -> None:
    term = world.leases().acquire("a")
    assert isinstance(term, int)
    world.store("a", term).report_blocked(event_id(1), "too large")
    world.leases().acquire("a")

    assert world.blocked() is None


def test_whoever_is_refused_learns_how_many_outboxes_the_leader_leads(world: World) -> None:
    world.leases().acquire("a", leads=3)

    assert world.leases().acquire("b") == Held(4)


def test_a_renewal_tells_anew_how_many_the_leader_leads(world: World) -> None:
    world.leases().acquire("a", leads=3)
    world.leases().renew("a", 1, leads=2)

    assert world.leases().acquire("b") == Held(2)


def test_a_claim_is_found_by_the_leaders_next_renewal(world: World) -> None:
    world.leases().acquire("a")
    world.leases().acquire("b", leads=1, claims=True)

    assert world.leases().renew("a", 1) == Renewed(Claim("b", 1))


def test_one_who_does_not_claim_leaves_no_claim(world: World) -> None:
    world.leases().acquire("a")
    world.leases().acquire("b", leads=1)

    assert world.leases().renew("a", 1) == Renewed()


def test_a_claim_that_is_not_repeated_is_forgotten(world: World) -> None:
    world.leases().acquire("a")
    world.leases().acquire("b", claims=True)
    world.claim_ages(CLAIM_GOOD_S + 0.1)

    assert world.leases().renew("a", 1) == Renewed()


def test_of_two_that_claim_the_one_that_leads_fewer_is_found(world: World) -> None:
    world.leases().acquire("a")
    for owner, leads in (("b", 1), ("c", 0), ("d", 0), ("b", 1)):
        world.leases().acquire(owner, leads, claims=True)

    assert world.leases().renew("a", 1) == Renewed(Claim("c", 0))


def test_a_claim_that_was_forgotten_gives_way_to_any_other(world: World) -> None:
    world.leases().acquire("a")
    world.leases().acquire("b", 0, claims=True)
    world.claim_ages(CLAIM_GOOD_S + 0.1)
    world.leases().acquire("c", 5, claims=True)

    assert world.leases().renew("a", 1) == Renewed(Claim("c", 5))


def test_a_new_term_knows_of_no_claim(world: World) -> None:
    world.leases().acquire("a")
    world.leases().acquire("b", claims=True)
    world.leases().acquire("a")

    assert world.leases().renew("a", 2) == Renewed()


def test_what_is_handed_over_goes_to_the_heir_in_a_higher_term_and_to_nobody_else(
    world: World,
) -> None:
    world.leases().acquire("a")

    assert world.leases().hand_over("a", 1, Claim("b", 0))
    assert world.leases().acquire("c") == Held(1)
    assert world.leases().acquire("a") == Held(1)
    assert world.leases().acquire("b") == 3


def test_an_heir_that_does_not_come_is_waited_for_no_longer_than_was_kept_for_it(
    world: World,
) -> None:
    world.leases().acquire("a")
    world.leases().hand_over("a", 1, Claim("b", 0))
    world.lease_expires(HEIR_TAKES_WITHIN_S)

    assert world.leases().acquire("c") == 3


def test_a_term_that_was_handed_over_cannot_be_renewed(world: World) -> None:
    world.leases().acquire("a")
    world.leases().hand_over("a", 1, Claim("b", 0))

    assert not world.leases().renew("a", 1)
    assert not world.leases().renew("b", 1)


def test_nobody_can_hand_over_the_lease_of_another_or_an_earlier_term(world: World) -> None:
    world.leases().acquire("a")
    world.leases().acquire("a")

    assert not world.leases().hand_over("a", 1, Claim("c", 0))
    assert not world.leases().hand_over("b", 2, Claim("c", 0))
    assert world.leases().renew("a", 2)


def test_nothing_is_written_in_a_term_that_was_handed_over(world: World) -> None:
    world.leases().acquire("a")
    world.leases().hand_over("a", 1, Claim("b", 0))

    for owner in ("a", "b"):
        store = world.store(owner, 1)
        with pytest.raises(Fenced):
            store.save(store.load().cursor.finished(), unblocks=False)
