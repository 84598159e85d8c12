from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.core.snapshot import Snapshot
from relay.core.window import CHUNK_BITS, PAGE_BYTES_MAX, Chunk, Page, Window, pages_of
from tests.core.strategies import XID_MAX, chains, snapshots


def window(since: str, until: str) -> Window:
    return Window(Snapshot.parse(since), Snapshot.parse(until))


@given(snapshots(), snapshots())
def test_ranges_and_holds_say_the_same(since: Snapshot, until: Snapshot) -> None:
    of_both = Window(since, until)
    listed = [xid for low, high in of_both.ranges() for xid in range(low, high)]

    assert listed == [xid for xid in range(1, XID_MAX + 2) if of_both.holds(xid)]


@given(snapshots(), snapshots())
def test_ranges_rise_and_do_not_touch_each_other_twice(since: Snapshot, until: Snapshot) -> None:
    ranges = Window(since, until).ranges()

    assert all(low < high for low, high in ranges)
    assert all(high <= low for (_, high), (low, _) in pairwise(ranges))


@given(chains())
def test_a_chain_of_windows_holds_each_ended_transaction_exactly_once(
    chain: list[Snapshot],
) -> None:
    windows = [Window(since, until) for since, until in pairwise(chain)]
    times_held = [sum(one.holds(xid) for one in windows) for xid in range(1, XID_MAX + 1)]

    assert times_held == [int(chain[-1].sees(xid)) for xid in range(1, XID_MAX + 1)]


def test_a_transaction_that_was_open_comes_with_the_window_in_which_it_ended() -> None:
    assert window("10:20:10,14", "14:25:14").ranges() == [(10, 11), (20, 25)]


def test_an_open_transaction_is_cut_out_of_the_fresh_range_and_not_filtered() -> None:
    assert window("20:20:", "22:30:22,27").ranges() == [(20, 22), (23, 27), (28, 30)]


def test_a_transaction_open_throughout_is_in_no_range() -> None:
    assert window("10:20:10", "10:20:10").ranges() == []


def test_the_first_window_reads_everything_there_is() -> None:
    assert window("1:1:", "748:748:").ranges() == [(1, 748)]


def test_a_page_covers_each_chunk_from_its_first_to_its_last_position() -> None:
    pages = pages_of([Chunk(3, 90, 12, 500), Chunk(8_192, 8_200, 9, 500)])

    assert [(page.first_position, page.last_position) for page in pages] == [(3, 90), (8192, 8200)]


@given(st.integers(0, 1_100_000))
def test_a_page_stays_within_its_bytes_when_all_events_are_as_large_as_the_largest(
    bytes_max: int,
) -> None:
    (page,) = pages_of([Chunk(0, 8_191, 8_192, bytes_max)])

    assert page.limit * bytes_max <= PAGE_BYTES_MAX


@given(st.integers(0, 1_100_000))
def test_a_page_of_small_events_is_limited_by_its_positions_alone(bytes_max: int) -> None:
    (page,) = pages_of([Chunk(0, 8_191, 8_192, bytes_max)])

    assert page.may_be_cut == (bytes_max * (1 << CHUNK_BITS) > PAGE_BYTES_MAX)


def test_an_event_larger_than_a_page_still_goes_out_alone() -> None:
    (page,) = pages_of([Chunk(0, 10, 2, PAGE_BYTES_MAX + 1)])

    assert page.limit == 1


def test_a_window_without_events_has_no_pages() -> None:
    assert pages_of([]) == ()


@pytest.mark.parametrize("position", [7, 11, 19])
def test_what_is_left_of_a_cut_page_begins_behind_the_last_event_read(position: int) -> None:
    rest = Page(0, 20, 5).rest_after(position, events_read=5)

    assert rest == Page(position + 1, 20, 5)


def test_nothing_is_left_when_fewer_events_came_than_the_limit() -> None:
    assert Page(0, 20, 5).rest_after(11, events_read=4) is None


def test_nothing_is_left_when_the_limit_was_met_at_the_last_position() -> None:
    assert Page(0, 20, 5).rest_after(20, events_read=5) is None


@given(st.sets(st.integers(0, 30)), st.integers(1, 31))
def test_a_page_and_its_rests_read_each_event_once(positions: set[int], limit: int) -> None:
    page: Page | None = Page(0, 30, limit)
    seen: list[int] = []
    while page is not None:
        ahead = sorted(p for p in positions if page.first_position <= p <= page.last_position)
        read = ahead[: page.limit]
        seen += read
        page = page.rest_after(read[-1], len(read)) if read else None

    assert seen == sorted(positions)


@given(st.integers(0, 20), st.integers(1, 20), st.data())
def test_only_a_page_that_may_be_cut_has_a_rest(last: int, limit: int, data: st.DataObject) -> None:
    page = Page(0, last, limit)
    read = data.draw(st.integers(1, min(limit, last + 1)))
    position = data.draw(st.integers(read - 1, last))

    assert page.may_be_cut or page.rest_after(position, read) is None
