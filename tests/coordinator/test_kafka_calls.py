"""A Kafka producer inside an open transaction is seen, however it was imported and made."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import confluent_kafka
import pytest
from confluent_kafka import Producer, SerializingProducer
from confluent_kafka.aio import AIOProducer
from sqlalchemy import Engine, MetaData, text
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session

from coordinator.testing import ProducedInTransaction, Watch, unwatched, watch
from tests.coordinator.flavours import with_driver

# Nothing is sent: a message waits for a broker that is not there, and is purged.
NOWHERE: dict[str, Any] = {"bootstrap.servers": "127.0.0.1:1", "log_level": 0}


class Subclass(Producer):
    """Some services have one."""


@pytest.fixture
def earlier() -> Iterator[Producer]:
    """A producer that the service made before anybody watched."""
    producer = Producer(NOWHERE)
    yield producer
    producer.purge()


@pytest.fixture
def watched() -> Iterator[Watch]:
    with watch(MetaData()) as watching:
        yield watching


def produce(producer: Any) -> None:
    producer.produce("topic", value=b"x")


def refused_in_a_transaction(engine: Engine, call: Callable[[], object]) -> ProducedInTransaction:
    with Session(engine) as session:
        session.execute(text("select 1"))
        with pytest.raises(ProducedInTransaction) as raised:
            call()
    return raised.value


@pytest.mark.usefixtures("watched")
@pytest.mark.parametrize(
    "kind",
    [Producer, confluent_kafka.Producer, Subclass, SerializingProducer],
    ids=["imported before", "of the module", "subclass", "SerializingProducer"],
)
def test_a_message_inside_an_open_transaction_is_refused(engine: Engine, kind: Any) -> None:
    producer = kind(NOWHERE)
    leak = refused_in_a_transaction(engine, lambda: produce(producer))
    assert leak.place.startswith(f"{__file__}:")


def test_so_it_is_on_a_producer_that_was_there_before(
    engine: Engine, earlier: Producer, watched: Watch
) -> None:
    leak = refused_in_a_transaction(engine, lambda: produce(earlier))
    assert watched.found == [leak]


@pytest.mark.usefixtures("watched")
def test_so_is_a_batch(engine: Engine, earlier: Producer) -> None:
    batch: list[dict[str, Any]] = [{"value": b"x"}]
    leak = refused_in_a_transaction(engine, lambda: earlier.produce_batch("topic", batch))
    assert "Producer.produce_batch()" in str(leak)


@pytest.mark.usefixtures("watched")
@pytest.mark.parametrize("driver", ["psycopg", "asyncpg"])
def test_so_is_an_async_producer_inside_an_async_transaction(
    engine: Engine, database_url: str, driver: str
) -> None:
    async def in_a_transaction() -> None:
        async_engine = create_async_engine(with_driver(database_url, driver))
        producer = AIOProducer(NOWHERE)
        try:
            async with AsyncSession(async_engine) as session, session.begin():
                await session.execute(text("select 1"))
                await producer.produce("topic", value=b"x")
        finally:
            await producer.purge()
            await producer.close()
            await async_engine.dispose()

    with pytest.raises(ProducedInTransaction, match=r"AIOProducer\.produce"):
        asyncio.run(in_a_transaction())


@pytest.mark.usefixtures("watched")
def test_before_and_after_a_transaction_a_message_is_taken(
    engine: Engine, earlier: Producer
) -> None:
    produce(earlier)
    with Session(engine) as session:
        session.execute(text("select 1"))
        session.commit()
        produce(earlier)


@pytest.mark.usefixtures("watched")
def test_an_outer_transaction_of_the_test_is_not_meant_but_its_sessions_are(
    engine: Engine, earlier: Producer
) -> None:
    with engine.connect() as connection, connection.begin():
        produce(earlier)
        with Session(connection, join_transaction_mode="create_savepoint") as session:
            session.execute(text("select 1"))
            with pytest.raises(ProducedInTransaction):
                produce(earlier)
            session.commit()
            produce(earlier)


@pytest.mark.usefixtures("watched")
def test_a_test_that_knows_better_may_say_so(engine: Engine, earlier: Producer) -> None:
    with unwatched(), Session(engine) as session:
        session.execute(text("select 1"))
        produce(earlier)


def test_after_the_end_the_methods_are_the_original_ones(earlier: Producer) -> None:
    before = {name: vars(Producer)[name] for name in ("produce", "produce_batch")}
    asynchronous = AIOProducer.produce
    watching = watch(MetaData())
    assert vars(Producer)["produce"] is not before["produce"]
    watching.stop()
    assert {name: vars(Producer)[name] for name in before} == before
    assert AIOProducer.produce is asynchronous
    produce(earlier)
