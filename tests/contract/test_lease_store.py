"""LeaseStore: each case on the fake and on PostgreSQL."""

from __future__ import annotations

from tests.contract.conftest import World
from tests.contract.outbox import event_id


def test_the_first_to_ask_gets_the_first_term(world: World) -> None:
    assert world.leases().acquire("a") == 1


def test_another_gets_nothing_while_the_lease_lasts(world: World) -> None:
    world.leases().acquire("a")

    assert world.leases().acquire("b") is None


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

    assert world.leases().acquire("b") is None


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
    assert term is not None
    world.store("a", term).report_blocked(event_id(1), "too large")
    world.leases().acquire("a")

    assert world.blocked() is None
