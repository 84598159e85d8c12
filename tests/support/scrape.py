"""What a relay answers on its port, asked as a probe or Prometheus asks."""

from __future__ import annotations

from collections.abc import Mapping
from http.client import HTTPConnection
from typing import NamedTuple

from prometheus_client.parser import text_string_to_metric_families

from tests.support.processes import RelayProcess

ANYWHERE = "127.0.0.1:0"
"""For RELAY_HTTP: any port that is free."""


class Answer(NamedTuple):
    """Headers by lower-case name."""

    status: int
    text: str
    headers: Mapping[str, str]


def asked(port: int, path: str, method: str = "GET") -> Answer:
    """One request to 127.0.0.1."""
    connection = HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request(method, path)
        reply = connection.getresponse()
        headers = {name.lower(): value for name, value in reply.getheaders()}
        return Answer(reply.status, reply.read().decode(), headers)
    finally:
        connection.close()


def port_of(relay: RelayProcess) -> int:
    """Where it serves; waits until it does."""
    return int(relay.wait_for_log("serving")["port"])


def ask(relay: RelayProcess, path: str) -> Answer:
    """One request to a relay."""
    return asked(port_of(relay), path)


Figures = dict[tuple[str, str], float]
"""By the sample's name and its labels, `outbox=orders,reason=refused`."""


def figures(text: str) -> Figures:
    """What a scrape says, as Prometheus would read it."""
    found: Figures = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = ",".join(f"{name}={value}" for name, value in sorted(sample.labels.items()))
            assert (sample.name, labels) not in found, "the same series twice"
            found[sample.name, labels] = sample.value
    return found


def scraped(relay: RelayProcess) -> Figures:
    """The metrics of a relay."""
    return figures(ask(relay, "/metrics").text)
