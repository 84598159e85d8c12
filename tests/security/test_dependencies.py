"""What is installed is what was locked: every package by its exact version and by hashes.

Whether one of them is known to be vulnerable, or was yanked, only the network knows: `make audit`.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LOCKS = ("requirements.lock", "deploy/requirements.lock", "deploy/build.lock")
PINNED = re.compile(
    r"[a-z0-9][a-z0-9._-]*(\[[a-z,]+\])?==[0-9][0-9a-z.!+]*( ; [^\\]+)?"
    r"( --hash=sha256:[0-9a-f]{64})+"
)


def requirements(text: str) -> list[str]:
    """Each with its hashes, on one line."""
    joined = re.sub(r"\s*\\\n\s*", " ", text)
    return [line for line in joined.splitlines() if line and not line.startswith("#")]


def unpinned(text: str) -> list[str]:
    return [one for one in requirements(text) if not PINNED.fullmatch(one)]


@pytest.mark.parametrize("lock", LOCKS)
def test_every_package_has_one_version_and_hashes(lock: str) -> None:
    text = (ROOT / lock).read_text()
    assert requirements(text)
    assert unpinned(text) == []


@pytest.mark.parametrize(
    "line",
    [
        "click==8.1.7",
        f"click>=8.1.7 --hash=sha256:{'0' * 64}",
        f"click==8.* --hash=sha256:{'0' * 64}",
        f"click==8.1.7 --hash=md5:{'0' * 32}",
        "click @ https://example.org/click.whl",
        "-e git+https://example.org/click#egg=click",
        "--find-links https://example.org/packages",
    ],
)
def test_one_that_has_not_would_be_found(line: str) -> None:
    assert unpinned(line) == [line]


@pytest.mark.parametrize("recipe", ["Makefile", "deploy/Dockerfile"])
def test_nothing_is_installed_past_the_locks(recipe: str) -> None:
    text = (ROOT / recipe).read_text().replace("\\\n", " ")
    installs = [line for line in text.splitlines() if " install " in line and "pip " in line]
    assert installs
    for line in installs:
        # The checkout itself, whose own dependencies are there by then; or the auditor, elsewhere.
        assert "--require-hashes" in line or "--no-deps" in line or "audit" in line, line
