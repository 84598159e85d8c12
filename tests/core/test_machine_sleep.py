"""How the relay sleeps: only after a look under the sleep lock, and never while it has work."""

from __future__ import annotations

from relay.core import effects as do
from relay.core import inputs as told
from relay.core.machine import Moment, Relay, State, step
from relay.core.pacing import IDLE_REST_S, SLEEP_AFTER_S, SLEEP_S_MAX
from tests.core.machine_walk import CLOSED, LEADING, LISTENING, NOW, OPENED, P1, P2, every_step

EVERY_STEP = tuple(every_step())
DOZING = (*LEADING, told.NothingAhead())


def listening_walk(*given: told.Input) -> tuple[Relay, do.Effect]:
    """A relay that has led in silence for long, after `given`."""
    relay, effect = Relay(), do.Effect()
    for at, one in enumerate(given):
        relay, effect = step(relay, one, LISTENING if at >= len(LEADING) else NOW)
    return relay, effect


def test_a_relay_that_writers_cannot_wake_never_lies_down() -> None:
    awake = [one for one in EVERY_STEP if not one.moment.listening]

    assert not [one for one in awake if isinstance(one.effect, do.LieDown)]


def test_a_short_silence_is_rested_through() -> None:
    within = Moment(NOW.now_s + SLEEP_AFTER_S - 0.001, listening=True)
    relay, _ = listening_walk(*LEADING)

    assert isinstance(step(relay, told.NothingAhead(), within)[1], do.Rest)


def test_after_a_silence_writers_are_asked_to_wake_it() -> None:
    assert listening_walk(*DOZING)[1] == do.LieDown()


def test_with_the_sleep_lock_it_looks_once_more_before_it_sleeps() -> None:
    assert listening_walk(*DOZING, told.Asleep())[1] == do.OpenNext(CLOSED)


def test_when_that_look_finds_nothing_it_sleeps() -> None:
    given = (*DOZING, told.Asleep(), told.NothingAhead())

    assert listening_walk(*given)[1] == do.Sleep(SLEEP_S_MAX)


def test_what_that_look_finds_is_read_once_writers_need_not_wake_it_any_more() -> None:
    given = (*DOZING, told.Asleep(), told.Opened(OPENED, (P1, P2)))
    relay, effect = listening_walk(*given)
    relay, then = step(relay, told.Risen(), LISTENING)

    assert (effect, then) == (do.Rise(), do.Read(OPENED.window, P1, P2))
    assert not relay.asleep


def test_woken_for_nothing_it_sleeps_on_after_one_look() -> None:
    asleep = (*DOZING, told.Asleep(), told.NothingAhead())

    assert listening_walk(*asleep, told.Woken())[1] == do.OpenNext(CLOSED)
    assert listening_walk(*asleep, told.Woken(), told.NothingAhead())[1] == do.Sleep(SLEEP_S_MAX)


def test_while_a_writer_keeps_it_from_lying_down_it_looks_at_the_pace_of_polling() -> None:
    assert listening_walk(*DOZING, told.Disturbed())[1] == do.Rest(IDLE_REST_S, idle=True)


def test_every_sleep_comes_after_a_look_that_was_made_under_the_lock() -> None:
    sleeps = [one for one in EVERY_STEP if one.after.state is State.SLEEPING]

    assert sleeps
    for one in sleeps:
        assert (one.before.state, one.before.asleep) == (State.LOOKING, True)
        assert isinstance(one.given, told.NothingAhead)


def test_nothing_is_read_sent_or_stored_while_writers_have_to_notify() -> None:
    under_the_lock = {type(one.effect) for one in EVERY_STEP if one.after.asleep}

    assert {do.OpenNext, do.Rise, do.Sleep} <= under_the_lock
    assert not {do.Read, do.Send, do.Save} & under_the_lock
