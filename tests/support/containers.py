"""PostgreSQL and Kafka by testcontainers, where a container engine answers.

Docker's client and testcontainers are imported late: they take half a second, and most machines
that run the tests have no engine to talk to.
"""

from __future__ import annotations

import gc
import warnings
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import cache
from typing import Final

POSTGRES_IMAGE: Final = "postgres:18.4-alpine"
KAFKA_IMAGE: Final = (
    "confluentinc/cp-kafka:7.9.2"  # the tag that testcontainers' KRaft start-up is written for
)
_PROBE_TIMEOUT_S: Final = 2


@cache
def engine_missing_reason() -> str | None:
    """Why no container can be started here, or None when an engine answers."""
    reason = _ask_engine()
    # Docker's client leaves the socket of a failed connection to the collector, whose warning
    # would fall upon whichever test runs then.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()
    return reason


def _ask_engine() -> str | None:
    import docker
    from docker.errors import DockerException

    try:
        with closing(docker.from_env(timeout=_PROBE_TIMEOUT_S)) as client:
            client.ping()
    except (DockerException, OSError) as error:
        return f"no container engine answers: {str(error).splitlines()[0]}"
    return None


@contextmanager
def postgres_container() -> Iterator[str]:
    """A running PostgreSQL; gives the URL of its superuser."""
    from testcontainers.community.postgres import PostgresContainer

    container = PostgresContainer(POSTGRES_IMAGE, driver=None)
    container.with_command("postgres -c max_prepared_transactions=10 -c max_connections=200")
    with container:
        yield container.get_connection_url()


@contextmanager
def kafka_container() -> Iterator[str]:
    """A running Kafka; gives its bootstrap address."""
    from testcontainers.community.kafka import KafkaContainer

    container = KafkaContainer(KAFKA_IMAGE).with_kraft()
    container.with_env("KAFKA_AUTO_CREATE_TOPICS_ENABLE", "false")
    container.with_env("KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR", "1")
    container.with_env("KAFKA_TRANSACTION_STATE_LOG_MIN_ISR", "1")
    with container:
        yield container.get_bootstrap_server()
