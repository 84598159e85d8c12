"""The relay's table where the broker refuses: it finds the event to blame, and waits at it where
what is missing may come. Setting aside for good is test_machine_parking.py's."""

from __future__ import annotations

from relay.core import effects as do
from relay.core import inputs as told
from relay.core.machine import step
from relay.core.pacing import MISSING_ASKED_FOR
from relay.core.parking import Parked
from relay.core.window import Page
from tests.core.machine_walk import (
    HALVED,
    LEADING,
    NOW,
    OPENED,
    P1,
    READING,
    ROWS,
    SENDING_LAST,
    row,
    send,
    walk,
)


def test_after_a_refusal_half_as_many_events_are_sent_to_find_the_refused_one() -> None:
    assert walk(*HALVED)[1] == send(ROWS[P1][:1])


def test_each_refusal_halves_and_each_success_doubles_what_is_sent_at_once() -> None:
    rows = [row(position) for position in range(1, 9)]
    relay, effect = walk(*LEADING, told.Opened(OPENED, (Page(1, 8, 99),)), told.PageRead(rows))
    sent = []
    for answer in (told.Refused("no"), told.Refused("no"), told.Acked(), told.Acked()):
        relay, effect = step(relay, answer, NOW)
        if isinstance(effect, do.Save):
            relay, effect = step(relay, told.Saved(effect.cursor), NOW)
        sent += [effect.rows] if isinstance(effect, do.Send) else []

    assert sent == [rows[:4], rows[:2], rows[2:6], rows[6:]]


def test_a_batch_whose_halves_pass_blames_no_event() -> None:
    given = (told.Acked(), told.Saved(OPENED.advanced(1)), told.Acked())

    assert not walk(*HALVED, *given)[0].reported


def test_events_before_the_refused_one_are_published_and_stored() -> None:
    relay, effect = walk(*HALVED, told.Acked())
    _, following = step(relay, told.Saved(OPENED.advanced(1)), NOW)

    assert effect == do.Save(OPENED.advanced(1))
    assert following == send(ROWS[P1][1:], cursor=OPENED.advanced(1))


def test_the_refused_event_is_reported_with_its_reason() -> None:
    reported = walk(*HALVED, told.Refused("missing", passing=True))[1]

    assert reported == do.ReportBlocked("id-1", "topic topic: missing")


def test_a_single_event_that_is_refused_is_reported_at_once() -> None:
    reported = walk(*SENDING_LAST, told.Refused("no", passing=True))[1]

    assert reported == do.ReportBlocked("id-11", "topic topic: no")


def in_topic(position: int, topic: str) -> told.Row:
    return (*row(position)[:2], topic, *row(position)[3:])


def test_of_a_refused_topic_exactly_the_events_before_its_first_are_sent() -> None:
    rows = [row(1), row(2), row(3), in_topic(4, "missing"), row(5)]
    given = (told.PageRead(rows), told.Refused("does not exist", "missing", passing=True))

    assert walk(*READING, *given)[1] == send(rows[:3])


def test_the_first_event_of_a_refused_topic_is_reported_when_nothing_stands_before_it() -> None:
    rows = [in_topic(1, "missing"), row(2)]
    given = (told.PageRead(rows), told.Refused("does not exist", "missing", passing=True))

    reported = walk(*READING, *given)[1]

    assert reported == do.ReportBlocked("id-1", "topic missing: does not exist")


def test_a_topic_that_stays_missing_is_set_aside_whole_and_the_others_go_on() -> None:
    rows = [in_topic(1, "missing"), row(2), in_topic(3, "missing")]
    refused = told.Refused("does not exist", "missing", passing=True)
    asked_again = MISSING_ASKED_FOR * (refused, told.Reported(), told.Rested(), told.Recovered())
    relay, saved = walk(*READING, told.PageRead(rows), *asked_again, refused)
    _, sent = step(relay, told.Saved(OPENED.advanced(1)), NOW)

    reason = "topic missing: does not exist"
    head = Parked(rows[0], reason, ("missing", None), passing=True)
    assert saved == do.Save(OPENED.advanced(1), unblocks=True, parked=(head,))
    assert sent == send([row(2)], cursor=OPENED.advanced(1))


def test_nothing_behind_a_refused_event_is_sent() -> None:
    given = (told.Refused("no", passing=True), told.Reported(), told.Rested(), told.Recovered())

    assert walk(*HALVED, *given)[1] == send(ROWS[P1][:1])


def test_a_refused_event_that_is_taken_at_last_is_stored_as_no_longer_refused() -> None:
    given = (
        told.Refused("no", passing=True),
        told.Reported(),
        told.Rested(),
        told.Recovered(),
        told.Acked(),
    )

    assert walk(*HALVED, *given)[1] == do.Save(OPENED.advanced(1), unblocks=True)


def test_a_refused_event_at_the_end_of_the_window_is_stored_as_no_longer_refused() -> None:
    given = (
        told.Refused("no", passing=True),
        told.Reported(),
        told.Rested(),
        told.Recovered(),
        told.Acked(),
    )

    assert walk(*SENDING_LAST, *given)[1] == do.Save(OPENED.advanced(11), unblocks=True)


def test_pages_behind_a_refused_event_are_sent_whole_again() -> None:
    relay, _ = walk(
        *READING, told.PageRead([row(1)]), told.Refused("no", passing=True), told.Reported()
    )
    for given in (told.Rested(), told.Recovered(), told.Acked(), told.Saved(OPENED.advanced(1))):
        relay, _ = step(relay, given, NOW)
    _, effect = step(relay, told.PageRead([row(11), row(12)]), NOW)

    assert effect == send([row(11), row(12)], cursor=OPENED.advanced(1))
