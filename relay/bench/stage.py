"""Where a benchmark runs: a fresh database and topic, on services of its own or on given ones.

Of a given server only a new database is used, and of given brokers only a new topic; both are
removed at the end. The outbox that the server may hold is never touched.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from typing import Final, Literal, Protocol

import psycopg
from confluent_kafka import Consumer, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic
from psycopg import sql
from psycopg.conninfo import make_conninfo

from relay import config
from relay.admin import migrate
from relay.demo import kafka_jars
from relay.demo.apache_kafka import ApacheKafka
from relay.demo.embedded_postgres import EmbeddedPostgres
from relay.demo.kept_process import ServiceFailed
from relay.demo.mock_broker import PARTITIONS, MockBroker
from relay.postgres.connect import Connection, connect

__all__ = ["BrokerKind", "Database", "Stage", "Watcher", "fresh_database", "set_stage"]

BrokerKind = Literal["mock", "kafka"]
_Properties = dict[str, str | int | float | bool]

_SOURCE: Final = "/bench"
_REQUEST_TIMEOUT_S: Final = 20.0
# The mock broker answers a fetch that finds nothing when this time is over, and not when a record
# comes.
_AT_ONCE: Final = {"fetch.wait.max.ms": 2, "fetch.error.backoff.ms": 1}
# A checkpoint in the middle makes every page that is changed after it a full page of WAL, in
# whoever's turn it is. With room for the whole run there is none.
_SERVER_OPTIONS: Final = {"max_wal_size": "16GB", "checkpoint_timeout": "1h"}


class Watcher(Protocol):
    """Is told how far the benchmark got."""

    def at(self, what: str, done: int, total: int) -> None:
        """`done` of `total` are done of what `what` names."""


@dataclass(frozen=True, slots=True)
class Database:
    """A migrated database of this run alone.

    Attributes:
        url: keep it out of messages, it may hold a password.
        postgres: what it is, for people.
        connection: autocommits.
    """

    url: str
    postgres: str
    connection: Connection


@dataclass(frozen=True, slots=True)
class Stage:
    """Services that are ready: a migrated database and a topic, both of this run alone.

    Attributes:
        database_url: keep it out of messages, it may hold a password.
        postgres, broker: what they are, for people.
        own_kafka: whether the broker is a real one of our own.
        connection: autocommits.
    """

    database_url: str
    postgres: str
    bootstrap_servers: str
    broker: str
    own_kafka: bool
    topic: str
    connection: Connection
    _offsets: Consumer
    _client: _Properties

    def environment(self) -> dict[str, str]:
        """The environment of a process that publishes here; the user's librdkafka properties
        count."""
        ours = {k: v for k, v in os.environ.items() if k != "RELAY_FAILPOINT"}
        return ours | {
            "RELAY_DATABASE_URL": self.database_url,
            "RELAY_KAFKA_BOOTSTRAP_SERVERS": self.bootstrap_servers,
            "RELAY_SOURCE": _SOURCE,
        }

    def records(self) -> int:
        """How many records the topic was ever given, whatever the broker has kept of them."""
        return sum(self._end_of(partition) for partition in self._partitions())

    def _end_of(self, partition: TopicPartition) -> int:
        return self._offsets.get_watermark_offsets(partition, timeout=_REQUEST_TIMEOUT_S)[1]

    @contextmanager
    def follower(self) -> Iterator[Callable[[float], bytes | None]]:
        """What gives the value of the next record that comes from now on.

        It waits for so many seconds at most, and then gives None.
        """
        places = [
            TopicPartition(place.topic, place.partition, self._end_of(place))
            for place in self._partitions()
        ]
        with closing(Consumer({**self._client, "group.id": self.topic, **_AT_ONCE})) as consumer:
            consumer.assign(places)

            def next_value(wait_s: float) -> bytes | None:
                message = consumer.poll(wait_s)
                return None if message is None or message.error() else message.value()

            yield next_value

    def wal_bytes(self) -> int:
        """Where the write-ahead log stands, in bytes since the server was made."""
        query = "select pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint"
        row = self.connection.execute(query).fetchone()
        return int(str(row and row[0]))

    def _partitions(self) -> list[TopicPartition]:
        topic = self._offsets.list_topics(self.topic, _REQUEST_TIMEOUT_S).topics[self.topic]
        return [TopicPartition(self.topic, number) for number in topic.partitions]


@contextmanager
def set_stage(broker: BrokerKind) -> Iterator[Stage]:
    """Bring up what the environment does not name, and take everything down at the end.

    Raises:
        ServiceFailed: a service of our own did not start, or a given one refused a new database or
            topic.
        Unreachable: the given database cannot be reached.
    """
    _, given_servers = config.given_services()
    with ExitStack() as stack:
        database = stack.enter_context(fresh_database())
        name = _fresh_name()
        servers, kind = (
            (given_servers, "RELAY_KAFKA_BOOTSTRAP_SERVERS")
            if given_servers
            else _own_broker(stack, broker)
        )
        client: _Properties = {
            **config.kafka_properties(),
            "bootstrap.servers": servers,
            "log_level": 0,
        }
        _make_topic(client, name)
        if given_servers:
            stack.callback(_remove_topic, client, name)
        # A group is asked for by the client, and never joined.
        offsets = stack.enter_context(closing(Consumer({**client, "group.id": name})))
        yield Stage(
            database_url=database.url,
            postgres=database.postgres,
            bootstrap_servers=servers,
            broker=kind,
            own_kafka=broker == "kafka" and given_servers is None,
            topic=name,
            connection=database.connection,
            _offsets=offsets,
            _client=client,
        )


@contextmanager
def fresh_database() -> Iterator[Database]:
    """Make a database, on a server of our own where the environment names none; drop it at the end.

    Raises:
        ServiceFailed: the server did not start, or the given one refused a new database.
        Unreachable: the given one cannot be reached.
    """
    given, _ = config.given_services()
    with ExitStack() as stack:
        server = given or stack.enter_context(EmbeddedPostgres(_SERVER_OPTIONS)).url()
        url = stack.enter_context(_new_database(server, _fresh_name()))
        migrate.upgrade(url)
        connection = stack.enter_context(closing(connect(url, "bench")))
        yield Database(url, _version(connection, given=given is not None), connection)


def _fresh_name() -> str:
    return f"outbox_bench_{uuid.uuid4().hex[:8]}"


@contextmanager
def _new_database(server: str, name: str) -> Iterator[str]:
    with closing(connect(server, "bench")) as connection:
        try:
            connection.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
        except psycopg.errors.InsufficientPrivilege as refusal:
            raise ServiceFailed(
                "the role of RELAY_DATABASE_URL may not create a database, which the benchmark"
                " needs for itself"
            ) from refusal
        try:
            yield make_conninfo(server, dbname=name)
        finally:
            drop = sql.SQL("drop database {} with (force)").format(sql.Identifier(name))
            connection.execute(drop)


def _version(connection: Connection, *, given: bool) -> str:
    # Packagers add their own name to the number.
    version = (connection.info.parameter_status("server_version") or "").partition(" ")[0]
    return f"{version} ({'RELAY_DATABASE_URL' if given else 'embedded'})"


def _own_broker(stack: ExitStack, kind: BrokerKind) -> tuple[str, str]:
    if kind == "kafka":
        kafka = stack.enter_context(ApacheKafka())
        return kafka.bootstrap_servers, f"Apache Kafka {kafka_jars.VERSION}"
    return stack.enter_context(MockBroker()).bootstrap_servers, "mock"


def _make_topic(client: _Properties, name: str) -> None:
    admin = AdminClient(client)
    try:
        # The mock has no admin requests, and makes a topic when it is asked for.
        if not _has_leaders(admin, name):
            admin.create_topics([NewTopic(name, PARTITIONS, -1)])[name].result(_REQUEST_TIMEOUT_S)
        while not _has_leaders(admin, name):
            pass  # every question waits for the broker's answer
    except KafkaException as refusal:
        raise ServiceFailed(f"topic {name}: {refusal}") from refusal


def _remove_topic(client: _Properties, name: str) -> None:
    # A topic that stays is a nuisance, and no reason to lose the figures.
    admin = AdminClient(client)  # by name: the request dies with its client
    with suppress(KafkaException):
        admin.delete_topics([name])[name].result(_REQUEST_TIMEOUT_S)


def _has_leaders(admin: AdminClient, name: str) -> bool:
    topic = admin.list_topics(name, timeout=_REQUEST_TIMEOUT_S).topics[name]
    leaders = [partition.leader for partition in topic.partitions.values()]
    return bool(leaders) and all(leader >= 0 for leader in leaders)
