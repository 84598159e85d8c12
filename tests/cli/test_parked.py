"""`relay parked`, `relay pause` and `relay resume`, as an operator types them; the leader is a
store that the test steps."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from relay.core.inputs import Opened, event_id
from relay.core.parking import Parked
from relay.postgres.cursor_store import PostgresCursorStore
from relay.postgres.window_reader import PageReader
from tests.cli.command import Outcome, relay, status
from tests.relay.events import connected, emit, value_of
from tests.relay.leader import leading, opened

SECRET = b'{"iban": "DE02"}'


@pytest.fixture
def leader(database_url: str) -> Iterator[PostgresCursorStore]:
    with leading(database_url) as store:
        yield store


def rows_of(database_url: str, window: Opened) -> list[Any]:
    reader = PageReader(database_url)
    try:
        found = [reader.read(window.cursor.window, page) for page in window.pages]
    finally:
        reader.close()
    return [row for page in found for row in page]


def park_all(database_url: str, leader: PostgresCursorStore) -> None:
    """Everything that is pending is parked: the first of each key as too large, the rest behind."""
    window = opened(leader)
    rows, held, parked = rows_of(database_url, window), set(), []
    for row in rows:
        hold = (row[2], row[3])
        is_head = row[3] is None or hold not in held
        held.add(hold)
        begun = hold if is_head and row[3] is not None else None
        parked.append(Parked(row, "topic t: too large", begun) if is_head else Parked(row))
    cursor = window.cursor.advanced(rows[-1][0])
    leader.save(cursor, unblocks=False, parked=tuple(parked))


def asked(database_url: str, *args: str) -> Outcome:
    outcome = relay(*args, database_url=database_url)
    assert outcome.exit_code == 0, outcome.said
    return outcome


def listed(database_url: str, *args: str) -> Any:
    return json.loads(asked(database_url, "parked", "list", "--json", *args).out)


def taken_up(database_url: str, leader: PostgresCursorStore) -> tuple[list[str], object]:
    """The ids in the window that the leader opens next, and what is held from then on."""
    window = opened(leader)
    return [event_id(row) for row in rows_of(database_url, window)], window.held


# list and show


def test_nothing_is_parked_at_first(database_url: str) -> None:
    assert asked(database_url, "parked", "list").out == "nothing is parked, held or paused\n"


def test_the_list_tells_the_head_its_reason_and_how_many_wait_behind_it(
    database_url: str, leader: PostgresCursorStore
) -> None:
    head, *_ = emit(database_url, "t", key="a", count=3)
    park_all(database_url, leader)
    said = asked(database_url, "parked", "list").out

    assert f"topic t key 'a' event {head}\n" in said
    assert "waits, 2 behind it, since 0 s" in said
    assert "too large" in said


def test_the_list_as_json_has_a_row_for_each_key(
    database_url: str, leader: PostgresCursorStore
) -> None:
    for key in ("a", "b", None):
        emit(database_url, "t", key=key, count=2)
    park_all(database_url, leader)

    found = [(one["key"], one["events"]) for one in listed(database_url)]
    assert sorted(found, key=str) == [("a", 2), ("b", 2), (None, 1), (None, 1)]


@pytest.mark.parametrize(
    ("selection", "expected"),
    [
        (("--key", "a"), ["a"]),
        (("--topic", "t"), ["a", "b"]),
        (("--topic", "u"), []),
        (("--older-than", "1h"), []),
    ],
)
def test_the_list_can_be_narrowed(
    database_url: str,
    leader: PostgresCursorStore,
    selection: tuple[str, ...],
    expected: list[str],
) -> None:
    for key in ("a", "b"):
        emit(database_url, "t", key=key)
    park_all(database_url, leader)

    assert sorted(one["key"] for one in listed(database_url, *selection)) == expected


def test_show_keeps_the_payload_to_itself_unless_it_is_asked_for(
    database_url: str, leader: PostgresCursorStore
) -> None:
    (head,) = emit(database_url, "t", payload=SECRET)
    park_all(database_url, leader)
    discreet = asked(database_url, "parked", "show", "--id", head).said
    asked_for = asked(database_url, "parked", "show", "--id", head, "--payload").out

    assert "DE02" not in discreet
    assert "payload_bytes 16" in discreet
    assert SECRET.decode() in asked_for


def test_an_event_that_is_not_parked_cannot_be_shown(database_url: str) -> None:
    (free,) = emit(database_url, "t")
    outcome = relay("parked", "show", "--id", free, database_url=database_url)

    assert (outcome.exit_code, outcome.err) == (1, f"Error: event {free} is not parked\n")


def test_the_schema_is_not_removed_while_events_are_parked(
    database_url: str, leader: PostgresCursorStore
) -> None:
    emit(database_url, "t")
    park_all(database_url, leader)
    outcome = relay("migrate", "--down", "base", database_url=database_url)

    assert outcome.exit_code == 1
    assert "1 committed events are not published yet" in outcome.err


# retry


def test_a_retry_releases_the_key_whole_in_order_and_frees_it(
    database_url: str, leader: PostgresCursorStore
) -> None:
    ids = emit(database_url, "t", key="a", count=3)
    emit(database_url, "t", key="b")
    park_all(database_url, leader)
    asked(database_url, "parked", "retry", "--key", "a", "--why", "mended")

    assert taken_up(database_url, leader) == (ids, frozenset([("t", "b")]))


def test_a_retry_by_an_id_behind_the_head_releases_its_key(
    database_url: str, leader: PostgresCursorStore
) -> None:
    ids = emit(database_url, "t", count=2)
    park_all(database_url, leader)
    asked(database_url, "parked", "retry", "--id", ids[1], "--why", "mended")

    assert taken_up(database_url, leader)[0] == ids


def test_events_without_a_key_are_retried_one_by_one(
    database_url: str, leader: PostgresCursorStore
) -> None:
    ids = emit(database_url, "t", key=None, count=2)
    park_all(database_url, leader)
    asked(database_url, "parked", "retry", "--id", ids[1], "--why", "mended")

    assert taken_up(database_url, leader)[0] == ids[1:]


def test_a_rehearsal_says_what_would_be_and_changes_nothing(
    database_url: str, leader: PostgresCursorStore
) -> None:
    (head,) = emit(database_url, "t")
    park_all(database_url, leader)
    said = asked(database_url, "parked", "retry", "--all", "--why", "?", "--dry-run").out

    assert said == f"would be released: topic t key 'k' event {head}\n"
    assert listed(database_url)[0]["released"] is False
    assert value_of(database_url, "select count(*) from outbox.parked_action") == 0


def test_a_retry_must_say_of_what(database_url: str) -> None:
    outcome = relay("parked", "retry", "--why", "mended", database_url=database_url)

    assert outcome.exit_code == 2
    assert "--all" in outcome.err


def test_who_when_and_why_are_recorded(database_url: str, leader: PostgresCursorStore) -> None:
    (head,) = emit(database_url, "t")
    park_all(database_url, leader)
    why = ("--who", "ann", "--why", "limit raised")
    asked(database_url, "parked", "retry", "--key", "k", *why)

    with connected(database_url) as connection:
        rows = connection.execute(
            "select action, who, why, topic, key, events::text[] from outbox.parked_action"
        ).fetchall()
    assert rows == [("retry", "ann", "limit raised", "t", "k", [head])]


# discard


def test_a_discard_asks_for_the_key_again(database_url: str, leader: PostgresCursorStore) -> None:
    emit(database_url, "t", key="a")
    park_all(database_url, leader)
    for wrong in ((), ("--yes-key", "b"), ("--yes-keyless",)):
        args = ("parked", "discard", "--key", "a", *wrong, "--why", "test data")
        assert relay(*args, database_url=database_url).exit_code == 2

    assert status(database_url)["parked"] == 1


def test_a_discarded_key_is_free_once_the_leader_knows(
    database_url: str, leader: PostgresCursorStore
) -> None:
    emit(database_url, "t", key="a", count=2)
    park_all(database_url, leader)
    asked(database_url, "parked", "discard", "--key", "a", "--yes-key", "a", "--why", "test data")

    assert status(database_url)["parked"] == 0
    assert taken_up(database_url, leader) == ([], frozenset())


def test_what_waits_behind_a_discarded_event_waits_on_for_a_retry(
    database_url: str, leader: PostgresCursorStore
) -> None:
    head, *behind = emit(database_url, "t", key="a", count=3)
    park_all(database_url, leader)
    asked(database_url, "parked", "discard", "--id", head, "--yes-key", "a", "--why", "test data")
    assert status(database_url)["held"] == 1
    asked(database_url, "parked", "retry", "--key", "a", "--why", "test data")

    assert taken_up(database_url, leader) == (behind, frozenset())


def test_an_event_without_a_key_is_discarded_by_its_id(
    database_url: str, leader: PostgresCursorStore
) -> None:
    ids = emit(database_url, "t", key=None, count=2)
    park_all(database_url, leader)
    chosen = ("--id", ids[0], "--yes-keyless")
    asked(database_url, "parked", "discard", *chosen, "--why", "test data")

    assert [one["event_id"] for one in listed(database_url)] == ids[1:]


def test_a_head_that_was_discarded_is_listed_no_more(
    database_url: str, leader: PostgresCursorStore
) -> None:
    head, *_ = emit(database_url, "t", key="a", count=3)
    emit(database_url, "t", key="b")
    park_all(database_url, leader)
    asked(database_url, "parked", "discard", "--id", head, "--yes-key", "a", "--why", "test data")
    asked(database_url, "parked", "discard", "--key", "b", "--yes-key", "b", "--why", "test data")

    # Before the leader's next look: of one key the rest waits on, of the other nothing is left.
    (one,) = listed(database_url)
    assert (one["key"], one["event_id"], one["events"]) == ("a", None, 2)
    assert "relay parked retry" in one["reason"]


def test_an_event_that_is_on_its_way_is_not_discarded(
    database_url: str, leader: PostgresCursorStore
) -> None:
    (head,) = emit(database_url, "t", key="a")
    park_all(database_url, leader)
    asked(database_url, "parked", "retry", "--all", "--why", "mended")
    opened(leader)
    said = asked(
        database_url, "parked", "discard", "--id", head, "--yes-key", "a", "--why", "too late"
    ).err

    assert "nothing that could be discarded was found" in said
    assert status(database_url)["parked"] == 1


# pause and resume


def test_a_paused_key_is_held_until_it_is_resumed(
    database_url: str, leader: PostgresCursorStore
) -> None:
    paused = ("--topic", "t", "--key", "a")
    asked(database_url, "pause", *paused, "--why", "consumer is down")
    assert taken_up(database_url, leader) == ([], frozenset([("t", "a")]))
    assert "consumer is down" in asked(database_url, "parked", "list").out
    asked(database_url, "parked", "retry", "--all", "--why", "not what was meant")
    asked(database_url, "resume", *paused, "--why", "it is up")

    assert taken_up(database_url, leader) == ([], frozenset())


def test_a_topic_is_paused_whole(database_url: str, leader: PostgresCursorStore) -> None:
    asked(database_url, "pause", "--topic", "t", "--why", "move of the cluster")

    assert taken_up(database_url, leader)[1] == frozenset([("t", None)])


def test_a_topic_that_nobody_has_written_to_is_paused_with_a_warning(database_url: str) -> None:
    emit(database_url, "orders")
    known = asked(database_url, "pause", "--topic", "orders", "--why", "w")
    misspelt = asked(database_url, "pause", "--topic", "oders", "--why", "w")
    assert known.err == ""
    assert "no event of topic oders" in misspelt.err
    assert "relay resume" in misspelt.err


# what is said of others' text, and of nothing


def test_no_control_character_reaches_the_terminal(
    database_url: str, leader: PostgresCursorStore
) -> None:
    emit(database_url, "t", key="a\x1b[2J")
    park_all(database_url, leader)
    asked(database_url, "pause", "--topic", "u", "--why", "x\x1b]0;title\x07")
    said = asked(database_url, "parked", "list").out
    assert "a\\x1b[2J" in said
    assert "x\\x1b]0;title" in said
    assert "\x1b" not in said


@pytest.mark.parametrize(
    "command",
    [
        ("parked", "retry", "--all"),
        ("resume", "--topic", "t"),
        ("parked", "retry", "--all", "--json"),
    ],
)
def test_where_there_is_nothing_to_do_standard_error_says_so(
    database_url: str, command: tuple[str, ...]
) -> None:
    outcome = asked(database_url, *command, "--why", "w")
    assert "nothing that could be" in outcome.err
    assert outcome.out in ("", "[]\n")
