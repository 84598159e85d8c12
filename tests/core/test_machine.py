"""The relay's table: what it does in each state, what it refuses to be told, and how it stops."""

from __future__ import annotations

import re
from itertools import product

import pytest

from relay.core import effects as do
from relay.core import inputs as told
from relay.core import machine
from relay.core.machine import TRANSITIONS, Moment, Relay, State, step
from relay.core.pacing import WINDOW_EVERY_S, next_rest_s, retry_rest_s
from relay.core.window import Page
from relay.errors import IllegalTransition
from tests.core.machine_walk import (
    CLOSED,
    LATER,
    LEADING,
    NOW,
    OPENED,
    P1,
    P2,
    READING,
    RELEASING,
    ROWS,
    SAVING,
    SENDING,
    SENDING_LAST,
    STOPPING,
    every_step,
    send,
    walk,
)

EVERY_STEP = tuple(every_step())
INPUTS = sorted(told.Input.__subclasses__(), key=lambda one: one.__name__)
# A bare instance is enough for an input that is refused, as it is not looked into.
REFUSED_INPUTS = [
    (state, given)
    for state, given in product(State, INPUTS)
    if (state, given) not in TRANSITIONS and given is not told.Lost
]


# The table


@pytest.mark.parametrize(("state", "kind"), REFUSED_INPUTS)
def test_what_the_table_does_not_have_is_refused_by_name(
    state: State, kind: type[told.Input]
) -> None:
    with pytest.raises(IllegalTransition, match=f"{kind.__name__} in state {state.name}"):
        step(Relay(state, CLOSED), object.__new__(kind), NOW)


def test_a_refused_input_changes_nothing() -> None:
    relay, _ = walk(*SENDING)
    with pytest.raises(IllegalTransition):
        step(relay, told.NothingAhead(), NOW)

    assert step(relay, told.Acked(), NOW) == walk(*SAVING)


def test_every_entry_of_the_table_is_reached() -> None:
    taken = {(one.before.state, type(one.given)) for one in EVERY_STEP}

    assert set(TRANSITIONS) <= taken


def test_every_state_is_reached() -> None:
    assert {one.after.state for one in EVERY_STEP} == set(State)


@pytest.mark.parametrize("state", State)
def test_a_loss_in_any_state_forgets_everything_and_stands_by(state: State) -> None:
    assert step(Relay(state, CLOSED), told.Lost(), NOW) == (Relay(), do.StandBy())


def drawn_rows() -> list[tuple[str, str, str]]:
    """The table drawn in the module's docstring: state, input, and what it says of the next one."""
    return re.findall(r"^    ([A-Z]+) +(\w+)  +(.+)$", machine.__doc__ or "", re.MULTILINE)


def test_the_drawn_table_and_the_machine_have_the_same_entries() -> None:
    drawn = {(state, given) for state, given, _ in drawn_rows()}

    assert drawn == {(state.name, given.__name__) for state, given in TRANSITIONS}


def test_a_long_window_is_no_silence_once_it_is_published() -> None:
    published = Moment(NOW.now_s + 60.0)
    relay, _ = walk(*SENDING_LAST, told.Acked(), moment=published)
    relay, _ = step(relay, told.NothingAhead(), published)

    assert step(relay, told.Saved(OPENED.finished()), published)[1] == do.Rest(0.001, idle=True)


def test_each_next_state_that_is_drawn_is_one_that_the_machine_goes_to() -> None:
    taken = {
        (one.before.state.name, type(one.given).__name__, one.after.state.name)
        for one in EVERY_STEP
    }
    drawn = {
        (state, given, following)
        for state, given, text in drawn_rows()
        for following in re.findall(r"[A-Z]{2,}", text)
    }

    assert drawn <= taken


# From the election to a published window


def test_the_elected_relay_reads_the_cursor() -> None:
    assert walk(told.Elected())[1] == do.Load()


def test_a_closed_window_is_followed_by_a_look() -> None:
    assert walk(*LEADING)[1] == do.OpenNext(CLOSED)


def test_a_window_left_open_is_taken_up_where_its_pages_begin() -> None:
    relay, effect = walk(told.Elected(), told.Loaded(OPENED, (P2,)), told.Recovered())

    assert relay.state is State.READING
    assert effect == do.Read(OPENED.window, P2, None)


def test_a_page_is_read_with_a_word_about_the_next() -> None:
    assert walk(*READING)[1] == do.Read(OPENED.window, P1, P2)


def test_what_was_read_is_sent_in_the_window_it_belongs_to() -> None:
    assert walk(*SENDING)[1] == send(ROWS[P1])


def test_an_empty_page_is_not_the_end_of_the_window() -> None:
    assert walk(*READING, told.PageRead([]))[1] == do.Read(OPENED.window, P2, None)


def test_the_cursor_moves_to_the_last_acknowledged_event_of_a_page() -> None:
    assert walk(*SAVING)[1] == do.Save(OPENED.advanced(2))


def test_a_stored_cursor_is_followed_by_the_next_page() -> None:
    cursor = OPENED.advanced(2)

    assert walk(*SAVING, told.Saved(cursor))[1] == do.Read(cursor.window, P2, None)


def test_the_last_page_is_stored_by_the_entry_that_opens_the_next_window() -> None:
    assert walk(*SENDING_LAST, told.Acked(), moment=LATER)[1] == do.OpenNext(OPENED)


def test_windows_are_opened_no_more_often_than_every_few_milliseconds() -> None:
    relay, effect = walk(*SENDING_LAST, told.Acked(), moment=Moment(NOW.now_s + 0.002))

    assert relay.state is State.RESTING
    assert isinstance(effect, do.Rest)
    assert effect.seconds == pytest.approx(WINDOW_EVERY_S - 0.002)


def test_a_rest_between_windows_is_not_taken_for_having_nothing_to_publish() -> None:
    effect = walk(*SENDING_LAST, told.Acked())[1]

    assert isinstance(effect, do.Rest)
    assert not effect.idle


def test_a_published_window_is_closed_when_nothing_follows() -> None:
    relay, _ = walk(*SENDING_LAST, told.Acked(), moment=LATER)
    _, effect = step(relay, told.NothingAhead(), LATER)

    assert effect == do.Save(OPENED.finished())


def test_a_closed_window_is_not_closed_again() -> None:
    assert walk(*LEADING, told.NothingAhead())[1] == do.Rest(next_rest_s(0.0, 0.0), idle=True)


def test_rests_grow_while_nothing_comes() -> None:
    given = (told.NothingAhead(), told.Rested(), told.NothingAhead())

    relay, _ = walk(told.Elected(), told.Loaded(CLOSED, ()), told.Recovered())
    rests = []
    for one in given:
        relay, effect = step(relay, one, Moment(0.01))
        rests += [effect.seconds] if isinstance(effect, do.Rest) else []

    assert rests == pytest.approx([0.001, 0.0015])


def test_an_event_ends_the_growth_of_rests() -> None:
    quiet = (told.NothingAhead(), told.Rested())
    relay, _ = walk(*LEADING, *quiet, *quiet, told.Opened(OPENED, (P1,)))

    assert relay.rest_s == 0.0


# Pages cut by their limit


def test_the_rest_of_a_cut_page_is_read_before_the_next_page() -> None:
    cut = Page(1, 9, 2)
    relay, _ = walk(*LEADING, told.Opened(OPENED, (cut, P2)), told.PageRead(ROWS[P1]))

    assert relay.pages == (Page(3, 9, 2), P2)


def test_progress_inside_a_cut_page_is_stored() -> None:
    cut = Page(1, 9, 2)
    given = (told.Opened(OPENED, (cut,)), told.PageRead(ROWS[P1]), told.Acked())

    assert walk(*LEADING, *given)[1] == do.Save(OPENED.advanced(2))


def test_the_last_cut_of_a_page_that_holds_nothing_ends_the_window() -> None:
    cut = Page(1, 9, 2)
    given = (told.Opened(OPENED, (cut,)), told.PageRead(ROWS[P1]), told.Acked())
    cursor = OPENED.advanced(2)

    relay, effect = walk(*LEADING, *given, told.Saved(cursor), told.PageRead([]), moment=LATER)

    assert effect == do.OpenNext(cursor)
    assert relay.pages == ()


# Failures to send


def test_events_in_doubt_are_sent_again_from_the_first_after_a_rest() -> None:
    relay, effect = walk(*SENDING, told.Doubtful("slow"))
    relay, asked = step(relay, told.Rested(), NOW)
    _, again = step(relay, told.Recovered(), NOW)

    assert effect == do.Rest(retry_rest_s(1))
    assert asked == do.Recover()
    assert again == send(ROWS[P1])


def test_rests_grow_from_one_failure_to_the_next() -> None:
    given = (told.Doubtful("slow"), told.Rested(), told.Recovered(), told.Doubtful("slow"))

    assert walk(*SENDING, *given)[1] == do.Rest(retry_rest_s(2))


def test_a_success_ends_the_row_of_failures() -> None:
    relay, _ = walk(*SENDING, told.Doubtful("slow"), told.Rested(), told.Recovered(), told.Acked())

    assert relay.attempts == 0


# Over every step there is


def test_an_effect_is_answered_in_a_state_that_waits_for_its_answer() -> None:
    waits = {
        State.RECOVERING: do.Recover,
        State.READING: do.Read,
        State.SENDING: do.Send,
        State.LOOKING: do.OpenNext,
    }
    waits |= {State.LOADING: do.Load, State.STANDBY: do.StandBy, State.STOPPED: do.Stop}
    waits |= {State.SAVING: do.Save, State.CLOSING: do.Save, State.REPORTING: do.ReportBlocked}
    waits |= {State.RESTING: do.Rest, State.RETRYING: do.Rest, State.DOZING: do.LieDown}
    waits |= {State.SLEEPING: do.Sleep, State.RISING: do.Rise}

    assert all(isinstance(one.effect, waits[one.after.state]) for one in EVERY_STEP)


def test_the_cursor_moves_only_past_what_is_acknowledged_or_parked_with_it() -> None:
    moves = [one for one in EVERY_STEP if one.after.state is State.SAVING]

    assert moves
    for one in moves:
        assert isinstance(one.effect, do.Save)
        has = one.after.reached
        committed = has is not None and has.covers(one.effect.cursor.last_position)
        assert isinstance(one.given, told.Acked) or one.effect.parked or committed


def test_a_window_is_closed_and_the_next_opened_with_nothing_left_of_it() -> None:
    ends = [one for one in EVERY_STEP if one.after.state in {State.CLOSING, State.LOOKING}]

    assert ends
    assert all(not one.after.pages for one in ends)
    assert all(not one.before.rows for one in ends if not isinstance(one.given, told.Acked))


def test_what_is_sent_is_of_a_window_that_is_stored() -> None:
    sends = [one for one in EVERY_STEP if isinstance(one.effect, do.Send)]

    assert {one.effect.number for one in sends if isinstance(one.effect, do.Send)} == {
        OPENED.number,
        RELEASING.number,
    }


# Stopping


def test_asked_to_stop_the_relay_reads_sends_and_opens_nothing_new_but_what_it_holds() -> None:
    begun = [one for one in EVERY_STEP if one.moment.stopping and one.before.cursor]

    assert not [one for one in begun if isinstance(one.effect, do.Read | do.OpenNext | do.Load)]
    assert {type(one.given) for one in begun if isinstance(one.effect, do.Send)} <= {
        told.PageRead,
        told.Refused,
    }


def test_asked_to_stop_the_relay_rests_and_sleeps_no_more() -> None:
    stops = [one for one in EVERY_STEP if one.moment.stopping]

    assert not [one for one in stops if isinstance(one.effect, do.Rest | do.LieDown | do.Sleep)]


def test_a_stop_closes_no_window_with_an_event_that_is_not_published() -> None:
    closings = [one for one in EVERY_STEP if one.moment.stopping and type(one.effect) is do.Save]

    assert closings
    for one in closings:
        closes = isinstance(one.effect, do.Save) and one.effect.cursor.closed
        assert not (closes and one.after.pages)
        assert not (closes and one.after.rows)


def test_a_stop_leaves_no_window_open_that_is_published_whole() -> None:
    """What is left open is sent again by the next leader, so a clean stop would make duplicates."""
    left_open = [
        one
        for one in EVERY_STEP
        if isinstance(one.effect, do.Stop)
        and not (one.after.cursor and one.after.cursor.closed)
        and not (one.after.rows or one.after.pages)
    ]

    assert [f"{one.before.state.name} --{type(one.given).__name__}" for one in left_open] == []


def test_a_page_that_was_handed_over_is_waited_for_and_stored_before_the_stop() -> None:
    relay, effect = walk(*SENDING, told.Acked(), moment=STOPPING)
    _, then = step(relay, told.Saved(OPENED.advanced(2)), STOPPING)

    assert (effect, then) == (do.Save(OPENED.advanced(2)), do.Stop())


def test_the_last_page_acknowledged_while_stopping_closes_its_window() -> None:
    relay, effect = walk(*SENDING_LAST, told.Acked(), moment=STOPPING)
    _, then = step(relay, told.Saved(OPENED.finished()), STOPPING)

    assert (effect, then) == (do.Save(OPENED.finished()), do.Stop())
