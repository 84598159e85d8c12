"""librdkafka's mock cluster in a child process: a Kafka without Java, for the first contact.

What it is not, measured with confluent-kafka 2.16:
- topics have 4 partitions, always, and are made by a metadata request that allows it (a plain
  producer or admin client does, a consumer or `allow.auto.create.topics=false` does not; unknown
  topics then behave like a real broker's);
- a partition keeps its last 5 MiB or 100,000 records: consume along, do not read again from 0;
- no admin requests (they time out), no size limit, no isolation of transactions, no fencing;
- a rebalance takes the session timeout less a second.

A child process, because it must be stopped and suspended like a broker, and live on when its client
is killed.
"""

from __future__ import annotations

import shutil
import signal
import sys
import tempfile
from pathlib import Path
from typing import Final, Self

from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient

from relay.demo.kept_process import KeptProcess, ServiceFailed

PARTITIONS: Final = 4
_LISTENING: Final = "listening on "
_TIMEOUT_S: Final = 20.0


class MockBroker:
    """The mock cluster, one broker, from `start` to `close`."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="outbox-relay-mock-"))
        self._process: KeptProcess | None = None
        self.bootstrap_servers = ""

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def pid(self) -> int:
        """Process id of the child that runs the cluster."""
        return self._running().pid

    def start(self) -> Self:
        """Start the child, and wait for its address.

        Raises:
            ServiceFailed: with the end of its output.
        """
        self._process = KeptProcess(
            [sys.executable, "-m", "relay.demo.mock_broker"],
            log=self._folder / "broker.log",
            scratch=self._folder,
        ).until_ready(self._has_address, _TIMEOUT_S)
        return self

    def create_topic(self, name: str, partitions: int = PARTITIONS) -> None:
        """Make a topic, which has 4 partitions.

        Raises:
            ServiceFailed: another number was asked for, or the broker does not answer.
        """
        if partitions != PARTITIONS:
            raise ServiceFailed(f"the mock's topics have {PARTITIONS} partitions, not {partitions}")
        metadata = AdminClient({"bootstrap.servers": self.bootstrap_servers}).list_topics(
            name, timeout=_TIMEOUT_S
        )
        if len(metadata.topics[name].partitions) != PARTITIONS:
            raise ServiceFailed(f"the mock made no topic {name}: {metadata.topics[name].error}")

    def suspend(self) -> None:
        """Stop answering, as in an outage: connections stay open and nothing comes back."""
        self._running().suspend()

    def resume(self) -> None:
        """Go on after `suspend`."""
        self._running().send_signal(signal.SIGCONT)

    def close(self) -> None:
        """End the child and remove its files. Safe to call again."""
        if self._process is not None:
            self._process.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _running(self) -> KeptProcess:
        if self._process is None:
            raise ServiceFailed("this mock broker has not been started")
        return self._process

    def _has_address(self) -> bool:
        for line in (self._folder / "broker.log").read_text().splitlines(keepends=True):
            if line.startswith(_LISTENING) and line.endswith("\n"):
                self.bootstrap_servers = line.removeprefix(_LISTENING).strip()
                return True
        return False


def main() -> None:
    """Run the cluster until a signal, its address as the one line of output."""
    # The client that owns the cluster; log_level 0 keeps "mock cluster enabled" and lost
    # connections to itself.
    owner = Producer({"bootstrap.servers": "", "test.mock.num.brokers": 1, "log_level": 0})
    (broker,) = owner.list_topics(timeout=_TIMEOUT_S).brokers.values()
    print(f"{_LISTENING}{broker.host}:{broker.port}", flush=True)
    signal.sigwait({signal.SIGTERM, signal.SIGINT})


if __name__ == "__main__":
    # Blocked before librdkafka makes its threads, so that the signal comes to `sigwait` and to
    # nobody else.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
    main()
