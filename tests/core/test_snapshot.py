from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.core.snapshot import Snapshot
from tests.core.strategies import XID_MAX, snapshots


@given(snapshots())
def test_what_is_written_as_text_is_read_back(snapshot: Snapshot) -> None:
    assert Snapshot.parse(str(snapshot)) == snapshot


@pytest.mark.parametrize("text", ["1:1:", "10:20:10,14,15", "748:748:", f"1:{2**63}:1,{2**62}"])
def test_the_text_is_postgresqls_own(text: str) -> None:
    assert str(Snapshot.parse(text)) == text


def test_ids_in_progress_are_written_in_rising_order() -> None:
    assert str(Snapshot(10, 20, frozenset({15, 10, 14}))) == "10:20:10,14,15"


def test_nothing_below_xmin_is_in_progress() -> None:
    assert Snapshot.parse("10:20:10,14").sees(9)


def test_a_listed_id_is_not_seen_and_its_neighbours_are() -> None:
    snapshot = Snapshot.parse("10:20:10,14")

    assert [xid for xid in range(10, 20) if not snapshot.sees(xid)] == [10, 14]


def test_nothing_at_or_above_xmax_is_seen() -> None:
    snapshot = Snapshot.parse("10:20:10")

    assert not snapshot.sees(20)
    assert not snapshot.sees(2**62)


@given(snapshots(), st.integers(1, XID_MAX + 2))
def test_an_id_is_seen_unless_it_is_listed_or_had_not_begun(snapshot: Snapshot, xid: int) -> None:
    assert snapshot.sees(xid) == (xid < snapshot.xmax and xid not in snapshot.xip)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "10",
        "10:20",
        "10:20:14:15",
        "ten:20:",
        "10:20:x",
        "10:20:10;14",
        "10.0:20:",
        ":20:",
        "10::",
        "0:20:",
        "-1:20:",
        "20:10:",
        "10:20:9",
        "10:20:20",
    ],
)
def test_what_is_no_snapshot_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a pg_snapshot"):
        Snapshot.parse(text)
