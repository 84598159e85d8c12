"""How a relay leads: which delivery, in which envelope.

No table knows it: it is a setting of each relay, and two of them may differ by mistake. So the
leader's session that reads pages is called after it, where every role can read it, and the last
part of the owner's name says whose it is: a session left behind by an earlier leader speaks for
nobody. The name of a session is cut at 63 bytes, so a part is missing where the schema has a long
name; then nothing is told rather than half.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from operator import contains
from typing import Literal, get_args

__all__ = ["Delivery", "EnvelopeName", "Manner"]

Delivery = Literal["at-least-once", "exactly-once"]
EnvelopeName = Literal["cloudevents", "debezium"]


@dataclass(frozen=True, slots=True)
class Manner:
    """`mark` is the last part of the owner's name, which no other relay has."""

    mark: str
    delivery: str
    envelope: str

    @classmethod
    def of(cls, owner: str, delivery: Delivery, envelope: EnvelopeName) -> Manner:
        """That of the relay called `owner`, host/pid/mark."""
        return cls(_mark(owner), delivery, envelope)

    @property
    def in_a_session(self) -> str:
        """As it stands in the name of a session."""
        return f"{self.mark} {self.delivery} {self.envelope}"

    @classmethod
    def leading(cls, owner: str, sessions: Iterable[str]) -> Manner | None:
        """That of the leader, among what sessions say; None where none says it whole."""
        for session in sessions:
            parts = session.split(" ")
            known = ([_mark(owner)], get_args(Delivery), get_args(EnvelopeName))
            if len(parts) == len(known) and all(map(contains, known, parts)):
                return cls(*parts)
        return None


def _mark(owner: str) -> str:
    return owner.rpartition("/")[2]
