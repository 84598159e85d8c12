"""A whole world from one seed: writers, two or three relays, a consumer, and what befalls them.

First everything may happen at any time. Then the faults heal: by themselves the relays must publish
what is there, within a stated time, and stop when they are asked to. At last the log is judged by
the checker that judges the real Kafka, and the consumer by what it took.

    I1 to I5  of the checker (relay/core/checker.py)
    I9        all is published within HEALED_WITHIN_S, and a stop is clean
    L1        no two relays trust the lease at once
    L2        nothing is handed over to the broker without trust in the lease
    M1 to M3  of the consumer's marks (tests/model/judgement.py)
"""

from __future__ import annotations

from collections import deque
from random import Random

from coordinator.inbox.places import Taking
from relay.core import effects as do
from relay.core import inputs as told
from relay.core.checker import History, check
from relay.core.cursor import Cursor
from relay.core.inputs import event_id
from tests.model.fake_broker import PARTITIONS, FakeBroker
from tests.model.fake_parking import TOPIC
from tests.model.fake_postgres import FakePostgres
from tests.model.judgement import Violated, broken_marks, by_partition, meant_by
from tests.model.marks_consumer import Crash, MarksConsumer
from tests.model.marks_machine import ALL
from tests.simulation.broker_client import BrokerState
from tests.simulation.faults import Faults
from tests.simulation.ledger import Ledger
from tests.simulation.network import Server, Weather
from tests.simulation.relay_process import DRAIN_LIMIT_S, PartsInTime, RelayProcess, Surroundings
from tests.simulation.scheduler import Machine, Scheduler
from tests.simulation.writers import Writers

__all__ = ["World", "simulate"]

ACTIVE_S = 20.0
HEALED_WITHIN_S = 30.0
LATE_S = 60.0
LOOK_S = 0.25
IDLE_RESTS = 3
FLUSH_EVERY_S = 0.2
CONSUME_EVERY_S = 0.5
STEPS_KEPT = 60
CRASHES: tuple[Crash, ...] = (
    *("none", "none"),
    *("before the commit", "before the offset is stored"),
)
DRIFT_MAX = 0.0005

Step = tuple[float, tuple[object, ...]]


def simulate(seed: int, parts: PartsInTime | None = None, taking: type[Taking] = Taking) -> World:
    """Live through the world of `seed`; raises Violated, with the seed and the last steps in it."""
    world = World(seed, parts or PartsInTime(), taking)
    try:
        world.live()
    except Exception as problem:
        problem.add_note(world.report())
        raise
    finally:
        world.end()
    return world


class World:
    """What there is. `steps`: the last things that happened."""

    def __init__(self, seed: int, parts: PartsInTime, taking: type[Taking]) -> None:
        self.seed = seed
        self.steps: deque[Step] = deque(maxlen=STEPS_KEPT)
        self.steps_made = 0
        self.scheduler = Scheduler()
        self._chance = Random(seed)
        self.database = FakePostgres()
        self.server = Server(self.scheduler, self.database)
        self.broker = FakeBroker()
        self.broker_state = BrokerState()
        self.weather = Weather(delay_s=self._chance.choice((0.002, 0.01, 0.03)))
        self.ledger = Ledger()
        self._parts = parts
        self._lives = 0
        self._active_s = self._chance.uniform(0.2, 1.0) * ACTIVE_S
        self.relays = [self._begin_life() for _ in range(self._chance.choice((2, 2, 3)))]
        self._buried: list[RelayProcess] = []
        self._servers_machine = Machine(self.scheduler)
        self.writers = Writers(Machine(self.scheduler), self.server, self._chance)
        self.faults = Faults(self, self._chance)
        self._recent = ALL if self.fails_over else parts.reading.page_events_max
        self._consumer = MarksConsumer(self.broker, taking, self._recent)
        for body in (self._flush_now_and_then, self._end_what_is_prepared, self._consume):
            self._servers_machine.spawn(body)

    @property
    def fails_over(self) -> bool:
        """Whether a standby may be promoted that lags behind."""
        return "a standby is promoted" in self.faults.kinds

    def note(self, *what: object) -> None:
        """A step, for the report."""
        self.steps.append((self.scheduler.now_s, what))
        self.steps_made += 1

    def start(self, index: int) -> None:
        """A process of its own takes the place of one that is dead, or about to be."""
        self.relays[index].kill()
        self._buried.append(self.relays[index])
        self.relays[index] = self._begin_life()

    def live(self) -> None:
        """All of it."""
        self.scheduler.run(self._active_s)
        self._heal()
        self._drained()
        self.faults.operators.release_all()
        self._require_a_clean_stop(self._drained())
        self.scheduler.run(self.scheduler.now_s + LATE_S)
        self._judge()

    def end(self) -> None:
        """Leave no task behind."""
        for machine in (self._servers_machine, *(relay.machine for relay in self.relays)):
            machine.kill()

    def report(self) -> str:
        """How to see it again, and the last that happened."""
        return "\n".join(
            [
                f"seed {self.seed}: make simulate SEED={self.seed}",
                f"faults: {', '.join(self.faults.kinds) or 'none'}",
                *(f"{at_s:10.4f}  {' '.join(map(in_short, what))}" for at_s, what in self.steps),
            ]
        )

    def _begin_life(self) -> RelayProcess:
        self._lives += 1
        around = Surroundings(
            self.server,
            self.broker,
            self.broker_state,
            self.weather,
            self.ledger,
            self._chance,
            self._parts,
            self._step_of_a_relay,
        )
        machine = Machine(self.scheduler, self._chance.uniform(-DRIFT_MAX, DRIFT_MAX))
        return RelayProcess(f"relay/{self._lives}", machine, around)

    def _step_of_a_relay(self, *what: object) -> None:
        self.note(*what)
        self.faults.a_step_was_made(what[-1])
        self._require_one_leader()

    # What goes on besides

    def _flush_now_and_then(self) -> None:
        while True:
            self._servers_machine.sleep(FLUSH_EVERY_S)
            self.database.flush()

    def _end_what_is_prepared(self) -> None:
        while True:
            self._servers_machine.sleep(self._chance.expovariate(1.0))
            if self.database.prepared and self.server.up:
                self.database.end_prepared(
                    self.database.prepared[0], commit=self._chance.random() < 0.5
                )

    def _consume(self) -> None:
        while True:
            self._servers_machine.sleep(CONSUME_EVERY_S * self._chance.random())
            crash = self._chance.choice(CRASHES)
            self._consumer.consume(
                self._chance.randrange(PARTITIONS), self._chance.randint(1, 6), crash
            )

    # The end

    def _heal(self) -> None:
        self.faults.end()
        self.note("all heals")
        self.server.up = self.broker_state.up = True
        self.broker_state.doubt_share = self.broker_state.slow_share = 0.0
        self.broker.take_everything_again()
        self.weather.stall_share = self.weather.loss_share = self.weather.hiccup_share = 0.0
        for index, relay in enumerate(self.relays):
            relay.line.heal()
            relay.machine.thaw()
            if relay.is_ending or not relay.machine.alive:
                self.start(index)
        self.writers.finish()
        for xid in self.database.prepared:
            self.database.end_prepared(xid, commit=True)
        self.database.flush()

    def _drained(self) -> RelayProcess:
        """The leader, once it finds nothing at several looks; I1 says whether it is right."""
        until_s = self.scheduler.now_s + HEALED_WITHIN_S
        for relay in self.relays:
            relay.idle_rests = 0
        while self.scheduler.now_s <= until_s:
            self.scheduler.run(self.scheduler.now_s + LOOK_S)
            for relay in self.relays:
                if relay.idle_rests >= IDLE_RESTS:
                    return relay
        raise Violated(f"I9: not drained {HEALED_WITHIN_S:.0f} s after all healed")

    def _require_a_clean_stop(self, leader: RelayProcess) -> None:
        given_up = leader.in_flight.given_up
        for relay in self.relays:
            relay.stop()
        self.scheduler.run(self.scheduler.now_s + DRAIN_LIMIT_S)
        if not all(relay.stopped for relay in self.relays):
            raise Violated("I9: does not stop")
        if leader.in_flight.given_up > given_up:
            raise Violated("I5: a clean stop left something in flight")

    def _require_one_leader(self) -> None:
        trusting = [relay.owner for relay in self.relays if relay.leads]
        if len(trusting) > 1 and not self.fails_over:
            raise Violated(f"L1: {' and '.join(trusting)} trust the lease at once")

    def _judge(self) -> None:
        for partition in range(PARTITIONS):
            self._consumer.consume(partition)
        if self.database.desk.parked or self.database.desk.holds:
            raise Violated(f"I9: not released: {self.database.desk}")
        self._judge_the_log()
        forgets, taken = self._recent < ALL, self._consumer.taken
        for invariant, sentence in broken_marks(
            self.broker.records, taken, self.broker.set_back, forgets=forgets
        ):
            raise Violated(f"{invariant}: {sentence}")

    def _judge_the_log(self) -> None:
        """What a promoted standby had not got may stand in Kafka, and what was in flight then may
        come again, with no bound but the lag."""
        page = self._parts.reading.page_events_max
        if self.ledger.most_in_flight > page:
            raise Violated(f"I5: {self.ledger.most_in_flight} in flight, a page has {page}")
        stand = {event.event_id for event in self.database.committed}
        lost = self.faults.lost_by_failover - stand
        records = [one for one in self.broker.records if one.event_id not in lost]
        discarded = self.faults.operators.discarded & stand
        meant = meant_by(self.database, self.writers.written)
        history = History(meant, by_partition(records), discarded)
        repeatable = None if self.fails_over else self.ledger.repeatable
        verdict = check(history, partitions={TOPIC: PARTITIONS}, max_duplicates=repeatable)
        for found in verdict.violations:
            raise Violated(f"{found.invariant}: {found.sentence}")


def in_short(what: object) -> str:
    """An effect or an input on a line that can be read."""
    match what:
        case do.Read(_, page, _):
            return f"Read {page.first_position}..{page.last_position}"
        case do.Send(rows, number):
            return f"Send {number}: {', '.join(map(event_id, rows))};"
        case do.Save(cursor, _, parked) if parked:
            return f"Save {_entry(cursor)}, parks {', '.join(event_id(one.row) for one in parked)};"
        case do.Save(cursor) | do.OpenNext(cursor):
            return f"{type(what).__name__} {_entry(cursor)};"
        case told.Opened(cursor) | told.Loaded(cursor):
            return f"{type(what).__name__} {_entry(cursor)} C={cursor.since} S={cursor.until}"
        case told.PageRead() | told.Saved():
            return type(what).__name__
        case _:
            return str(what)


def _entry(cursor: Cursor) -> str:
    return f"{cursor.number}.{cursor.step}{' closed' if cursor.closed else ''}"
