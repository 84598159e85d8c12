"""Who plays: two relays and a consumer, each a process of its own, and the kill in the middle."""

from __future__ import annotations

import json
import os
import signal
import sys
import tempfile
import threading
from contextlib import suppress
from pathlib import Path
from time import monotonic
from types import TracebackType
from typing import Any, Final, Self

from relay.demo.kept_process import KeptProcess, ServiceFailed
from relay.demo.ledger import SOURCE
from relay.demo.scene import Scene
from relay.demo.tables import was_read
from relay.postgres.connect import Connection
from relay.postgres.cursor_store import read_cursor

_READY_TIMEOUT_S: Final = 60.0
_LOG_POLL_S: Final = 0.05
# While the leader is aimed at: a window is open for a few milliseconds.
_AIM_POLL_S: Final = 0.002
# How long a frozen leader may be looked at: far less than its lease lasts.
_FROZEN_MAX_S: Final = 0.15


class Player:
    """One process, named for people. It cannot outlive the demo, whatever ends that."""

    def __init__(
        self, name: str, arguments: list[str], environment: dict[str, str], folder: Path
    ) -> None:
        self.name = name
        self.killed = False
        self._process = KeptProcess(
            [sys.executable, "-m", *arguments],
            log=folder / f"{name.replace(' ', '-')}.log",
            scratch=folder,
            environment=environment,
        )

    @property
    def pid(self) -> int:
        return self._process.pid

    def require_running(self) -> None:
        """Do nothing while it runs, or was killed on purpose.

        Raises:
            ServiceFailed: it ended by itself; with the end of its log.
        """
        if not self.killed and not self._process.running():
            code = self._process.stop()
            log = self._process.log_tail()
            raise ServiceFailed(f"{self.name} (pid {self.pid}) ended early with {code}:\n{log}")

    def until_logged(self, event: str) -> None:
        """Wait until it says so in its log.

        Raises:
            ServiceFailed: it ended, or did not say so in 60 s.
        """
        deadline = monotonic() + _READY_TIMEOUT_S
        while not self.logged(event):
            self.require_running()
            if monotonic() > deadline:
                waited = f"{self.name} was not {event} in {_READY_TIMEOUT_S:g} s"
                raise ServiceFailed(f"{waited}:\n{self._process.log_tail()}")
            threading.Event().wait(_LOG_POLL_S)

    def logged(self, event: str) -> bool:
        """Whether it has said so in its log."""
        return any(line.get("event") == event for line in self._log_lines())

    def freeze(self) -> None:
        """Stop it where it stands (SIGSTOP)."""
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        self._process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """Kill it (SIGKILL): it cannot finish, save or hand over anything."""
        self.killed = True
        self._process.stop(signal.SIGKILL)

    def stop(self) -> int:
        """Ask it to end, and return its exit code."""
        return self._process.stop()

    def _log_lines(self) -> list[dict[str, Any]]:
        found = []
        for line in self._process.log.read_text(errors="replace").splitlines(keepends=True):
            if line.startswith("{") and line.endswith("\n"):
                with suppress(json.JSONDecodeError):
                    found.append(json.loads(line))
        return found


class Cast:
    """The players, from `__enter__` to `__exit__`."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._scratch = tempfile.TemporaryDirectory(prefix="outbox-relay-demo-")
        self._players: list[Player] = []

    def __enter__(self) -> Self:
        self.relays = [self._start(f"relay {n}", ["relay.cli.main", "run"]) for n in (1, 2)]
        arguments = ["relay.demo.consumer", self._scene.topic, self._scene.name]
        self.consumer = self._start("consumer", arguments)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        for player in self._players:
            player.stop()
        self._scratch.cleanup()

    def until_ready(self) -> None:
        """Wait until one relay leads, the other stands by, and the consumer has its partitions."""
        for relay in self.relays:
            relay.until_logged("standby")
        self.consumer.until_logged("joined")
        deadline = monotonic() + _READY_TIMEOUT_S
        while not any(relay.logged("leading") for relay in self.relays):
            self.require_running()
            if monotonic() > deadline:
                raise ServiceFailed(f"no relay leads after {_READY_TIMEOUT_S:g} s")
            threading.Event().wait(_LOG_POLL_S)

    def require_running(self) -> None:
        """See Player.require_running."""
        for player in self._players:
            player.require_running()

    def relay_of(self, owner: str | None) -> Player | None:
        """The relay that holds the lease of `owner`, which is host/pid/chance."""
        for relay in self.relays:
            if owner is not None and f"/{relay.pid}/" in owner:
                return relay
        return None

    def _start(self, name: str, arguments: list[str]) -> Player:
        player = Player(name, arguments, _environment(self._scene), Path(self._scratch.name))
        self._players.append(player)
        return player


def kill_in_flight(leader: Player, database: Connection, patience_s: float) -> bool:
    """Kill the leader at the worst moment: a window is in Kafka, and not yet noted as published.

    A kill at any time would mostly hit a relay that rests, and prove little. So the leader is
    frozen inside a window; if what it sent has come out of Kafka and the window is still open, it
    is killed, and what it sent will be sent again by the next. If not, it goes on.

    Returns:
        Whether it was killed; False if there was no such moment within `patience_s`.
    """
    deadline = monotonic() + patience_s
    while monotonic() < deadline:
        if not read_cursor(database).closed:
            leader.freeze()
            if _sent_and_open(database):
                leader.kill()
                return True
            leader.thaw()
        threading.Event().wait(_AIM_POLL_S)
    return False


def _sent_and_open(database: Connection) -> bool:
    deadline = monotonic() + _FROZEN_MAX_S
    while not (cursor := read_cursor(database)).closed:
        if was_read(database, cursor.number):
            # Asked again: a commit that was under way when the leader froze is done by now.
            return not read_cursor(database).closed
        if monotonic() > deadline:
            return False
        threading.Event().wait(_AIM_POLL_S)
    return False


def _environment(scene: Scene) -> dict[str, str]:
    """Ours, with the scene's services. Settings for another broker must not reach our own."""
    ours = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("RELAY_") or name == "RELAY_PLAINTEXT"
    }
    broker = {
        f"RELAY_KAFKA_{name.upper().replace('.', '_')}": value
        for name, value in scene.kafka_properties.items()
    }
    return {
        **ours,
        **broker,
        "RELAY_DATABASE_URL": scene.database_url,
        "RELAY_KAFKA_BOOTSTRAP_SERVERS": scene.bootstrap_servers,
        "RELAY_SOURCE": SOURCE,
    }
