"""What goes wrong, and when: drawn anew for each seed.

A seed has some kinds of faults and not the others (swarm testing): a world in which everything
happens is one in which a crash every second hides what needs ten quiet ones. A fault comes at a
random time, or, which finds more, just after a step of a relay.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from random import Random
from typing import TYPE_CHECKING

from relay.core import inputs as told
from tests.simulation.operators import Operators

if TYPE_CHECKING:
    from tests.simulation.network import Line
    from tests.simulation.world import World

__all__ = ["Faults"]

TELLING = (told.Opened, told.Acked, told.Acked, told.Saved)
PAUSE_S = (0.3, 1.0, 3.0)
KINDS_MAX = 6
FREEZE_S = (0.2, 2.0, 7.0, 9.0, 15.0)
DOWN_S = (0.0, 0.1, 1.0, 5.0)
STORM_S = (1.0, 4.0, 10.0)


class Faults:
    """Those of one seed.

    Attributes:
        kinds: which may occur.
        lost_by_failover: events that a standby had not got when it was promoted.
        operators: those who decide about what is parked.
    """

    def __init__(self, world: World, chance: Random) -> None:
        self._world = world
        self._chance = chance
        self._at_next_step: list[Callable[[], None]] = []
        self._awaited: type[told.Input] = told.Acked
        self._over = False
        every = self._every()
        self.kinds = chance.sample(sorted(every), chance.randint(0, KINDS_MAX))
        self.lost_by_failover: set[str] = set()
        self.operators = Operators(world.database)
        self._pause_s = chance.choice(PAUSE_S)
        if self.kinds:
            self._plan_next()

    def a_step_was_made(self, outcome: object) -> None:
        """Called by the world after each step of a relay."""
        if isinstance(outcome, self._awaited):
            waiting, self._at_next_step = self._at_next_step, []
            self._awaited = self._chance.choice(TELLING)
            for fault in waiting:
                self._world.scheduler.after(0.0, partial(self._unless_over, fault))

    def end(self) -> None:
        """No more of them."""
        self._over = True

    def _every(self) -> dict[str, Callable[[], None]]:
        return {
            "a relay is killed": self._kill,
            "a relay is stopped": self._stop,
            "a relay stands still": self._freeze,
            "a relay's wall clock jumps": self._jump,
            "a line is cut": self._cut,
            "a line fades": self._fade,
            "connections are reset": self._reset,
            "messages are slow": self._slow,
            "messages are lost": self._lose,
            "processes are not scheduled": self._hiccup,
            "the broker is away": self._broker_away,
            "sends are in pieces": self._pieces,
            "sends are in doubt": self._doubt,
            "an event is refused": self._refuse,
            "the topic is forbidden": self._forbid,
            "an operator decides": self._operate,
            "the database crashes": self._crash,
            "a standby is promoted": self._promote,
        }

    def _plan_next(self) -> None:
        pause_s = self._chance.expovariate(1.0) * self._pause_s
        self._world.scheduler.after(pause_s, lambda: self._unless_over(self._occur))

    def _occur(self) -> None:
        kind = self._chance.choice(self.kinds)
        fault = self._every()[kind]
        if self._chance.random() < 0.5:
            self._at_next_step.append(fault)
        else:
            fault()
        self._world.note("fault", kind)
        self._plan_next()

    def _unless_over(self, fault: Callable[[], None]) -> None:
        if not self._over:
            fault()

    def _later(self, choices: tuple[float, ...], action: Callable[[], None]) -> None:
        delay_s = self._chance.choice(choices) * (0.5 + self._chance.random())
        self._world.scheduler.after(delay_s, lambda: self._unless_over(action))

    def _any(self) -> int:
        """A relay; more often than not one that leads."""
        relays = self._world.relays
        leading = [index for index, relay in enumerate(relays) if relay.leads]
        if leading and self._chance.random() < 0.7:
            return leading[0]
        return self._chance.randrange(len(relays))

    # Processes

    def _kill(self) -> None:
        index = self._any()
        self._world.relays[index].kill()
        self._later(DOWN_S, lambda: self._world.start(index))

    def _stop(self) -> None:
        index = self._any()
        self._world.relays[index].stop()
        self._later((11.0,), lambda: self._world.start(index))

    def _freeze(self) -> None:
        machine = self._world.relays[self._any()].machine
        machine.freeze()
        self._later(FREEZE_S, machine.thaw)

    def _jump(self) -> None:
        self._world.relays[self._any()].wall_offset_s += self._chance.choice((-3600.0, -5.0, 60.0))

    # The network

    def _cut(self) -> None:
        self._cut_line(self._world.relays[self._any()].line)

    def _fade(self) -> None:
        """Replies come late, later than a lease request would wait for, and then none comes."""
        line = self._world.relays[self._any()].line
        line.replies_late_s = self._chance.uniform(0.5, 2.6)
        self._later(STORM_S, lambda: self._cut_line(line))

    def _cut_line(self, line: Line) -> None:
        line.cut = True
        self._later(STORM_S, line.heal)

    def _reset(self) -> None:
        self._world.relays[self._any()].line.reset()

    def _slow(self) -> None:
        self._storm("stall_share", 0.05)

    def _lose(self) -> None:
        self._storm("loss_share", 0.05)

    def _hiccup(self) -> None:
        self._storm("hiccup_share", 0.1)

    def _storm(self, share: str, height: float) -> None:
        weather = self._world.weather
        setattr(weather, share, height)
        self._later(STORM_S, lambda: setattr(weather, share, 0.0))

    # The broker

    def _broker_away(self) -> None:
        state = self._world.broker_state
        state.up = False

        def back() -> None:
            state.up = True

        self._later(DOWN_S, back)

    def _pieces(self) -> None:
        self._world.broker_state.slow_share = 0.5

    def _doubt(self) -> None:
        self._world.broker_state.doubt_share = 0.2

    def _refuse(self) -> None:
        """The one that is written next: by the batch it is in, in advance, or for a while."""
        broker = self._world.broker
        refusal = self._chance.choice((broker.refused, broker.too_large, broker.missing))
        refusal.add(self._world.writers.next_id())
        self._later(STORM_S, broker.take_everything_again)

    def _forbid(self) -> None:
        self._world.broker.forbidden = True
        self._later(STORM_S, self._world.broker.take_everything_again)

    def _operate(self) -> None:
        if self._world.server.up:
            self.operators.decide(self._chance)

    # The database

    def _crash(self) -> None:
        self._world.database.flush(self._chance.choice((0, 0, 0, 1, 2, 4)))
        self._world.database.crash()
        self._away()

    def _promote(self) -> None:
        database = self._world.database
        before = {event.event_id for event in database.committed}
        database.promote_standby(self._chance.randint(0, 20))
        self.lost_by_failover |= before - {event.event_id for event in database.committed}
        self._away()

    def _away(self) -> None:
        server = self._world.server
        server.up = False

        def back() -> None:
            server.up = True

        self._later(DOWN_S, back)
