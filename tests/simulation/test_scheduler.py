"""Virtual time: what stands still, dies, or is under way meanwhile."""

from __future__ import annotations

from tests.simulation.scheduler import Machine, Reply, Scheduler


def test_what_was_asked_for_first_happens_first_at_the_same_time() -> None:
    scheduler, done = Scheduler(), list[str]()
    scheduler.after(2.0, lambda: done.append("late"))
    scheduler.after(1.0, lambda: done.append("first"))
    scheduler.after(1.0, lambda: done.append("second"))
    scheduler.run(until_s=10.0)

    assert done == ["first", "second", "late"]


def test_a_task_sleeps_while_others_run() -> None:
    scheduler, done = Scheduler(), list[tuple[str, float]]()
    machine = Machine(scheduler)

    def work(name: str, pause_s: float) -> None:
        for _ in range(2):
            machine.sleep(pause_s)
            done.append((name, scheduler.now_s))

    machine.spawn(lambda: work("slow", 3.0))
    machine.spawn(lambda: work("quick", 1.0))
    scheduler.run(until_s=10.0)

    assert done == [("quick", 1.0), ("quick", 2.0), ("slow", 3.0), ("slow", 6.0)]


def test_a_stopped_process_does_what_was_due_when_it_runs_again() -> None:
    scheduler, woken_s = Scheduler(), list[float]()
    machine = Machine(scheduler)

    def work() -> None:
        machine.sleep(1.0)
        woken_s.append(machine.monotonic_s())

    machine.spawn(work)
    scheduler.after(0.5, machine.freeze)
    scheduler.after(7.0, machine.thaw)
    scheduler.run(until_s=10.0)

    assert woken_s == [7.0]


def test_a_killed_process_does_nothing_any_more() -> None:
    scheduler, done = Scheduler(), list[str]()
    machine = Machine(scheduler)

    def work() -> None:
        machine.sleep(1.0)
        done.append("lived on")

    machine.spawn(work)
    scheduler.after(0.5, machine.kill)
    scheduler.run(until_s=10.0)

    assert done == []


def test_a_reply_that_comes_late_wakes_nobody_who_has_given_up() -> None:
    scheduler, seen = Scheduler(), list[tuple[bool, float]]()
    machine, reply = Machine(scheduler), Reply()

    def work() -> None:
        seen.append((machine.await_reply(reply, timeout_s=1.0), scheduler.now_s))
        machine.sleep(5.0)
        seen.append((reply.came, scheduler.now_s))

    machine.spawn(work)
    scheduler.after(2.0, reply.come)
    scheduler.run(until_s=10.0)

    assert seen == [(False, 1.0), (True, 6.0)]


def test_a_clock_that_drifts_is_off_by_its_share() -> None:
    scheduler = Scheduler()
    scheduler.run(until_s=100.0)

    assert Machine(scheduler, drift=0.001).monotonic_s() == 100.0 * 1.001
