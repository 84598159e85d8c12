"""The README's examples, as they stand there."""

from __future__ import annotations

import re
from pathlib import Path
from textwrap import dedent
from typing import Any

import coordinator

README = Path(coordinator.__file__).parents[1] / "README.md"


def examples(heading: str, language: str = "python") -> list[str]:
    """The examples in `language` of the chapter below a heading of the README."""
    _, found, below = README.read_text(encoding="utf-8").partition(f"\n### {heading}\n")
    assert found, heading
    chapter = re.split(r"^##+ ", below, maxsplit=1, flags=re.MULTILINE)[0]
    blocks = re.findall(rf"^( *)```{language}\n(.*?)^\1```$", chapter, re.MULTILINE | re.DOTALL)
    assert blocks, heading
    return [dedent(block) for _, block in blocks]


def run(heading: str, source: str, /, **names: Any) -> dict[str, Any]:
    """Execute an example of the chapter, in which `names` are known; gives all names after it."""
    names["__name__"] = "readme"
    exec(compile(source, f"README: {heading}", "exec"), names)
    return names
