"""What stands at / and at /status.json, without a browser."""

from __future__ import annotations

import json
import re
from base64 import b64encode
from hashlib import sha256
from typing import Any

from relay.core.board import Board, Waiting
from relay.core.status import Status
from relay.observe.page.answers import document, document_headers, status_json
from relay.observe.page.watched import Watched

HOSTILE = "</script><img src=x onerror=alert(1)>\x1b[2J\u202e"
STATUS = Status(4, 0.5, "host/1/ab", 3, 5, 1, 9, None)


def board(passed: int = 100, reason: str = "too large") -> Board:
    waiting = Waiting("orders", "key", "id-1", reason, 60.0, 5, None, released=False)
    return Board(STATUS, passed, waiting=(waiting,))


def said(watched: Watched, now_s: float = 100.0) -> Any:
    (outbox,) = json.loads(status_json("host/1", [watched], now_s))["outboxes"]
    return outbox


def policy() -> dict[str, str]:
    parts = document_headers()["Content-Security-Policy"].split("; ")
    return dict(part.partition(" ")[::2] for part in parts)


def test_the_page_names_no_other_place() -> None:
    text = document().decode()
    addresses = set(re.findall(r"(?:https?:)?//[\w.]+", text)) - {"http://www.w3.org", "//status"}
    assert {one for one in addresses if "." in one} == set()
    assert re.findall(r"\bsrc=|@import|url\(", text) == []


def test_the_page_has_nothing_to_change_things_with() -> None:
    assert re.findall(r"<(form|button|input)|method:|POST|PUT|DELETE", document().decode()) == []


def test_the_page_makes_no_html_of_text() -> None:
    ways = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|Function\(|setHTML"
    assert re.findall(ways, document().decode()) == []


def test_the_policy_admits_the_one_script_and_the_one_style_by_their_hashes() -> None:
    for tag in ("script", "style"):
        (inline,) = re.findall(rf"<{tag}>(.*?)</{tag}>", document().decode(), re.DOTALL)
        digest = b64encode(sha256(inline.encode()).digest()).decode()
        assert policy()[f"{tag}-src"] == f"'sha256-{digest}'"


def test_the_policy_admits_nothing_else() -> None:
    rest = {name: value for name, value in policy().items() if not name.startswith(("scr", "sty"))}
    assert rest == {
        "default-src": "'none'",
        "connect-src": "'self'",
        "img-src": "data:",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }


def test_what_comes_from_outside_is_plain_ascii_in_json() -> None:
    watched = Watched("")
    watched.saw(board(reason=HOSTILE), 90.0)
    answer = status_json("host/1", [watched], 100.0)
    assert answer.isascii()
    assert b"\x1b" not in answer
    assert said(watched)["waiting"][0]["reason"] == HOSTILE


def test_before_the_first_look_there_is_a_headline_and_no_figure() -> None:
    known = said(Watched("billing"))
    assert (known["name"], known["headline"]["tone"]) == ("billing", "note")
    assert (known["points"], known["age_seconds"], "status" in known) == ([], None, False)


def test_a_look_is_told_with_its_age_and_its_curves() -> None:
    watched = Watched("")
    watched.saw(board(passed=100), 90.0)
    watched.saw(board(passed=200), 95.0)
    known = said(watched)
    assert (known["age_seconds"], known["rate"]) == (5.0, 20.0)
    assert known["points"] == [[10.0, None, 0.5, 4], [5.0, 20.0, 0.5, 4]]
    assert known["waiting"][0]["events_is_at_least"] is False


def test_after_a_look_that_failed_the_last_figures_stand_there_with_their_age() -> None:
    watched = Watched("")
    watched.saw(board(), 90.0)
    watched.missed("database: connection refused", 95.0)
    known = said(watched)
    assert (known["age_seconds"], known["status"]["pending"]) == (10.0, 4)
    assert (known["headline"]["tone"], known["problem"]) == ("bad", "database: connection refused")
    assert known["points"][-1] == [5.0, None, None, None]


def test_the_page_says_first_that_no_broker_answers_its_relay() -> None:
    watched = Watched("", broker_away=lambda: True)
    watched.saw(board(), 90.0)
    assert said(watched)["headline"]["text"].startswith("No broker answers")


def test_the_next_good_look_ends_the_problem() -> None:
    watched = Watched("")
    watched.missed("database: connection refused", 85.0)
    watched.saw(board(), 90.0)
    assert said(watched)["problem"] is None
