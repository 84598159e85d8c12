"""The end of a producer that was thrown away: in a thread of its own, when it is owed nothing.

Naive: where it is thrown away, and at once. What is wrong with that was seen in exactly-once
delivery, of a producer that is fenced with records on their way. The client frees what it knows of
the transaction while the threads of its connections still run, and an answer that says "fenced"
comes just then:

  - it frees the text of the error before a second time: "double free or corruption", and the relay
    is gone (twice in 160 such takeovers, with librdkafka 2.15 under AddressSanitizer:
    `rd_kafka_txn_set_fatal_error`, after `rd_kafka_txns_term`);
  - or it waits for a lock that is no more, and the end does not return: the leader stood in it for
    half a minute.

What is on its way is counted until its answer was heard, if it is not purged. So it is not, and the
end waits for it: until the broker answers or is gone, or the client gives up its messages, which
takes as long as a transaction may (transaction.timeout.ms).
"""

from __future__ import annotations

import threading
from contextlib import suppress

from confluent_kafka import Producer

from relay.kafka.error_codes import RAISED

__all__ = ["retire"]

PURGE_EVERY_S = 0.1
"""What was on its way to a broker that is gone comes back into the queue, to be sent again."""


def retire(producer: list[Producer]) -> None:
    """End the only one of the list, to which nothing else may refer; returns at once."""
    threading.Thread(target=_end, args=(producer,), name="retired producer", daemon=True).start()


def _end(producer: list[Producer]) -> None:
    while len(producer[0]):
        with suppress(*RAISED):
            producer[0].purge(in_flight=False, blocking=False)
            producer[0].poll(PURGE_EVERY_S)
    producer.clear()
