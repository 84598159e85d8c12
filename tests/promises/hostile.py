"""Values that break careless code, for tests of what is refused and of what comes through."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

SURROGATE = "\ud800"

# Characters that break careless code: quotes, escapes, controls, other planes, bidi, surrogates.
hostile_text = st.text(
    st.one_of(st.characters(), st.sampled_from("\0\r\n\t\x1b\x7f\x85'\"\\%:{}\u2028\u202e\ud800")),
    max_size=300,
)
hostile_headers = st.dictionaries(
    st.one_of(hostile_text, st.from_regex(r"[A-Za-z0-9._-]{1,12}", fullmatch=True)),
    hostile_text,
    max_size=4,
)

json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), hostile_text),
    lambda inner: st.one_of(st.lists(inner), st.dictionaries(hostile_text, inner)),
)


def nested(depth: int) -> list[Any]:
    outer: list[Any] = []
    for _ in range(depth):
        outer = [outer]
    return outer
