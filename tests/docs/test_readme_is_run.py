"""No example of the READMEs stands there untried."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.docs.readme import ROOT, chapters

WITH_EXAMPLES = [heading for heading, below in chapters() if re.search(r"```(python|sql)\n", below)]


@pytest.mark.parametrize("heading", WITH_EXAMPLES)
def test_a_chapter_with_examples_is_named_by_a_test_that_runs_them(heading: str) -> None:
    wanted = f'"{heading}"'
    others = (path for path in (ROOT / "tests").rglob("test_*.py") if path != Path(__file__))
    assert [path for path in others if wanted in path.read_text(encoding="utf-8")]
