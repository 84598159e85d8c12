"""F16, F17: a standby takes over, with all that was committed or less, and the relay goes on."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from relay.admin import migrate
from tests.relay.events import connected, emit, idempotency_key, value_of
from tests.support.clusters import standby_of
from tests.support.consume import read_topic
from tests.support.history import Ledger, ids_in_database, prove
from tests.support.kafka import Broker
from tests.support.postgres import CrashablePostgres
from tests.support.processes import StartRelay
from tests.support.wait import until
from tests.support.workload import prepare_keys, writing

RECOVERED_WITHIN_S = 30.0
BEHIND = 200

_WAITING_FOR_A_STANDBY = """select count(*) from pg_stat_activity
where application_name = 'relay cursor' and wait_event = 'SyncRep'"""
_A_WINDOW = "select max(number) from outbox.window"
_CLOSED = "select closed from outbox.window order by number desc, step desc limit 1"
_END_IT = _WAITING_FOR_A_STANDBY.replace("count(*)", "count(pg_terminate_backend(pid))")


@pytest.fixture
def primary(own_postgres: Callable[..., CrashablePostgres]) -> CrashablePostgres:
    server = own_postgres()
    migrate.upgrade(server.url())
    prepare_keys(server.url())
    return server


def either(primary: CrashablePostgres, standby: CrashablePostgres) -> str:
    """Whichever of the two may be written to."""
    hosts = f"127.0.0.1:{primary.port},127.0.0.1:{standby.port}"
    url = primary.url().replace(f"127.0.0.1:{primary.port}", hosts)
    return f"{url}?target_session_attrs=read-write"


def wait_for_each_commit_to_be_applied(primary: CrashablePostgres) -> None:
    with connected(primary.url()) as owner:
        for setting in ("synchronous_standby_names = '*'", "synchronous_commit = 'remote_apply'"):
            owner.execute(f"alter system set {setting}".encode())
        owner.execute("select pg_reload_conf()")
    until(
        lambda: value_of(
            primary.url(), "select count(*) from pg_stat_replication where sync_state = 'sync'"
        ),
        what="a synchronous standby",
    )


def test_f16_without_loss_each_event_is_published_as_if_nothing_had_been(
    primary: CrashablePostgres, broker: Broker, ledger: Ledger, relay_process: StartRelay
) -> None:
    with standby_of(primary) as standby:
        wait_for_each_commit_to_be_applied(primary)
        url = either(primary, standby)
        relay = relay_process(url, broker.bootstrap_servers)
        relay.wait_for_log("leading")
        with writing(url, ledger, writers=4):
            ledger.wait_for(100)
            primary.stop_immediate()
            with connected(standby.url()) as owner:
                owner.execute("alter system set synchronous_standby_names = ''")
                owner.execute("select pg_reload_conf(), pg_promote()")
            ledger.wait_for(100, RECOVERED_WITHIN_S)
        proof = prove(ledger, standby.url(), broker.bootstrap_servers, max_duplicates=None)

        assert proof.verdict.duplicates <= proof.largest_window()
        assert len({epoch for one in proof.places().values() for _, epoch in one}) == 2
        assert relay.exit_code is None
        relay.close()


def test_f17_with_loss_what_is_written_under_ids_that_come_again_is_published(
    primary: CrashablePostgres, broker: Broker, topic: str, relay_process: StartRelay
) -> None:
    emit(primary.url(), topic)
    with standby_of(primary) as standby:
        until(
            lambda: value_of(standby.url(), "select count(*) from outbox.event") == 1,
            what="the standby to have the first event",
        )
        standby.stop("fast")
        gone = [emit(primary.url(), topic)[0] for _ in range(BEHIND)]
        relay = relay_process(primary.url(), broker.bootstrap_servers, "--until-drained")
        assert relay.wait() == 0
        theirs = value_of(
            primary.url(), "select array_agg(txid::text || ' ' || position) from outbox.event"
        )
        primary.stop_immediate()
        standby.start()
        value_of(standby.url(), "select pg_promote()")
        new = [emit(standby.url(), topic)[0] for _ in range(BEHIND)]
        ours = value_of(
            standby.url(), "select array_agg(txid::text || ' ' || position) from outbox.event"
        )
        second = relay_process(standby.url(), broker.bootstrap_servers, "--until-drained")
        assert second.wait() == 0
        sent = [idempotency_key(one) for one in read_topic(broker.bootstrap_servers, topic)]

        assert set(gone) <= set(sent), "they had been published before they were lost"
        assert ids_in_database(standby.url()) <= set(sent)
        assert [one for one in sent if one in set(new)] == new
        assert set(theirs) & set(ours), "no number came again: the test shows nothing"


def test_nothing_is_published_before_a_synchronous_standby_has_it(
    primary: CrashablePostgres, broker: Broker, topic: str, relay_process: StartRelay
) -> None:
    """Though the writer, who did not wait for the standby, has made it visible."""
    with standby_of(primary) as standby:
        wait_for_each_commit_to_be_applied(primary)
        relay = relay_process(primary.url(), broker.bootstrap_servers)
        relay.wait_for_log("leading")
        standby.stop("fast")
        with connected(primary.url()) as writer:
            writer.execute("set synchronous_commit = local")
            writer.execute("select outbox.emit(%s, 'k', 'thing.happened', '')", (topic,))
        until(
            lambda: value_of(primary.url(), _WAITING_FOR_A_STANDBY),
            what="the relay to wait for the standby",
        )
        assert read_topic(broker.bootstrap_servers, topic) == []
        standby.start()
        assert len(read_topic(broker.bootstrap_servers, topic, at_least=1)) == 1
        relay.close()


def test_nor_when_the_session_is_ended_in_which_the_relay_waits_for_it(
    primary: CrashablePostgres, broker: Broker, topic: str, relay_process: StartRelay
) -> None:
    """The window is then committed without the standby, and visible; the relay still leads."""
    with standby_of(primary) as standby:
        wait_for_each_commit_to_be_applied(primary)
        relay = relay_process(primary.url(), broker.bootstrap_servers)
        # It waits for the standby as it loads, too: the session to be ended is the window's.
        emit(primary.url(), topic)
        assert len(read_topic(broker.bootstrap_servers, topic, at_least=1)) == 1
        until(lambda: value_of(primary.url(), _CLOSED), what="the relay to have nothing to write")
        before = value_of(primary.url(), _A_WINDOW)
        standby.stop("fast")
        with connected(primary.url()) as writer:
            writer.execute("set synchronous_commit = local")
            writer.execute("select outbox.emit(%s, 'k', 'thing.happened', '')", (topic,))
        until(lambda: value_of(primary.url(), _END_IT), what="the session to be ended")
        until(
            lambda: value_of(primary.url(), _WAITING_FOR_A_STANDBY),
            what="the relay to wait for the standby again",
        )
        assert value_of(primary.url(), _A_WINDOW) > before, "nothing is shown"
        assert len(read_topic(broker.bootstrap_servers, topic)) == 1
        standby.start()
        assert len(read_topic(broker.bootstrap_servers, topic, at_least=2)) == 2
        relay.close()
