"""The one place where an action outside the database, or its undo, is called."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Sequence
from contextlib import closing
from typing import Any

from sqlalchemy.util import await_only

from coordinator.engine.awaiting import awaits

__all__ = ["call"]


def call(function: Callable[..., Any], args: Sequence[Any]) -> Any:
    """Return what `function(*args)` returns; an `async def` is awaited, or run to its end.

    Raises:
        RuntimeError: an `async def`, and blocking code runs it on the thread of an event loop.
        Exception: what `function` raised, as it is.
    """
    result = function(*args)
    if inspect.isawaitable(result) and awaits():
        return await_only(result)
    if inspect.iscoroutine(result):
        with closing(result):  # where it was not begun, Python warns that nobody awaited it
            return asyncio.run(result)
    return result
