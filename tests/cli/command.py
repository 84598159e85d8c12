"""The command `relay` as a person runs it: its exit code, and all that it printed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from click.testing import CliRunner

from relay.cli.main import main
from tests.support.processes import Databases, environment

_CATCH_SIGNALS = ("run", "replay")


@dataclass(frozen=True)
class Outcome:
    """What a command left behind."""

    exit_code: int
    out: str
    err: str

    @property
    def said(self) -> str:
        """Everything on either stream."""
        return self.out + self.err


def relay(
    *args: str,
    database_url: Databases = "",
    bootstrap_servers: str = "",
    unset: str = "",
    **env: str,
) -> Outcome:
    """Run `relay ARGS...` to its end, without the variables named in `unset`.

    The daemon and a replay have a process of their own, as signals and a log are a process's; the
    other commands run here, which is four times as fast.
    """
    variables = environment(database_url, bootstrap_servers, **env)
    for name in unset.split():
        variables.pop(name, None)
    return _in_a_process(args, variables) if args[0] in _CATCH_SIGNALS else _here(args, variables)


def status(database_url: str) -> dict[str, Any]:
    """What `relay status --json` says."""
    outcome = relay("status", "--json", database_url=database_url)
    assert outcome.exit_code == 0, outcome.said
    found: dict[str, Any] = json.loads(outcome.out)
    return found


def _in_a_process(args: tuple[str, ...], variables: Mapping[str, str]) -> Outcome:
    command = [sys.executable, "-m", "relay.cli.main", *args]
    done = subprocess.run(
        command, env=variables, capture_output=True, text=True, timeout=60, check=False
    )
    return Outcome(done.returncode, done.stdout, done.stderr)


def _here(args: tuple[str, ...], variables: Mapping[str, str]) -> Outcome:
    removed = {name: None for name in os.environ if name not in variables}
    done = CliRunner().invoke(main, args, env={**removed, **variables})
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return Outcome(done.exit_code, done.stdout, done.stderr)
