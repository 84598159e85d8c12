"""Seeing every call of a Kafka producer, whoever imported it and when.

Naive: put a subclass in the place of `confluent_kafka.Producer`. Whoever wrote `from
confluent_kafka import Producer` before keeps the original, and so does a producer that exists
already, which is what a service has. The original is a type in C, whose attributes Python does not
let one set. But its methods are found in a dict, which the garbage collector hands out: changed
there, the method is another one for everybody, subclasses and `SerializingProducer` included. That
is a trick of CPython's, fit for tests only.
"""

from __future__ import annotations

import ctypes
import gc
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from typing import Any

__all__ = ["ProducerCalls"]

# Module, class, methods that hand over messages. AIOProducer calls the C type in another thread,
# where nothing is known of the caller's transaction.
_PRODUCERS = (
    ("confluent_kafka", "Producer", ("produce", "produce_batch")),
    ("confluent_kafka.aio", "AIOProducer", ("produce",)),
)


class ProducerCalls:
    """Calls a function before each message that a producer of confluent-kafka is handed."""

    def __init__(self, before: Callable[[str], None]) -> None:
        """Begin; `before` gets the method's name, and may raise to prevent the call."""
        self._before = before
        self._originals: list[tuple[type, str, Any]] = []
        # By name: the library itself does not need a Kafka client, and imports none.
        if find_spec("confluent_kafka") is None:
            return
        for module, name, methods in _PRODUCERS:
            producer = getattr(import_module(module), name)
            for method in methods:
                self._replace(producer, method)

    def stop(self) -> None:
        """Put the original methods back."""
        while self._originals:
            _set_method(*self._originals.pop())

    def _replace(self, producer: type, method: str) -> None:
        original = producer.__dict__.get(method)
        if original is None:
            return  # produce_batch is of confluent-kafka 2.14
        before, name = self._before, f"{producer.__name__}.{method}()"

        def seen(*args: Any, **kwargs: Any) -> Any:
            before(name)
            return original(*args, **kwargs)

        self._originals.append((producer, method, original))
        _set_method(producer, method, seen)


def _set_method(owner: type, name: str, method: Any) -> None:
    # What a mappingproxy shows is the one thing that it refers to.
    (attributes,) = gc.get_referents(owner.__dict__)
    attributes[name] = method
    # Else the interpreter goes on with the method that it remembers.
    ctypes.pythonapi.PyType_Modified(ctypes.py_object(owner))
