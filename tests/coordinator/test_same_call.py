"""A call under a key is the same call only if all that it was given is the same."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial, wraps
from typing import Any

import pytest
from sqlalchemy import Engine

from coordinator import Coordinator, KeyConflict, Transaction
from tests.coordinator.orders import KEY

Call = Callable[[Coordinator], object]


def plain(tx: Transaction, amount: object) -> None: ...


def other(tx: Transaction, amount: object) -> None: ...


def wrapped(*args: Any, **kwargs: Any) -> None:
    plain(*args, **kwargs)


@wraps(plain)
def decorated(*args: Any, **kwargs: Any) -> None:
    plain(*args, **kwargs)


def positional(tx: Transaction, amount: object, /, **more: object) -> None: ...


@dataclass
class Card:
    id: int


@dataclass
class Voucher:
    id: int


PAIRS: dict[str, tuple[Call, Call]] = {
    "positional arguments of a wrapper": (
        lambda one: one.run(wrapped, "9.50", key=KEY),
        lambda one: one.run(wrapped, "99.50", key=KEY),
    ),
    "positional arguments of a decorated function": (
        lambda one: one.run(decorated, "9.50", key=KEY),
        lambda one: one.run(decorated, "99.50", key=KEY),
    ),
    "what a partial calls": (
        lambda one: one.run(partial(plain, amount=9), key=KEY),
        lambda one: one.run(partial(other, amount=9), key=KEY),
    ),
    "what a partial was given": (
        lambda one: one.run(partial(plain, amount=9), key=KEY),
        lambda one: one.run(partial(plain, amount=7), key=KEY),
    ),
    "the type of a dataclass": (
        lambda one: one.run(plain, Card(1), key=KEY),
        lambda one: one.run(plain, Voucher(1), key=KEY),
    ),
    "an argument whose name comes twice": (
        lambda one: one.run(positional, 2, amount=3, key=KEY),
        lambda one: one.run(positional, 9, amount=3, key=KEY),
    ),
}


@pytest.mark.parametrize("what", PAIRS)
def test_another_call_is_a_conflict(orders: Engine, what: str) -> None:
    first, second = PAIRS[what]
    first(Coordinator(orders))
    with pytest.raises(KeyConflict):
        second(Coordinator(orders))


@pytest.mark.parametrize("what", PAIRS)
def test_the_same_call_is_a_repeat(orders: Engine, what: str) -> None:
    first, _ = PAIRS[what]
    first(Coordinator(orders))
    assert first(Coordinator(orders)).replayed  # type: ignore[attr-defined]  # an Outcome


def test_a_partial_is_the_call_that_it_makes(orders: Engine) -> None:
    Coordinator(orders).run(partial(plain, amount=9), key=KEY)
    assert Coordinator(orders).run(plain, amount=9, key=KEY).replayed
