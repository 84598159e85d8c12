"""The operator's book names what there is."""

from __future__ import annotations

import re

from relay.cli.main import main
from tests.deploy.manifests import DEPLOY, unknown

BOOK = (DEPLOY / "README.md").read_text()


def test_every_setting_that_it_names_is_one() -> None:
    named = set(re.findall(r"RELAY_[A-Z_]+[A-Z]\b(?![_<])", BOOK.replace("OUTBOX_<NAME>_", "")))
    assert "RELAY_DATABASE_URL_FILE" in named
    assert unknown(dict.fromkeys(named, "")) == set()


def test_every_command_that_it_names_is_one() -> None:
    named = set(re.findall(r"`relay ([a-z]+)", BOOK))
    assert {"migrate", "status"} <= named
    assert named <= set(main.list_commands(None))  # type: ignore[arg-type]  # it asks for nothing


def test_every_file_that_it_names_is_there() -> None:
    named = set(re.findall(r"(?<![\w/])deploy/[\w./-]+\w", BOOK))
    assert len(named) > 3
    assert [path for path in named if not (DEPLOY.parent / path).exists()] == []
