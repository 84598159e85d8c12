"""F43: leaves are emptied under load, again and again, and never an unpublished event is gone.

Positions are passed over a leaf at a time (setval), as nothing counts them; a million events a leaf
would prove no more.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager

import psycopg
import pytest

from relay.core.retention import EVENT_RING, Emptied
from relay.daemon.housekeeping import Keeping, RotationPass
from relay.errors import Fenced
from relay.postgres.connect import connect
from relay.postgres.rotation import PostgresRotation
from tests.relay.events import connected, value_of
from tests.support.consume import read_topic
from tests.support.history import Ledger, end_lease, prove, wait_drained
from tests.support.kafka import Broker
from tests.support.postgres import CrashablePostgres
from tests.support.processes import StartRelay
from tests.support.wait import until
from tests.support.workload import AWKWARD, KEYS, Shape, Writer, writing

ROTATIONS = 200
KILLS_AT = (60, 120)
HELD_OVER = 20
"""So many rotations long are the prepared transaction and the old snapshot kept: the ring turns
more than twice meanwhile."""

COMMITTING = (
    Shape(pause_s=0.02),
    Shape(pause_s=0.02, keyless=True),
    Shape(pause_s=0.5),
    Shape(pause_s=0.02, savepoint="released"),
    Shape(pause_s=0.3, isolation="repeatable read"),
    Shape(pause_s=0.2, prepared=True),
)
"""Nothing is taken back, which would leave dead rows of the writers' own."""

_SIZE = """
select sum(pg_total_relation_size(inhrelid))::bigint
from pg_inherits where inhparent = 'outbox.event'::regclass
"""
_ROWS = """
select sum(n_tup_upd)::int, sum(n_tup_del)::int, sum(n_dead_tup)::int
from pg_stat_user_tables where relid::regclass::text ~ '^outbox.event_'
"""


@contextmanager
def turning(url: str) -> Iterator[Turns]:
    """The ring, to be turned on by the test."""
    with closing(connect(url, "test")) as connection, connected(url) as observer:
        yield Turns(connection, observer)


class Turns:
    """Makes the passes that the leader makes, in its term, as fast as they can be made."""

    def __init__(
        self, connection: psycopg.Connection[tuple[object, ...]], observer: psycopg.Connection
    ) -> None:
        self._connection = connection
        self._observer = observer
        self.emptied = 0
        self.in_use = 0
        self.needed = 0

    def writers_move_on(self) -> None:
        """To the first position of the next leaf."""
        self._observer.execute(
            "select setval('outbox.event_position', ((last_value >> 20) + 1) << 20)"
            " from outbox.event_position"
        )

    def make_a_pass(self) -> list[Emptied]:
        """As the leader would with `RELAY_RETENTION=0s`; nothing, when it is superseded by then."""
        row = self._observer.execute("select owner, term from outbox.lease").fetchone()
        assert row is not None
        rotation = PostgresRotation(self._connection, *row)
        try:
            outcomes = RotationPass(rotation, Keeping(0.0)).run().outcomes
        except Fenced:
            return []
        self.emptied += outcomes.count(Emptied.EMPTIED)
        self.in_use += outcomes.count(Emptied.IN_USE)
        self.needed += outcomes.count(Emptied.NEEDED)
        return outcomes

    def leaves_in_use_after_a_pass(self) -> set[int]:
        """Which leaves hold rows then."""
        self.make_a_pass()
        return self.leaves_in_use()

    def leaves_in_use(self) -> set[int]:
        """Which leaves hold rows."""
        survey = PostgresRotation(self._connection, "", 0).survey(0.0)
        return {leaf for leaf, size in enumerate(survey.event_bytes) if size}


class Holders:
    """A prepared transaction, and one with an old snapshot, that stay while the ring turns."""

    def __init__(self, url: str, ledger: Ledger) -> None:
        self._prepared = Writer("prepared", url, ledger)
        self._old = Writer("old", url, ledger)
        self._began_at = -1

    def turned(self, rotations: int) -> None:
        """End those that are old enough, and begin others."""
        if self._began_at >= 0 and rotations < self._began_at + HELD_OVER:
            return
        self.end()
        self._began_at = rotations
        self._prepared.begin()
        self._written = [self._prepared.emit(None)]
        self._prepared.run("prepare transaction 'held'")
        self._old.begin("repeatable read")
        self._seen = [self._old.emit(None)]

    def end(self) -> None:
        if self._began_at >= 0:
            self._prepared.commit(self._written, "commit prepared 'held'")
            self._seen.append(self._old.emit(None))
            self._old.commit(self._seen)

    def close(self) -> None:
        self._prepared.close()
        self._old.close()


@pytest.mark.timeout(300)
def test_two_hundred_rotations_under_load_lose_nothing_and_leave_no_dead_row(
    two_phase_postgres: CrashablePostgres,
    broker: Broker,
    ledger: Ledger,
    relay_process: StartRelay,
) -> None:
    url = two_phase_postgres.url()
    relay = relay_process(url, broker.bootstrap_servers)
    relay.wait_for_log("leading")
    kills, sizes = list(KILLS_AT), []
    with turning(url) as ring, closing(Holders(url, ledger)) as holders:
        with writing(url, ledger, writers=8, shapes=COMMITTING):
            while ring.emptied < ROTATIONS:
                holders.turned(ring.emptied)
                ring.writers_move_on()
                ledger.wait_for(2)
                ring.make_a_pass()
                sizes.append(value_of(url, _SIZE))
                if kills and ring.emptied >= kills[0]:
                    kills.pop(0)
                    relay.kill()
                    end_lease(url)
                    relay = relay_process(url, broker.bootstrap_servers)
        holders.end()
        prove(ledger, url, broker.bootstrap_servers, max_duplicates=None)
        with connected(url) as connection:
            assert connection.execute(_ROWS).fetchone() == (0, 0, 0)
        assert ring.in_use > ROTATIONS / 4, "hardly any leaf was held by anybody"
        assert ring.needed, "no leaf was ever due before all in it was published"
    assert max(sizes[len(sizes) // 2 :]) < 2 * max(sizes[: len(sizes) // 2])


@pytest.mark.timeout(300)
def test_writers_that_take_back_half_of_what_they_write_do_not_disturb_it(
    two_phase_postgres: CrashablePostgres,
    broker: Broker,
    ledger: Ledger,
    relay_process: StartRelay,
) -> None:
    url = two_phase_postgres.url()
    relay_process(url, broker.bootstrap_servers).wait_for_log("leading")
    with turning(url) as ring:
        with writing(url, ledger, writers=8, shapes=AWKWARD):
            while ring.emptied < 40:
                ring.writers_move_on()
                ledger.wait_for(4)
                ring.make_a_pass()
        prove(ledger, url, broker.bootstrap_servers)


def test_a_relay_that_was_away_while_the_ring_went_round_publishes_all_in_order(
    two_phase_postgres: CrashablePostgres,
    broker: Broker,
    ledger: Ledger,
    relay_process: StartRelay,
) -> None:
    """Leaves that were not emptied in time are only bigger."""
    url = two_phase_postgres.url()
    with turning(url) as ring, closing(Writer("w", url, ledger)) as writer:
        for _ in range(3 * EVENT_RING.slots):
            writer.backlog(50)
            assert Emptied.EMPTIED not in ring.make_a_pass()
            ring.writers_move_on()
        assert ring.leaves_in_use() == set(range(8))

        relay_process(url, broker.bootstrap_servers)
        prove(ledger, url, broker.bootstrap_servers)
        until(
            lambda: ring.leaves_in_use_after_a_pass() == {0, 1},
            timeout_s=30,
            what="all leaves to be emptied but that of the writers and the next",
        )


def test_a_position_that_was_drawn_before_its_leaf_was_emptied_is_published(
    two_phase_postgres: CrashablePostgres,
    broker: Broker,
    ledger: Ledger,
    relay_process: StartRelay,
) -> None:
    url = two_phase_postgres.url()
    relay_process(url, broker.bootstrap_servers).wait_for_log("leading")
    with turning(url) as ring, connected(url) as slow, closing(Writer("w", url, ledger)) as writer:
        slow.execute("begin")
        row = slow.execute("select nextval('outbox.event_position')").fetchone()
        writer.backlog(10)
        for _ in range(3):
            ring.writers_move_on()
        writer.backlog(10)
        wait_drained(url)
        assert Emptied.EMPTIED in ring.make_a_pass()
        assert 0 not in ring.leaves_in_use()

        slow.execute(
            "insert into outbox.event (position, topic, type, payload)"
            " overriding system value values (%s, %s, 'happened', 'late')",
            (row and row[0], ledger.topic),
        )
        slow.execute("commit")
        wait_drained(url)
    records = read_topic(broker.bootstrap_servers, ledger.topic, at_least=21)
    assert sum(record.value == b"late" for record in records) == 1


def test_the_leader_empties_leaves_by_itself(
    two_phase_postgres: CrashablePostgres,
    broker: Broker,
    ledger: Ledger,
    relay_process: StartRelay,
) -> None:
    url = two_phase_postgres.url()
    with turning(url) as ring, closing(Writer("w", url, ledger)) as writer:
        for _ in range(4):
            writer.backlog(10, KEYS)
            ring.writers_move_on()
        writer.backlog(10, KEYS)
        relay_process(url, broker.bootstrap_servers, RELAY_RETENTION="0s")
        until(
            lambda: ring.leaves_in_use() == {4},
            timeout_s=30,
            what="the leaves behind the writers to be emptied",
        )
        prove(ledger, url, broker.bootstrap_servers)


def test_the_leader_keeps_a_day_of_events_unless_it_is_told_otherwise(
    two_phase_postgres: CrashablePostgres,
    broker: Broker,
    ledger: Ledger,
    relay_process: StartRelay,
) -> None:
    url = two_phase_postgres.url()
    with turning(url) as ring, closing(Writer("w", url, ledger)) as writer:
        writer.backlog(10, KEYS)
        for _ in range(4):
            ring.writers_move_on()
        relay_process(url, broker.bootstrap_servers)
        until(
            lambda: value_of(url, "select count(*) from outbox.milestone") > 0,
            timeout_s=30,
            what="the first pass",
        )
        wait_drained(url)
        with connected(url) as connection:
            connection.execute(
                "update outbox.milestone set published_at = published_at - interval '23 h'"
            )
        assert ring.leaves_in_use() == {0}
