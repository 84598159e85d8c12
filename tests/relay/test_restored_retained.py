"""Of a restored outbox, replay and verify go by what was published since it was restored."""

from __future__ import annotations

from contextlib import closing

import pytest

from relay.core.replay import Selection
from relay.errors import UnsafeDatabase
from relay.postgres.connect import connect
from relay.postgres.retained import Retained, Stretch
from tests.relay.events import emit
from tests.relay.test_restored import drained, moved, source, target
from tests.support.postgres import CrashablePostgres

__all__ = ["source", "target"]

ALL = Stretch(0.0, float("inf"))


def retained(url: str) -> list[str]:
    """What of the topic is published and kept, in order."""
    with closing(connect(url, "test")) as connection:
        pages = Retained(connection).read(ALL, Selection(topic="t"))
        return [one.row[1] for page in pages for one in page]


def test_only_what_was_published_since_then_is_given_out(
    source: CrashablePostgres, target: CrashablePostgres
) -> None:
    before = emit(source.url(), "t", count=3)
    assert drained(source.url()) == before
    assert retained(source.url()) == before
    moved(source.url(), target)
    here = emit(target.url(), "t", count=2)
    assert drained(target.url()) == here

    assert retained(target.url()) == here


def test_before_a_relay_has_led_on_it_the_copy_is_refused(
    source: CrashablePostgres, target: CrashablePostgres
) -> None:
    emit(source.url(), "t")
    drained(source.url())
    moved(source.url(), target)

    with pytest.raises(UnsafeDatabase, match="was restored, and no relay has led on it yet"):
        retained(target.url())
