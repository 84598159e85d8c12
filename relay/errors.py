"""What can go wrong in the relay, and what each means for the one who reads it.

    RelayError
    ├── BadConfiguration   yours: names every setting that is wrong; exit 78, no restart heals it
    ├── SchemaMismatch     yours: run `relay migrate`; exit 78
    ├── UnsafeDatabase     yours: publishing could lose or reorder; says what to change; exit 78
    ├── EventsAwaitTopics  yours: all is published but events whose topics are missing; names them
    ├── EventsPending      yours: it would throw away what is not done yet; says how many
    ├── BadRows            yours: rows to be taken over that the outbox refuses; names each
    ├── Fenced             nobody's: another relay leads now; step down, it heals by itself
    ├── Unreachable        theirs: database or broker is away; retried, it heals by itself
    └── InvariantBroken    ours: a bug; the relay stops rather than guess
        └── IllegalTransition   an input that the state machine has no entry for

Exit codes are those of sysexits.h, so that an init system can tell a bad configuration (do not
restart) from the rest.
"""

from __future__ import annotations

from traceback import walk_tb

__all__ = [
    "BadConfiguration",
    "BadRows",
    "EventsAwaitTopics",
    "EventsPending",
    "Fenced",
    "IllegalTransition",
    "InvariantBroken",
    "RelayError",
    "SchemaMismatch",
    "Unreachable",
    "UnsafeDatabase",
    "told_bug",
]

PLACES_MAX = 6
"""Of those that an error came through, the innermost."""


class RelayError(Exception):
    """Any error of the relay; `exit_code` is what the command ends with."""

    exit_code = 1


class BadConfiguration(RelayError):
    """Settings that are missing, malformed, or would break a promise.

    The message has one line for each.
    """

    exit_code = 78


class SchemaMismatch(RelayError):
    """The outbox schema is missing or of another version.

    The message has the command that mends it.
    """

    exit_code = 78


class UnsafeDatabase(RelayError):
    """The database would let events be lost or reordered: a changed default, a writable txid."""

    exit_code = 78


class EventsAwaitTopics(RelayError):
    """All is published, but for events that wait for topics which do not exist."""


class EventsPending(RelayError):
    """What was asked for would throw away committed events that are not published yet, or what a
    relay works with."""


class BadRows(RelayError):
    """Rows of a table that is taken over break a rule of the outbox; nothing of them was done.

    The message names row, field, problem and limit.
    """


class Fenced(RelayError):
    """The log of windows refused an entry: the term is over, or another relay wrote it first."""


class Unreachable(RelayError):
    """The database or the broker cannot be reached now; the message is scrubbed of secrets."""

    exit_code = 69


class InvariantBroken(RelayError):
    """Something that only a bug can break is broken."""

    exit_code = 70


class IllegalTransition(InvariantBroken):
    """The state machine was told something that it cannot be told in its state."""


def told_bug(bug: BaseException) -> str:
    """An error that nobody foresaw, by its kind and place: its text may quote a row or a password.

    The places are written from the outermost to the one that raised it.
    """
    places = [
        f"{frame.f_code.co_filename.rpartition('/')[2]}:{line} {frame.f_code.co_name}"
        for frame, line in walk_tb(bug.__traceback__)
    ]
    return f"a bug: {type(bug).__name__} at {' > '.join(places[-PLACES_MAX:])}"
