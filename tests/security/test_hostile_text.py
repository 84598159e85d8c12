"""Text from outside, a writer's or a server's: it forges no line of a log and moves no terminal."""

from __future__ import annotations

import json
import struct

from hypothesis import given
from hypothesis import strategies as st

from relay.core.parking import Parked
from relay.core.printable import printable_lines
from relay.postgres.window_reader import PageReader
from tests.cli.command import relay
from tests.relay.events import emit
from tests.relay.leader import leading, opened
from tests.support.listening import listening
from tests.support.processes import StartRelay

CLEARS = "\x1b[2J\x1b]0;pwned\x07"
TURNS = "\u202e"
FORGED = '{"event": "leading", "level": "info"}'


def park_one(database_url: str, key: str, payload: bytes, reason: str) -> str:
    """Have it parked as a leader does."""
    (event_id,) = emit(database_url, "orders", key=key, payload=payload)
    with leading(database_url) as leader:
        window = opened(leader)
        reader = PageReader(database_url)
        try:
            (row,) = reader.read(window.cursor.window, window.pages[0])
        finally:
            reader.close()
        parked = (Parked(row, reason, ("orders", key)),)
        leader.save(window.cursor.advanced(row[0]), unblocks=False, parked=parked)
    return event_id


def test_a_key_a_payload_and_a_reason_are_shown_without_moving_the_terminal(
    database_url: str,
) -> None:
    hostile = f"k{CLEARS}{TURNS}"
    event_id = park_one(database_url, hostile, f"p{CLEARS}".encode(), f"r{CLEARS}")
    shown = relay("parked", "show", "--id", event_id, "--payload", database_url=database_url)
    listed = relay("parked", "list", database_url=database_url)
    for outcome in (shown, listed):
        assert outcome.exit_code == 0, outcome.said
        assert printable_lines(outcome.said) == outcome.said
        assert "\\x1b[2J" in outcome.said
    assert (
        json.loads(relay("parked", "list", "--json", database_url=database_url).out)[0]["key"]
        == hostile
    )


@given(st.text())
def test_what_is_printed_has_no_control_character_and_plain_text_is_as_it_was(text: str) -> None:
    shown = printable_lines(text)
    assert all(one.isprintable() or one == "\n" for one in shown)
    assert shown == text or not text.replace("\n", "").isprintable()


def test_what_a_server_says_is_one_line_of_the_log_and_no_other(relay_process: StartRelay) -> None:
    with listening(answer=refusal(f"no\n{FORGED}\n{CLEARS}")) as server:
        url = f"postgresql://relay@127.0.0.1:{server.port}/app?sslmode=disable"
        process = relay_process(url, "127.0.0.1:1", RELAY_HTTP="")
        process.wait_for_log("unreachable")
        text = process.log_text()
    assert not any(line.get("event") == "leading" for line in process.log_lines())
    assert all(one.isprintable() or one == "\n" for one in text)
    assert text.isascii()


def test_what_a_server_says_to_a_command_moves_no_terminal() -> None:
    with listening(answer=refusal(f"no {CLEARS}")) as server:
        url = f"postgresql://relay@127.0.0.1:{server.port}/app?sslmode=disable"
        outcome = relay("status", database_url=url)
    assert outcome.exit_code == 69
    assert "\\x1b[2J" in outcome.err
    assert printable_lines(outcome.said) == outcome.said


def refusal(message: str) -> bytes:
    """PostgreSQL's ErrorResponse."""
    fields = f"SFATAL\0VFATAL\0C28000\0M{message}\0\0".encode()
    return b"E" + struct.pack("!i", len(fields) + 4) + fields
