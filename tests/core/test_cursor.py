from __future__ import annotations

from relay.core.cursor import Cursor
from relay.core.snapshot import Snapshot
from relay.core.window import Window

C, S, NEXT = (Snapshot.parse(text) for text in ("10:20:10", "20:30:", "30:40:35"))
INSIDE = Cursor(7, 2, since=C, until=S, last_position=42)


def test_the_window_of_an_entry_is_what_its_until_sees_and_its_since_does_not() -> None:
    assert INSIDE.window == Window(C, S)


def test_the_next_window_starts_from_where_this_one_ended() -> None:
    assert INSIDE.opened(NEXT) == Cursor(8, 0, since=S, until=NEXT, last_position=0, closed=False)


def test_a_closed_window_is_followed_in_the_same_way_as_an_open_one() -> None:
    assert INSIDE.finished().opened(NEXT) == INSIDE.opened(NEXT)


def test_an_advance_is_the_next_step_in_the_same_window() -> None:
    assert INSIDE.advanced(99) == Cursor(7, 3, since=C, until=S, last_position=99)


def test_closing_is_the_next_step_and_keeps_the_position() -> None:
    assert INSIDE.finished() == Cursor(7, 3, since=C, until=S, last_position=42, closed=True)


def test_two_relays_that_write_behind_the_same_entry_write_the_same_key() -> None:
    after = [INSIDE.advanced(50), INSIDE.advanced(60), INSIDE.finished()]

    assert {(entry.number, entry.step) for entry in after} == {(7, 3)}
