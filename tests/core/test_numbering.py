from __future__ import annotations

from relay.core.cursor import Cursor
from relay.core.numbering import EVERYTHING, NOTHING, POSITION_MAX, Numbering
from relay.core.retention import Milestone, published
from relay.core.snapshot import Snapshot
from relay.core.window import Page, Window

C, S, NOW = (Snapshot.parse(text) for text in ("10:20:10", "20:30:", "5:6:"))
DUMPED = Cursor(7, 2, C, S, closed=True, numbering=Numbering.of(0, (40, 60)), reach=40)


def test_an_outbox_that_was_never_restored_has_one_window_ahead_at_all_positions() -> None:
    (ahead,) = Cursor(7, 2, C, S).ahead(NOW)

    assert ahead == Cursor(7, 2, C, S).opened(NOW)
    assert ahead.window == Window(S, NOW, 0, POSITION_MAX)


def test_the_rest_of_the_dump_comes_before_what_no_window_has_reached_and_what_is_new() -> None:
    assert [one.window for one in DUMPED.ahead(NOW)] == [
        Window(S, EVERYTHING, 0, 40),
        Window(NOTHING, EVERYTHING, 40, 60),
        Window(NOTHING, NOW, 60, POSITION_MAX),
    ]


def test_one_of_them_is_opened_so_all_have_the_same_number() -> None:
    assert {(one.number, one.step) for one in DUMPED.ahead(NOW)} == {(8, 0)}


def test_what_is_finished_is_not_offered_again() -> None:
    rest, unreached, new = DUMPED.ahead(NOW)

    assert [one.window for one in rest.ahead(NOW)] == [unreached.window, new.window]
    assert [one.window for one in unreached.ahead(NOW)] == [new.window]
    assert [one.since for one in new.ahead(S)] == [NOW]


def test_the_window_that_was_open_goes_on_among_its_own_positions() -> None:
    assert DUMPED.window == Window(C, S, 0, 40)


def test_reach_is_the_highest_position_of_any_window_so_far() -> None:
    assert DUMPED.holding([Page(1, 9, 9), Page(20, 31, 9)]).reach == 40
    assert DUMPED.holding([Page(1, 9, 9), Page(50, 61, 9)]).reach == 61


def test_nothing_makes_room_while_a_part_of_the_dump_is_to_be_published() -> None:
    rest, unreached, new = DUMPED.ahead(NOW)

    assert published(DUMPED) == Milestone(7, NOTHING, 0)
    assert published(rest.finished()) == Milestone(8, NOTHING, 0)
    assert published(unreached.finished()) == Milestone(8, NOTHING, 0)
    assert published(new) == Milestone(7, NOTHING, 60)
    assert published(new.finished()) == Milestone(8, NOW, 60)
