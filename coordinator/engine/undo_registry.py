"""Undo functions by name: after a crash the name in the database is all that is left of one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from coordinator.errors import BadInput, WrongUse
from coordinator.validation import check_name

__all__ = ["registered", "registered_name", "undo"]

Undo = TypeVar("Undo", bound=Callable[..., Any])

_functions: dict[str, Callable[..., Any]] = {}


def undo(name: str) -> Callable[[Undo], Undo]:
    """Register the decorated function under `name`, for `Transaction.outside` and `recover`.

    The function gets the arguments of the action that it takes back. It must be idempotent, and end
    well where the action never happened: after a crash nobody knows how far it came. A `def` or an
    `async def`, in a module that can be imported without side effects.

    Args:
        name: 1 to 255 characters; never changed while rows with it may be left.

    Raises:
        BadInput: `name` breaks its rule.
        WrongUse: another function has the name.
    """
    check_name("undo", name, BadInput)

    def register(function: Undo) -> Undo:
        present = _functions.get(name, function)
        if _home(present) != _home(function):
            raise WrongUse(f"the undo {name!r} is {_home(present)} already: names are unique")
        _functions[name] = function
        return function

    return register


def registered(name: str) -> Callable[..., Any] | None:
    """Return the function of that name; None if no module of this process has registered it."""
    return _functions.get(name)


def registered_name(undo: Callable[..., Any] | str) -> str:
    """Return the name of an undo that is given as the function or by name.

    Raises:
        WrongUse: it is not registered, so a crash would leave nothing to find it by.
    """
    # A copy: another thread may import a module of undos.
    for name, function in list(_functions.items()):
        if undo in (name, function):
            return name
    shown = repr(undo) if isinstance(undo, str) else getattr(undo, "__qualname__", "this function")
    raise WrongUse(f'the undo {shown} has no name: register it with @undo("...") in its module')


def _home(function: Callable[..., Any]) -> str:
    # Not the object: a module that is loaded again makes another one of the same function.
    return f"{function.__module__}.{function.__qualname__}"
