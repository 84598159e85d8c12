"""What the relay turns to: each gives the state it is in from here on, and the effect it wants.

machine.py says when; this says what then. A stop is asked for here, where something new would be
begun, so that no transition can forget it.
"""

from __future__ import annotations

from dataclasses import replace

from relay.core import effects as do
from relay.core import inputs as told
from relay.core import pacing
from relay.core.parking import passed
from relay.core.state import Moment, Relay, State

__all__ = [
    "Step",
    "close",
    "halt",
    "look",
    "next_page",
    "recover",
    "rest",
    "retry",
    "save",
    "send",
    "stop",
]

Step = tuple[Relay, do.Effect]
"""What the relay is from here on, and what it wants done."""


def recover(relay: Relay) -> Step:
    """Ask the broker what it has of the window, and shut out whoever sent before."""
    return replace(relay, state=State.RECOVERING), do.Recover()


def next_page(relay: Relay, moment: Moment) -> Step:
    """Read what is left of the window, or go on to the next."""
    if relay.pages and moment.stopping:
        return stop(relay)
    if relay.pages:
        ahead = relay.pages[1] if len(relay.pages) > 1 else None
        read = do.Read(relay.at.window, relay.pages[0], ahead)
        return replace(relay, state=State.READING), read
    if moment.stopping and not relay.at.closed:
        return close(relay)
    return look(relay, moment)


def send(relay: Relay) -> Step:
    """Hand over the events that come next."""
    wanted = do.Send(relay.slice, relay.at.number, relay.word)
    return replace(relay, state=State.SENDING), wanted


def save(relay: Relay, acked_to: int = 0) -> Step:
    """Store how far it got, and with it what is set aside up to there."""
    parked, aside = passed(relay.aside, relay.rows)
    position = max([acked_to, *(told.position(one.row) for one in parked)])
    wanted = do.Save(relay.at.advanced(position), unblocks=relay.reported, parked=parked)
    return replace(relay, state=State.SAVING, aside=aside, reported=False), wanted


def look(relay: Relay, moment: Moment) -> Step:
    """See what has become visible, unless the look that opened the last window was just now."""
    if moment.stopping:
        return stop(relay)
    too_early_s = relay.opened_at_s + pacing.WINDOW_EVERY_S - moment.now_s
    relay = replace(relay, rows=(), pages=())
    if too_early_s > 0:
        return replace(relay, state=State.RESTING), do.Rest(too_early_s)
    relay = replace(relay, state=State.LOOKING, looked_at_s=moment.now_s)
    return relay, do.OpenNext(relay.at)


def close(relay: Relay) -> Step:
    """Store that the window is published."""
    return replace(relay, state=State.CLOSING), do.Save(relay.at.finished())


def rest(relay: Relay, moment: Moment, may_lie_down: bool = True) -> Step:
    """There is nothing to publish: rest, or sleep if writers will wake it."""
    if moment.stopping:
        return stop(relay)
    if relay.asleep:
        return replace(relay, state=State.SLEEPING), do.Sleep(pacing.SLEEP_S_MAX)
    silent_for_s = moment.now_s - relay.busy_until_s
    if moment.listening and may_lie_down and pacing.may_sleep(silent_for_s):
        return replace(relay, state=State.DOZING), do.LieDown()
    rest_s = pacing.next_rest_s(relay.rest_s, silent_for_s)
    return replace(relay, state=State.RESTING, rest_s=rest_s), do.Rest(rest_s, idle=True)


def retry(relay: Relay, moment: Moment) -> Step:
    """Rest before the same events are sent again."""
    if moment.stopping:
        return halt(relay, moment)
    return replace(relay, state=State.RETRYING), do.Rest(pacing.retry_rest_s(relay.attempts))


def halt(relay: Relay, moment: Moment) -> Step:
    """Stop before a retry. A window of which nothing is left to publish is closed even then."""
    return stop(relay) if relay.rows else next_page(relay, moment)


def stop(relay: Relay) -> Step:
    """End here."""
    return replace(relay, state=State.STOPPED), do.Stop()
