"""The next page is read while the present one is sent.

Two pages exist at a time: the one being sent, and at most one that waits. Reading is half of the
work, and the database does it in a process of its own; alone, this overlap was worth 240,000 ->
300,000 events/s in a prototype.
"""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor

from relay.core.inputs import Rows
from relay.core.window import Page, Window
from relay.ports import PageSource

__all__ = ["ReadAhead"]


class ReadAhead:
    """A PageSource with a memory of one page."""

    def __init__(self, source: PageSource) -> None:
        self._source = source
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="readahead")
        self._waiting: tuple[Window, Page, Future[Rows]] | None = None

    def read(self, window: Window, page: Page, ahead: Page | None) -> Rows:
        """The events of `page`; begins to read `ahead`, which is expected to be asked for next."""
        waiting, self._waiting = self._waiting, None
        if waiting is not None and waiting[:2] == (window, page):
            rows = waiting[2].result()
        else:
            rows = self._thread.submit(self._source.read, window, page).result()
        if ahead is not None and not page.may_be_cut:
            future = self._thread.submit(self._source.read, window, ahead)
            self._waiting = (window, ahead, future)
        return rows

    def keep(self, window: Window, page: Page, rows: Rows) -> None:
        """Take `rows` for those of `page`, if that is asked for next."""
        kept: Future[Rows] = Future()
        kept.set_result(rows)
        self._waiting = (window, page, kept)

    def close(self) -> None:
        """Forget what waits, and wait for what is being read.

        The source's connection is closed next, and must not be freed under a thread that is in it.
        """
        self._thread.shutdown(wait=True, cancel_futures=True)
