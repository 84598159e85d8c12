"""What `relay bench SCENARIO` prints, as a user runs it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any


def bench(scenario: str, *arguments: str, **settings: str) -> tuple[dict[str, Any], str]:
    """The figures of a scenario, and all that it printed."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith("RELAY_")}
    # Colours are asked for, so that their absence means something.
    environment = {**ours, "FORCE_COLOR": "1", **settings}
    command = [sys.executable, "-m", "relay.cli.main", "bench", scenario, "--json", *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    figures: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return figures, done.stdout
