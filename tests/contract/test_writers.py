"""What windows have of savepoints and of prepared transactions: on the fake and on PostgreSQL."""

from __future__ import annotations

from relay.core.inputs import NothingAhead
from tests.contract.conftest import World
from tests.contract.outbox import event_id, leading, numbers_of, opened, read, write


def test_what_was_rolled_back_to_a_savepoint_is_in_no_window(world: World) -> None:
    with world.writer() as writer:
        writer.emit(event_id(1), "k")
        writer.savepoint()
        writer.emit(event_id(2), "k")
        writer.rollback_to_savepoint()
        writer.emit(event_id(3), "k")
        writer.commit()

    assert numbers_of(read(world, opened(leading(world)))) == [1, 3]


def test_an_event_of_a_savepoint_comes_when_its_transaction_is_committed(world: World) -> None:
    """The savepoint has an id of its own, and the event that of the whole transaction."""
    store = leading(world)
    with world.writer() as writer:
        writer.emit(event_id(1), "slow")
        writer.savepoint()
        writer.emit(event_id(2), "slow")
        write(world, 3)
        first = opened(store)
        assert numbers_of(read(world, first)) == [3]
        writer.commit()
    second = store.open_next(first.cursor)

    assert not isinstance(second, NothingAhead)
    assert numbers_of(read(world, second)) == [1, 2]


def test_a_prepared_transaction_holds_back_its_own_events_only(world: World) -> None:
    store = leading(world)
    with world.writer() as writer:
        writer.emit(event_id(1), "slow")
        writer.prepare()
    write(world, 2)
    first = opened(store)
    assert numbers_of(read(world, first)) == [2]

    world.commit_prepared()
    second = store.open_next(first.cursor)
    assert not isinstance(second, NothingAhead)
    assert numbers_of(read(world, second)) == [1]
