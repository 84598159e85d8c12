"""Lines of a label and a text, for a terminal of any width."""

from __future__ import annotations

import shutil
import sys
import textwrap

__all__ = ["labelled", "width"]

LABEL_CHARACTERS = 10
WIDTH_MIN = 40


def width() -> int | None:
    """Columns of the terminal that standard output is; None where it is none: lines are left whole
    there, for grep."""
    if not sys.stdout.isatty():
        return None
    return max(WIDTH_MIN, shutil.get_terminal_size().columns)


def labelled(label: str, text: str, columns: int | None, indent: int = LABEL_CHARACTERS) -> str:
    """`text` behind `label`, wrapped to `columns` and indented."""
    begin = label.ljust(indent)
    if columns is None:
        return begin + text
    lines = textwrap.wrap(
        text, columns, initial_indent=begin, subsequent_indent=" " * indent, break_on_hyphens=False
    )
    return "\n".join(lines) or begin.rstrip()
