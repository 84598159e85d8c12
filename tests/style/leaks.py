"""Nothing in the repository names a machine, or where one fetches its packages."""

from __future__ import annotations

import re

from tests.style.rules import Problems, Rule, Source, each

# Each pattern has a class of one letter, so that it is not found in this file.
_LEAKS = {
    "a path of one machine": re.compile(
        r"(?<![\w.~}])/(w[o]rk|r[o]ot|h[o]me/\w+|U[s]ers/\w+)(?=[/\s\"'`:,)]|$)"
    ),
    "a folder outside the repository": re.compile(r"\.\./sh[a]red"),
    "where packages come from": re.compile(
        r"(p[y]pi\.org|p[y]thonhosted|m[a]ven\.org|m[a]ven\.apache\.org/m[a]ven2|n[p]mjs\.org"
        r"|--(extra-)?i[n]dex-url|--t[r]usted-host|P[I]P_INDEX|U[V]_INDEX"
        r"|[a]rtifactory|://[^\s/]*/(n[e]xus|s[i]mple)\b)"
    ),
}


def _leaks(source: Source) -> Problems:
    for number, line in enumerate(source.text.splitlines(), 1):
        for what, pattern in _LEAKS.items():
            if pattern.search(line):
                yield number, f"names {what}"


# Put together here, so that they are not found in this file either.
_PLANTED = (
    ("/", "work", "/main"),
    ("/", "root", "/.cache"),
    ("/", "home", "/someone/x"),
    ("..", "/", "shared", "/x.md"),
    ("https://", "py", "pi.org", "/x"),
    ("--index", "-url", " x"),
)

LEAK_RULES = (
    Rule(
        "no machine, outside folder or package index is named",
        each(_leaks),
        planted=[{"README.md": f"See {''.join(parts)} there.\n"} for parts in _PLANTED],
        spared={"README.md": "Our work is shared; the root and `/tmp/x/work` are not named.\n"},
    ),
)
