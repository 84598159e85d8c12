"""When a process of several loops is vouched for, and what is said of it."""

from __future__ import annotations

import threading

import pytest

from relay import config
from relay.observe.pulse import Pulses


@pytest.fixture
def pulses() -> Pulses:
    """Of two outboxes, both of which are led."""
    made = Pulses(threading.Event())
    for name in ("billing", "orders"):
        made.of(name).says("leading, term 1", ready=True)
    assert made.beaten()
    return made


def test_one_loop_that_stands_still_is_not_hidden_by_another_that_gets_on(pulses: Pulses) -> None:
    pulses.of("billing").beat()
    assert not pulses.beaten()
    pulses.of("orders").beat()
    assert pulses.beaten()


def test_a_beat_counts_once(pulses: Pulses) -> None:
    for name in ("billing", "orders"):
        pulses.of(name).beat()
    assert pulses.beaten()
    assert not pulses.beaten()


def test_a_loop_that_ended_is_not_missed(pulses: Pulses) -> None:
    pulses.of("orders").ends()
    pulses.of("billing").beat()
    assert pulses.beaten()


def test_each_outbox_is_told_by_its_name(pulses: Pulses) -> None:
    pulses.of("orders").says("standby", ready=True)
    assert pulses.text == "billing: leading, term 1; orders: standby"


def test_an_outbox_that_is_away_holds_up_no_other(pulses: Pulses) -> None:
    pulses.of("orders").says("waiting for the database")
    assert pulses.ready


def test_what_is_said_again_is_no_news(pulses: Pulses) -> None:
    pulses.changed.clear()
    pulses.of("orders").says("leading, term 1", ready=True)
    assert not pulses.changed.is_set()


@pytest.mark.parametrize(
    ("usec", "pid", "asked"), [("90", "", 0.00009), ("90", "1", None), ("soon", "", None)]
)
def test_a_watchdog_is_fed_only_where_it_asks_this_process(
    monkeypatch: pytest.MonkeyPatch, usec: str, pid: str, asked: float | None
) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    monkeypatch.setenv("WATCHDOG_USEC", usec)
    monkeypatch.setenv("WATCHDOG_PID", pid)
    assert config.service_manager() == ("", asked)
