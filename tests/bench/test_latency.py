"""`relay bench latency` as a user runs it: figures of both ways to wake up."""

from __future__ import annotations

import json
import os
import subprocess
import sys

SECONDS = 1


def test_both_ways_to_wake_up_have_figures_on_the_last_line() -> None:
    ours = {name: value for name, value in os.environ.items() if not name.startswith("RELAY_")}
    command = [sys.executable, "-m", "relay.cli.main", "bench", "latency"]
    done = subprocess.run(
        [*command, "--json", "--seconds", str(SECONDS)],
        env=ours,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    figures = json.loads(done.stdout.splitlines()[-1])

    assert set(figures["modes"]) == {"poll", "listen"}
    for mode in figures["modes"].values():
        for rate, of_rate in mode["events_per_second"].items():
            assert of_rate["events"] == int(rate) * SECONDS
            assert 0 < of_rate["p50_ms"] <= of_rate["p99_ms"]
    queries = {name: mode["idle_queries_per_second"] for name, mode in figures["modes"].items()}
    # In one second a renewal of the lease or a pass over the rings is there by chance.
    assert queries["listen"] < queries["poll"] < 20
    assert "broker: mock" in done.stdout
