"""Looks at one outbox's database every few seconds, for those who watch.

In a thread and on a connection of its own: neither a slow database nor somebody who reads the page
is ever in the way of what is published. However many read, the database is asked once; and at most
a twentieth of the time is spent on it, however long one look takes.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import closing

from relay.address import Place
from relay.core.board import Board
from relay.daemon.clock import rest
from relay.errors import RelayError
from relay.observe.recent import EVERY_S
from relay.postgres.board_reader import read_board
from relay.postgres.connect import Connection, connect

__all__ = ["Lookout"]

REST_FOR_EACH_SECOND_S = 20.0
"""So long a rest for each second that a look took: pending events are counted, up to a million."""


class Lookout:
    """Of one outbox, until `stopping`."""

    def __init__(
        self,
        name: str,
        place: Callable[[], Place],
        clock: Callable[[], float],
        stopping: threading.Event,
        on_board: Callable[[Board, float], None],
        on_trouble: Callable[[str, float], None],
        ask_broker: Callable[[], None],
    ) -> None:
        """`place` is asked for each connection, as its password may have been changed.

        `on_board` and `on_trouble` are called in its thread, with the time of the look, and
        `ask_broker` before each.
        """
        self._place = place
        self._clock = clock
        self._stopping = stopping
        self._on_board = on_board
        self._on_trouble = on_trouble
        self._ask_broker = ask_broker
        self._begun_at_s: float | None = None
        # A daemon: a look that hangs must not keep the process from ending.
        self._thread = threading.Thread(target=self._look, name=f"lookout {name}", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def _look(self) -> None:
        while not self._stopping.is_set():
            self._begun_at_s = None
            self._ask_broker()
            try:
                with closing(connect(self._place(), "status")) as connection:
                    self._look_through(connection)
            except RelayError as problem:
                self._on_trouble(str(problem), self._clock())
                self._rest()

    def _look_through(self, connection: Connection) -> None:
        """One look after the other, until the connection is lost."""
        while not self._stopping.is_set():
            self._ask_broker()
            self._begun_at_s = self._clock()
            board = read_board(connection)
            self._on_board(board, self._clock())
            self._rest()

    def _rest(self) -> None:
        """Also after a look that was given up: it took its time from the database as well."""
        took_s = 0.0 if self._begun_at_s is None else self._clock() - self._begun_at_s
        rest(max(EVERY_S, took_s * REST_FOR_EACH_SECOND_S), unless=self._stopping)
