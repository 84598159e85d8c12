"""`relay completion`: the shells complete commands and options."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest

from tests.cli.command import relay


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_gets_its_script(shell: str) -> None:
    outcome = relay("completion", shell)
    assert outcome.exit_code == 0
    assert f"_RELAY_COMPLETE={shell}_complete" in outcome.out


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_shell_takes_its_script(shell: str) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"no {shell} here")
    script = relay("completion", shell).out
    done = subprocess.run([shell, "-n"], input=script, text=True, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_what_it_asks_for_is_answered_with_commands() -> None:
    asked = {"_RELAY_COMPLETE": "bash_complete", "COMP_WORDS": "relay do", "COMP_CWORD": "1"}
    code = "from relay.cli.main import main; main(prog_name='relay')"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **asked},
        text=True,
        capture_output=True,
        check=False,
    )
    assert done.stdout.split() == ["plain,doctor"]
