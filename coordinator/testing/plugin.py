"""The pytest plugin `outbox`: two fixtures, and the leak detector where the ini asks for it.

pytest loads this in every run where the package is installed, so it imports nothing but pytest;
what a fixture needs is imported when a test asks for it.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from importlib import import_module
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from coordinator.testing.committed_events import CommittedEvents, Database
    from coordinator.testing.memory_outbox import InMemoryOutbox

_WATCH = "outbox_watch"
_TABLES = "outbox_watch_tables"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Two ini options for the leak detector."""
    parser.addini(_WATCH, "watch this declarative base or MetaData, `package.module:Base`")
    parser.addini(_TABLES, "the tables that are watched; none for all of it", type="args")


def pytest_configure(config: pytest.Config) -> None:
    """Watch only where the ini says so."""
    if config.getini(_WATCH):
        config.pluginmanager.register(_Watching(config), "outbox-watching")


@pytest.fixture
def outbox() -> Iterator[InMemoryOutbox]:
    """An outbox in memory that stands for every Outbox of the process during the test."""
    from coordinator.testing.memory_outbox import InMemoryOutbox  # noqa: PLC0415 - see the module

    with InMemoryOutbox().installed() as memory:
        yield memory


@pytest.fixture
def outbox_database() -> Database:
    """Yours to define: where `outbox_events` looks; see CommittedEvents for what it may be."""
    raise pytest.UsageError(
        "`outbox_events` needs a fixture `outbox_database` in your conftest.py: it returns the "
        "Engine, or the Connection or Session whose outer transaction the test rolls back"
    )


@pytest.fixture
def outbox_events(outbox_database: Database) -> CommittedEvents:
    """The events that are committed to the real outbox during the test."""
    from coordinator.testing.committed_events import CommittedEvents  # noqa: PLC0415 - see above

    return CommittedEvents(outbox_database)


class _Watching:
    """Watches each test, but not its fixtures: what they prepare needs no event."""

    def __init__(self, config: pytest.Config) -> None:
        self._base = str(config.getini(_WATCH))
        self._tables = list(config.getini(_TABLES)) or None

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self) -> Generator[None, Any, Any]:
        from coordinator.testing.leaks import watch  # noqa: PLC0415 - see the module

        module, _, name = self._base.partition(":")
        with watch(getattr(import_module(module), name), tables=self._tables) as watching:
            result = yield
        if watching.found:
            # Raised before, and caught by the code under test.
            raise watching.found[0]
        return result
