"""The fixtures by concern; each plugin says what it gives."""

from __future__ import annotations

pytest_plugins = [
    "pytester",
    "tests.support.chromium",
    "tests.support.kafka",
    "tests.support.postgres",
    "tests.support.processes",
    "tests.support.proxy",
    "tests.support.services_report",
    "tests.support.workload",
]
