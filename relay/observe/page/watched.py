"""What is known of one outbox by the looks taken at it so far.

Written by the thread that looks, read by those that answer. All of it is one value that is replaced
as a whole, so that no reader sees the figures of one look beside the curves of another, and nobody
waits for anybody.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace

from relay.core.board import Board, Waiting
from relay.core.headline import headline
from relay.observe.recent import Recent, Sample

__all__ = ["Watched"]


@dataclass(frozen=True, slots=True)
class _Known:
    """`board` is the newest that a look gave, `problem` why the last look gave none."""

    board: Board | None = None
    seen_at_s: float | None = None
    problem: str | None = None
    recent: Recent = field(default_factory=Recent)


class Watched:
    """One outbox. All times are monotonic, in seconds."""

    def __init__(self, name: str, broker_away: Callable[[], bool] = lambda: False) -> None:
        """`name`: empty where there is only one outbox. `broker_away`: that none answers."""
        self.name = name
        self._broker_away = broker_away
        self._known = _Known()

    @property
    def newest(self) -> tuple[Board | None, float]:
        """What the newest look gave, and when; None before the first."""
        known = self._known
        return known.board, known.seen_at_s or 0.0

    def saw(self, board: Board, at_s: float) -> None:
        """A look gave this."""
        status = board.status
        sample = Sample(at_s, board.passed, status.pending, status.oldest_pending_seconds)
        self._known = _Known(board, at_s, None, self._known.recent.having(sample))

    def missed(self, problem: str, at_s: float) -> None:
        """A look failed; `problem` without secrets."""
        recent = self._known.recent.having(Sample(at_s))
        self._known = replace(self._known, problem=problem, recent=recent)

    def to_dict(self, now_s: float) -> dict[str, object]:
        """For JSON. What the newest look gave stands there however old it is, with its age."""
        known = self._known
        board = known.board
        away, stalled = self._broker_away(), known.recent.stalled
        top = headline(board, known.problem, stalled=stalled, broker_away=away)
        return {
            "name": self.name,
            "headline": asdict(top),
            "problem": known.problem,
            "age_seconds": None if known.seen_at_s is None else now_s - known.seen_at_s,
            "rate": known.recent.rate,
            "points": [
                [round(one.age_s, 1), _rounded(one.rate), _rounded(one.lag_s), one.pending]
                for one in known.recent.points(now_s)
            ],
            **({} if board is None else _board(board)),
        }


def _board(board: Board) -> dict[str, object]:
    return {
        "status": board.status.to_dict(),
        "standbys": [asdict(one) for one in board.standbys],
        "waiting": [_waiting(one) for one in board.waiting],
    }


def _waiting(one: Waiting) -> dict[str, object]:
    return {**asdict(one), "events_is_at_least": one.events_is_at_least}


def _rounded(number: float | None) -> float | None:
    return None if number is None else round(number, 2)
