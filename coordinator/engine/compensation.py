"""Rollback actions after a rollback: in reverse, each at most once, one DomainAck each."""

from __future__ import annotations

import logging
from collections.abc import Callable

from coordinator.engine.awaiting import settled
from coordinator.engine.operation import RollbackAction
from coordinator.outcomes import DomainAck

log = logging.getLogger(__name__)


def compensate(
    actions: list[RollbackAction], cause: BaseException, write_ack: Callable[[DomainAck], None]
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
        ack = _run(actions.pop(), cause)
        acks.append(ack)
        try:
            write_ack(ack)
        except Exception as error:  # noqa: BLE001 - the other actions must still run
            log.error(
                "rollback action %r of %r ran (succeeded: %s), but its ack was not written: %s",
                ack.action,
                ack.domain,
                ack.action_succeeded,
                type(error).__name__,
            )
    return acks


def _run(action: RollbackAction, cause: BaseException) -> DomainAck:
    try:
        settled(action.action())
    except Exception as error:  # noqa: BLE001 - its failure is what the ack reports
        return DomainAck(
            action.domain,
            action.name,
            _text(cause),
            action_succeeded=False,
            action_error=_text(error),
        )
    return DomainAck(action.domain, action.name, _text(cause), action_succeeded=True)


def _text(error: BaseException) -> str:
    # One line of it: a driver's message goes on with the row, and that is payload. No NUL or
    # surrogate: the ack is a row.
    first_line = (str(error).splitlines() or [""])[0].replace("\0", "")
    return f"{type(error).__name__}: {first_line}"[:1_000].encode(errors="replace").decode()
