"""Text that others wrote, made fit for a terminal.

Keys, reasons, and the names that sessions give themselves come from whoever may write them. Printed
as they are, an escape sequence in one would clear the screen, rewrite a line above it, or put words
into the operator's mouth; a bidirectional override would turn a name around.
"""

from __future__ import annotations

__all__ = ["printable", "printable_lines"]


def printable(text: str) -> str:
    """The text with whatever is not printable as an escape: `\\x1b`, `\\n`, `\\u202e`."""
    if text.isprintable():
        return text
    return "".join(
        one if one.isprintable() else one.encode("unicode_escape").decode() for one in text
    )


def printable_lines(text: str) -> str:
    """The same of each line, where the text is ours and may have several."""
    return "\n".join(map(printable, text.split("\n")))
