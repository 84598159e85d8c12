"""The port of those who watch, open from before the first look at a database to the end.

Before, since an address that was asked for and cannot be had is a fault of the configuration, and
is said while nothing has begun. The default address is not asked for: another relay on the same
machine has it, most likely, and publishing without a port is better than not publishing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from relay.daemon.watch import Watch
from relay.errors import BadConfiguration
from relay.observe.http import HttpServer
from relay.observe.logs import log

__all__ = ["served"]

NO_PORT = "publishing goes on without probes, metrics and page; RELAY_HTTP names another address"


@contextmanager
def served(
    watch: Watch, address: tuple[str, int] | None, clock: Callable[[], float], *, asked_for: bool
) -> Iterator[None]:
    """Serve what `watch` knows at `address`, until the end of the block; None: nowhere.

    `asked_for`: the address was given, so it raises BadConfiguration if it is not to be had.
    """
    server = None if address is None else _opened(watch, *address, clock, asked_for=asked_for)
    if server is None:
        yield
        return
    watch.start()
    server.start()
    log.info("serving", port=server.port)
    try:
        yield
    finally:
        server.close()


def _opened(
    watch: Watch, host: str, port: int, clock: Callable[[], float], *, asked_for: bool
) -> HttpServer | None:
    try:
        return HttpServer(host, port, watch.routes, clock)
    except OSError as problem:
        reason = f"cannot listen at {host}:{port}: {(problem.strerror or 'no reason told').lower()}"
        if asked_for:
            raise BadConfiguration(f"bad configuration:\n  RELAY_HTTP: {reason}") from None
        log.warning("http_off", reason=reason, advice=NO_PORT)
        return None
