"""Who sleeps is woken by whoever writes, and by nobody else: on the fakes and on PostgreSQL."""

from __future__ import annotations

import pytest

from tests.contract.conftest import Sleeper, World
from tests.contract.outbox import event_id, write
from tests.support.wait import until


@pytest.fixture
def sleeper(world: World) -> Sleeper:
    return world.wakeup()


def woken(sleeper: Sleeper) -> bool:
    """Whether a notification is there, or on its way."""
    return sleeper.sleep(0.5, lambda: False)


def test_a_commit_wakes_the_sleeper(world: World, sleeper: Sleeper) -> None:
    assert sleeper.lie_down()
    write(world, 1)

    assert woken(sleeper)


def test_a_commit_between_lying_down_and_sleeping_is_not_missed(
    world: World, sleeper: Sleeper
) -> None:
    assert sleeper.lie_down()
    write(world, 1)
    write(world, 2)

    assert woken(sleeper)


def test_nobody_wakes_a_sleeper_without_a_commit(world: World, sleeper: Sleeper) -> None:
    assert sleeper.lie_down()
    with world.writer() as writer:
        writer.emit(event_id(1), "k")
        assert not woken(sleeper)
        writer.rollback()

    assert not woken(sleeper)


def test_it_cannot_lie_down_beside_a_transaction_that_wrote_while_nobody_slept(
    world: World, sleeper: Sleeper
) -> None:
    with world.writer() as writer:
        writer.emit(event_id(1), "k")
        assert not sleeper.lie_down()
        writer.commit()

    assert sleeper.lie_down()


def test_a_transaction_that_wrote_before_and_while_it_slept_notifies(
    world: World, sleeper: Sleeper
) -> None:
    with world.writer() as writer:
        writer.savepoint()
        writer.emit(event_id(1), "k")
        writer.rollback_to_savepoint()
        assert sleeper.lie_down(), "what is rolled back keeps nobody awake"
        writer.emit(event_id(2), "k")
        writer.commit()

    assert woken(sleeper)


def test_once_it_has_risen_writers_do_not_notify(world: World, sleeper: Sleeper) -> None:
    assert sleeper.lie_down()
    sleeper.rise()
    write(world, 1)

    assert not sleeper.lie_down() or not woken(sleeper)


def test_it_lies_down_again_after_it_has_risen(world: World, sleeper: Sleeper) -> None:
    assert sleeper.lie_down()
    sleeper.rise()

    assert sleeper.lie_down()
    write(world, 1)
    assert woken(sleeper)


def test_one_sleeps_at_a_time(world: World, sleeper: Sleeper) -> None:
    other = world.wakeup()
    assert sleeper.lie_down()

    assert not other.lie_down()


def test_a_session_that_ends_leaves_no_sleeper_behind(world: World, sleeper: Sleeper) -> None:
    other = world.wakeup()
    assert sleeper.lie_down()
    sleeper.close()

    until(other.lie_down, what="the lock to be free")
