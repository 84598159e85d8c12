"""Kafka for tests: which broker, and a fresh topic for each test that asks.

The broker is the one of TEST_KAFKA_BOOTSTRAP_SERVERS, else a container, else Apache Kafka by Maven,
else the mock. Where Java and Maven are there and the broker does not start, that is an error of the
run and never a reason to skip.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache, partial
from typing import Final, Literal

import pytest

from relay.demo import apache_kafka, kafka_jars
from relay.demo.apache_kafka import ApacheKafka
from relay.demo.kept_process import ServiceFailed
from relay.demo.mock_broker import MockBroker
from tests.support.containers import KAFKA_IMAGE, engine_missing_reason, kafka_container

PARTITIONS: Final = 4
WANTED: Final = "needs a real broker"


@dataclass(frozen=True)
class Broker:
    """A running broker. A topic's partitions can be chosen, and `config` given, on a real one
    only."""

    bootstrap_servers: str
    is_real: bool
    _create: Callable[..., None]

    def create_topic(
        self, name: str, partitions: int = PARTITIONS, config: Mapping[str, str] | None = None
    ) -> None:
        """Make a topic that can be produced to at once."""
        if self.is_real:
            self._create(name, partitions, config)
        else:
            assert config is None, (
                "the mock takes no topic configuration: mark the test real_broker"
            )
            self._create(name, partitions)


@dataclass(frozen=True)
class Choice:
    """Which broker the tests use; nothing is started yet."""

    kind: Literal["given", "container", "apache", "mock"]
    description: str

    @property
    def is_real(self) -> bool:
        return self.kind != "mock"


@cache
def choice() -> Choice:
    """The first of the four that this machine has."""
    if os.environ.get("TEST_KAFKA_BOOTSTRAP_SERVERS"):
        return Choice("given", "given by TEST_KAFKA_BOOTSTRAP_SERVERS")
    if engine_missing_reason() is None:
        return Choice("container", f"container {KAFKA_IMAGE}")
    if (missing := kafka_jars.unavailable_reason()) is None:
        return Choice("apache", f"Apache Kafka {kafka_jars.VERSION} by Maven")
    return Choice("mock", f"librdkafka's mock cluster ({missing})")


@pytest.fixture(scope="session")
def mock_broker() -> Iterator[Broker]:
    """Always the mock. It forgets all but the last 5 MiB of a partition."""
    with MockBroker() as mock:
        yield Broker(mock.bootstrap_servers, is_real=False, _create=mock.create_topic)


@pytest.fixture(scope="session")
def broker(request: pytest.FixtureRequest) -> Iterator[Broker]:
    """The broker of this test run: a real one if this machine has one, else the mock."""
    chosen = choice()
    if not chosen.is_real:
        yield request.getfixturevalue("mock_broker")
        return
    with ExitStack() as stack:
        if chosen.kind == "given":
            address = os.environ["TEST_KAFKA_BOOTSTRAP_SERVERS"]
        elif chosen.kind == "container":
            address = stack.enter_context(kafka_container())
        else:
            address = stack.enter_context(ApacheKafka()).bootstrap_servers
        yield Broker(address, is_real=True, _create=partial(apache_kafka.create_topic, address))


@contextmanager
def private_kafka(properties: Mapping[str, str] | None = None) -> Iterator[ApacheKafka]:
    """One that a test may suspend, kill or set up its own way. Where the run's broker is a
    container or a given one, this is started beside it if the machine can."""
    skip_without_jars()
    with ApacheKafka(properties) as kafka:
        yield kafka


def skip_without_jars() -> None:
    """Skip, by name, what needs a broker of its own where none can be started."""
    if missing := kafka_jars.unavailable_reason():
        pytest.skip(f"{WANTED} of its own: {missing}")


@pytest.fixture
def topic(broker: Broker) -> str:
    """A fresh topic of 4 partitions on `broker`."""
    name = f"test.{uuid.uuid4().hex[:12]}"
    broker.create_topic(name)
    return name


def pytest_collection_finish(session: pytest.Session) -> None:
    """Fetch the broker's jars before the first test, whose time limit a slow network would
    break."""
    wanted = any("broker" in getattr(item, "fixturenames", ()) for item in session.items)
    if wanted and choice().kind == "apache" and not session.config.option.collectonly:
        try:
            kafka_jars.resolve_jars()
        except ServiceFailed as error:
            pytest.exit(f"Java and Maven are there, but no Kafka: {error}", returncode=1)


@pytest.hookimpl(tryfirst=True)  # before the fixtures of a test that will not run
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what only a real broker can show, where only the mock is there."""
    if item.get_closest_marker("real_broker") and not choice().is_real:
        pytest.skip(f"{WANTED}, and here is {choice().description}")
