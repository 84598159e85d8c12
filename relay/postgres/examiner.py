"""What `relay doctor` asks the database. Nothing is changed, and no event is locked."""

from __future__ import annotations

from collections.abc import Callable

from relay import sql
from relay.core.server_checks import SETTINGS, Server, Standbys
from relay.core.topic_checks import Demand
from relay.postgres.connect import Connection, pinned_transaction, translated_errors
from relay.postgres.cursor_store import read_cursor
from relay.postgres.parking import AwaitedTopics
from relay.postgres.status_reader import pending_ranges

__all__ = ["latency_s", "read_demands", "read_server", "unmet_privileges"]

EVENTS_LOOKED_AT_MAX = 100_000
NEWEST_LOOKED_AT = 10_000

_SQL = sql.load("doctor")
_RETAINED = sql.load("retained")


def latency_s(connection: Connection, monotonic: Callable[[], float]) -> float:
    """Seconds that an answer takes."""
    with translated_errors():
        began_s = monotonic()
        connection.execute(_RETAINED["retained_now"]).fetchone()
        return monotonic() - began_s


def read_server(
    connection: Connection, wall: Callable[[], float], monotonic: Callable[[], float]
) -> Server:
    """The server, as this connection sees it; `wall` is this machine's clock."""
    with translated_errors():
        latency_s(connection, monotonic)
        taken_s = latency_s(connection, monotonic)
        began_s, at_s = monotonic(), wall()
        row = connection.execute(_SQL["doctor_server"]).fetchone()
        uncertain_s = (monotonic() - began_s) / 2
        bound = {"names": list(SETTINGS)}
        settings = connection.execute(_SQL["doctor_settings"], bound).fetchall()
        standbys = connection.execute(_SQL["doctor_standbys"]).fetchone()
    version, is_standby, clock_s, pid, user, used, allowed, ours, own_limit = row or ()
    connected, waited_for = standbys or (0, None)
    free = _int(allowed) - _int(used)
    return Server(
        version=str(version),
        user=str(user),
        latency_s=taken_s,
        is_standby=bool(is_standby),
        # A pooler makes up the number that it tells its clients.
        is_pooled=_int(pid) != connection.info.backend_pid,
        clock_ahead_s=float(str(clock_s)) - (at_s + uncertain_s),
        uncertain_s=uncertain_s,
        connections_free=free if _int(own_limit) < 0 else min(free, _int(own_limit) - _int(ours)),
        settings={str(name): str(value) for name, value in settings},
        standbys=Standbys(_int(connected), None if waited_for is None else _int(waited_for)),
    )


def unmet_privileges(connection: Connection) -> list[str]:
    """What `relay run` needs and this role may not do."""
    with translated_errors():
        return [str(one) for (one,) in connection.execute(_SQL["doctor_privileges"])]


def read_demands(connection: Connection) -> list[Demand]:
    """The topics that events wait for, or went to of late, and what they are asked to take."""
    with translated_errors(), pinned_transaction(connection):
        bound = pending_ranges(connection, read_cursor(connection))
        bound |= {"limit": str(EVENTS_LOOKED_AT_MAX)}
        waiting = connection.execute(_SQL["doctor_pending"], bound).fetchall()
        newest = connection.execute(_SQL["doctor_recent"], {"limit": NEWEST_LOOKED_AT}).fetchall()
    demands = {str(topic): Demand(str(topic), keyless=_int(keyless)) for topic, keyless in newest}
    for topic, events, largest, oldest_s, keyless in waiting:
        demands[str(topic)] = Demand(
            str(topic), _int(events), _int(largest), float(str(oldest_s)), _int(keyless)
        )
    for topic in AwaitedTopics(connection).missing():
        demands[topic] = Demand(topic, events=max(1, demands.get(topic, Demand(topic)).events))
    return list(demands.values())


def _int(value: object) -> int:
    return int(str(value))
