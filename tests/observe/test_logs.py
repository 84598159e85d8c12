"""The log: one JSON object a line whatever stands in the values and however it ends, keys by choice
only, and nothing that a terminal would obey."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from typing import Any

import pytest

SECRET = "hunter2swordfish"
LOGGING = """
import logging, threading
from relay.errors import Unreachable
from relay.observe import logs
log = logs.log
def fail(problem):
    raise problem
with logs.configured(keys={keys}), logs.ends_as_a_line():
    {statement}
"""
EVERY_CHARACTER = """
    for first in range(0, 0x110000, 4096):
        if first != 0xd000:  # half of them are surrogates, which no text of a database holds
            log.info("said", topic="".join(map(chr, range(first, first + 4096))))
"""
SURROGATES = range(0xD000, 0xE000)
FORGING = 'a\n{"event": "forged"}\r\x1b[31m\x9b2J\u2028{"event": "forged"}'
OBEYED = "\x1b[31m\x1b]0;title\x07\x9b2J"
COLOUR = re.compile(r"\x1b\[[0-9]{1,3}m")


def said(statement: str, *, keys: bool = False, errors: int | None = None) -> str:
    """What a process writes to standard error that logs, and does `statement` meanwhile."""
    program = LOGGING.format(keys=keys, statement=statement.strip())
    command = [sys.executable, "-c", program]
    if errors is not None:
        subprocess.run(command, stderr=errors, timeout=30, check=True)
        return ""
    done = subprocess.run(command, stderr=subprocess.PIPE, timeout=30, check=False)
    return done.stderr.decode("ascii")


def lines(text: str) -> list[dict[str, Any]]:
    """The lines of a log; one that is no JSON object fails the test."""
    found = [json.loads(line) for line in text.split("\n")[:-1]]
    assert all(isinstance(line, dict) for line in found)
    return found


def test_every_character_of_unicode_is_written_as_printable_ascii_and_read_back() -> None:
    text = said(EVERY_CHARACTER)
    assert text.replace("\n", "").isprintable()
    every = map(chr, (*range(SURROGATES.start), *range(SURROGATES.stop, 0x110000)))
    assert "".join(line["topic"] for line in lines(text)) == "".join(every)


def test_a_line_cannot_be_forged_from_within_a_value() -> None:
    (line,) = lines(said(f"log.error('event_parked', topic={FORGING!r})"))
    assert (line["event"], line["topic"]) == ("event_parked", FORGING)


def test_a_terminal_is_sent_readable_lines_and_no_control_character_of_a_value() -> None:
    reading, writing = pty.openpty()
    values = f"topic={OBEYED!r}, reason={FORGING!r}, advice='look'"
    said(f"log.error('event_parked', {values})", errors=writing)
    os.close(writing)
    seen = os.read(reading, 65_536).decode()
    os.close(reading)
    plain = COLOUR.sub("", seen.removesuffix("\r\n"))
    assert plain.isprintable(), repr(plain)
    assert "event_parked" in plain
    assert "advice='look'" in plain
    assert r"\x1b[31m\x1b]0;title" in plain


@pytest.mark.parametrize("keys", [True, False])
def test_a_key_is_told_by_choice_only(keys: bool) -> None:
    (line,) = lines(said("log.error('event_parked', key='k', event_id='1')", keys=keys))
    assert ("key" in line, line["event_id"]) == (keys, "1")


def test_an_error_of_ours_that_ends_the_relay_is_its_last_line_with_the_exit_code() -> None:
    (line,) = lines(said("fail(Unreachable('database: away'))"))
    assert (line["event"], line["reason"], line["exit_code"]) == ("ended", "database: away", 69)


@pytest.mark.parametrize(
    "statement",
    [
        f"fail(ValueError('row ({SECRET})'))",
        f"t = threading.Thread(target=fail, args=(ValueError({SECRET!r}),)); t.start(); t.join()",
    ],
    ids=["main", "thread"],
)
def test_a_bug_is_a_line_with_its_kind_and_place_and_nothing_of_its_text(statement: str) -> None:
    text = said(statement)
    (line,) = lines(text)
    assert line["event"] == "bug"
    assert "ValueError" in line["reason"]
    assert "fail" in line["reason"]
    assert SECRET not in text


def test_a_warning_of_a_library_is_a_line_with_its_name_and_nothing_of_its_text() -> None:
    text = said(f"logging.getLogger('some.library').warning('took %s', {SECRET!r})")
    (line,) = lines(text)
    assert (line["event"], line["by"]) == ("library", "some.library")
    assert SECRET not in text
