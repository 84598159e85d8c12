"""A real Apache Kafka, one KRaft node, from its published jars: for what the mock cannot show.

Starting takes some 3 s. Never a shell script of the Kafka download: those find Java by themselves
and signal processes by name.
"""

from __future__ import annotations

import base64
import shutil
import signal
import tempfile
import threading
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from time import monotonic
from typing import Final, Self

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from relay.demo.embedded_postgres import free_port
from relay.demo.kafka_jars import JAVA_MIN, find_java, resolve_jars, run_to_end
from relay.demo.kept_process import KeptProcess, ServiceFailed

_START_TIMEOUT_S: Final = 60.0
_FORMAT_TIMEOUT_S: Final = 60.0
_REQUEST_TIMEOUT_S: Final = 10.0
_POLL_S: Final = 0.02
_JVM_OPTIONS: Final = (
    "-Xmx512m",
    "-XX:+UseSerialGC",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
)
_ONE_NODE: Final = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "listener.security.protocol.map": "BROKER:PLAINTEXT,CONTROLLER:PLAINTEXT",
    "inter.broker.listener.name": "BROKER",
    "controller.listener.names": "CONTROLLER",
    "auto.create.topics.enable": "false",
    # Three replicas, the default, would keep the first group and transaction waiting for ever.
    "offsets.topic.replication.factor": "1",
    "offsets.topic.num.partitions": "1",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "transaction.state.log.num.partitions": "1",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "group.initial.rebalance.delay.ms": "0",
    # After a crash the controller takes the broker back only when its old session has ended.
    "broker.heartbeat.interval.ms": "500",
    "broker.session.timeout.ms": "3000",
}


class ApacheKafka:
    """One broker on 127.0.0.1 with a temporary log folder, from `start` to `close`.

    Args:
        properties: broker properties to add to or put in place of the defaults.
        listeners: more of them, each as NAME://127.0.0.1:PORT; `properties` say what each speaks.

    Raises:
        ServiceFailed: Java or the jars are not there, or the storage could not be formatted.
    """

    def __init__(
        self, properties: Mapping[str, str] | None = None, listeners: Sequence[str] = ()
    ) -> None:
        if (java := find_java()) is None:
            raise ServiceFailed(f"no Java {JAVA_MIN} or newer in JAVA_HOME or PATH")
        self._command = [java, *_JVM_OPTIONS, "-cp", f"{resolve_jars()}/*"]
        self._folder = Path(tempfile.mkdtemp(prefix="outbox-relay-kafka-"))
        self._properties_file = self._folder / "server.properties"
        self._process: KeptProcess | None = None
        port, controller_port = free_port(), free_port()
        self.bootstrap_servers = f"127.0.0.1:{port}"
        try:
            ours = (f"BROKER://127.0.0.1:{port}", f"CONTROLLER://127.0.0.1:{controller_port}")
            all_listeners = {"listeners": ",".join((*ours, *listeners))}
            self._write_properties(controller_port, all_listeners | dict(properties or {}))
            self._format_storage()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def pid(self) -> int:
        """Process id of the broker, of the last start: the JVM itself, no script before it."""
        return self._started().pid

    def start(self) -> Self:
        """Start, and wait until the broker answers. A later start has the same address and data.

        Raises:
            ServiceFailed: with the end of the broker's log.
        """
        if self._process is not None and self._process.running():
            return self
        self._process = KeptProcess(
            [*self._command, "kafka.Kafka", str(self._properties_file)],
            log=self._folder / "broker.log",
            scratch=self._folder,
        )
        self._process.until_ready(self._answers, _START_TIMEOUT_S)
        return self

    def stop(self) -> None:
        """Stop cleanly, keeping the data for the next start."""
        self._started().stop()

    def kill(self) -> None:
        """Crash it (SIGKILL), keeping the data for the next start."""
        self._started().stop(signal.SIGKILL)

    def suspend(self) -> None:
        """Stop answering, as in an outage: connections stay open and nothing comes back."""
        self._started().suspend()

    def resume(self) -> None:
        """Go on after `suspend`."""
        self._started().send_signal(signal.SIGCONT)

    def create_topic(
        self, name: str, partitions: int = 4, config: Mapping[str, str] | None = None
    ) -> None:
        """Make a topic that can be produced to at once. See `create_topic` of this module."""
        create_topic(self.bootstrap_servers, name, partitions, config)

    def close(self) -> None:
        """Stop, and remove every file. Safe to call again."""
        if self._process is not None:
            self._process.stop(signal.SIGKILL)
        shutil.rmtree(self._folder, ignore_errors=True)

    def _started(self) -> KeptProcess:
        if self._process is None:
            raise ServiceFailed("this Kafka has not been started")
        return self._process

    def _answers(self) -> bool:
        client = AdminClient({"bootstrap.servers": self.bootstrap_servers, "log_level": 0})
        try:
            return bool(client.list_topics(timeout=1.0).brokers)
        except KafkaException:
            return False

    def _write_properties(self, controller_port: int, more: Mapping[str, str]) -> None:
        settings = {
            **_ONE_NODE,
            "controller.quorum.bootstrap.servers": f"127.0.0.1:{controller_port}",
            "log.dirs": str(self._folder / "log"),
            **more,
        }
        lines = (f"{name}={value}\n" for name, value in settings.items())
        self._properties_file.write_text("".join(lines))

    def _format_storage(self) -> None:
        cluster_id = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        # With an equals sign: an id may begin with a hyphen, and is taken for an option then.
        tool = ["kafka.tools.StorageTool", "format", "--standalone", f"--cluster-id={cluster_id}"]
        command = [*self._command, *tool, "--config", str(self._properties_file)]
        run_to_end(command, self._folder / "format.log", _FORMAT_TIMEOUT_S)


def create_topic(
    bootstrap_servers: str, name: str, partitions: int = 4, config: Mapping[str, str] | None = None
) -> None:
    """Make a topic with one replica, and wait until the broker has a leader for every partition.

    Without the wait, what is produced just after may be refused.

    Raises:
        ServiceFailed: the broker refused or did not answer.
    """
    client = AdminClient({"bootstrap.servers": bootstrap_servers, "log_level": 0})
    topic = NewTopic(name, partitions, 1, config=dict(config or {}))
    try:
        client.create_topics([topic])[name].result(_REQUEST_TIMEOUT_S)
        deadline = monotonic() + _REQUEST_TIMEOUT_S
        while not _has_leaders(client, name, partitions):
            if monotonic() > deadline:
                raise ServiceFailed(f"topic {name}: no leaders in {_REQUEST_TIMEOUT_S:g} s")
            threading.Event().wait(_POLL_S)
    except KafkaException as error:
        raise ServiceFailed(f"topic {name}: {error}") from error


def _has_leaders(client: AdminClient, name: str, partitions: int) -> bool:
    topic = client.list_topics(timeout=_REQUEST_TIMEOUT_S).topics.get(name)
    if topic is None or len(topic.partitions) != partitions:
        return False
    return all(partition.leader >= 0 for partition in topic.partitions.values())
