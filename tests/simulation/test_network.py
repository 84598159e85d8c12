"""A request and its reply are two things, and either may be lost alone."""

from __future__ import annotations

from random import Random

import pytest

from relay.errors import Unreachable
from tests.model.fake_postgres import FakePostgres
from tests.simulation.network import Line, Server, Weather
from tests.simulation.scheduler import Machine, Scheduler


class Call:
    """One request with a second's way there and back, and what comes of it."""

    def __init__(self) -> None:
        self.scheduler = Scheduler()
        self.machine = Machine(self.scheduler)
        self.server = Server(self.scheduler, FakePostgres())
        self.line = Line(self.machine, self.server, Weather(delay_s=1.0), Random(1))
        self.carried_out = False
        self.outcome = "nothing yet"
        self.machine.spawn(self._call)

    def run(self) -> None:
        self.scheduler.run(until_s=60.0)

    def _call(self) -> None:
        try:
            self.outcome = self.line.call(self._act, timeout_s=10.0)
        except Unreachable as problem:
            self.outcome = str(problem)

    def _act(self) -> str:
        self.carried_out = True
        return "done"


@pytest.fixture
def call() -> Call:
    return Call()


def test_a_reply_takes_its_time(call: Call) -> None:
    call.run()

    assert (call.carried_out, call.outcome) == (True, "done")


def test_a_cut_line_lets_nothing_through_and_tells_nobody(call: Call) -> None:
    call.line.cut = True
    call.run()

    assert (call.carried_out, call.outcome) == (False, "database: no answer in time")


def test_a_reply_that_is_lost_leaves_the_request_carried_out(call: Call) -> None:
    call.scheduler.run(until_s=0.1)
    call.line.cut = True
    call.run()

    assert (call.carried_out, call.outcome) == (True, "database: no answer in time")


def test_a_reset_connection_tells_at_once_and_takes_nothing_back(call: Call) -> None:
    call.scheduler.run(until_s=0.1)
    call.line.reset()

    assert (call.carried_out, call.scheduler.now_s) == (False, 0.1)
    call.run()
    assert (call.carried_out, call.outcome) == (True, "database: connection reset")


def test_a_killed_process_has_sent_what_it_has_sent(call: Call) -> None:
    call.scheduler.run(until_s=0.1)
    call.machine.kill()
    call.run()

    assert (call.carried_out, call.outcome) == (True, "nothing yet")


def test_a_stopped_process_sends_when_it_runs_again(call: Call) -> None:
    call.machine.freeze()
    call.scheduler.run(until_s=30.0)
    assert not call.carried_out

    call.machine.thaw()
    call.run()
    assert (call.carried_out, call.outcome) == (True, "done")


def test_a_server_that_is_down_refuses(call: Call) -> None:
    call.server.up = False
    call.run()

    assert (call.carried_out, call.outcome) == (False, "database: connection refused")
