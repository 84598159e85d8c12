"""Snapshots as Hypothesis makes them: any legal one, and chains as one server gives them out."""

from __future__ import annotations

from hypothesis import strategies as st

from relay.core.snapshot import Snapshot

XID_MAX = 40


@st.composite
def snapshots(draw: st.DrawFn) -> Snapshot:
    """Any legal snapshot of small ids, so that two of them overlap often."""
    xmin = draw(st.integers(1, XID_MAX))
    xmax = draw(st.integers(xmin, XID_MAX))
    if xmin == xmax:
        return Snapshot(xmin, xmax, frozenset())
    return Snapshot(xmin, xmax, draw(st.frozensets(st.integers(xmin, xmax - 1))))


@st.composite
def chains(draw: st.DrawFn) -> list[Snapshot]:
    """Snapshots of one server in the order in which they were taken: what had ended stays ended."""
    ended: set[int] = set()
    chain = [Snapshot(1, 1, frozenset())]
    for _ in range(draw(st.integers(1, 6))):
        ended |= draw(st.sets(st.integers(1, XID_MAX)))
        chain.append(_taken(ended))
    return chain


def _taken(ended: set[int]) -> Snapshot:
    xmax = max(ended, default=0) + 1
    in_progress = frozenset(range(1, xmax)) - ended
    return Snapshot(min(in_progress, default=xmax), xmax, in_progress)
