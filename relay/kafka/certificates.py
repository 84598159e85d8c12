"""What the client says of a broker whose certificate it refuses, with the reason put in."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from relay.certificate import VERIFY_FAILED, Trust, why_refused

__all__ = ["Certificates"]

LOOK_AGAIN_S = 60.0
"""The client tries, and complains, several times a second."""

_BROKER = re.compile(r"[a-z_]+://\[?([^/]+?)\]?:([0-9]+)/[^:]*")


class Certificates:
    """Of the brokers that one client talks to."""

    def __init__(
        self, properties: Mapping[str, str | int | bool], clock: Callable[[], float]
    ) -> None:
        """`properties` are librdkafka's."""
        self._properties = properties
        self._clock = clock
        self._found: dict[str, tuple[float, str | None]] = {}

    def explained(self, said: str) -> str:
        """What the client said, or better. It may take a second, for each broker once a minute."""
        broker = _BROKER.match(said)
        if broker is None or VERIFY_FAILED not in said:
            return said
        why = self._why(broker[1], int(broker[2]))
        return said if why is None else f"{broker[0]}: its certificate is refused: {why}"

    def _why(self, host: str, port: int) -> str | None:
        place, now_s = f"{host}:{port}", self._clock()
        if place not in self._found or now_s - self._found[place][0] > LOOK_AGAIN_S:
            self._found[place] = now_s, why_refused(host, port, self._trust())
        return self._found[place][1]

    def _trust(self) -> Trust:
        location, pem, names = (
            str(self._properties.get(name, ""))
            for name in ("ssl.ca.location", "ssl.ca.pem", "ssl.endpoint.identification.algorithm")
        )
        # `probe` is librdkafka's word for the system's.
        location = "" if location == "probe" else location
        return Trust("RELAY_KAFKA_SSL_CA_LOCATION", location, pem, names != "none")
