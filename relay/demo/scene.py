"""Where the demo plays: the services that the environment names, else services of its own."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from time import monotonic
from typing import Final, Literal

import confluent_kafka
import psycopg
from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from relay import config
from relay.admin import migrate
from relay.demo import kafka_jars, tables
from relay.demo.apache_kafka import ApacheKafka
from relay.demo.embedded_postgres import EmbeddedPostgres
from relay.demo.kept_process import ServiceFailed
from relay.demo.mock_broker import PARTITIONS, MockBroker
from relay.errors import UnsafeDatabase
from relay.postgres.connect import Connection, connect
from relay.postgres.status_reader import read_status

BrokerKind = Literal["mock", "kafka"]
Say = Callable[[str], None]

_TOPIC_PREFIX: Final = "outbox-demo."
_REQUEST_TIMEOUT_S: Final = 20.0
_POLL_S: Final = 0.05


@dataclass(frozen=True, slots=True)
class Scene:
    """Services that are ready: migrated, with the demo's tables and its topic.

    Attributes:
        database_url: keep it out of messages, it may hold a password.
        postgres, broker: what they are, for people.
        kafka_properties: the user's, for a broker that the user gave.
        topic: of this demo alone, as are the tenant and the consumer of the same name.
    """

    database_url: str
    postgres: str
    bootstrap_servers: str
    broker: str
    kafka_properties: Mapping[str, str]
    topic: str
    partitions: int

    @property
    def name(self) -> str:
        """Tells this demo's runs, consumer and topic from any other's."""
        return self.topic

    def client(self) -> dict[str, str | int | float | bool]:
        """Properties of a Kafka client that asks this broker."""
        return {
            **self.kafka_properties,
            "bootstrap.servers": self.bootstrap_servers,
            "log_level": 0,
        }


@contextmanager
def set_scene(broker: BrokerKind, say: Say) -> Iterator[Scene]:
    """Bring up what is not given, and take it down at the end.

    Args:
        broker: which of our own, where the environment names none.
        say: told what is ready.

    Raises:
        ServiceFailed: a service of our own did not start.
        UnsafeDatabase: the given database has an outbox that somebody else uses.
        Unreachable: the given database cannot be reached.
    """
    given_database, given_servers = config.given_services()
    topic = _TOPIC_PREFIX + uuid.uuid4().hex[:8]
    with ExitStack() as stack:
        url = given_database or _own_database(stack)
        postgres = _migrated(stack, url, topic, given=given_database is not None)
        say(f"{postgres} is ready and migrated")
        properties = config.kafka_properties() if given_servers else {}
        servers, kind = (
            (given_servers, "Kafka (RELAY_KAFKA_BOOTSTRAP_SERVERS)")
            if given_servers
            else _own_broker(stack, broker)
        )
        partitions = _make_topic({**properties, "bootstrap.servers": servers}, topic)
        say(f"{kind} is ready, with the topic {topic}")
        yield Scene(url, postgres, servers, kind, properties, topic, partitions)


def _own_database(stack: ExitStack) -> str:
    server = stack.enter_context(EmbeddedPostgres())
    with psycopg.connect(server.url(), autocommit=True) as connection:
        connection.execute("create database demo")
    return server.url("demo")


def _migrated(stack: ExitStack, url: str, consumer: str, *, given: bool) -> str:
    migrate.upgrade(url)
    connection = stack.enter_context(closing(connect(url, "demo scene")))
    if given:
        _refuse_others_outbox(connection)
        # What the runs wrote stays, like that of any run; the rest is of no use afterwards.
        stack.callback(tables.remove, connection, consumer)
    tables.create(connection)
    # Packagers add their own name to the number.
    version = (connection.info.parameter_status("server_version") or "").partition(" ")[0]
    return f"PostgreSQL {version} ({'RELAY_DATABASE_URL' if given else 'embedded'})"


def _refuse_others_outbox(connection: Connection) -> None:
    """The demo's relays publish whatever is in the outbox, and to the demo's broker."""
    status = read_status(connection)
    query = "select exists (select from outbox.event where not starts_with(topic, %s))"
    (others,) = connection.execute(query, [_TOPIC_PREFIX]).fetchone() or (True,)
    if status.leader is None and not status.pending and not others:
        return
    raise UnsafeDatabase(
        "the outbox of RELAY_DATABASE_URL is in use"
        f" ({'a relay leads' if status.leader else 'no relay leads'}, {status.pending} events wait,"
        f" {'it holds' if others else 'no'} events of others): the demo would publish what is not"
        " its own and kill a leader. Give it a database of its own, or none"
    )


def _own_broker(stack: ExitStack, kind: BrokerKind) -> tuple[str, str]:
    if kind == "kafka":
        kafka = stack.enter_context(ApacheKafka())
        return kafka.bootstrap_servers, f"Apache Kafka {kafka_jars.VERSION}"
    mock = stack.enter_context(MockBroker())
    return mock.bootstrap_servers, f"mock cluster of librdkafka {confluent_kafka.libversion()[0]}"


def _make_topic(properties: Mapping[str, str], topic: str) -> int:
    """Make the topic if asking for it does not, and return its number of partitions."""
    client = AdminClient({**properties, "log_level": 0})
    try:
        if not _ready_partitions(client, topic):
            _create(client, topic)
        deadline = monotonic() + _REQUEST_TIMEOUT_S
        while not (partitions := _ready_partitions(client, topic)):
            if monotonic() > deadline:
                raise ServiceFailed(f"topic {topic} has no leaders after {_REQUEST_TIMEOUT_S:g} s")
            threading.Event().wait(_POLL_S)
    except KafkaException as error:
        raise ServiceFailed(f"broker: {error}") from error
    return partitions


def _create(client: AdminClient, topic: str) -> None:
    try:
        client.create_topics([NewTopic(topic, PARTITIONS)])[topic].result(_REQUEST_TIMEOUT_S)
    except KafkaException as error:
        # A broker that makes topics when they are asked for is making it now.
        if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
            raise


def _ready_partitions(client: AdminClient, topic: str) -> int:
    """How many partitions, once each has a leader; what is produced before may be refused."""
    found = client.list_topics(topic, timeout=_REQUEST_TIMEOUT_S).topics[topic].partitions
    return len(found) if all(one.leader >= 0 for one in found.values()) else 0
