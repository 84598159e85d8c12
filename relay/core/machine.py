"""The relay as a table: its states, what it may be told in each, and what it then wants done.

One relay does one thing at a time, so each step answers with exactly one effect, and the shell
answers that effect with exactly one input. A step is made once a page or once a look, never once an
event.

    STANDBY    Elected       LOADING
    LOADING    Loaded        RECOVERING
    RECOVERING Recovered     READING a window that was left open, else LOOKING; after a doubt
                             SENDING what the broker does not have, else what follows Acked
    RECOVERING Doubtful      RETRYING
    LOOKING    Opened        READING, or RISING if it slept
    LOOKING    NothingAhead  CLOSING; if the window is closed already RESTING or DOZING;
                             SLEEPING if it has lain down
    READING    PageRead      SENDING; SAVING if all of it is held or out; or READING the next page
    SENDING    Acked         SAVING when more of the window is to come, else LOOKING
    SENDING    Doubtful      RETRYING
    SENDING    Refused       SENDING what is not to blame; when nothing is left of it, SAVING with
                             the refused event set aside, or REPORTING if it is to be waited for
    SAVING     Saved         READING, SENDING or LOOKING
    REPORTING  Reported      RETRYING
    RETRYING   Rested        RECOVERING; from there the same events are sent again
    CLOSING    Saved         RESTING, or DOZING
    RESTING    Rested        LOOKING; it comes before LOOKING as well, when windows follow closely
    DOZING     Asleep        LOOKING, once more: pacing.py says why
    DOZING     Disturbed     RESTING
    SLEEPING   Woken         LOOKING
    RISING     Risen         READING
    any        Lost          STANDBY: the cursor is forgotten, and read anew from the database

Once asked to stop, the relay starts nothing new, stores what was acknowledged, and is STOPPED.

What is authoritative: the log of windows in the database, nothing here. Invariants:
  - An event is sent only from a window that is stored (Opened comes after the commit), so it has
    the same place on every attempt, and no crash of the database can take it back.
  - The cursor advances only past events that were acknowledged or are parked by the same entry:
    SAVING, CLOSING and LOOKING are entered only when nothing that was read is neither, but for
    what SAVING leaves out.
  - After any failure, and before a new leader sends anything, the broker is asked what it has
    committed (reached.py). An event is left out for it only in the window that the answer names.
  - After any failure the same events are sent again from the first that is not known to be
    acknowledged; nothing is skipped. An event that the broker will never take is set aside, with
    all of its key behind it (parking.py), and one whose topic is still missing after some attempts
    with all of that topic. Where all topics are refused it is waited at, with its reason reported:
    those before it are published, those behind it are not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType

from relay.core import effects as do
from relay.core import inputs as told
from relay.core import pacing, turns
from relay.core.parking import blameless, divert, passed, set_aside
from relay.core.reached import unsent
from relay.core.state import PAGE_EVENTS, Moment, Relay, State
from relay.core.turns import Step
from relay.errors import IllegalTransition

__all__ = ["TRANSITIONS", "Moment", "Relay", "State", "step"]


def step(relay: Relay, given: told.Input, moment: Moment) -> Step:
    """What the relay becomes, and what it wants done next.

    Raises IllegalTransition, changing nothing, if it cannot be told that in its state.

    `Lost` may come at any time, everything else only where the table has it.
    """
    if isinstance(given, told.Lost):
        return Relay(), do.StandBy()
    try:
        transition = TRANSITIONS[relay.state, type(given)]
    except KeyError:
        raise IllegalTransition(f"{type(given).__name__} in state {relay.state.name}") from None
    return transition(relay, given, moment)


def _elected(relay: Relay, _: told.Elected, moment: Moment) -> Step:
    return replace(relay, state=State.LOADING), do.Load()


def _loaded(relay: Relay, loaded: told.Loaded, moment: Moment) -> Step:
    relay = replace(
        relay,
        cursor=loaded.cursor,
        pages=loaded.pages,
        held=loaded.held,
        busy_until_s=moment.now_s,
    )
    return turns.recover(relay)


def _recovered(relay: Relay, recovered: told.Recovered, moment: Moment) -> Step:
    """Go on behind what the broker has of this window; what it says of another means nothing."""
    reached = recovered.reached
    at = relay.at
    if reached is not None and not reached.holds_for(at.window_id, at.last_position):
        reached = None
    read, relay = relay.rows, replace(relay, rows=unsent(relay.rows, reached), reached=reached)
    if relay.rows:
        return turns.stop(relay) if moment.stopping else turns.send(relay)
    if read:
        return _passed(replace(relay, attempts=0), told.position(read[-1]), moment)
    return turns.next_page(relay, moment)


def _opened(relay: Relay, opened: told.Opened, moment: Moment) -> Step:
    relay = replace(
        relay,
        cursor=opened.cursor,
        pages=opened.pages,
        held=relay.held if opened.held is None else opened.held,
        reached=None,
        opened_at_s=relay.looked_at_s,
        rest_s=0.0,
    )
    if relay.asleep:
        return replace(relay, state=State.RISING), do.Rise()
    return turns.next_page(relay, moment)


def _nothing_ahead(relay: Relay, _: told.NothingAhead, moment: Moment) -> Step:
    return turns.rest(relay, moment) if relay.at.closed else turns.close(relay)


def _window_saved(relay: Relay, saved: told.Saved, moment: Moment) -> Step:
    return turns.rest(replace(relay, cursor=saved.cursor), moment)


def _page_read(relay: Relay, read: told.PageRead, moment: Moment) -> Step:
    page, *later = relay.pages
    if not read.rows:
        return turns.next_page(replace(relay, pages=tuple(later)), moment)
    rest = page.rest_after(told.position(read.rows[-1]), len(read.rows))
    pages = (rest, *later) if rest else tuple(later)
    rows, kept = divert(unsent(read.rows, relay.reached), relay.held)
    relay = replace(relay, rows=rows, aside=tuple(kept), pages=pages)
    return turns.send(relay) if rows else turns.save(relay, told.position(read.rows[-1]))


def _acked(relay: Relay, _: told.Acked, moment: Moment) -> Step:
    sent = relay.slice
    relay = replace(
        relay,
        rows=relay.rows[len(sent) :],
        reached=relay.word,
        at_once=min(2 * relay.at_once, PAGE_EVENTS),
        attempts=0,
        busy_until_s=moment.now_s,
    )
    return _passed(relay, told.position(sent[-1]), moment)


def _passed(relay: Relay, position: int, moment: Moment) -> Step:
    """What follows events that are published, the last of them at `position`."""
    if relay.rows or relay.pages or relay.reported or relay.aside or relay.at.releases:
        return turns.save(relay, position)
    return turns.close(relay) if moment.stopping else turns.look(relay, moment)


def _saved(relay: Relay, saved: told.Saved, moment: Moment) -> Step:
    relay = replace(relay, cursor=saved.cursor)
    if relay.rows:
        return turns.stop(relay) if moment.stopping else turns.send(relay)
    return turns.next_page(relay, moment)


def _doubtful(relay: Relay, _: told.Doubtful, moment: Moment) -> Step:
    return turns.retry(replace(relay, attempts=relay.attempts + 1), moment)


def _refused(relay: Relay, refused: told.Refused, moment: Moment) -> Step:
    """Set aside what is to blame, or wait at it; until it is known, send what stands before it.

    A topic that is refused names its first event. Otherwise a batch was judged whole, and what is
    sent at once is halved until the refusal is of one event alone; when each half passes, it was
    the batch that was too large, and no event is to blame.
    """
    sent = relay.slice
    if refused.position is not None:
        return _park(relay, refused)
    if clear := blameless(sent, refused.topic):
        return turns.send(replace(relay, at_once=clear, attempts=0))
    if not refused.passing or (refused.topic and relay.attempts >= pacing.MISSING_ASKED_FOR):
        return _park(relay, refused)
    relay = replace(relay, state=State.REPORTING, attempts=relay.attempts + 1, reported=True)
    reason = f"topic {told.topic(sent[0])}: {refused.reason}"
    return relay, do.ReportBlocked(told.event_id(sent[0]), reason)


def _park(relay: Relay, refused: told.Refused) -> Step:
    """What is left is sent again; it is stored at once only where it is passed already."""
    rows, held, kept = set_aside(relay.rows, relay.held, refused)
    relay = replace(relay, rows=rows, held=held, aside=(*relay.aside, *kept), attempts=0)
    parked, _ = passed(relay.aside, rows)
    return turns.save(relay) if parked or not rows else turns.send(relay)


def _reported(relay: Relay, _: told.Reported, moment: Moment) -> Step:
    return turns.retry(relay, moment)


def _rested(relay: Relay, _: told.Rested | told.Woken, moment: Moment) -> Step:
    """All of the window is published here, but while windows follow closely that is not stored."""
    if moment.stopping and not relay.at.closed:
        return turns.close(relay)
    return turns.look(relay, moment)


def _asleep(relay: Relay, _: told.Asleep, moment: Moment) -> Step:
    return turns.look(replace(relay, asleep=True), moment)


def _disturbed(relay: Relay, _: told.Disturbed, moment: Moment) -> Step:
    return turns.rest(relay, moment, may_lie_down=False)


def _risen(relay: Relay, _: told.Risen, moment: Moment) -> Step:
    return turns.next_page(replace(relay, asleep=False), moment)


def _retried(relay: Relay, _: told.Rested, moment: Moment) -> Step:
    return turns.halt(relay, moment) if moment.stopping else turns.recover(relay)


TRANSITIONS: Mapping[tuple[State, type[told.Input]], Callable[..., Step]] = MappingProxyType(
    {
        (State.STANDBY, told.Elected): _elected,
        (State.LOADING, told.Loaded): _loaded,
        (State.RECOVERING, told.Recovered): _recovered,
        (State.RECOVERING, told.Doubtful): _doubtful,
        (State.LOOKING, told.Opened): _opened,
        (State.LOOKING, told.NothingAhead): _nothing_ahead,
        (State.READING, told.PageRead): _page_read,
        (State.SENDING, told.Acked): _acked,
        (State.SENDING, told.Doubtful): _doubtful,
        (State.SENDING, told.Refused): _refused,
        (State.SAVING, told.Saved): _saved,
        (State.CLOSING, told.Saved): _window_saved,
        (State.REPORTING, told.Reported): _reported,
        (State.RETRYING, told.Rested): _retried,
        (State.RESTING, told.Rested): _rested,
        (State.DOZING, told.Asleep): _asleep,
        (State.DOZING, told.Disturbed): _disturbed,
        (State.SLEEPING, told.Woken): _rested,
        (State.RISING, told.Risen): _risen,
    }
)
