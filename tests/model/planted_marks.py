"""Memories and sinks with one bug each, and the machine that finds it."""

from __future__ import annotations

from coordinator.inbox.places import Event, Taking
from relay.ports import CursorStore, Sink
from tests.model.fake_broker import Doubt, FakeBroker, FakeSink, Partitioned
from tests.model.marks_machine import GrowthMachine, MarksMachine, PromotionMachine
from tests.model.two_step_pump import Parts, Sender

__all__ = ["PLANTED_MARKS"]


class BareMark(Taking):
    """Knows the highest place and nothing else."""

    def is_new(self, event: Event) -> bool:
        reached = self._epochs.get(event.epoch)
        if reached is not None and event.place <= reached.place:
            return False
        self._note(event, reached)
        return True


class EpochIgnored(BareMark):
    """Compares places of two epochs."""

    def is_new(self, event: Event) -> bool:
        return super().is_new(event._replace(epoch="any"))


class EqualPasses(Taking):
    """Compares with the mark by `<`: the event at the mark itself is taken again."""

    def is_new(self, event: Event) -> bool:
        reached = self._epochs.get(event.epoch)
        if reached is not None and event.place == reached.place:
            self._note(event, reached)
            return True
        return super().is_new(event)


class MarkMovesBack(BareMark):
    """Remembers the place that came last, not the highest."""

    def is_new(self, event: Event) -> bool:
        new = super().is_new(event)
        self._epochs[event.epoch] = self._epochs[event.epoch]._replace(place=event.place)
        return new


class FirstNotAloneSink(FakeSink):
    """A partition that does not know the producer takes a batch behind one that was lost."""

    def _send_in_doubt(self, parts: Partitioned, number: int, doubt: Doubt) -> None:
        self._append({partition: part[1:] for partition, part in parts.items()}, number)


def first_not_alone(broker: FakeBroker, store: CursorStore, process: Sender) -> Sink:
    return FirstNotAloneSink(broker, process.database.epoch)


PLANTED_MARKS: dict[str, tuple[type[MarksMachine], dict[str, object], str]] = {
    "first batch of a partition not alone": (
        MarksMachine,
        {"parts": Parts(make_sink=first_not_alone)},
        "M1",
    ),
    "mark without the ids, over a gap": (
        MarksMachine,
        {"parts": Parts(make_sink=first_not_alone), "taking": BareMark},
        "M2",
    ),
    "equal place is new": (MarksMachine, {"taking": EqualPasses}, "M3"),
    "mark moves back": (MarksMachine, {"taking": MarkMovesBack}, "M3"),
    "epoch ignored": (PromotionMachine, {"taking": EpochIgnored}, "M2"),
    "mark without the ids, over a promotion": (PromotionMachine, {"taking": BareMark}, "M3"),
    "mark without the ids, over new partitions": (GrowthMachine, {"taking": BareMark}, "M2"),
}
