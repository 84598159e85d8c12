"""Limits and rules for what is written, the same as those of `outbox.is_legal`.

Each rule raises a ValueError that names the field, the problem and the limit. Values are never
shown: a key, a header or a payload may hold what must not stand in a log.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from coordinator.errors import BadInput, InvalidEvent

# Kafka's own limit (org.apache.kafka.common.internals.Topic).
TOPIC_CHARS_MAX = 249
# Far above any key in use, far below what makes a record too large: a broker counts the key into
# the record.
KEY_BYTES_MAX = 8_192
TYPE_CHARS_MAX = 255
CONTENT_TYPE_CHARS_MAX = 255
# A broker takes 1,048,588 bytes a record by default: key, headers and framing need the rest.
PAYLOAD_BYTES_MAX = 1_000_000
HEADERS_JSON_BYTES_MAX = 16_384
HEADER_NAME_CHARS_MAX = 255
# run_id, tenant_id and other names.
NAME_CHARS_MAX = 255

if PAYLOAD_BYTES_MAX + KEY_BYTES_MAX + 2 * HEADERS_JSON_BYTES_MAX > 1_048_588:
    raise AssertionError("an event at its limits would not fit a default broker")

_TOPIC = re.compile(r"[A-Za-z0-9._-]{1,249}")
_HEADER_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,254}")
_RESERVED_HEADER = re.compile(r"ce_.*|content-type", re.IGNORECASE)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_SURROGATE = re.compile(r"[\ud800-\udfff]")


def check_topic(topic: object) -> None:
    """Refuse what Kafka refuses as a topic's name."""
    if not isinstance(topic, str):
        raise _not_text("topic", topic)
    if not _TOPIC.fullmatch(topic) or topic in (".", ".."):
        raise InvalidEvent(
            "topic",
            f"must be 1 to {TOPIC_CHARS_MAX} of the characters A-Z a-z 0-9 . _ - "
            f"and neither '.' nor '..' (has {len(topic)} characters)",
        )


def check_key(key: object) -> None:
    """Refuse a key that is not text of at most 8,192 bytes. None is no key, empty text is one."""
    if key is None:
        return
    if not isinstance(key, str):
        raise _not_text("key", key)
    _check_characters("key", key, InvalidEvent)
    if (size := len(key.encode())) > KEY_BYTES_MAX:
        raise InvalidEvent("key", f"is {size} bytes as UTF-8, the limit is {KEY_BYTES_MAX}")


def check_type(type_: object) -> None:
    """Refuse an event type that is not 1 to 255 printable characters."""
    _check_printable("type", type_, TYPE_CHARS_MAX)


def check_content_type(content_type: object) -> None:
    """Refuse a content type that is not 1 to 255 printable characters."""
    _check_printable("content_type", content_type, CONTENT_TYPE_CHARS_MAX)


def check_payload(payload: object) -> None:
    """Refuse a payload that is not bytes, or larger than 1,000,000 bytes."""
    if not isinstance(payload, bytes):
        raise InvalidEvent(
            "payload",
            f"must be bytes, not {type(payload).__name__}; OutboxEvent.json makes them, "
            "OutboxEvent.tombstone has none",
        )
    if len(payload) > PAYLOAD_BYTES_MAX:
        raise InvalidEvent("payload", f"is {len(payload)} bytes, the limit is {PAYLOAD_BYTES_MAX}")


def check_headers(headers: object) -> None:
    """Refuse headers that are not text, reserved, with control characters, or over 16,384 bytes."""
    if not isinstance(headers, Mapping):
        raise InvalidEvent(
            "headers", f"must be a mapping of text to text, not {type(headers).__name__}"
        )
    if not headers:
        return
    for name, value in headers.items():
        _check_header(name, value)
    if (
        size := len(json.dumps(dict(headers), ensure_ascii=False).encode())
    ) > HEADERS_JSON_BYTES_MAX:
        raise InvalidEvent(
            "headers", f"are {size} bytes as JSON, the limit is {HEADERS_JSON_BYTES_MAX}"
        )


def check_name(
    field: str, value: object, error: type[BadInput], chars_max: int = NAME_CHARS_MAX
) -> None:
    """Refuse a name (of a run, a tenant, ...) that is not 1 to `chars_max` storable characters."""
    if not isinstance(value, str):
        raise error(field, f"must be text, not {type(value).__name__}")
    if not 1 <= len(value) <= chars_max:
        raise error(field, f"must be 1 to {chars_max} characters, has {len(value)}")
    _check_characters(field, value, error)


def _check_header(name: object, value: object) -> None:
    if not isinstance(name, str) or not _HEADER_NAME.fullmatch(name):
        raise InvalidEvent(
            "headers",
            f"a name must be 1 to {HEADER_NAME_CHARS_MAX} of the characters A-Z a-z 0-9 . _ - "
            "and begin with a letter or digit",
        )
    if _RESERVED_HEADER.fullmatch(name):
        raise InvalidEvent(
            "headers", f"the name {name!r} is reserved: ce_* and content-type are the relay's"
        )
    if not isinstance(value, str):
        raise InvalidEvent(
            "headers", f"the value of {name!r} must be text, not {type(value).__name__}"
        )
    if _CONTROL.search(value):
        raise InvalidEvent("headers", f"the value of {name!r} holds a control character")
    _check_characters(f"headers[{name!r}]", value, InvalidEvent)


def _check_printable(field: str, value: object, chars_max: int) -> None:
    check_name(field, value, InvalidEvent, chars_max)
    if _CONTROL.search(str(value)):
        raise InvalidEvent(
            field, "holds a control character; 1 to 255 printable characters are allowed"
        )


def _check_characters(field: str, value: str, error: type[BadInput]) -> None:
    if "\0" in value:
        raise error(field, "holds a NUL character, which PostgreSQL cannot store")
    if _SURROGATE.search(value):
        raise error(field, "holds a lone surrogate, which UTF-8 cannot express")


def _not_text(field: str, value: object) -> InvalidEvent:
    return InvalidEvent(field, f"must be text, not {type(value).__name__}")
