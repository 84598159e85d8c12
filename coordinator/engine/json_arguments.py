"""Arguments of an action outside the database, which its undo gets again after a crash.

Strict: what JSON would change on its way (a tuple, a number as a name, NaN) is refused, since the
undo would then name another effect than the action did.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from coordinator.errors import BadInput

__all__ = ["ARGUMENTS_JSON_BYTES_MAX", "arguments_json"]

# They name an effect; a document belongs into a row of its own.
ARGUMENTS_JSON_BYTES_MAX = 16_384


def arguments_json(args: Sequence[Any]) -> str:
    """Return `args` as a JSON array that reads back as exactly the same.

    Raises:
        BadInput: one is no JSON value, such as `args[1]`, or all have more than 16,384 bytes.
    """
    text = "[" + ",".join(_json(f"args[{place}]", arg) for place, arg in enumerate(args)) + "]"
    if len(text) > ARGUMENTS_JSON_BYTES_MAX:
        raise BadInput(
            "args", f"are {len(text)} bytes as JSON, the limit is {ARGUMENTS_JSON_BYTES_MAX}"
        )
    return text


def _json(field: str, arg: Any) -> str:
    try:
        text = json.dumps(arg, allow_nan=False, separators=(",", ":"))
        if json.loads(text) == arg:
            return text
    except (TypeError, ValueError, RecursionError):
        pass  # the error's own message may quote the value
    raise BadInput(
        field,
        f"must be a JSON value (text, number, boolean, None, list, dict of text), to be the same "
        f"after a crash; {type(arg).__name__} or a part of it is not: hand over its text",
    )
