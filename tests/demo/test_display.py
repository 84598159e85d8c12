"""The display: a picture for a terminal, plain lines for everything else."""

from __future__ import annotations

from dataclasses import replace
from io import StringIO

import pytest
from rich.console import Console

from relay.demo.display import LiveDisplay, PlainDisplay, open_display
from relay.demo.figures import Figures, RelayState
from tests.demo.test_proof import GOOD, OFF

FIGURES = Figures(
    runs=200,
    committed=120,
    incidents=17,
    rolled_back=4,
    events=350,
    published=300,
    waiting=50,
    lag_s=3.4,
    consumed=298,
    dropped=6,
    relays=(RelayState("relay 1", 11, "killed"), RelayState("relay 2", 12, "leads, term 2")),
)


def picture(display: LiveDisplay) -> str:
    text = StringIO()
    Console(file=text, width=110, force_terminal=False).print(display.picture())
    return text.getvalue()


def test_without_a_terminal_nothing_has_an_escape_code(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    with open_display(200) as display:
        assert isinstance(display, PlainDisplay)
        display.say("kill -9")
        display.show(FIGURES)
        display.prove(replace(GOOD, **OFF["a phantom"]))
    output = capsys.readouterr().out
    assert "PROOF DOES NOT HOLD" in output
    assert "\x1b" not in output


def test_without_a_terminal_figures_come_as_one_line_a_second(
    capsys: pytest.CaptureFixture[str],
) -> None:
    display = PlainDisplay()
    for committed in (120, 121, 122):
        display.show(replace(FIGURES, committed=committed))
    (line,) = capsys.readouterr().out.splitlines()
    for figure in ("120/200 runs", "350 events", "published 300", "lag 3.4 s", "dropped 6"):
        assert figure in line


def test_the_picture_shows_every_figure_and_who_leads() -> None:
    display = LiveDisplay(200)
    display.show(FIGURES)
    shown = picture(display)
    for figure in ("120 of 200", "300 of 350", "298 of 350", "3.4 s", "leads, term 2", "killed"):
        assert figure in shown


def test_the_picture_keeps_all_that_was_said() -> None:
    display = LiveDisplay(200)
    display.say("PostgreSQL is ready")
    display.say("kill -9 of the leader")
    shown = picture(display)
    assert "PostgreSQL is ready" in shown
    assert "kill -9 of the leader" in shown


def test_the_proof_marks_the_count_that_is_off(capsys: pytest.CaptureFixture[str]) -> None:
    PlainDisplay().prove(replace(GOOD, **OFF["an event is lost"]))
    marked = [line for line in capsys.readouterr().out.splitlines() if "OFF" in line]
    assert [line.split()[0] for line in marked] == ["lost"]
