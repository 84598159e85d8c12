"""The sleep lock, and the notification of the writer who finds it taken."""

from __future__ import annotations

from collections.abc import Callable

from tests.model.fake_postgres import Session

__all__ = ["FakeWakeup"]


class FakeWakeup:
    """See Wakeup. A sleep takes no time; how long it may have been is for the caller to say.

    Attributes:
        notified: a writer's notification waits to be read.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self.notified = False

    @property
    def lies(self) -> bool:
        """Whether it has the sleep lock."""
        return self._session.lives and self._session.database.sleeper is self

    def lie_down(self) -> bool:
        database = self._session.database
        if database.awake or database.sleeper is not None:
            return False
        database.sleeper = self
        return True

    def sleep(self, seconds: float, stopping: Callable[[], bool]) -> bool:
        assert self.lies or not self._session.lives, "it sleeps without the sleep lock"
        assert self._session.database is not None
        notified, self.notified = self.notified, False
        return notified

    def rise(self) -> None:
        self.close()

    def close(self) -> None:
        """Its session is over, and the lock with it."""
        if self.lies:
            self._session.database.sleeper = None
