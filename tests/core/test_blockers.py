from __future__ import annotations

from relay.core.blockers import Blocker, TellsSeldom


def blocker(age_seconds: float, pid: int = 1) -> Blocker:
    return Blocker(pid, None, "report", "idle in transaction", age_seconds, delays_events=False)


def test_a_blocker_is_told_at_once_and_again_when_its_age_has_doubled() -> None:
    voice = TellsSeldom()
    told = [age for age in range(10, 3_600) if voice.worth_telling([blocker(float(age))])]

    assert told == [10, 20, 40, 80, 160, 320, 640, 1_280, 2_560]


def test_each_blocker_is_told_of_for_itself() -> None:
    voice = TellsSeldom()
    voice.worth_telling([blocker(10.0, pid=1)])

    assert voice.worth_telling([blocker(11.0, pid=1), blocker(10.0, pid=2)]) == [blocker(10.0, 2)]


def test_one_that_ended_is_forgotten() -> None:
    voice = TellsSeldom()
    voice.worth_telling([blocker(100.0)])
    voice.worth_telling([])

    assert voice.worth_telling([blocker(10.0)]) == [blocker(10.0)]
