"""Events that were published before, sent again: each with the place that it had.

Everything else is the sink's: the idempotent producer, a first event of each partition that goes
alone, the same partitions. So a replay is in order as the stream is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from relay.core.envelope import Headers
from relay.core.inputs import Input, Row, position
from relay.core.reached import Reached
from relay.core.span import Placed
from relay.kafka.sink import KafkaSink

__all__ = ["ReplaySink"]


class ReplaySink(KafkaSink):
    """A sink whose events come from many windows."""

    _windows: dict[int, tuple[str, int]]

    def send_again(self, placed: Sequence[Placed], keep_going: Callable[[], bool]) -> Input:
        """As Sink.send."""
        self._windows = {one.row[0]: (one.epoch, one.window) for one in placed}
        rows = [one.row for one in placed]
        return self.send(rows, 0, Reached("", 0), keep_going)

    def _envelope(self, number: int) -> Callable[[Row], Headers]:
        """Of each event by its own window; `number` says nothing here."""
        made: dict[tuple[str, int], Callable[[Row], Headers]] = {}

        def headers_of(row: Row) -> Headers:
            window = self._windows[position(row)]
            if window not in made:
                made[window] = self._form(self._source, *window)
            return made[window](row)

        return headers_of
