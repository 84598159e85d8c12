"""Whether a database server is fit to publish from: judged by what it says of itself.

What the relay sets for each of its transactions (statement_timeout, lock_timeout, row_security,
idle_in_transaction_session_timeout, synchronous_commit; session.sql) cannot hurt it and is not
complained of. What it cannot set there, or what is the server's alone, is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from relay.core.checkup import Finding, fail, ok, warn

__all__ = ["SETTINGS", "Server", "Standbys", "server_checks"]

CONNECTIONS_NEEDED = 5
"""Of a relay that leads, with the one that looks after the rings; a standby adds one."""

CLOCK_APART_S = 2.0
IDLE_SESSION_MIN_MS = 60_000

SETTINGS = (
    "default_transaction_read_only",
    "fsync",
    "full_page_writes",
    "idle_session_timeout",
    "synchronous_commit",
    "synchronous_standby_names",
    "transaction_timeout",
)


@dataclass(frozen=True, slots=True)
class Standbys:
    """Connected ones, and how many a commit waits for; None where the role may not see that."""

    connected: int
    waited_for: int | None


@dataclass(frozen=True, slots=True)
class Server:
    """What a server says of itself.

    clock_ahead_s     of the machine that asks; `uncertain_s`: how long the answer took
    is_pooled         the session is another than the one that was connected to
    connections_free  of those that this role may have; None: it could not be told
    """

    version: str
    user: str
    latency_s: float
    is_standby: bool
    is_pooled: bool
    clock_ahead_s: float
    uncertain_s: float
    connections_free: int
    settings: Mapping[str, str]
    standbys: Standbys


def server_checks(server: Server, *, listening: bool) -> Iterator[Finding]:
    """`listening`: the relays are to be woken by writers (RELAY_WAKEUP=listen)."""
    yield _primary(server)
    yield _settings(server.settings)
    yield _durability(server.settings, server.standbys)
    yield _connections(server.connections_free)
    yield _pooler(server, listening=listening)
    yield _clock(server)


def _primary(server: Server) -> Finding:
    if server.is_standby:
        advice = "events are published from the primary: name it in RELAY_DATABASE_URL"
        return fail("primary", "it is a standby", advice)
    return ok("primary", "it takes writes")


def _settings(settings: Mapping[str, str]) -> Finding:
    if settings.get("default_transaction_read_only") == "on":
        return fail(
            "settings",
            "default_transaction_read_only is on, so the relay cannot write its progress",
            "set it off for the relay's role (ALTER ROLE)",
        )
    limit_ms = int(settings.get("transaction_timeout", "0"))
    if limit_ms:
        return warn(
            "settings",
            f"transaction_timeout is {limit_ms / 1_000:g} s: a large backlog is planned in one "
            "transaction, which it may cut off again and again",
            "set it to 0 for the relay's role (ALTER ROLE)",
        )
    idle_ms = int(settings.get("idle_session_timeout", "0"))
    if 0 < idle_ms < IDLE_SESSION_MIN_MS:
        return warn(
            "settings",
            f"idle_session_timeout is {idle_ms / 1_000:g} s: sessions that wait for work are ended",
            "set it to 0 for the relay's role (ALTER ROLE)",
        )
    return ok("settings", "none that hurts the relay")


def _durability(settings: Mapping[str, str], standbys: Standbys) -> Finding:
    if settings.get("fsync") == "off":
        found = "fsync is off: after a crash committed events are lost, or the database is broken"
        return fail("durability", found, "set fsync = on, unless this is a test")
    if settings.get("full_page_writes") == "off":
        found = "full_page_writes is off: a crash in the middle of a write can break a page"
        return warn("durability", found, "set full_page_writes = on, unless the disk makes up")
    names = settings.get("synchronous_standby_names", "")
    commit = settings.get("synchronous_commit", "on")
    if names and commit not in ("off", "local") and not standbys.connected:
        found = f"synchronous_standby_names is {names!r} and no standby is connected: commits hang"
        return fail("durability", found, "bring the standby back, or take it out of that setting")
    if commit == "off":
        found = "synchronous_commit is off here: what a writer was told is committed may be lost"
        return warn("durability", found, "the relay waits all the same; do writers set it, too?")
    if standbys.connected and not names:
        found = f"{standbys.connected} standbys, and no commit waits for one: a failover may lose "
        advice = "set synchronous_standby_names, if committed events must outlive the primary"
        return warn("durability", found + "the last events", advice)
    waits = f", commits wait for {names}" if names else ""
    return ok("durability", f"synchronous_commit is {commit}{waits}")


def _connections(free: int) -> Finding:
    found = f"{max(0, free):,} connections are free for this role"
    if free < CONNECTIONS_NEEDED:
        advice = f"a relay takes {CONNECTIONS_NEEDED}: raise max_connections, or the role's limit"
        return warn("connections", found, advice)
    return ok("connections", found)


def _pooler(server: Server, *, listening: bool) -> Finding:
    if not server.is_pooled:
        return ok("pooler", "none: the session is the one that was connected to")
    if listening:
        return fail(
            "pooler",
            "a pooler is in between, and RELAY_WAKEUP=listen: LISTEN would stay with a session "
            "that is somebody else's a moment later",
            "connect past the pooler, or set RELAY_WAKEUP=poll",
        )
    return warn(
        "pooler",
        "a pooler (such as PgBouncer) is in between: it works, and who is connected may not be "
        "told right",
        "connect past it if you can: the relay holds few connections, and for long",
    )


def _clock(server: Server) -> Finding:
    apart_s = max(0.0, abs(server.clock_ahead_s) - server.uncertain_s)
    found = f"{server.clock_ahead_s:+.3f} s from this machine's, within {server.uncertain_s:.3f} s"
    if apart_s > CLOCK_APART_S:
        advice = "set both by NTP: no event depends on it, but ages and logs mislead"
        return warn("clock", f"the database's clock is {found}", advice)
    return ok("clock", found)
