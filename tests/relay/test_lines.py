"""The log's writer: nobody waits for its reader, and a gap is told."""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field

import pytest

from relay.observe import lines
from relay.observe.lines import LineWriter
from tests.support.wait import until

LINES_MAX = 20
LONG = "x" * 8192
"""A pipe's buffer holds few of them."""


@dataclass
class Pipe:
    """A pipe of 8 KiB, and the writers on it."""

    reading: int
    writing: int
    writers: list[LineWriter] = field(default_factory=list)

    def writer(self) -> LineWriter:
        self.writers.append(LineWriter(self.writing, "dropped {}".format))
        return self.writers[-1]

    def fill(self) -> None:
        """Write into it until nothing more fits."""
        os.set_blocking(self.writing, False)
        with suppress(BlockingIOError):
            while True:
                os.write(self.writing, b"." * 512)
        os.set_blocking(self.writing, True)

    def read_until(self, last: str) -> list[str]:
        """All lines up to the one that contains `last`."""
        text = ""

        def found() -> bool:
            nonlocal text
            text += os.read(self.reading, 65_536).decode()
            return last in text and text.endswith("\n")

        until(found, what=f"{last!r} in the pipe")
        return text.lstrip(".").splitlines()

    def close(self) -> None:
        """The reader first, so that every writer ends before the number of its descriptor is
        given to another."""
        os.close(self.reading)
        for writer in self.writers:
            writer.close(10.0)
        os.close(self.writing)


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    made = Pipe(*os.pipe())
    fcntl.fcntl(made.writing, fcntl.F_SETPIPE_SZ, 8192)
    yield made
    made.close()


@pytest.fixture(autouse=True)
def _short_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "LINES_MAX", LINES_MAX)


def put_all(writer: LineWriter, count: int) -> None:
    """Put lines in another thread, so that a put that waits fails the test and does not hang it."""

    def put() -> None:
        for number in range(count):
            writer.put(f"line {number}")

    thread = threading.Thread(target=put, daemon=True)
    thread.start()
    thread.join(10.0)
    assert not thread.is_alive(), "a line waits for the reader"


def test_what_was_put_stands_in_the_pipe_when_close_returns(pipe: Pipe) -> None:
    writer = pipe.writer()
    put_all(writer, 10)
    writer.close(10.0)
    assert pipe.read_until("line 9") == [f"line {number}" for number in range(10)]


def test_a_pipe_that_nobody_reads_holds_up_nobody_and_the_gap_is_told_in_its_place(
    pipe: Pipe,
) -> None:
    pipe.fill()
    writer = pipe.writer()
    put_all(writer, 100)
    said = pipe.read_until("dropped")
    assert said[:-1] == [f"line {number}" for number in range(len(said) - 1)]
    assert said[-1] == f"dropped {100 - (len(said) - 1)}"
    assert len(said) - 1 in (LINES_MAX, LINES_MAX + 1)  # one more is in the thread's hand

    writer.put("afterwards")
    assert pipe.read_until("afterwards") == ["afterwards"]


def test_a_line_longer_than_the_pipe_arrives_whole(pipe: Pipe) -> None:
    writer = pipe.writer()
    writer.put(LONG + LONG)
    assert pipe.read_until("\n") == [LONG + LONG]


def test_a_pipe_that_another_made_non_blocking_loses_nothing(pipe: Pipe) -> None:
    pipe.fill()
    os.set_blocking(pipe.writing, False)
    writer = pipe.writer()
    put_all(writer, 10)
    assert pipe.read_until("line 9")[0] == "line 0"


def test_close_gives_up_on_a_reader_that_hangs_and_later_words_hang_nobody(pipe: Pipe) -> None:
    pipe.fill()
    writer = pipe.writer()
    put_all(writer, 10)
    writer.close(0.05)
    assert os.write(pipe.writing, LONG.encode()) == len(LONG)


def test_a_reader_that_is_gone_is_no_error(pipe: Pipe) -> None:
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, pipe.reading)
    os.close(null)
    writer = pipe.writer()
    put_all(writer, 10)
    writer.close(10.0)
    with pytest.raises(BrokenPipeError):  # and the descriptor is what it was
        os.write(pipe.writing, b".")
