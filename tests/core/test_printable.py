"""Text of others on a terminal: nothing in it is obeyed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.core.printable import printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("orders-42 überfällig", "orders-42 überfällig"),
        ("\x1b[2Jgone", "\\x1b[2Jgone"),
        ("two\nlines\r", "two\\nlines\\r"),
        ("\u202egnorw", "\\u202egnorw"),
        ("\x9b31m", "\\x9b31m"),
    ],
)
def test_what_a_terminal_would_obey_is_an_escape(text: str, shown: str) -> None:
    assert printable(text) == shown


@given(st.text())
def test_what_is_shown_is_printable_whatever_it_was(text: str) -> None:
    assert printable(text).isprintable()
