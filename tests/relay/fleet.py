"""Several outboxes, each a database of its own, and who leads them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager

import psycopg

from tests.support.history import Ledger
from tests.support.kafka import Broker
from tests.support.postgres import Postgres
from tests.support.processes import RelayProcess
from tests.support.wait import until
from tests.support.workload import Shape, prepare_keys, writing

EVENLY_WITHIN_S = 30.0
_LEADER = "select owner from outbox.lease where expires_at > clock_timestamp()"
_NOT_IN_A_HURRY = (Shape(pause_s=0.05), Shape(pause_s=0.05, commits=False))


@contextmanager
def several(postgres: Postgres, template: str, names: Sequence[str]) -> Iterator[dict[str, str]]:
    """URLs of fresh outboxes by name."""
    with ExitStack() as stack:
        urls = {}
        for name in names:
            urls[name] = postgres.url(stack.enter_context(postgres.database(template)))
            prepare_keys(urls[name])
        yield urls


@contextmanager
def writing_to_each(
    urls: Mapping[str, str], broker: Broker, topics: Mapping[str, str]
) -> Iterator[dict[str, Ledger]]:
    """A writer for each outbox; its ledger is of a topic of its own."""
    ledgers = {name: Ledger(topics[name]) for name in urls}
    with ExitStack() as stack:
        for name, url in urls.items():
            stack.enter_context(writing(url, ledgers[name], writers=1, shapes=_NOT_IN_A_HURRY))
        yield ledgers


def led_by(urls: Mapping[str, str]) -> dict[str, int]:
    """Of each outbox that is led the process id of its leader."""
    found = {}
    for name, url in urls.items():
        with psycopg.connect(url) as connection:
            row = connection.execute(_LEADER).fetchone()
        if row is not None and row[0] is not None:
            found[name] = int(row[0].split("/")[1])
    return found


def wait_shared(
    urls: Mapping[str, str],
    relays: Sequence[RelayProcess],
    counts: Sequence[int],
    timeout_s: float = EVENLY_WITHIN_S,
) -> None:
    """Wait until `relays` lead so many outboxes, in any order, and none is led by another."""

    def shared() -> bool:
        found = Counter(led_by(urls).values())
        return sorted(found[one.pid] for one in relays) == sorted(counts)

    until(shared, timeout_s=timeout_s, every_s=0.1, what=f"outboxes shared {counts}")
