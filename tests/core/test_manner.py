"""How the leader leads is read from its session's name: all of it, or nothing."""

from __future__ import annotations

import pytest

from relay.core.manner import Manner

OWNER = "host/1/abcdef"
ITS = Manner.of(OWNER, "exactly-once", "debezium")


def test_what_it_calls_its_session_is_read_back() -> None:
    assert Manner.leading(OWNER, [ITS.in_a_session]) == ITS


def test_the_session_of_an_earlier_leader_is_passed_over() -> None:
    earlier = Manner.of("host/1/fedcba", "at-least-once", "cloudevents")
    assert Manner.leading(OWNER, [earlier.in_a_session, ITS.in_a_session]) == ITS


@pytest.mark.parametrize("end", range(len(ITS.in_a_session)))
def test_of_a_name_that_was_cut_nothing_is_told(end: int) -> None:
    assert Manner.leading(OWNER, [ITS.in_a_session[:end]]) is None
