"""What would go over a network in the clear: nothing does, unless it is asked for.

Both clients are plain by default, and say nothing of it. PostgreSQL's (sslmode=prefer) even tries
TLS first, and goes on without it when it is told that there is none: by the server, or by anyone on
the way. So what would be plain, or could become so, is refused before anything is connected to.
RELAY_PLAINTEXT=yes is the one way around it: somebody decided that the network between may read
every event, and change it. This machine's own addresses and sockets need no such decision.

What is looked at is what the relay is told. Brokers that are reached by a loopback address, such as
a tunnel's, may then name others of theirs: those are not looked at.
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv6Address, ip_address
from itertools import zip_longest
from urllib.parse import urlsplit

from psycopg import pq
from psycopg.conninfo import conninfo_to_dict

__all__ = [
    "ALLOWED",
    "HTTP_IN_THE_CLEAR",
    "libpq_defaults",
    "may_be_to_brokers",
    "may_be_to_database",
    "may_be_to_http",
]

ALLOWED = "yes"
"""The value of RELAY_PLAINTEXT that allows it."""

HTTP_IN_THE_CLEAR = (
    "names another machine, and what is sent there would be in the clear: give it an https:// "
    "address, or set RELAY_PLAINTEXT=yes"
)

_SSL_MODES = ("require", "verify-ca", "verify-full")
_SECURITY_PROTOCOLS = ("ssl", "sasl_ssl")


def may_be_to_database(url: str) -> bool:
    """Whether a connection by this string could go in the clear to another machine.

    The string is a sound one. What it does not say is taken from the PG* variables, as libpq does.
    """
    given = {name: str(value) for name, value in conninfo_to_dict(url).items()}
    found = {**libpq_defaults(), **given}
    if "service" in given:
        # A file says the rest, on top of the variables; only what the string says is certain.
        found = {"host": "a.service", "sslmode": "", **given}
    encrypted = (
        found.get("sslmode") in _SSL_MODES
        or found.get("gssencmode") == "require"
        # libpq checks the server's name then, and refuses any lesser sslmode.
        or found.get("sslrootcert") == "system"
    )
    return not encrypted and not all(map(_is_here, _database_hosts(found)))


def may_be_to_brokers(bootstrap_servers: str, security_protocol: str) -> bool:
    """Whether a connection to one of these could go in the clear to another machine.

    `security_protocol` is librdkafka's property, empty where none is given.
    """
    for server in bootstrap_servers.split(","):
        # A protocol before the broker (PLAINTEXT://host:9092) wins for that one.
        own, separator, address = server.strip().rpartition("://")
        protocols = [security_protocol, *([own] if separator else [])]
        encrypted = all(one.lower() in _SECURITY_PROTOCOLS for one in protocols)
        if address and not encrypted and not _is_loopback(_broker_host(address)):
            return True
    return False


def may_be_to_http(url: str) -> bool:
    """Whether what is sent to this address, empty where there is none, goes in the clear."""
    parts = urlsplit(url)
    return parts.scheme == "http" and not _is_loopback(parts.hostname or "")


def libpq_defaults() -> dict[str, str]:
    """What libpq takes where the string says nothing: of PG* variables, or its own."""
    return {
        option.keyword.decode(): option.val.decode()
        for option in pq.Conninfo.get_defaults()
        if option.val is not None
    }


def _database_hosts(found: dict[str, str]) -> Iterator[str]:
    """What libpq connects to, one after the other: the address where both are given."""
    names, addresses = (found.get(key, "").split(",") for key in ("host", "hostaddr"))
    for name, address in zip_longest(names, addresses, fillvalue=""):
        yield address or name


def _is_here(host: str) -> bool:
    # Without a host libpq takes its socket; `@` begins one that has no file.
    return not host or host[0] in "/@" or _is_loopback(host)


def _broker_host(address: str) -> str:
    if address.startswith("["):
        return address[1:].partition("]")[0]
    host, _, _ = address.rpartition(":")
    # More than one colon without brackets: an IPv6 address without a port.
    return host if host and ":" not in host else address


def _is_loopback(host: str) -> bool:
    if host.lower() == "localhost":
        return True
    try:
        address = ip_address(host)
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return (mapped or address).is_loopback
