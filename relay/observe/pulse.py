"""What the publishing loops say of themselves, for whoever judges whether this process is well.

A loop beats whenever it gets on: a step, a look, an attempt to reach what is away, a moment of
waiting for an acknowledgement. So a relay that waits for an absent database or broker beats as one
that publishes does, and only a loop that stands still falls silent. It costs a loop one assignment.
"""

from __future__ import annotations

import threading

__all__ = ["Pulse", "Pulses"]


class Pulse:
    """One outbox's; written by its loop, read by another thread."""

    def __init__(self, name: str, changed: threading.Event) -> None:
        """`changed` is set whenever the loop says something new."""
        self.name = name
        self.text = ""
        """What the loop does, in words; empty while there is none: its outbox failed, or ended."""
        self.ready = False
        """Whether it stands by or leads."""
        self.beaten = False
        self._changed = changed

    def beat(self) -> None:
        """It gets on. Called for each step: no lock, no clock."""
        self.beaten = True

    def says(self, text: str, *, ready: bool = False) -> None:
        """It does something else from here on; nothing is told twice."""
        self.beaten = True
        if (text, ready) != (self.text, self.ready):
            self.text, self.ready = text, ready
            self._changed.set()

    def ends(self) -> None:
        """There is no loop any more, so none is missed."""
        self.says("")


class Pulses:
    """Those of all outboxes of this process."""

    def __init__(self, changed: threading.Event) -> None:
        self.changed = changed
        self._all: dict[str, Pulse] = {}

    def of(self, name: str) -> Pulse:
        """The pulse of an outbox. Ask for all of them before the first loop starts."""
        return self._all.setdefault(name, Pulse(name, self.changed))

    @property
    def ready(self) -> bool:
        """Whether any outbox is stood by for, or led: one that is away holds up no other."""
        return any(pulse.ready for pulse in self._all.values())

    @property
    def text(self) -> str:
        """What they do, each with its name where it has one."""
        said = [(pulse.name, pulse.text) for pulse in self._all.values() if pulse.text]
        return "; ".join(f"{name}: {text}" if name else text for name, text in said)

    def beaten(self) -> bool:
        """Whether every loop has got on since this was asked last."""
        loops = [pulse for pulse in self._all.values() if pulse.text]
        all_beat = all(pulse.beaten for pulse in loops)
        if all_beat:
            for pulse in loops:
                pulse.beaten = False
        return all_beat
