"""The relay in its world, and a consumer with `marks` behind it.

M1 to M3 (`judgement.py`) are judged when every late record has arrived, those of relays that woke
up long after.
"""

from __future__ import annotations

from typing import ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from coordinator.inbox.places import Taking
from tests.model.fake_broker import PARTITIONS, Doubt
from tests.model.judgement import broken_marks
from tests.model.marks_consumer import Crash, MarksConsumer
from tests.model.relay_machine import RelayMachine, counts, keys

__all__ = ["ALL", "GrowthMachine", "MarksMachine", "PromotionMachine"]

ALL = 1_000_000
STEPS_TO_SEND = 6
crashes = st.sampled_from(["none", "none", "before the commit", "before the offset is stored"])


class MarksMachine(RelayMachine):
    """One epoch, and as many partitions as there were.

    Attributes:
        taking: the memory's judgement; a planted bug is another one.
        recent: the fewest ids that can do, those of the page in flight. An event that was parked
            may then be taken twice, which is a limit that the README states.
    """

    judged = frozenset({"M1", "M2", "M3"})
    taking: ClassVar[type[Taking]] = Taking
    recent: ClassVar[int] = RelayMachine.parts.reading.page_events_max

    def __init__(self) -> None:
        super().__init__()
        self.consumer = MarksConsumer(self.broker, self.taking, self.recent)

    @rule(partition=st.integers(0, PARTITIONS), records_max=st.integers(1, 6), crash=crashes)
    def consume(self, partition: int, records_max: int, crash: Crash) -> None:
        self.consumer.consume(partition, records_max, crash)

    def _judge(self) -> None:
        while self.broker.deliver_late(queue=0, records_max=1):
            pass
        for partition in range(self.broker.partitions):
            self.consumer.consume(partition)
        forgets = self.recent < ALL
        taken, set_back = self.consumer.taken, self.broker.set_back
        for found in broken_marks(self.broker.records, taken, set_back, forgets=forgets):
            self._require(found[0], False, found[1])


class PromotionMachine(MarksMachine):
    """A standby is promoted, and may lag behind what was published. No id is forgotten: that they
    are bounded is a limit, which the README states."""

    recent = ALL

    @rule(records_behind=st.integers(0, 12))
    def a_standby_is_promoted(self, records_behind: int) -> None:
        self.database.promote_standby(records_behind)
        self.transactions.clear()


class GrowthMachine(MarksMachine):
    """The topic gets a partition more at any time, and keys move: an event may then be taken twice,
    which is a limit that the README states; none may be lost."""

    judged = frozenset({"M2"})

    @precondition(lambda self: self.broker.partitions == PARTITIONS)
    @rule(written=st.lists(keys, min_size=1, max_size=3), arrive=counts)
    def the_topic_gets_a_partition_more(self, written: list[str | None], arrive: list[int]) -> None:
        """While a send is in doubt, whose events are then sent to other partitions."""
        self.all_is_published()
        self.a_whole_transaction(written, "commit")
        self.broker.doubt = Doubt(arrive, arrive_late=[0] * PARTITIONS)
        for process in STEPS_TO_SEND * self.processes:
            if self.broker.doubt is not None:
                process.run(1)
        self.broker.partitions += 1
