"""The examples of the front page and of the two books, as they stand there."""

from __future__ import annotations

import re
from pathlib import Path
from textwrap import dedent
from typing import Any

import coordinator

ROOT = Path(coordinator.__file__).parents[1]
READMES = (
    ROOT / "README.md",
    ROOT / "coordinator" / "README.md",
    ROOT / "relay" / "README.md",
)


def chapters() -> list[tuple[str, str]]:
    """The headings of all READMEs, each with what stands below it."""
    texts = (path.read_text(encoding="utf-8") for path in READMES)
    found = (part for text in texts for part in re.split(r"^##+ ", text, flags=re.MULTILINE)[1:])
    return [(heading, below) for heading, _, below in (part.partition("\n") for part in found)]


def examples(heading: str, language: str = "python") -> list[str]:
    """The examples in `language` of the chapter below a heading."""
    (chapter,) = (below for found, below in chapters() if found == heading)
    blocks = re.findall(rf"^( *)```{language}\n(.*?)^\1```$", chapter, re.MULTILINE | re.DOTALL)
    assert blocks, heading
    return [dedent(block) for _, block in blocks]


def run(heading: str, source: str, /, **names: Any) -> dict[str, Any]:
    """Execute an example of the chapter, in which `names` are known; gives all names after it."""
    names["__name__"] = "readme"
    exec(compile(source, f"README: {heading}", "exec"), names)
    return names
