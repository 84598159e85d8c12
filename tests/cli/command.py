"""The command `relay` as a person runs it: its exit code, and all that it printed."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

from tests.support.processes import environment


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
    *args: str, database_url: str = "", bootstrap_servers: str = "", unset: str = "", **env: str
) -> Outcome:
    """Run `relay ARGS...` to its end, without the variables named in `unset`."""
    variables = environment(database_url, bootstrap_servers, **env)
    for name in unset.split():
        variables.pop(name, None)
    done = subprocess.run(
        [sys.executable, "-m", "relay.cli.main", *args],
        env=variables,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return Outcome(done.returncode, done.stdout, done.stderr)


def status(database_url: str) -> dict[str, Any]:
    """What `relay status --json` says."""
    outcome = relay("status", "--json", database_url=database_url)
    assert outcome.exit_code == 0, outcome.said
    found: dict[str, Any] = json.loads(outcome.out)
    return found
