"""What the daemon blocks on, in virtual time: an event, a thread, a pool of one.

They have the methods of `threading` and `concurrent.futures` that the relay uses, no more, and are
put in place of those by `relay_process.py`.
"""

from __future__ import annotations

from collections.abc import Callable

from tests.simulation.scheduler import Machine, Reply

__all__ = ["EventInTime", "PoolInTime", "ThreadInTime"]


class EventInTime:
    """See threading.Event."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._set = Reply()

    def set(self) -> None:
        self._set.come()

    def clear(self) -> None:
        self._set = Reply()

    def is_set(self) -> bool:
        return self._set.came

    def wait(self, timeout_s: float) -> bool:
        return self._machine.await_reply(self._set, timeout_s)


class ThreadInTime:
    """See threading.Thread."""

    def __init__(self, machine: Machine, body: Callable[[], object]) -> None:
        self._machine = machine
        self._body = body
        self._ended = Reply()

    def start(self) -> None:
        self._machine.spawn(self._run)

    def join(self, timeout: float) -> None:
        self._machine.await_reply(self._ended, timeout)

    def is_alive(self) -> bool:
        return not self._ended.came

    def _run(self) -> None:
        self._body()
        self._ended.come()


class PoolInTime:
    """See ThreadPoolExecutor."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine

    def submit(self, call: Callable[..., object], *given: object) -> FutureInTime:
        reply = Reply()

        def run() -> None:
            try:
                value = call(*given)
            except Exception as problem:  # noqa: BLE001 - handed on, as a future does
                reply.come(problem=problem)
            else:
                reply.come(value)

        self._machine.spawn(run)
        return FutureInTime(self._machine, reply)

    def shutdown(self, *, wait: bool, cancel_futures: bool) -> None:
        """Nobody asks for what is still being read."""


class FutureInTime:
    """See concurrent.futures.Future."""

    def __init__(self, machine: Machine, reply: Reply) -> None:
        self._machine = machine
        self._reply = reply

    def result(self) -> object:
        while not self._machine.await_reply(self._reply, timeout_s=60.0):
            pass
        return self._reply.result()
