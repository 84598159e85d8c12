"""Says which services the tests use, and at the end which tests had to do without."""

from __future__ import annotations

import confluent_kafka
import psycopg
import pytest

from tests.support import containers, kafka, postgres


def pytest_report_header() -> list[str]:
    """The services that were chosen; they start when a test first asks."""
    librdkafka, libpq = (
        confluent_kafka.libversion()[0],
        psycopg.pq.version_pretty(psycopg.pq.version()),
    )
    return [
        f"containers: {containers.engine_missing_reason() or 'an engine answers'}",
        f"postgresql: {postgres.choice()}; libpq {libpq}, psycopg {psycopg.__version__}",
        f"kafka: {kafka.choice().description}; librdkafka {librdkafka}",
    ]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The services again, at the end of a long output, and each test that was skipped, with what
    it wanted."""
    skipped = terminalreporter.stats.get("skipped", [])
    want = [report for report in skipped if kafka.WANTED in str(report.longrepr)]
    ran = sum(len(terminalreporter.stats.get(outcome, [])) for outcome in ("passed", "failed"))
    terminalreporter.section("services", sep="-")
    terminalreporter.line(f"postgresql: {postgres.choice()}")
    terminalreporter.line(f"kafka: {kafka.choice().description}")
    terminalreporter.line(f"{ran} tests run, {len(want)} skipped for want of a real broker")
    terminalreporter.line(f"{len(skipped) - len(want)} skipped for want of something else")
    for report in skipped:
        terminalreporter.line(f"  {report.nodeid}: {_reason(report)}")


def _reason(report: pytest.TestReport) -> str:
    """As it was given to skip()."""
    told = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    return told.removeprefix("Skipped: ")
