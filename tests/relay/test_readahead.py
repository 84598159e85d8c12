"""The next page is read while the present one is sent, and nothing reads on when that is over."""

from __future__ import annotations

import threading

from relay.core.inputs import Rows
from relay.core.snapshot import Snapshot
from relay.core.window import Page, Window
from relay.daemon.readahead import ReadAhead

WINDOW = Window(Snapshot.parse("1:1:"), Snapshot.parse("9:9:"))
# Short of their limits, so that what follows the first may be read ahead.
FIRST, SECOND = Page(1, 4, 8), Page(5, 8, 8)


class SlowSource:
    """Reads the second page for as long as it is not released."""

    def __init__(self) -> None:
        self.release = threading.Event()
        self.read_pages: list[Page] = []
        self.reading_second = threading.Event()

    def read(self, window: Window, page: Page) -> Rows:
        if page == SECOND:
            self.reading_second.set()
            self.release.wait(10)
        self.read_pages.append(page)
        return ()


def test_the_page_that_was_announced_is_read_once() -> None:
    source = SlowSource()
    source.release.set()
    pages = ReadAhead(source)
    pages.read(WINDOW, FIRST, SECOND)
    pages.read(WINDOW, SECOND, None)
    pages.close()
    assert source.read_pages == [FIRST, SECOND]


def test_closing_waits_for_the_page_that_is_being_read() -> None:
    source = SlowSource()
    pages = ReadAhead(source)
    pages.read(WINDOW, FIRST, SECOND)
    assert source.reading_second.wait(10)
    threading.Timer(0.2, source.release.set).start()
    pages.close()
    assert source.read_pages == [FIRST, SECOND]
