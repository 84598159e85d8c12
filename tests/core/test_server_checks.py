"""A server that says something of itself that hurts is told so; each in its own check."""

from __future__ import annotations

from dataclasses import replace

import pytest

from relay.core.checkup import Finding
from relay.core.server_checks import Server, Standbys, server_checks

FIT = Server(
    version="18.4",
    user="relay",
    latency_s=0.001,
    is_standby=False,
    is_pooled=False,
    clock_ahead_s=0.01,
    uncertain_s=0.001,
    connections_free=50,
    settings={"fsync": "on", "synchronous_commit": "on", "transaction_timeout": "0"},
    standbys=Standbys(0, 0),
)


def having(**settings: str) -> Server:
    return replace(FIT, settings={**FIT.settings, **settings})


def of(server: Server, *, listening: bool = False) -> dict[str, Finding]:
    return {one.check: one for one in server_checks(server, listening=listening)}


def test_a_server_that_is_fit_passes_each_check() -> None:
    assert {one.verdict for one in of(FIT).values()} == {"OK"}


@pytest.mark.parametrize(
    ("server", "check", "verdict"),
    [
        (replace(FIT, is_standby=True), "primary", "FAIL"),
        (having(default_transaction_read_only="on"), "settings", "FAIL"),
        (having(transaction_timeout="30000"), "settings", "WARN"),
        (having(idle_session_timeout="5000"), "settings", "WARN"),
        (having(fsync="off"), "durability", "FAIL"),
        (having(full_page_writes="off"), "durability", "WARN"),
        (having(synchronous_commit="off"), "durability", "WARN"),
        (having(synchronous_standby_names="b"), "durability", "FAIL"),
        (replace(FIT, standbys=Standbys(1, None)), "durability", "WARN"),
        (replace(FIT, connections_free=4), "connections", "WARN"),
        (replace(FIT, is_pooled=True), "pooler", "WARN"),
        (replace(FIT, clock_ahead_s=-9.0), "clock", "WARN"),
    ],
)
def test_what_hurts_is_found_by_its_check_alone(server: Server, check: str, verdict: str) -> None:
    found = {one.check: one.verdict for one in of(server).values() if one.verdict != "OK"}
    assert found == {check: verdict}


def test_behind_a_pooler_no_relay_can_be_woken() -> None:
    assert of(replace(FIT, is_pooled=True), listening=True)["pooler"].verdict == "FAIL"


@pytest.mark.parametrize(
    "server",
    [
        having(idle_session_timeout="600000"),
        replace(having(synchronous_standby_names="b"), standbys=Standbys(1, 1)),
        replace(FIT, clock_ahead_s=3.0, uncertain_s=2.0),
    ],
)
def test_what_does_not_hurt_is_not_complained_of(server: Server) -> None:
    assert {one.verdict for one in of(server).values()} == {"OK"}


def test_what_is_not_in_order_comes_with_what_to_do() -> None:
    server = replace(having(fsync="off"), is_standby=True, is_pooled=True, connections_free=0)
    assert all(one.advice for one in of(server).values() if one.verdict != "OK")
