"""Writers: transactions that take their time, wait for each other's locks, and end in every way."""

from __future__ import annotations

from random import Random

from relay.errors import Unreachable
from tests.model.fake_postgres import Transaction
from tests.simulation.network import Server
from tests.simulation.scheduler import Machine

__all__ = ["KEYS", "Writers"]

# Each in a partition of its own; what has no key goes to that of "a".
KEYS = (None, "a", "d")
WRITERS = 3
LOCK_TIMEOUT_S = 3.0
LOCK_LOOK_S = 0.02
ENDINGS = (
    ("commit", "commit", "commit", "commit, not waiting", "roll back", "prepare"),
    ("commit, not waiting", "commit, not waiting", "roll back"),
)
"""The server's own default may be not to wait for the flush."""
THOUGHTS_S = (0.0, 0.0, 0.01, 0.1, 4.0)


class Writers:
    """All of them.

    Attributes:
        written: of each event that was written the key, whatever became of it.
        events_max: they stop at so many.
    """

    def __init__(self, machine: Machine, server: Server, chance: Random) -> None:
        self._machine = machine
        self._server = server
        self._chance = chance
        self.written: dict[str, str | None] = {}
        self.events_max = chance.randint(5, 60)
        self._endings = chance.choice(ENDINGS)
        self._open: dict[Transaction, int] = {}
        self._pause_s = chance.choice((0.05, 0.2, 0.6))
        for _ in range(WRITERS):
            machine.spawn(self._work)

    def next_id(self) -> str:
        """Of the event that is written next."""
        return f"e{len(self.written)}"

    def finish(self) -> None:
        """Commit what is open, and write no more."""
        open_now = [one for one, crashed in self._open.items() if crashed == self._incarnation]
        self._open.clear()
        self._machine.kill()
        for transaction in open_now:
            transaction.commit()

    @property
    def _incarnation(self) -> int:
        return self._server.database.incarnation

    def _work(self) -> None:
        while len(self.written) < self.events_max:
            self._machine.sleep(self._chance.expovariate(1.0) * self._pause_s)
            try:
                self._transaction()
            except Unreachable:
                """The server is down, or was: what was not committed has gone with it."""

    def _transaction(self) -> None:
        database = self._server.database
        crashed = database.incarnation
        transaction = database.begin()
        self._open[transaction] = crashed
        try:
            self._carry_out(transaction, crashed)
        finally:
            self._open.pop(transaction, None)

    def _carry_out(self, transaction: Transaction, crashed: int) -> None:
        if self._chance.random() < 0.5:
            transaction.touch()
        keys = self._chance.choice((KEYS, KEYS[1:2], KEYS[2:]))
        for _ in range(self._chance.randint(0, 4)):
            self._think(crashed)
            if self._chance.random() < 0.2:
                self._in_savepoint(transaction)
            elif not self._write(transaction, self._chance.choice(keys), crashed):
                transaction.rollback()
                return
        self._think(crashed)
        self._end(transaction)

    def _think(self, crashed: int) -> None:
        if thought_s := self._chance.choice(THOUGHTS_S) * self._chance.random():
            self._machine.sleep(thought_s)
        self._require_the_same(crashed)

    def _require_the_same(self, crashed: int) -> None:
        if self._incarnation != crashed:
            raise Unreachable("database: the connection is lost")

    def _write(self, transaction: Transaction, key: str | None, crashed: int) -> bool:
        """Under the lock of its key; False when that is not to be had."""
        give_up_s = self._machine.monotonic_s() + LOCK_TIMEOUT_S
        while not self._emit(transaction, key):
            if self._machine.monotonic_s() > give_up_s:
                return False
            self._machine.sleep(LOCK_LOOK_S)
            self._require_the_same(crashed)
        return True

    def _emit(self, transaction: Transaction, key: str | None) -> bool:
        event_id = self.next_id()
        if written := transaction.emit(event_id, key):
            self.written[event_id] = key
        return written

    def _in_savepoint(self, transaction: Transaction) -> None:
        transaction.savepoint()
        self._emit(transaction, self._chance.choice(KEYS))
        if self._chance.random() < 0.5:
            transaction.rollback_to_savepoint()

    def _end(self, transaction: Transaction) -> None:
        match self._chance.choice(self._endings):
            case "commit":
                transaction.commit()
            case "commit, not waiting":
                transaction.commit(synchronous=False)
            case "roll back":
                transaction.rollback()
            case "prepare":
                transaction.prepare()
