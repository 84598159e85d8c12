"""Windows read many at once: each event in its own, in the order of its publication."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.core.snapshot import Snapshot
from relay.core.span import ORIGIN, WINDOWS_AT_ONCE_MAX, Cut, Place, chosen, spans
from relay.core.window import Window


def cut(number: int, snapshot: str = "1:1:", at_s: float | None = None) -> Cut:
    return Cut(number, Snapshot.parse(snapshot), float(number) if at_s is None else at_s, "epoch")


CHAIN = [cut(number) for number in range(1, 6)]


@st.composite
def chains(draw: st.DrawFn) -> list[Cut]:
    """Cuts as a database makes them: an id that has ended never comes back."""
    begun, running, made = 1, set[int](), [ORIGIN]
    for number in range(draw(st.integers(1, 12))):
        new = set(range(begun, begun + draw(st.integers(0, 4))))
        begun += len(new)
        running = draw(st.sets(st.sampled_from(sorted(running | new)))) if running | new else set()
        snapshot = Snapshot(min(running, default=begun), begun, frozenset(running))
        made.append(Cut(number, snapshot, float(number), ""))
    return made


@given(chains())
def test_each_transaction_is_in_the_window_that_holds_it(chain: list[Cut]) -> None:
    (span,) = spans(list(pairwise(chain)))
    for txid in range(1, chain[-1].snapshot.xmax):
        if span.window.holds(txid):
            naive = [
                after.number
                for before, after in pairwise(chain)
                if Window(before.snapshot, after.snapshot).holds(txid)
            ]
            assert [span.cut_of(txid).number] == naive


@given(chains().filter(lambda chain: len(chain) > 2))
def test_halves_hold_what_the_whole_does_and_nothing_twice(chain: list[Cut]) -> None:
    (span,) = spans(list(pairwise(chain)))
    older, newer = span.halves()
    for txid in range(1, chain[-1].snapshot.xmax):
        parts = older.window.holds(txid) + newer.window.holds(txid)
        assert parts == span.window.holds(txid)


def test_windows_are_joined_up_to_a_limit() -> None:
    chain = [cut(number) for number in range(2 * WINDOWS_AT_ONCE_MAX + 2)]
    sizes = [len(span.cuts) - 1 for span in spans(pairwise(chain))]
    assert sizes == [WINDOWS_AT_ONCE_MAX, WINDOWS_AT_ONCE_MAX, 1]


def test_windows_that_do_not_follow_each_other_are_not_joined() -> None:
    pairs = [(CHAIN[0], CHAIN[1]), (CHAIN[3], CHAIN[4])]
    assert [span.cuts for span in spans(pairs)] == pairs


@pytest.mark.parametrize(
    ("since_s", "until_s", "expected"),
    [(2.0, 4.0, [2, 3]), (2.5, 9.0, [3, 4, 5]), (0.0, 2.0, []), (6.0, 9.0, [])],
)
def test_a_window_is_chosen_by_the_time_at_which_it_was_stored(
    since_s: float, until_s: float, expected: list[int]
) -> None:
    assert [after.number for _, after in chosen(CHAIN, since_s, until_s)] == expected


def test_of_many_windows_between_two_milestones_all_are_chosen_if_any_may_be_within() -> None:
    chain = [cut(10), cut(20), cut(30)]
    assert [after.number for _, after in chosen(chain, 15.0, 16.0)] == [20]
    assert [after.number for _, after in chosen(chain, 19.0, 21.0)] == [20, 30]


def test_a_place_is_read_as_it_is_written() -> None:
    assert Place.parse(str(Place(12, 345))) == Place(12, 345)
    assert Place.parse(f"{12:019d}.{345:019d}") == Place(12, 345)
    for text in ("12", "12.", "a.b", "1.2.3", "-1.2"):
        with pytest.raises(ValueError, match=r"place|unpack"):
            Place.parse(text)
