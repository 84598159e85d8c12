"""Text for a terminal, whoever wrote it: keys, payloads and reasons come from outside.

A terminal obeys what it is shown: an escape sequence moves the cursor over lines that should be
read, sets the window's title, or writes into the clipboard; a character that turns the direction of
writing makes a key look like another.
"""

from __future__ import annotations

__all__ = ["printable"]


def printable(text: str) -> str:
    """The text with everything but line breaks that does not print in a `\\x1b` way of writing."""
    return "".join(one if one.isprintable() or one == "\n" else ascii(one)[1:-1] for one in text)
