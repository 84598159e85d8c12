"""A commit whose reply was lost is looked up, never guessed.

Naive: a lost connection means "not committed", so do the work again: then a commit that did happen
is done twice. Or ask `pg_xact_status(xid)`: after a crash or a failover the same xid can be another
transaction's. What cannot lie is the record that the transaction itself wrote. The claim finds it;
where the old transaction is still open in the server, the claim waits for its end.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

from sqlalchemy import text
from sqlalchemy.orm import Session

from coordinator.engine.awaiting import to_its_end
from coordinator.engine.memory import Record
from coordinator.engine.retry import RetryBudget
from coordinator.transient import is_transient

# set_config, as SET takes no bound value.
_WAIT_NO_LONGER_THAN = text("select set_config('lock_timeout', :limit, true)")


class CommitReplyLost(Exception):
    """Something was raised between COMMIT and its reply; never leaves the engine."""


def look_up(
    claim: Callable[[Session], Record | None],
    new_session: Callable[[], AbstractContextManager[Session]],
    budget: RetryBudget,
) -> Record | None:
    """Return what the lost commit recorded, or None: then it is known to be rolled back.

    Args:
        claim: claims what the lost attempt had claimed, or returns what it recorded.
        new_session: opens a session on a connection that works.
        budget: for reaching the database; also the longest wait for the old transaction's end.

    Raises:
        sqlalchemy.exc.DBAPIError: the database could not be asked within the budget.
    """

    def ask() -> Record | None:
        with new_session() as session:
            limit_ms = max(1, int(budget.total_s * 1000))
            session.execute(_WAIT_NO_LONGER_THAN, {"limit": f"{limit_ms}ms"})
            return claim(session)

    # In REPEATABLE READ the claim that waited for the old transaction fails if that was committed;
    # the next one, with a new snapshot, finds it.
    return budget.spend(ask, again=is_transient)


def commit(session: Session) -> None:
    """Commit.

    Naive: an error of the server says that it did not happen. But a hook after the commit may raise
    one as well, from anywhere; an exception of a signal handler (Ctrl-C, a time limit) can come
    while the reply is waited for; and a server that stops while it waits for a synchronous standby
    has committed already. So whatever is raised is looked up.

    A cancellation waits for the reply: a driver passes it on to the server, which now and then
    takes it in time to roll back what was asked to be committed. Under asyncio the hooks at the
    commit run in a task of their own for it.

    Raises:
        CommitReplyLost: nobody knows whether it happened; its cause is why.
    """
    try:
        to_its_end(session.commit)
    except BaseException as error:
        raise CommitReplyLost from error
