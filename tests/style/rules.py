"""What a house rule is: a name, a finder, and examples that it must catch.

A rule that cannot fail proves nothing, so each carries planted projects that break it, and one that
looks alike and does not (`test_house_rules.py` tries all).
"""

from __future__ import annotations

import ast
import shutil
import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path

ROOT = Path(__file__).parents[2]

# Where there is no git (an unpacked sdist), these are not ours.
_FOREIGN_FOLDERS = {"dist", "build", "__pycache__"}


@dataclass(frozen=True)
class Source:
    """A file of the project: its path from the root, with slashes, and its text."""

    path: str
    text: str

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text, self.path)

    @property
    def is_python(self) -> bool:
        return self.path.endswith(".py")

    @property
    def is_product(self) -> bool:
        return self.path.startswith(("coordinator/", "relay/"))


@dataclass(frozen=True)
class Finding:
    path: str
    line: int
    problem: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.problem}"


# Line and problem, of one file.
Problems = Iterable[tuple[int, str]]
Project = Sequence[Source]


@dataclass(frozen=True)
class Rule:
    """A rule over the whole project.

    A project is given as path to text. Each of `planted` must be caught, `spared` must not.
    """

    name: str
    find: Callable[[Project], Iterable[Finding]]
    planted: Sequence[Mapping[str, str]]
    spared: Mapping[str, str] = field(default_factory=dict)


def each_python(find: Callable[[Source], Problems]) -> Callable[[Project], Iterator[Finding]]:
    """Make a finder over one Python file into one over the project."""
    return each(find, only=lambda source: source.is_python)


def each(
    find: Callable[[Source], Problems], only: Callable[[Source], bool] = lambda _: True
) -> Callable[[Project], Iterator[Finding]]:
    """Make a finder over one file into one over those files of the project that `only` admits."""

    def find_in_all(project: Project) -> Iterator[Finding]:
        for source in project:
            if only(source):
                for line, problem in find(source):
                    yield Finding(source.path, line, problem)

    return find_in_all


@cache
def project() -> Project:
    """Read every text file that is, or is about to be, in the repository."""
    texts = ((path, _text(ROOT / path)) for path in sorted(_paths()))
    return [Source(path, text) for path, text in texts if text is not None]


def pictures() -> list[str]:
    """The paths of those that are in the repository."""
    return [path for path in _paths() if path.endswith(".png")]


def _paths() -> Iterable[str]:
    git = shutil.which("git")
    listed = git and subprocess.run(
        [git, "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if listed and listed.returncode == 0:
        return [path for path in listed.stdout.split("\0") if path and (ROOT / path).is_file()]
    return [path.relative_to(ROOT).as_posix() for path in _walk(ROOT)]


def _walk(folder: Path) -> Iterator[Path]:
    for path in folder.iterdir():
        if path.name in _FOREIGN_FOLDERS or path.name.startswith("."):
            continue
        if path.is_dir():
            yield from _walk(path)
        else:
            yield path


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return None
