"""The signals that stop a relay, whichever of its threads the kernel gives them to."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

EX_TEMPFAIL = 75
LIMIT_S = 5.0  # below that of a stop that hangs: what ends sooner was ended by its signals

MAIN_ASLEEP = """
import os, signal, sys, threading, time
from relay.daemon.shutdown import stop_on_signals

stopping = stop_on_signals(lambda seconds: None)
never = threading.Lock()
never.acquire()
main = threading.main_thread().ident

def asleep():
    frame = sys._current_frames()[main]
    return frame.f_code.co_name == "sleep" and frame.f_lineno > frame.f_code.co_firstlineno

def elsewhere(first, *second):
    while not asleep():
        time.sleep(0.001)
    signal.pthread_kill(threading.get_ident(), first)
    stopping.wait()
    print("stopping", flush=True)
    if second:
        signal.pthread_kill(threading.get_ident(), *second)
        never.acquire()
    os._exit(0)

def sleep():
    never.acquire()

threading.Thread(target=elsewhere, args=map(int, sys.argv[1:])).start()
sleep()
"""


def main_asleep(*numbers: signal.Signals) -> subprocess.CompletedProcess[str]:
    """A process whose other thread is hit by these signals while its main thread sleeps."""
    command = [sys.executable, "-c", MAIN_ASLEEP, *(str(int(number)) for number in numbers)]
    return subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S, check=False)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_that_hits_another_thread_than_the_main_one_stops_the_process(
    number: signal.Signals,
) -> None:
    assert main_asleep(number).stdout == "stopping\n"


def test_a_second_one_there_ends_it_at_once() -> None:
    ended = main_asleep(signal.SIGTERM, signal.SIGINT)
    assert ended.returncode == EX_TEMPFAIL
