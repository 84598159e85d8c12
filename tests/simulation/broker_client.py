"""A sink in time: what the idempotent producer does with a page between `send` and its outcome.

What a partition gets of one attempt, in whatever pieces and however late, is a prefix: the model's
sink (tests/model/fake_broker.py) decides that, at the moment in which the first bytes reach the
broker. Here it gets its times. Of what is handed over

    something is with the broker at once,
    something is on the wire, and arrives whatever becomes of the process,
    the rest is in the client's queue: it leaves when the process runs, also when it runs again
    after a stop of any length and knows nothing yet of the lease that it lost meanwhile; a producer
    that is thrown away, and a process that is killed, take it along.

The answer is Acked when all of it has arrived; Doubtful when the client cannot tell; Lost when it
may not wait any longer.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from random import Random

from relay.core import inputs as told
from relay.core.reached import Reached
from relay.errors import RelayError
from relay.ports import Sink
from tests.model.fake_broker import PARTITIONS, Doubt, FakeBroker
from tests.simulation.network import Weather
from tests.simulation.scheduler import Machine, Reply

__all__ = ["BrokerState", "SinkInTime"]

ASK_EVERY_S = 0.1

Record = tuple[int, told.Row, int, str]


class BrokerState:
    """What the broker does at present.

    Attributes:
        up: whether it answers what begins to be sent; the client tries again while it lives.
        slow_share: of how many sends a part takes longer than the rest.
        doubt_share: of how many the client loses track, and throws its producer away.
    """

    def __init__(self) -> None:
        self.up = True
        self.slow_share = 0.0
        self.doubt_share = 0.0


class SinkInTime:
    """See Sink.

    `on_send` is called when a page is about to be handed over; `on_arrival` is told how many
    records arrive, and whether `send` still waits.
    """

    def __init__(
        self,
        inner: Sink,
        broker: FakeBroker,
        state: BrokerState,
        machine: Machine,
        weather: Weather,
        chance: Random,
        on_send: Callable[[], None],
        on_arrival: Callable[[int, bool], None],
    ) -> None:
        self._inner = inner
        self._broker = broker
        self._state = state
        self._machine = machine
        self._weather = weather
        self._chance = chance
        self._on_send = on_send
        self._on_arrival = on_arrival
        self._attempt: _Attempt | None = None

    def recover(self, keep_going: Callable[[], bool]) -> told.Input:
        return self._inner.recover(keep_going)

    def send(
        self, rows: told.Rows, number: int, reached: Reached, keep_going: Callable[[], bool]
    ) -> told.Input:
        if not keep_going():
            return told.Lost()
        self._on_send()
        if hiccup_s := self._weather.hiccup_s(self._chance):
            self._machine.sleep(hiccup_s)
        attempt = self._attempt = _Attempt()
        self._leave(lambda: self._reach(attempt, rows, number, reached))
        while not self._machine.await_reply(attempt.reply, ASK_EVERY_S):
            if not keep_going():
                self.discard()
                return told.Lost()
        outcome = attempt.reply.result()
        assert isinstance(outcome, told.Input)
        if not isinstance(outcome, told.Acked):
            self.discard()
        return outcome

    def serve(self) -> None:
        """Says nothing of its connections."""

    def discard(self) -> None:
        if self._attempt is not None:
            self._attempt.given_up = True
            self._attempt = None

    def _leave(self, arrive: Callable[[], object]) -> None:
        """From the client's queue, if the process runs."""
        transit_s = self._weather.transit_s(self._chance)
        self._machine.after(0.0, lambda: self._machine.scheduler.after(transit_s, arrive))

    def _reach(self, attempt: _Attempt, rows: told.Rows, number: int, reached: Reached) -> None:
        if not self._state.up:
            if not attempt.given_up:
                self._machine.after(
                    ASK_EVERY_S,
                    lambda: self._leave(lambda: self._reach(attempt, rows, number, reached)),
                )
            return
        before = len(self._broker.records)
        self._broker.doubt, doubtful = self._doubt(rows)
        try:
            outcome = self._inner.send(rows, number, reached, lambda: True)
        except RelayError as problem:
            attempt.reply.come(problem=problem)
            return
        self._arrived(attempt, len(self._broker.records) - before)
        queues, self._broker.under_way = self._broker.under_way, []
        for queue in queues:
            self._send_rest(attempt, queue)
        if not doubtful and isinstance(outcome, told.Doubtful):
            outcome = told.Acked()
            attempt.left = sum(map(len, queues))
        if not attempt.left:
            self._answer(attempt, outcome)

    def _doubt(self, rows: told.Rows) -> tuple[Doubt | None, bool]:
        """How this send goes: at one stroke, in pieces, or in pieces and then into the unknown.

        What is refused is refused at one stroke: a piece that is in doubt is one that was taken.
        """
        count, dice = len(rows), self._chance.random()
        not_taken = self._broker.refused | self._broker.missing
        if not_taken.intersection(map(told.event_id, rows)):
            return None, False
        if dice < self._state.doubt_share:
            arrive = [self._chance.randint(0, count) for _ in range(PARTITIONS)]
            return Doubt(arrive, [self._chance.randint(0, count) for _ in range(PARTITIONS)]), True
        if dice < self._state.doubt_share + self._state.slow_share:
            arrive = [self._chance.randint(0, count) for _ in range(PARTITIONS)]
            return Doubt(arrive, [count] * PARTITIONS), False
        return None, False

    def _send_rest(self, attempt: _Attempt, queue: deque[Record]) -> None:
        """One record after the other, in order: those on the wire, then those in the queue."""
        on_the_wire = self._chance.randint(0, len(queue))
        at_s = 0.0
        for index, record in enumerate(queue):
            at_s += self._weather.transit_s(self._chance)
            arrive = self._arrival(attempt, record)
            if index < on_the_wire:
                self._machine.scheduler.after(at_s, arrive)
            else:
                self._queue(attempt, at_s, arrive)

    def _queue(self, attempt: _Attempt, at_s: float, arrive: Callable[[], None]) -> None:
        def leaves() -> None:
            if not attempt.given_up:
                arrive()

        self._machine.after(at_s, leaves)

    def _arrival(self, attempt: _Attempt, record: Record) -> Callable[[], None]:
        def arrive() -> None:
            self._broker.append(*record)
            self._arrived(attempt, 1)
            attempt.left -= 1
            if attempt.left == 0:
                self._answer(attempt, told.Acked())

        return arrive

    def _arrived(self, attempt: _Attempt, records: int) -> None:
        self._on_arrival(records, not attempt.given_up)

    def _answer(self, attempt: _Attempt, outcome: told.Input) -> None:
        transit_s = self._weather.transit_s(self._chance)
        self._machine.scheduler.after(transit_s, lambda: attempt.reply.come(outcome))


class _Attempt:
    def __init__(self) -> None:
        self.reply = Reply()
        self.left = 0
        self.given_up = False
