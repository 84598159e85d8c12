"""Event ids from (tenant, run, type): the same on every attempt, in every release."""

from __future__ import annotations

from uuid import UUID

from coordinator.idempotency import event_id


def test_the_id_of_a_runs_event_is_the_same_in_every_release() -> None:
    assert event_id("t1", "r1", "run.completed") == UUID("405606bc-9e8f-5182-9e70-ad1a5ce69e6d")


def test_another_tenant_run_or_type_has_another_id() -> None:
    ids = {
        event_id("t1", "r1", "run.completed"),
        event_id("t2", "r1", "run.completed"),
        event_id("t1", "r2", "run.completed"),
        event_id("t1", "r1", "incident.created"),
    }
    assert len(ids) == 4


def test_names_that_run_into_each_other_do_not_meet() -> None:
    assert event_id("a", "b/c", "t") != event_id("a/b", "c", "t")
    assert event_id("a", 'b", "c', "t") != event_id('a", "b', "c", "t")
