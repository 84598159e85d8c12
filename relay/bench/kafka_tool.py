"""Kafka's own producer performance tool, from the jars of the broker: the Java client, and nothing
behind it.

It is given the linger and the batches of the relay, with which it is 1.4 times as fast as with its
defaults, and records of the same size without key and headers, which it cannot make. Its first
records are its warm-up, as long as the page that the relay is spared.
"""

from __future__ import annotations

import re
import tempfile
from pathlib import Path
from typing import Final

from relay.bench.events import PAYLOAD_BYTES
from relay.core.window import CHUNK_BITS
from relay.demo.kafka_jars import JAVA_MIN, find_java, resolve_jars, run_to_end
from relay.demo.kept_process import ServiceFailed

__all__ = ["produce"]

_TIMEOUT_S: Final = 600.0
_WARMUP_RECORDS: Final = 1 << CHUNK_BITS
_PROPERTIES: Final = ("acks=all", "linger.ms=50", "batch.size=1000000")
_SUMMARY: Final = re.compile(
    r"^(\d+) (?:steady state )?records sent, ([\d.]+) records/sec", re.MULTILINE
)


def produce(bootstrap_servers: str, topic: str, records: int) -> tuple[int, float]:
    """Produce so many records; how many of them were timed, and the seconds that these took.

    Raises:
        ServiceFailed: no Java, or the tool failed; with the end of its output.
    """
    if (java := find_java()) is None:
        raise ServiceFailed(f"no Java {JAVA_MIN} or newer in JAVA_HOME or PATH")
    warmup = min(_WARMUP_RECORDS, records - 1)
    command = [java, "-Xmx512m", "-cp", f"{resolve_jars()}/*"]
    command += ["org.apache.kafka.tools.ProducerPerformance", "--topic", topic]
    command += ["--bootstrap-server", bootstrap_servers, "--command-property", *_PROPERTIES]
    command += ["--num-records", str(records), "--warmup-records", str(warmup)]
    command += ["--record-size", str(PAYLOAD_BYTES), "--throughput", "-1"]
    with tempfile.TemporaryDirectory(prefix="outbox-relay-bench-") as folder:
        log = Path(folder) / "log"
        run_to_end(command, log, _TIMEOUT_S)
        said = log.read_text(errors="replace")
    if not (summaries := _SUMMARY.findall(said)):
        raise ServiceFailed(f"Kafka's tool gave no figures:\n{said}")
    timed, per_second = summaries[-1]  # the steady state comes last
    return int(timed), int(timed) / float(per_second)
