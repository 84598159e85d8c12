"""A pass over the rings: what is tried, in which order, and what a leaf in use does to the rest."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import pytest

from relay.core.blockers import Blockers
from relay.core.retention import Emptied, Milestone, Survey
from relay.core.snapshot import Snapshot
from relay.daemon import housekeeping
from relay.daemon.housekeeping import Found, Housekeeping, Keeping, RotationPass
from relay.errors import Fenced, RelayError, Unreachable

OLD = Milestone(3, Snapshot.parse("5:5:"))
WITHIN_THE_FIRST_HALF = 8 << 20


class Rings:
    """A Rotation of which every leaf is filled, and that notes what it is asked to empty."""

    def __init__(self, outcomes: Mapping[int, Emptied], position: int, old: Milestone | None):
        self._outcomes = outcomes
        self._survey = Survey(position, (1,) * 8, 0, (0,) * 4, old)
        self.asked: list[tuple[int, Snapshot | None]] = []

    def mark(self, every_s: float) -> None: ...

    def survey(self, retention_s: float) -> Survey:
        return self._survey

    def forget_before(self, milestone: Milestone) -> None: ...

    def empty_events(self, slot: int, old: Snapshot | None) -> Emptied:
        self.asked.append((slot, old))
        return self._outcomes.get(slot, Emptied.EMPTIED)

    def empty_log(self, slot: int, keep_s: float) -> Emptied:
        raise AssertionError("the log is empty")

    def blockers(self, after_s: float) -> Blockers:
        return Blockers()


def tried(
    outcomes: Mapping[int, Emptied],
    position: int = WITHIN_THE_FIRST_HALF,
    old: Milestone | None = OLD,
) -> list[tuple[int, Snapshot | None]]:
    rings = Rings(outcomes, position, old)
    RotationPass(rings, Keeping(60.0)).run()
    return rings.asked


def test_one_leaf_is_emptied_in_a_pass_the_oldest() -> None:
    assert tried({}) == [(2, OLD.snapshot)]


def test_a_leaf_that_is_in_use_or_needed_does_not_keep_the_others() -> None:
    pinned = {2: Emptied.IN_USE, 3: Emptied.NEEDED}

    assert [slot for slot, _ in tried(pinned)] == [2, 3, 4]


def test_nothing_is_emptied_before_anything_was_published_for_so_long() -> None:
    assert tried({}, old=None) == []


def test_for_want_of_room_a_leaf_goes_without_regard_to_its_age() -> None:
    assert tried({}, position=WITHIN_THE_FIRST_HALF + (1 << 19), old=None) == [(2, None)]


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(housekeeping, "PASS_AGAIN_S", 0.0)
    monkeypatch.setattr(housekeeping, "next_pass_s", lambda *_, **__: 0.0)


class Awaited:
    """Two topics that are waited for, one of which is there."""

    def __init__(self) -> None:
        self.released: list[str] = []

    def missing(self) -> frozenset[str]:
        return frozenset({"there", "missing"}) - set(self.released)

    def release(self, topics: Iterable[str]) -> None:
        self.released += topics


class Passes:
    """The thread, of which each pass fails or succeeds as it is told."""

    def __init__(self, *faults: Exception | None, passes: int) -> None:
        self._faults = list(faults)
        self._enough = passes
        self.troubles: list[str] = []
        self.done = threading.Event()
        self.opened = 0
        self.thread = Housekeeping(
            self._open,
            Keeping(60.0),
            lambda topics: topics & {"there"},
            lambda: True,
            self._passed,
            self.troubles.append,
        )
        self.awaited = Awaited()

    @contextmanager
    def _open(self) -> Iterator[tuple[Rings, Awaited]]:
        self.opened += 1
        if self.opened >= self._enough:
            self.done.set()
        if self._faults and (fault := self._faults.pop(0)) is not None:
            raise fault
        yield Rings({}, WITHIN_THE_FIRST_HALF, OLD), self.awaited

    def _passed(self, found: Found) -> None: ...


def test_a_pass_that_finds_nothing_written_since_the_last_is_a_quiet_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[bool] = []

    def next_pass_s(outcomes: Sequence[Emptied], *, quiet: bool) -> float:
        asked.append(quiet)
        return 0.0

    monkeypatch.setattr(housekeeping, "PASS_AGAIN_S", 0.0)
    monkeypatch.setattr(housekeeping, "next_pass_s", next_pass_s)
    passes = Passes(passes=4)
    passes.awaited.released += ["there", "missing"]
    passes.thread.start()
    try:
        assert passes.done.wait(10.0)
    finally:
        passes.thread.close()

    assert asked[:3] == [False, True, True]


@pytest.mark.parametrize("fault", [Unreachable("away"), RuntimeError("secret"), RelayError("x")])
def test_a_pass_that_fails_is_told_and_made_again(hurried: None, fault: Exception) -> None:
    passes = Passes(fault, passes=3)
    passes.thread.start()
    assert passes.done.wait(10)
    passes.thread.close()

    assert len(passes.troubles) == 1
    assert "secret" not in passes.troubles[0]


def test_the_passes_end_with_the_term(hurried: None) -> None:
    passes = Passes(None, Fenced("over"), passes=2)
    passes.thread.start()
    passes.thread._thread.join(10)

    assert (passes.thread._thread.is_alive(), passes.opened) == (False, 2)
    assert passes.troubles == []


def test_a_pass_releases_the_topics_that_are_there_now(hurried: None) -> None:
    passes = Passes(passes=3)
    passes.thread.start()
    assert passes.done.wait(10)
    passes.thread.close()

    assert passes.awaited.released == ["there"]
