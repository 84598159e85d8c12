"""What tx.outside takes: JSON that comes back the same, and an undo that has a name."""

from __future__ import annotations

from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine

from coordinator import BadInput, Coordinator, Transaction, TransactionFailed, WrongUse, undo
from coordinator.engine.json_arguments import ARGUMENTS_JSON_BYTES_MAX, arguments_json
from coordinator.engine.undo_registry import registered, registered_name
from tests.coordinator.orders import KEY
from tests.coordinator.outside_world import cancel

REFUSED = {
    "tuple": (1,),
    "bytes": b"x",
    "NaN": float("nan"),
    "infinity": float("inf"),
    "decimal": Decimal(1),
    "uuid": UUID(int=1),
    "number as a name": {1: "a"},
    "tuple within": [{"a": (1,)}],
    "object": object(),
}
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda parts: st.lists(parts, max_size=3) | st.dictionaries(st.text(), parts, max_size=3),
    max_leaves=10,
)


@pytest.mark.parametrize("value", REFUSED.values(), ids=REFUSED.keys())
def test_what_is_no_json_is_refused_by_its_place_and_not_quoted(value: Any) -> None:
    with pytest.raises(BadInput, match="must be a JSON value") as refused:
        arguments_json(["fine", value])
    assert refused.value.field == "args[1]"


def test_a_value_that_holds_itself_is_refused() -> None:
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(BadInput):
        arguments_json([endless])


def test_arguments_may_have_their_limit_and_not_more() -> None:
    fits = "x" * (ARGUMENTS_JSON_BYTES_MAX - len('[""]'))
    assert len(arguments_json([fits])) == ARGUMENTS_JSON_BYTES_MAX
    with pytest.raises(BadInput, match="the limit is 16384"):
        arguments_json([fits + "x"])


def test_a_refused_argument_is_named_in_the_transactions_error(orders: Engine) -> None:
    def acts(tx: Transaction) -> None:
        tx.outside(repr, "fine", (1,), undo=cancel)

    with pytest.raises(TransactionFailed, match=r"args\[1\]: must be a JSON value"):
        Coordinator(orders).run(acts, key=KEY)


@settings(max_examples=30, deadline=None)
@given(args=st.lists(JSON, max_size=3))
def test_the_undo_gets_exactly_what_the_action_got(untouched_engine: Engine, args: Any) -> None:
    got: list[Any] = []

    def acts(tx: Transaction) -> None:
        tx.outside(lambda *given: got.append(given), *args, undo=notes)
        raise KeyError

    @undo("test.notes")
    def notes(*given: Any) -> None:
        got.append(given)

    with pytest.raises(TransactionFailed):
        Coordinator(untouched_engine).run(acts, key=KEY)
    assert got == [tuple(args), tuple(args)]


def test_what_an_action_does_to_its_arguments_does_not_reach_the_undo(orders: Engine) -> None:
    got: list[Any] = []

    @undo("test.gets")
    def gets(value: Any) -> None:
        got.append(value)

    def acts(tx: Transaction) -> None:
        tx.outside(lambda value: value.append(2), [1], undo=gets)
        raise KeyError

    with pytest.raises(TransactionFailed):
        Coordinator(orders).run(acts, key=KEY)
    assert got == [[1]]


def test_an_undo_may_be_given_by_name() -> None:
    assert registered_name("test.cancel") == registered_name(cancel) == "test.cancel"


@pytest.mark.parametrize("nameless", ["test.never", lambda: None], ids=["name", "function"])
def test_an_undo_without_a_name_is_refused_before_the_action(orders: Engine, nameless: Any) -> None:
    acted: list[int] = []

    def acts(tx: Transaction) -> None:
        tx.outside(lambda: acted.append(1), undo=nameless)

    with pytest.raises(TransactionFailed) as failed:
        Coordinator(orders).run(acts, key=KEY)
    assert isinstance(failed.value.cause, WrongUse)
    assert acted == []


def test_a_name_belongs_to_one_function() -> None:
    def another() -> None: ...

    with pytest.raises(WrongUse, match=r"outside_world\.cancel"):
        undo("test.cancel")(another)
    assert registered("test.cancel") is cancel


def test_a_module_that_is_loaded_again_keeps_its_names() -> None:
    def loaded() -> Any:
        @undo("test.again")
        def again() -> None: ...

        return again

    first, second = loaded(), loaded()
    assert first is not second
    assert registered("test.again") is second


@pytest.mark.parametrize("name", ["", "x" * 256, "a\0b", 7])
def test_a_name_has_1_to_255_characters(name: Any) -> None:
    with pytest.raises(BadInput):
        undo(name)
