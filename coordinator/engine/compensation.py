"""Rollback actions after a rollback: in reverse, each at most once, one DomainAck each.

What is to be undone outside the database stands in the same list, so that there is one order; it
writes its ack itself, in the commit that deletes its intent.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from coordinator.engine.awaiting import settled
from coordinator.engine.operation import RollbackAction, UndoOutside
from coordinator.outcomes import DomainAck

log = logging.getLogger(__name__)


def compensate(
    actions: list[RollbackAction | UndoOutside],
    cause: BaseException,
    write_ack: Callable[[DomainAck], None],
) -> list[DomainAck]:
    """Run `actions`, the last one first; write what became of each, and return that.

    An action that fails does not stop the others, nor does an ack that cannot be written: the
    caller is to see why the transaction failed, not why the cleaning up did.

    Args:
        actions: emptied; an action is taken out before it runs, so none runs twice.
        cause: why the transaction was rolled back.
        write_ack: writes one ack, in a transaction of its own.
    """
    acks = []
    while actions:
        action = actions.pop()
        if isinstance(action, RollbackAction):
            acks.append(_run(action, cause))
            _write(acks[-1], write_ack)
        else:
            acks.append(action(cause))
    return acks


def error_text(error: BaseException) -> str:
    """Return an error's class and message as an ack may show them."""
    # One line of it: a driver's message goes on with the row, and that is payload. No NUL or
    # surrogate: the ack is a row.
    first_line = (str(error).splitlines() or [""])[0].replace("\0", "")
    return f"{type(error).__name__}: {first_line}"[:1_000].encode(errors="replace").decode()


def log_unwritten(ack: DomainAck, error: Exception) -> None:
    """Log an ack that the database did not take."""
    log.error(
        "rollback action %r of %r ran (succeeded: %s), but its ack was not written: %s",
        ack.action,
        ack.domain,
        ack.action_succeeded,
        type(error).__name__,
    )


def _write(ack: DomainAck, write_ack: Callable[[DomainAck], None]) -> None:
    try:
        write_ack(ack)
    except Exception as error:  # noqa: BLE001 - the other actions must still run
        log_unwritten(ack, error)


def _run(action: RollbackAction, cause: BaseException) -> DomainAck:
    try:
        settled(action.action())
    except Exception as error:  # noqa: BLE001 - its failure is what the ack reports
        return DomainAck(
            action.domain,
            action.name,
            error_text(cause),
            action_succeeded=False,
            action_error=error_text(error),
        )
    return DomainAck(action.domain, action.name, error_text(cause), action_succeeded=True)
