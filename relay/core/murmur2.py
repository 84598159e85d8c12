"""murmur2 as the Java client computes it, and the partition that it gives a key.

librdkafka does the partitioning in production (`partitioner=murmur2_random`). This says in advance
where it will put an event, and is the second opinion that the checker compares with.
Source: `org.apache.kafka.common.utils.Utils.murmur2`.
"""

from __future__ import annotations

import struct

_SEED = 0x9747B28C
_M = 0x5BD1E995
_R = 24
_32_BITS = 0xFFFFFFFF
_SIGN_BIT = 0x80000000


def murmur2(data: bytes) -> int:
    """Hash bytes to a signed 32-bit integer, as Java's `int` holds it.

    Args:
        data: Any bytes; the UTF-8 of a key, never null.

    Returns:
        The hash, from -2^31 to 2^31 - 1.
    """
    h = _mix_tail(_mix_words(data), data[len(data) & ~3 :])
    h = (h ^ (h >> 13)) * _M & _32_BITS
    h ^= h >> 15
    return h - (1 << 32) if h & _SIGN_BIT else h


def _mix_words(data: bytes) -> int:
    h = _SEED ^ len(data)
    for k in struct.unpack_from(f"<{len(data) // 4}I", data):
        k = k * _M & _32_BITS  # noqa: PLW2901 - the algorithm's own name for each step of a word
        k = (k ^ (k >> _R)) * _M & _32_BITS  # noqa: PLW2901 - as above
        h = (h * _M & _32_BITS) ^ k
    return h


def _mix_tail(h: int, tail: bytes) -> int:
    if not tail:
        return h
    return (h ^ int.from_bytes(tail, "little")) * _M & _32_BITS


def java_partition(key: bytes, partition_count: int) -> int:
    """Say where the Java client's default partitioner puts a key.

    Args:
        key: The record's key; empty is a key, null has no fixed partition.
        partition_count: Partitions of the topic, at least 1.

    Returns:
        A partition from 0 to partition_count - 1. The sign bit is cut off, as Java's `toPositive`
        does: an absolute value would send half of the keys elsewhere.
    """
    return (murmur2(key) & 0x7FFFFFFF) % partition_count
