"""The demo's runs do real work, and end as their processes end."""

from __future__ import annotations

from time import monotonic

from coordinator.domains.facade import RunStatus
from relay.demo.work import do_work

PACE_S = 0.01
# By the run's number: see the table in relay.demo.work.
SUCCEEDS, FAILS, IS_SIGNALLED, HANGS = 0, 3, 23, 10


def test_work_that_ends_with_0_succeeded() -> None:
    assert do_work(SUCCEEDS, PACE_S).status is RunStatus.SUCCEEDED


def test_work_that_ends_otherwise_failed_with_its_code_and_its_complaint() -> None:
    assert do_work(FAILS, PACE_S) == (RunStatus.FAILED, "exit-3", "quota used up")


def test_work_that_a_signal_ends_failed_with_the_signal() -> None:
    assert do_work(IS_SIGNALLED, PACE_S) == (RunStatus.FAILED, "signal-15", None)


def test_work_that_never_ends_is_stopped_at_its_limit_with_all_that_it_started() -> None:
    began_s = monotonic()
    ending = do_work(HANGS, PACE_S)
    assert ending.status is RunStatus.TIMED_OUT
    # Its child holds the pipe: were it left alone, this would wait for the end of its sleep.
    assert monotonic() - began_s < 0.9


def test_ten_percent_fail_and_five_percent_hang_in_any_hundred_runs() -> None:
    ended = [_kind(number) for number in range(100)]
    assert (ended.count("fails"), ended.count("hangs")) == (10, 5)


def _kind(number: int) -> str:
    from relay.demo.work import _FAILING, _HANGING, _script

    script = _script(number, PACE_S)
    if script == _HANGING:
        return "hangs"
    return "fails" if script.endswith(_FAILING) else "succeeds"
