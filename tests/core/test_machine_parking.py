"""The relay's table where the broker will never take an event: it is set aside, and all of its key
behind it, by the entry that passes them."""

from __future__ import annotations

from relay.core import effects as do
from relay.core import inputs as told
from relay.core.machine import Relay, State, step
from relay.core.parking import BEHIND, Parked
from relay.core.window import Page
from tests.core.machine_walk import (
    CLOSED,
    KEY,
    LATER,
    LEADING,
    NOW,
    OPENED,
    P2,
    RELEASING,
    ROWS,
    row,
    send,
    walk,
)

PAGE = Page(1, 8, 99)


def of_key(position: int, key: str | None, topic: str = "topic") -> told.Row:
    return (position, f"id-{position}", topic, key, *row(position)[4:])


def sending(*rows: told.Row, held: told.Holds = frozenset()) -> tuple[told.Input, ...]:
    opened = told.Opened(OPENED, (PAGE,), held)
    return (*LEADING, opened, told.PageRead(list(rows)))


def refused_at(position: int) -> told.Refused:
    return told.Refused("too large", position=position)


def test_an_event_that_is_refused_alone_is_parked_by_the_entry_that_passes_it() -> None:
    effect = walk(*sending(row(1)), told.Refused("too large"))[1]

    parked = (Parked(row(1), "topic topic: too large", KEY),)
    assert effect == do.Save(OPENED.advanced(1), parked=parked)


def test_every_later_event_of_its_key_is_parked_behind_it_and_the_others_are_sent() -> None:
    a1, b2, a3, b4 = (of_key(n, key) for n, key in ((1, "a"), (2, "b"), (3, "a"), (4, "b")))
    relay, stored = walk(*sending(a1, b2, a3, b4), refused_at(1))
    relay, sent = step(relay, told.Saved(OPENED.advanced(1)), NOW)
    _, stored_again = step(relay, told.Acked(), NOW)

    head = Parked(a1, "topic topic: too large", ("topic", "a"))
    assert stored == do.Save(OPENED.advanced(1), parked=(head,))
    assert sent == send([b2, b4], 3, cursor=OPENED.advanced(1))
    passed = OPENED.advanced(1).advanced(4)
    assert stored_again == do.Save(passed, parked=(Parked(a3, BEHIND),))


def test_what_is_sent_before_a_refused_event_is_not_passed_by_its_parking() -> None:
    b1, a2, b3 = of_key(1, "b"), of_key(2, "a"), of_key(3, "b")
    relay, sent = walk(*sending(b1, a2, b3), refused_at(2))
    _, stored = step(relay, told.Acked(), NOW)

    assert sent == send([b1, b3], 2)
    head = Parked(a2, "topic topic: too large", ("topic", "a"))
    assert stored == do.Save(OPENED.advanced(3), parked=(head,))


def test_what_stands_before_the_refused_event_of_its_key_is_sent() -> None:
    a1, a2, a3 = (of_key(n, "a") for n in (1, 2, 3))

    assert walk(*sending(a1, a2, a3), refused_at(2))[1] == send([a1])


def test_an_event_without_a_key_is_parked_alone() -> None:
    first, second = of_key(1, None), of_key(2, None)
    relay, stored = walk(*sending(first, second), refused_at(1))
    _, sent = step(relay, told.Saved(OPENED.advanced(1)), NOW)

    assert isinstance(stored, do.Save)
    assert stored.parked == (Parked(first, "topic topic: too large", None),)
    assert sent == send([second], cursor=OPENED.advanced(1))


def test_a_topic_that_is_refused_is_held_whole() -> None:
    rows = [of_key(1, "a", "forbidden"), of_key(2, "b")]
    rows += [of_key(3, None, "forbidden"), of_key(4, "c", "forbidden")]
    relay, stored = walk(*sending(*rows), told.Refused("not authorised", "forbidden"))
    _, sent = step(relay, told.Saved(OPENED.advanced(1)), NOW)

    assert isinstance(stored, do.Save)
    assert stored.parked[0].hold == ("forbidden", None)
    assert relay.held == {("forbidden", None)}
    assert sent == send([rows[1]], cursor=OPENED.advanced(1))


def test_a_page_that_is_held_whole_is_stored_without_sending() -> None:
    relay, effect = walk(*sending(row(1), row(2), held=frozenset([KEY])))

    assert relay.state is State.SAVING
    parked = (Parked(row(1)), Parked(row(2)))
    assert effect == do.Save(OPENED.advanced(2), parked=parked)


def test_a_key_that_was_held_when_the_cursor_was_read_is_held_still() -> None:
    loaded = told.Loaded(CLOSED, (), frozenset([KEY]))
    given = (told.Opened(OPENED, (P2,)), told.PageRead(ROWS[P2]))

    effect = walk(told.Elected(), loaded, told.Recovered(), *given)[1]

    assert effect == do.Save(OPENED.advanced(11), parked=(Parked(row(11)),))


def test_after_a_loss_nothing_is_held_until_the_cursor_is_read_anew() -> None:
    relay, _ = walk(*sending(row(1)), told.Refused("too large"))

    assert step(relay, told.Lost(), NOW)[0] == Relay()


# Release


RELEASED = (*LEADING, told.Opened(RELEASING, (P2,), frozenset()), told.PageRead(ROWS[P2]))


def test_released_events_are_sent_in_the_place_of_the_window_that_releases_them() -> None:
    assert walk(*RELEASED)[1] == send(ROWS[P2], cursor=RELEASING)


def test_what_was_released_is_stored_as_out_before_the_next_look() -> None:
    relay, stored = walk(*RELEASED, told.Acked(), moment=LATER)
    _, following = step(relay, told.Saved(RELEASING.advanced(11)), LATER)

    assert stored == do.Save(RELEASING.advanced(11))
    assert following == do.OpenNext(RELEASING.advanced(11))


def test_a_released_event_that_is_refused_again_is_parked_again() -> None:
    effect = walk(*RELEASED, told.Refused("too large"))[1]

    assert isinstance(effect, do.Save)
    assert [one.hold for one in effect.parked] == [KEY]


def test_an_event_is_waited_at_no_longer_once_it_is_parked() -> None:
    given = (told.Refused("missing", passing=True), told.Reported(), told.Rested())
    then = (told.Recovered(), told.Refused("too large"))
    effect = walk(*sending(row(1)), *given, *then)[1]

    assert isinstance(effect, do.Save)
    assert effect.unblocks
