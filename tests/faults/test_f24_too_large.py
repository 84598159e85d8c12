"""F24: an event over the topic's limit, and kill -9 at every step of parking and of the release:
nothing is lost, and the log of its key never reads 2, 3, 1."""

from __future__ import annotations

import signal
from collections.abc import Callable

import pytest

from tests.kafka.parking import TOO_LARGE, make_narrow, retried, wait_parked, widen
from tests.relay.events import emit, idempotency_key
from tests.support.consume import Record, read_topic
from tests.support.history import end_lease
from tests.support.kafka import Broker
from tests.support.processes import RelayProcess, StartRelay

pytestmark = pytest.mark.real_broker

PARKING = ("relay.before_park", "relay.parked")
RELEASE = ("relay.release_stored", "relay.release_progress_stored")
SENDING = ("relay.before_send", "relay.page_acked")


class Narrow:
    """A topic that takes little, with a key whose first event is too large, and another key."""

    def __init__(self, broker: Broker, url: str) -> None:
        self.topic = make_narrow(broker, partitions=1)
        self._broker = broker
        (first,) = emit(url, self.topic, key="a", payload=TOO_LARGE)
        self.of_a = [first, *emit(url, self.topic, key="a", count=3)]
        self.of_b = emit(url, self.topic, key="b", count=3)

    def first_appearances(self, of: list[str]) -> list[str]:
        ids = [idempotency_key(record) for record in self._committed()]
        return [one for one in dict.fromkeys(ids) if one in of]

    def _committed(self) -> list[Record]:
        servers = self._broker.bootstrap_servers
        return read_topic(servers, self.topic, isolation="read_committed")

    def places(self) -> dict[str, set[bytes | None]]:
        """Of each id the places under which it was published."""
        found: dict[str, set[bytes | None]] = {}
        for record in self._committed():
            event_id = (record.header("ce_id") or b"").decode()
            found.setdefault(event_id, set()).add(record.header("ce_sequence"))
        return found


@pytest.fixture(params=["at-least-once", "exactly-once"])
def start(
    request: pytest.FixtureRequest, broker: Broker, database_url: str, relay_process: StartRelay
) -> Callable[..., RelayProcess]:
    """Starts a relay on these services, in either way of delivery."""
    servers, mode = broker.bootstrap_servers, {"RELAY_DELIVERY": request.param}
    return lambda *args, **env: relay_process(database_url, servers, *args, **mode, **env)


@pytest.fixture
def narrow(broker: Broker, database_url: str) -> Narrow:
    return Narrow(broker, database_url)


@pytest.mark.parametrize("failpoint", PARKING)
def test_a_kill_while_parking_leaves_every_event_published_or_parked(
    failpoint: str,
    narrow: Narrow,
    broker: Broker,
    database_url: str,
    start: Callable[..., RelayProcess],
) -> None:
    doomed = start(RELAY_FAILPOINT=failpoint)
    assert doomed.wait() == -signal.SIGKILL
    end_lease(database_url)
    start()
    wait_parked(database_url, len(narrow.of_a))
    assert narrow.first_appearances(narrow.of_b) == narrow.of_b
    assert narrow.first_appearances(narrow.of_a) == []


@pytest.mark.parametrize("failpoint", [*RELEASE, *SENDING])
def test_a_kill_while_releasing_is_taken_up_in_the_same_places(
    failpoint: str,
    narrow: Narrow,
    broker: Broker,
    database_url: str,
    start: Callable[..., RelayProcess],
) -> None:
    start("--until-drained").wait()
    wait_parked(database_url, len(narrow.of_a))
    widen(broker, narrow.topic)
    retried(database_url, "--all")

    doomed = start(RELAY_FAILPOINT=failpoint)
    assert doomed.wait() == -signal.SIGKILL
    (later,) = emit(database_url, narrow.topic, key="a")
    end_lease(database_url)
    start()
    wait_parked(database_url, 0)

    every = [*narrow.of_a, later]
    assert narrow.first_appearances(every) == every
    assert all(len(places) == 1 for places in narrow.places().values())
