"""No example of the README stands there untried."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.docs.readme import README

TESTS = README.parent / "tests"
CHAPTERS = re.split(r"^##+ ", README.read_text(encoding="utf-8"), flags=re.MULTILINE)
WITH_EXAMPLES = [
    chapter.partition("\n")[0] for chapter in CHAPTERS if re.search(r"```(python|sql)\n", chapter)
]


@pytest.mark.parametrize("heading", WITH_EXAMPLES)
def test_a_chapter_with_examples_is_named_by_a_test_that_runs_them(heading: str) -> None:
    wanted = f'"{heading}"'
    others = (path for path in TESTS.rglob("test_*.py") if path.name != Path(__file__).name)
    assert [path for path in others if wanted in path.read_text(encoding="utf-8")]
