"""One clock, one heap: everything that happens in a simulation is an event in it.

The daemon's loops block: on a reply, on an event, for a rest. Threads would run them as they are,
in an order that nobody can repeat. Here each loop is a greenlet, and whatever blocks it goes back
to the heap instead; so the code under test is the production code, one thing happens at a time, and
the order is a function of the seed alone. Events of the same moment happen in the order in which
they were asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count

from greenlet import getcurrent, greenlet

__all__ = ["Machine", "Reply", "Scheduler"]

Action = Callable[[], object]


class Scheduler:
    """The virtual clock, and what is to happen."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self._heap: list[tuple[float, int, Action]] = []
        self._numbers = count()

    def after(self, delay_s: float, action: Action) -> None:
        """Let `action` happen so many seconds from now."""
        heappush(self._heap, (self.now_s + delay_s, next(self._numbers), action))

    def run(self, until_s: float) -> None:
        """Let everything happen that is due until then."""
        while self._heap and self._heap[0][0] <= until_s:
            self.now_s, _, action = heappop(self._heap)
            action()
        self.now_s = until_s


class Machine:
    """What runs, stands still and dies as one: the tasks of a process.

    Attributes:
        drift: by how much its clock is off; what is left of 1.0 is what quartz does.
    """

    def __init__(self, scheduler: Scheduler, drift: float = 0.0) -> None:
        self.scheduler = scheduler
        self.alive = True
        self._drift = drift
        self._frozen = False
        self._due: list[Action] = []
        self._tasks: list[greenlet] = []
        self._sleeps = count()
        self._asleep: dict[greenlet, int] = {}

    def monotonic_s(self) -> float:
        """Its own clock. It goes on while the process is stopped."""
        return self.scheduler.now_s * (1.0 + self._drift)

    def after(self, delay_s: float, action: Action) -> None:
        """Let the process do something: later if it is stopped then, never if it is dead."""
        self.scheduler.after(delay_s, lambda: self._do(action))

    def spawn(self, body: Action) -> None:
        """Begin a task."""
        task = greenlet(body, parent=_hub())
        self._tasks.append(task)
        self.after(0.0, task.switch)

    def sleep(self, seconds: float) -> None:
        """Let time pass for the task that calls."""
        self.after(seconds, self._waker())
        _hub().switch()

    def await_reply(self, reply: Reply, timeout_s: float) -> bool:
        """Wait for it; whether it came in time."""
        if not reply.came:
            wake = self._waker()
            reply.on_coming = lambda: self.after(0.0, wake)
            self.after(timeout_s, wake)
            _hub().switch()
        return reply.came

    def freeze(self) -> None:
        """SIGSTOP, or a pause of the whole virtual machine."""
        self._frozen = True

    def thaw(self) -> None:
        """SIGCONT: what was due meanwhile happens at once, in order."""
        self._frozen = False
        due, self._due = self._due, []
        for action in due:
            self.after(0.0, action)

    def kill(self) -> None:
        """SIGKILL. From the heap only: a task cannot end itself."""
        self.alive = False
        for task in self._tasks:
            if not task.dead:
                task.throw()

    def _do(self, action: Action) -> None:
        if self.alive and self._frozen:
            self._due.append(action)
        elif self.alive:
            action()

    def _waker(self) -> Action:
        """Wakes the present task from the sleep that it goes into now, and from no later one."""
        task, number = getcurrent(), next(self._sleeps)
        self._asleep[task] = number

        def wake() -> None:
            if self._asleep.get(task) == number:
                del self._asleep[task]
                task.switch()

        return wake


class Reply:
    """Something that comes later, or never."""

    def __init__(self) -> None:
        self.came = False
        self.on_coming: Action = lambda: None
        self._value: object = None
        self._problem: Exception | None = None

    def come(self, value: object = None, problem: Exception | None = None) -> None:
        """It is here; what comes after the first counts for nothing."""
        if not self.came:
            self.came, self._value, self._problem = True, value, problem
            self.on_coming()

    def result(self) -> object:
        """What came; raises it if it was a problem."""
        if self._problem is not None:
            raise self._problem
        return self._value


def _hub() -> greenlet:
    """The greenlet that runs the heap: the one that no task is."""
    at = getcurrent()
    while at.parent is not None:
        at = at.parent
    return at
