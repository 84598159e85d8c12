"""Comments that silence a tool say what and why; none puts work off."""

from __future__ import annotations

import io
import re
import tokenize
from collections.abc import Iterator

from tests.style.rules import Problems, Rule, Source, each, each_python

_SILENCER = re.compile(r"#\s*(noqa|type:\s*ignore|mypy:|pragma:|ruff:|fmt:)", re.IGNORECASE)
# Two forms: ruff takes the reason after a hyphen, mypy only as a comment of its own.
_EXPLAINED = re.compile(
    r"#\s*(noqa:\s*[A-Z]+\d+(,\s*[A-Z]+\d+)*|type:\s*ignore\[[a-z, -]+\])\s*[-#]\s*\S+\s+\S+"
)
# Written so that the pattern is not found in this file.
_PUT_OFF = re.compile(r"\b(T[O]DO|F[I]XME|X[X]X|H[A]CK)\b")


def _comments(source: Source) -> Iterator[tuple[int, str]]:
    for token in tokenize.generate_tokens(io.StringIO(source.text).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string


def _unexplained(source: Source) -> Problems:
    for line, comment in _comments(source):
        if _SILENCER.match(comment) and not _EXPLAINED.match(comment):
            yield line, "say which code is silenced, and why: `# noqa: CODE - why it is right here`"


def _put_off(source: Source) -> Problems:
    for number, line in enumerate(source.text.splitlines(), 1):
        if _PUT_OFF.search(line):
            yield number, "do it, or open an issue: nobody finds work that is put off in a comment"


COMMENT_RULES = (
    Rule(
        "a silenced check names its code and its reason",
        each_python(_unexplained),
        planted=[
            {"relay/planted.py": "import os  # noqa: F401\n"},
            {"relay/planted.py": "import os  # noqa - because it is so\n"},
            {"relay/planted.py": "x = y  # type: ignore[name-defined]\n"},
            {"relay/planted.py": "x = y  # type: ignore  # because it is so\n"},
        ],
        spared={
            "relay/one.py": "import os  # noqa: F401 - imported for its effect\n",
            "relay/two.py": "x = y  # type: ignore[name-defined]  # made by the caller\n",
            "relay/three.py": 'x = "# noqa"\n',
        },
    ),
    Rule(
        "no comment puts work off",
        each(_put_off),
        planted=[{"README.md": "todo: write this".upper() + "\n"}],
        spared={"README.md": "What is to do stands in the issues.\n"},
    ),
)
