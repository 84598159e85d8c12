from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from relay.core.lease import (
    LEASE_TTL_S,
    RENEW_EVERY_S,
    REQUEST_TIMEOUT_S,
    STANDBY_EVERY_S,
    TRUST_MARGIN_S,
    Lease,
)

moments_s = st.floats(0, 1e6)
durations_s = st.floats(0, 10)


def test_a_lease_is_trusted_from_the_request_for_its_ttl_less_the_margin() -> None:
    lease = Lease.granted(3, asked_at_s=100.0)

    assert lease.trusted(100.0 + LEASE_TTL_S - TRUST_MARGIN_S - 0.001)
    assert not lease.trusted(100.0 + LEASE_TTL_S - TRUST_MARGIN_S)


@given(moments_s, durations_s, durations_s)
def test_trust_ends_before_the_database_can_grant_the_lease_to_another(
    asked_at_s: float, on_the_way_s: float, later_s: float
) -> None:
    expires_at_s = asked_at_s + on_the_way_s + LEASE_TTL_S

    assert not Lease.granted(1, asked_at_s).trusted(expires_at_s + later_s)


@given(moments_s, moments_s)
def test_a_renewal_counts_from_its_own_request(first_s: float, second_s: float) -> None:
    assert Lease.granted(4, first_s).renewed(second_s) == Lease.granted(4, second_s)


def test_one_renewal_as_slow_as_is_allowed_does_not_cost_the_lease() -> None:
    lease = Lease.granted(1, asked_at_s=0.0)

    assert lease.trusted(RENEW_EVERY_S + REQUEST_TIMEOUT_S)


def test_a_killed_leader_is_replaced_within_nine_seconds() -> None:
    assert LEASE_TTL_S + STANDBY_EVERY_S + REQUEST_TIMEOUT_S <= 9.0


def test_a_released_lease_is_looked_for_within_a_second() -> None:
    assert STANDBY_EVERY_S <= 1.0
