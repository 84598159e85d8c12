"""A call's key and arguments, as they are compared with those of an earlier call.

Of each argument a digest is kept and not the value: enough to name those that differ, and no copy
of a customer's data in a second place.
"""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields as fields_of
from dataclasses import is_dataclass
from datetime import date, datetime, time
from decimal import Decimal
from enum import Enum
from functools import partial
from typing import Any
from uuid import UUID

from coordinator.errors import BadInput
from coordinator.validation import NAME_CHARS_MAX, check_name

Key = Sequence[str | int | UUID]

KEY_PARTS_MAX = 8
# A key is in two B-trees, and an entry of one has at most 2,704 bytes (PostgreSQL's nbtree.h).
KEY_BYTES_MAX = 2_000

# In no function's signature, so it meets no argument.
FUNCTION = "(function)"


def key_parts(key: Key) -> tuple[str, ...]:
    """Return `key` as texts: a number or a UUID is the same as its text.

    Args:
        key: a tuple or list of 1 to 8 parts, each text of 1 to 255 characters, an int or a UUID;
            2,000 bytes as UTF-8 altogether.

    Raises:
        BadInput: it breaks this rule.
    """
    if not isinstance(key, tuple | list):
        raise BadInput("key", f"must be a tuple such as ('acme', 'r-1'), not {type(key).__name__}")
    if not 1 <= len(key) <= KEY_PARTS_MAX:
        raise BadInput("key", f"must have 1 to {KEY_PARTS_MAX} parts, has {len(key)}")
    parts = tuple(_key_part(place, part) for place, part in enumerate(key))
    if (size := sum(len(part.encode()) for part in parts)) > KEY_BYTES_MAX:
        raise BadInput("key", f"is {size} bytes as UTF-8, the limit is {KEY_BYTES_MAX}")
    return parts


def call_digests(
    function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]
) -> dict[str, str]:
    """Return a digest of each argument of `function` but its first, and of its name.

    An argument that equals its default counts as not given: a release that adds one with a default
    is no conflict for those who call again across it.

    Raises:
        TypeError: `function` cannot be called with these arguments.
        BadInput: an argument has no exact JSON, or one of `**kwargs` is named as none can be.
    """
    inspect.signature(function).bind(_TRANSACTION, *args, **kwargs)
    function, before, kwargs = _unwrapped(function, kwargs)
    signature = inspect.signature(function)
    given = signature.bind(*before, _TRANSACTION, *args, **kwargs).arguments
    digests = {FUNCTION: _digest(FUNCTION, getattr(function, "__qualname__", repr(type(function))))}
    for name, value in _flat(signature, given):
        _check_argument(name)
        default = signature.parameters[name].default if name in signature.parameters else _NONE
        if value is not default and (digest := _digest(name, value)) != _default_digest(default):
            digests[name] = digest
    return digests


def mapping_digests(arguments: Mapping[str, Any]) -> dict[str, str]:
    """Return a digest of each of `arguments`.

    Raises:
        BadInput: one has no exact JSON, or its name is not 1 to 255 storable characters.
    """
    for name in arguments:
        _check_argument(name)
    return {name: _digest(name, value) for name, value in arguments.items()}


_NONE = inspect.Parameter.empty
# Stands for the transaction, which is no argument that a repeat could bring.
_TRANSACTION = object()
_KEY_NUMBER_LIMIT = 10**NAME_CHARS_MAX


def _key_part(place: int, part: object) -> str:
    field = f"key[{place}]"
    if isinstance(part, int) and not isinstance(part, bool) and abs(part) >= _KEY_NUMBER_LIMIT:
        # Python itself refuses to write one of more than 4,300 digits, by an error of its own.
        raise BadInput(field, f"must be 1 to {NAME_CHARS_MAX} characters, has more digits")
    if isinstance(part, UUID) or (isinstance(part, int) and not isinstance(part, bool)):
        part = str(part)
    check_name(field, part, BadInput)
    return str(part)


def _check_argument(name: object) -> None:
    check_name("arguments", name, BadInput)
    if name == FUNCTION:
        raise BadInput("arguments", f"the name {FUNCTION!r} is taken: it stands for the function")


def _unwrapped(
    function: Callable[..., Any], kwargs: Mapping[str, Any]
) -> tuple[Callable[..., Any], tuple[Any, ...], Mapping[str, Any]]:
    """What a `partial` calls: its function, what it puts before the transaction, all names."""
    before: tuple[Any, ...] = ()
    while isinstance(function, partial):
        before, kwargs = (*function.args, *before), {**function.keywords, **kwargs}
        function = function.func
    return function, before, kwargs


def _flat(signature: inspect.Signature, given: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Each argument but the transaction by its name, those of `**kwargs` by their own."""
    for name, value in given.items():
        kind = signature.parameters[name].kind
        if kind is inspect.Parameter.VAR_KEYWORD:
            # One of a positional-only parameter's name is another argument.
            yield from ((f"**{one}" if one in given else one, each) for one, each in value.items())
        elif kind is inspect.Parameter.VAR_POSITIONAL:
            yield name, [each for each in value if each is not _TRANSACTION]
        elif value is not _TRANSACTION:
            yield name, value


def _default_digest(default: Any) -> str | None:
    try:
        return _digest("default", default)
    except BadInput:
        return None


def _digest(name: str, value: Any) -> str:
    try:
        text = json.dumps(value, default=_as_json, sort_keys=True, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        raise BadInput(
            name,
            f"must be JSON values, dates, decimals, UUIDs, enums or dataclasses of them, to be "
            f"compared in a repeat; got {type(value).__name__}. Of a row hand over its id: a retry "
            "has to load it anew",
        ) from None
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _as_json(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        # With its type, also of those inside it: a card of id 1 is no voucher of id 1.
        values = {one.name: getattr(value, one.name) for one in fields_of(value)}
        return [type(value).__qualname__, values]
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, UUID | Decimal):
        return str(value)
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.hex()
    raise TypeError
