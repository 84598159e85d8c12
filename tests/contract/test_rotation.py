"""Leaves are emptied when all in them is published, and not otherwise: on the fakes and on
PostgreSQL."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from relay.core.inputs import NothingAhead
from relay.core.retention import Emptied
from relay.errors import Fenced
from relay.ports import CursorStore, Rotation
from tests.contract.conftest import World
from tests.contract.outbox import event_id, numbers_of, opened, read, write


@dataclass(frozen=True)
class Leader:
    """What one term has in hand."""

    store: CursorStore
    rotation: Rotation

    def publishes_all(self) -> None:
        """Open what is pending, and close it."""
        self.store.save(opened(self.store).cursor.finished(), unblocks=False)


@pytest.fixture
def leader(world: World) -> Leader:
    term = world.leases().acquire("a")
    assert isinstance(term, int)
    return Leader(world.store("a", term), world.rotation("a", term))


def is_filled(leader: Leader, leaf: int) -> bool:
    return leader.rotation.survey(0.0).event_bytes[leaf] > 0


def test_a_leaf_in_which_all_is_published_is_emptied(world: World, leader: Leader) -> None:
    write(world, 1, 2)
    leader.publishes_all()
    assert is_filled(leader, 0)

    assert leader.rotation.empty_events(0, None) is Emptied.EMPTIED
    assert not is_filled(leader, 0)


def test_an_emptied_leaf_is_written_to_and_read_again(world: World, leader: Leader) -> None:
    write(world, 1)
    leader.publishes_all()
    leader.rotation.empty_events(0, None)
    write(world, 2)

    assert numbers_of(read(world, opened(leader.store))) == [2]


def test_a_leaf_with_an_event_that_no_window_has_yet_stays(world: World, leader: Leader) -> None:
    write(world, 1)
    leader.publishes_all()
    write(world, 2)

    assert leader.rotation.empty_events(0, None) is Emptied.NEEDED
    assert numbers_of(read(world, opened(leader.store))) == [2]


def test_a_leaf_with_an_event_of_the_window_that_is_being_sent_stays(
    world: World, leader: Leader
) -> None:
    write(world, 1)
    window = opened(leader.store)

    assert leader.rotation.empty_events(0, None) is Emptied.NEEDED
    assert numbers_of(read(world, window)) == [1]


def test_the_next_window_says_that_the_one_before_is_published(
    world: World, leader: Leader
) -> None:
    write(world, 1)
    opened(leader.store)
    world.writers_come_to_leaf(3)
    write(world, 2)
    opened(leader.store)

    assert leader.rotation.empty_events(0, None) is Emptied.EMPTIED
    assert leader.rotation.empty_events(3, None) is Emptied.NEEDED


def test_a_leaf_that_an_open_transaction_wrote_to_is_in_use(world: World, leader: Leader) -> None:
    write(world, 1)
    leader.publishes_all()
    with world.writer() as late:
        late.emit(event_id(2), "other")

        assert leader.rotation.empty_events(0, None) is Emptied.IN_USE
        late.rollback()
    assert leader.rotation.empty_events(0, None) is Emptied.EMPTIED


def test_a_leaf_with_an_event_that_was_committed_late_stays(world: World, leader: Leader) -> None:
    """Its transaction was open at C: its id is lower than xmax(C), and C does not see it."""
    with world.writer() as late:
        late.emit(event_id(1), "late")
        world.writers_come_to_leaf(4)
        write(world, 2)
        leader.publishes_all()
        late.commit()

    assert leader.rotation.empty_events(0, None) is Emptied.NEEDED
    assert leader.rotation.empty_events(4, None) is Emptied.EMPTIED
    assert numbers_of(read(world, opened(leader.store))) == [1]


def test_a_leaf_that_holds_only_what_was_rolled_back_is_emptied(
    world: World, leader: Leader
) -> None:
    with world.writer() as writer:
        writer.emit(event_id(1), "k")
        writer.rollback()

    assert leader.rotation.empty_events(0, None) is Emptied.EMPTIED


def test_published_events_stay_for_the_time_that_they_are_kept(
    world: World, leader: Leader
) -> None:
    write(world, 1)
    leader.publishes_all()
    leader.rotation.mark(0.0)
    assert leader.rotation.survey(60.0).old is None

    world.time_passes(61.0)
    world.writers_come_to_leaf(3)
    write(world, 2)
    leader.publishes_all()
    old = leader.rotation.survey(60.0).old
    assert old is not None
    assert leader.rotation.empty_events(3, old.snapshot) is Emptied.NEEDED
    assert leader.rotation.empty_events(0, old.snapshot) is Emptied.EMPTIED


def test_an_old_milestone_does_not_make_an_unpublished_event_go(
    world: World, leader: Leader
) -> None:
    """One that sees too much, as of another cluster: the C of now decides as well."""
    write(world, 1)
    sees_all = opened(leader.store).cursor.until

    assert leader.rotation.empty_events(0, sees_all) is Emptied.NEEDED


def test_a_milestone_is_set_down_once_in_a_while(world: World, leader: Leader) -> None:
    for n in (1, 2):
        write(world, n)
        leader.publishes_all()
        leader.rotation.mark(60.0)
    first = leader.rotation.survey(0.0).old
    world.time_passes(61.0)
    leader.rotation.mark(60.0)
    second = leader.rotation.survey(0.0).old

    assert (first and first.number, second and second.number) == (1, 2)


def test_while_nothing_is_published_a_milestone_keeps_its_time(
    world: World, leader: Leader
) -> None:
    write(world, 1)
    leader.publishes_all()
    leader.rotation.mark(0.0)
    world.time_passes(61.0)
    leader.rotation.mark(0.0)

    old = leader.rotation.survey(60.0).old
    assert old is not None
    assert old.number == 1


def test_a_survey_says_where_writers_and_windows_are(world: World, leader: Leader) -> None:
    world.writers_come_to_leaf(5)
    write(world, 1)
    leader.publishes_all()
    survey = leader.rotation.survey(0.0)

    assert survey.position >> 20 == 5
    assert [leaf for leaf, size in enumerate(survey.event_bytes) if size] == [5]
    assert survey.number == 1


def test_the_leaf_of_the_newest_windows_stays(world: World, leader: Leader) -> None:
    write(world, 1)
    leader.publishes_all()

    assert leader.rotation.empty_log(0, 0.0) is Emptied.NEEDED
    assert leader.store.load().cursor.number == 1


def test_an_empty_leaf_of_the_log_may_be_emptied(world: World, leader: Leader) -> None:
    assert leader.rotation.empty_log(2, 0.0) is Emptied.EMPTIED
    assert isinstance(leader.store.open_next(leader.store.load().cursor), NothingAhead)


def test_whoever_does_not_lead_any_more_empties_nothing(world: World, leader: Leader) -> None:
    write(world, 1)
    leader.publishes_all()
    world.lease_expires()
    world.leases().acquire("b")

    with pytest.raises(Fenced):
        leader.rotation.empty_events(0, None)
    with pytest.raises(Fenced):
        leader.rotation.empty_log(2, 0.0)
    assert is_filled(leader, 0)
