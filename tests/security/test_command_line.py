"""Nobody can type a secret: what stands on a command line is in `ps`, in histories and in logs."""

from __future__ import annotations

import re
from collections.abc import Iterator

import click
import pytest

from relay.cli.main import main

SECRETIVE = re.compile(r"passw|secret|token|credential|url|dsn|conninfo|sasl|ssl|\bpem\b|private")


def commands(command: click.Command, path: str = "relay") -> Iterator[tuple[str, click.Command]]:
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            assert below is not None
            yield from commands(below, f"{path} {name}")


def secretive(command: click.Command) -> list[str]:
    """Its options and arguments that sound like one."""
    names = (name for one in command.params for name in (*one.opts, one.name or ""))
    return sorted({name for name in names if SECRETIVE.search(name.lower())})


@pytest.mark.parametrize(("path", "command"), list(commands(main)), ids=lambda one: str(one)[:40])
def test_no_command_takes_a_secret_on_its_line(path: str, command: click.Command) -> None:
    assert secretive(command) == []


@pytest.mark.parametrize("option", ["--database-url", "--sasl-password", "--api-token"])
def test_one_that_did_would_be_found(option: str) -> None:
    assert secretive(click.Command("planted", params=[click.Option([option])]))


def test_all_commands_are_walked() -> None:
    found = {path for path, _ in commands(main)}
    assert {"relay run", "relay status", "relay parked discard", "relay migrate"} <= found
