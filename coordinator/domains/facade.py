"""What a domain is told about a finished run, and what its facade may do with the session.

A facade works on the session that it is handed and on nothing else: it adds, executes, flushes and
may use savepoints. It does not commit, roll back, or open a session or connection of its own; an
error that it raises rolls back everything.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from sqlalchemy.orm import Session

from coordinator.errors import InvalidRun
from coordinator.outcomes import DomainResult
from coordinator.validation import check_name

# An error's text with its traceback fits; a log does not. It goes into an event as well, where each
# character may take 6 bytes.
ERROR_MESSAGE_CHARS_MAX = 16_384


class RunStatus(StrEnum):
    """How a run can end."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishedRun:
    """A finished run, checked when it is made.

    Attributes:
        run_id, tenant_id: 1 to 255 characters.
        run_status: see `run_status_of` for one from text.
        agent_id, error_code, trace_id, synthetic_scenario_id: 1 to 255 characters, or None.
        error_message: 1 to 16,384 characters, or None.
        is_synthetic: whether the run was made up, to test or to exercise the system.

    Raises:
        InvalidRun: an argument breaks its rule; the error names it, the problem and the limit.
    """

    run_id: str
    tenant_id: str
    run_status: RunStatus
    agent_id: str | None = None
    error_code: str | None = None
    error_message: str | None = None
    trace_id: str | None = None
    is_synthetic: bool = False
    synthetic_scenario_id: str | None = None

    def __post_init__(self) -> None:
        check_name("run_id", self.run_id, InvalidRun)
        check_name("tenant_id", self.tenant_id, InvalidRun)
        for field in ("agent_id", "error_code", "trace_id", "synthetic_scenario_id"):
            if (value := getattr(self, field)) is not None:
                check_name(field, value, InvalidRun)
        if self.error_message is not None:
            check_name("error_message", self.error_message, InvalidRun, ERROR_MESSAGE_CHARS_MAX)
        if not isinstance(self.run_status, RunStatus):
            raise InvalidRun("run_status", "must be a RunStatus; run_status_of makes one of text")
        if not isinstance(self.is_synthetic, bool):
            raise InvalidRun("is_synthetic", "must be True or False")

    @property
    def succeeded(self) -> bool:
        """Whether the run ended well."""
        return self.run_status is RunStatus.SUCCEEDED


def run_status_of(text: str) -> RunStatus:
    """Return the RunStatus that `text` names.

    Raises:
        InvalidRun: it names none; the error has those there are.
    """
    try:
        return RunStatus(text)
    except ValueError:
        known = ", ".join(RunStatus)
        raise InvalidRun("run_status", f"must be one of {known}") from None


class CreatesIncident(Protocol):
    """The incident domain."""

    def create(self, session: Session, run: FinishedRun) -> DomainResult:
        """Create the incident of a run that did not succeed; say so where none is needed."""


class EvaluatesPolicies(Protocol):
    """The governance domain."""

    def evaluate(self, session: Session, run: FinishedRun) -> DomainResult:
        """Write what the policies say of the run."""


class CompletesTrace(Protocol):
    """The trace domain; called for a run with a `trace_id` only."""

    def check(self, session: Session, run: FinishedRun) -> None:
        """Lock the trace and refuse one that cannot be completed, before anything is written."""

    def complete(self, session: Session, run: FinishedRun) -> DomainResult:
        """Complete the trace; an error here fails the whole."""
