"""The relay's table where the broker says what it has: which events are left out for it, and which
never are."""

from __future__ import annotations

from dataclasses import replace

from relay.core import effects as do
from relay.core import inputs as told
from relay.core.machine import State, step
from relay.core.parking import Parked
from relay.core.reached import Reached
from tests.core.machine_walk import (
    CLOSED,
    LATER,
    LEADING,
    NEXT,
    NOW,
    OPENED,
    P1,
    P2,
    ROWS,
    SAVING,
    SENDING,
    SENDING_LAST,
    STOPPING,
    row,
    send,
    walk,
)

OPEN = (told.Elected(), told.Loaded(OPENED, (P1, P2)))
DOUBTED = (told.Doubtful("no reply"), told.Rested())


def reached(position: int, *left_out: int, window_id: str = OPENED.window_id) -> told.Recovered:
    return told.Recovered(Reached(window_id, position, frozenset(left_out)))


def test_a_new_leader_asks_before_anything_else_even_with_its_window_closed() -> None:
    assert walk(told.Elected(), told.Loaded(CLOSED, ()))[1] == do.Recover()
    assert walk(*OPEN)[1] == do.Recover()


def test_what_a_transaction_says_of_itself_is_its_window_and_its_last_event() -> None:
    effect = walk(*SENDING)[1]

    assert isinstance(effect, do.Send)
    assert effect.reached == Reached(OPENED.window_id, 2)


def test_events_that_the_broker_has_are_left_out() -> None:
    assert walk(*OPEN, reached(1), told.PageRead(ROWS[P1]))[1] == send([row(2)])


def test_a_page_that_the_broker_has_is_stored_and_not_sent() -> None:
    _, effect = walk(*OPEN, reached(2), told.PageRead(ROWS[P1]))

    assert effect == do.Save(OPENED.advanced(2))


def test_a_word_about_another_window_hides_no_event() -> None:
    assert walk(*OPEN, reached(99, window_id="1@1"), told.PageRead(ROWS[P1]))[1] == send(ROWS[P1])


def test_a_word_about_this_window_hides_no_event_of_the_next() -> None:
    """A late event of the next window may stand below it."""
    ended = (told.PageRead(ROWS[P1]), told.Saved(OPENED.advanced(2)), told.PageRead(ROWS[P2]))
    relay, effect = walk(*OPEN, reached(12), *ended)
    relay, effect = step(relay, told.Saved(OPENED.advanced(11)), LATER)
    assert isinstance(effect, do.OpenNext)
    following = replace(OPENED.opened(NEXT), window_id="3@2")
    relay, _ = step(relay, told.Opened(following, (P1,)), LATER)
    relay, effect = step(relay, told.PageRead(ROWS[P1]), LATER)

    assert isinstance(effect, do.Send)
    assert effect.rows == ROWS[P1]


def test_after_a_doubt_what_was_committed_is_not_sent_again() -> None:
    assert walk(*SENDING, *DOUBTED, reached(2))[1] == do.Save(OPENED.advanced(2))


def test_after_a_doubt_what_was_not_committed_is_sent_again() -> None:
    assert walk(*SENDING, *DOUBTED, reached(0))[1] == send(ROWS[P1])
    assert walk(*SENDING, *DOUBTED, told.Recovered())[1] == send(ROWS[P1])


def test_the_last_page_that_was_committed_in_doubt_is_followed_by_a_look() -> None:
    relay, effect = walk(*SENDING_LAST, *DOUBTED, reached(11), moment=LATER)

    assert (relay.state, effect) == (State.LOOKING, do.OpenNext(OPENED))
    assert relay.attempts == 0


def test_a_broker_that_does_not_say_is_asked_again() -> None:
    relay, _ = walk(*OPEN, told.Doubtful("away"))
    _, effect = step(relay, told.Rested(), NOW)

    assert relay.state is State.RETRYING
    assert effect == do.Recover()


def test_a_stop_after_a_doubt_sends_nothing() -> None:
    assert walk(*SENDING, *DOUBTED, reached(1), moment=STOPPING)[1] == do.Stop()


def test_once_stored_the_next_page_is_sent_whole() -> None:
    assert walk(*SAVING, told.Saved(OPENED.advanced(2)), told.PageRead(ROWS[P2]))[1] == send(
        ROWS[P2], cursor=OPENED.advanced(2)
    )
    assert walk(*LEADING)[1] == do.OpenNext(CLOSED)


# What is set aside below the position


def test_what_was_left_out_is_sent_by_the_next_leader_and_what_was_not_is_not() -> None:
    rows = [row(n) for n in (1, 2, 3, 4)]

    assert walk(*OPEN, reached(3, 2), told.PageRead(rows))[1] == send([row(2), row(4)])


def test_a_word_takes_back_none_that_was_said_before() -> None:
    """Sent alone, what was left out stands below what is committed already."""
    rows = [row(n) for n in (1, 2, 3, 4, 5)]
    given = (told.PageRead(rows), told.Refused("too large"))
    relay, effect = walk(*OPEN, reached(4, 2, 3), *given)
    assert isinstance(effect, do.Send)
    assert effect == do.Send([row(2)], OPENED.number, Reached(OPENED.window_id, 4, frozenset({3})))

    relay, saved = step(relay, told.Acked(), NOW)
    assert saved == do.Save(OPENED.advanced(2))
    _, effect = step(relay, told.Saved(OPENED.advanced(2)), NOW)
    assert effect == send([row(3), row(5)], cursor=OPENED.advanced(2))


def test_what_was_left_out_on_a_later_page_is_not_forgotten() -> None:
    given = (told.PageRead(ROWS[P1]),)

    effect = walk(*OPEN, reached(12, 1, 11), *given)[1]

    word = Reached(OPENED.window_id, 12, frozenset({11}))
    assert effect == do.Send([row(1)], OPENED.number, word)


def test_what_was_left_out_and_is_held_is_parked() -> None:
    held = frozenset({("topic", "key")})
    loaded = (told.Elected(), told.Loaded(OPENED, (P1, P2), held))

    effect = walk(*loaded, reached(2, 2), told.PageRead(ROWS[P1]))[1]

    assert effect == do.Save(OPENED.advanced(2), parked=(Parked(row(2)),))


def test_a_word_is_not_believed_when_the_database_has_lost_what_it_had_stored_by_then() -> None:
    """It may have parked events there, which no word names."""
    said = told.Recovered(Reached(OPENED.window_id, 2, stored_to=1))

    assert walk(*OPEN, said, told.PageRead(ROWS[P1]))[1] == send(ROWS[P1])
