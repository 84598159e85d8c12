"""The name and password that a client logs in with, renewed while it lives."""

from __future__ import annotations

from collections.abc import Mapping

from confluent_kafka import Producer

__all__ = ["Credentials"]


class Credentials:
    """Of one producer, which is there in a moment."""

    def __init__(self, properties: Mapping[str, str | int | bool]) -> None:
        """`properties` are asked anew; a password among them may come from a file."""
        self._properties = properties
        self._shown = self._now()
        self._refused = False

    def note_trouble(self) -> None:
        """The client is in trouble, which may be that it cannot log in. For its callbacks."""
        self._refused = True

    def renew(self, producer: Producer) -> None:
        """Let the client show the password of today when it connects again, if it is in trouble.

        Nothing else would: no delivery times out, so one that cannot log in tries for ever, with
        the password that it was made with, and never fails in a way that ends it.

        Naive: in the callback that tells of the trouble. It runs inside a call of the producer, and
        this one's end would end that as well: the next callback finds none, and the client aborts
        the process. So callbacks leave word only.
        """
        if not self._refused:
            return
        self._refused = False
        now = self._now()
        if now is not None and now != self._shown:
            producer.set_sasl_credentials(*now)
            self._shown = now

    def _now(self) -> tuple[str, str] | None:
        name, password = map(self._properties.get, ("sasl.username", "sasl.password"))
        return (str(name), str(password)) if name and password else None
