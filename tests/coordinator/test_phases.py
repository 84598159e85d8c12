"""The phases, and which may follow which."""

from __future__ import annotations

import pytest

from coordinator import TransactionPhase
from coordinator.phases import TRANSITIONS, advance


def test_every_phase_has_its_row() -> None:
    assert set(TRANSITIONS) == set(TransactionPhase)


@pytest.mark.parametrize(
    ("present", "following"),
    [
        ("NOT_STARTED", "INCIDENT_CREATED"),
        ("INCIDENT_CREATED", "POLICY_EVALUATED"),
        ("POLICY_EVALUATED", "TRACE_COMPLETED"),
        ("POLICY_EVALUATED", "COMMITTED"),
        ("TRACE_COMPLETED", "COMMITTED"),
        ("COMMITTED", "EVENTS_PUBLISHED"),
        ("TRACE_COMPLETED", "ROLLED_BACK"),
        ("NOT_STARTED", "FAILED"),
    ],
)
def test_a_step_of_the_table_is_taken(present: str, following: str) -> None:
    assert advance(TransactionPhase[present], TransactionPhase[following]).name == following


@pytest.mark.parametrize(
    ("present", "following"),
    [
        ("POLICY_EVALUATED", "INCIDENT_CREATED"),
        ("NOT_STARTED", "EVENTS_PUBLISHED"),
        ("COMMITTED", "ROLLED_BACK"),
        ("ROLLED_BACK", "COMMITTED"),
        ("EVENTS_PUBLISHED", "FAILED"),
    ],
)
def test_an_illegal_step_is_refused_with_both_names(present: str, following: str) -> None:
    with pytest.raises(ValueError, match=f"{present} to {following}"):
        advance(TransactionPhase[present], TransactionPhase[following])


def test_a_phase_of_ones_own_may_stand_between_the_members() -> None:
    reached = advance(TransactionPhase.NOT_STARTED, "order_paid")
    assert advance(reached, TransactionPhase.COMMITTED) is TransactionPhase.COMMITTED
