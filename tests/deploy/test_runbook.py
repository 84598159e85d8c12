"""Each alert has its entry in the runbook, and what the entries tell to type is there."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

import click
import pytest

from relay.cli.main import main
from tests.deploy.manifests import DEPLOY, unknown
from tests.deploy.rules import alerts
from tests.docs.links import anchor

RUNBOOK = (DEPLOY / "runbook.md").read_text()
ENTRIES = dict(re.findall(r"^## (Outbox\w+)\n(.*?)(?=^## |\Z)", RUNBOOK, re.MULTILINE | re.DOTALL))


def test_there_is_an_entry_for_each_alert_in_the_order_of_the_alerts() -> None:
    assert re.findall(r"^## (Outbox\w+)$", RUNBOOK, re.MULTILINE) == list(alerts())


def test_each_alert_leads_to_its_entry() -> None:
    urls = {name: alert["annotations"]["runbook_url"] for name, alert in alerts().items()}
    assert urls == {name: f"deploy/runbook.md#{anchor(name)}" for name in ENTRIES}


def test_the_contents_name_each_alert_and_whom_it_wakes() -> None:
    named = re.findall(r"^\| \[(\w+)\]\(#\w+\) \| (\w+) \|", RUNBOOK, re.MULTILINE)
    assert dict(named) == {name: one["labels"]["severity"] for name, one in alerts().items()}


@pytest.mark.parametrize("name", ENTRIES)
def test_an_entry_says_what_it_means_what_to_look_at_and_what_to_do(name: str) -> None:
    parts = [ENTRIES[name].find(part) for part in ("**Means.**", "**Look.**", "**Do.**")]
    assert -1 not in parts
    assert parts == sorted(parts)


def test_every_command_of_the_relay_is_one_and_has_these_options() -> None:
    typed = list(commands(RUNBOOK))
    assert ["parked", "list"] in typed
    assert len(typed) > 20
    assert [problem for one in typed if (problem := why_not(one))] == []


@pytest.mark.parametrize("wrong", ["relay repair", "relay parked retry --everything"])
def test_a_command_that_is_none_is_noticed(wrong: str) -> None:
    (typed,) = commands(f"`{wrong}`")
    assert why_not(typed)


def test_every_setting_is_one() -> None:
    named = set(re.findall(r"RELAY_[A-Z_]+[A-Z]\b", RUNBOOK))
    assert "RELAY_RETENTION" in named
    assert unknown(dict.fromkeys(named, "")) == set()


def commands(text: str) -> Iterator[list[str]]:
    """What stands behind `relay` wherever it is to be typed."""
    fenced = re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    spans = re.findall(
        r"`([^`]+)`", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    )
    for line in [*spans, *(line for block in fenced for line in block.splitlines())]:
        if re.search(r"(^|[ /])relay [a-z]", line):
            words = shlex.split(line, comments=True)
            programs = [at for at, word in enumerate(words) if re.search(r"(^|/)relay$", word)]
            yield words[programs[-1] + 1 :]


def why_not(words: list[str]) -> str | None:
    """What click finds wrong with it; nothing is run."""
    command: click.Command = main
    context = click.Context(main, info_name="relay")
    while isinstance(command, click.Group):
        if not words:
            return None
        if (found := command.get_command(context, words[0])) is None:
            return f"{command.name}: no command {words[0]}"
        command, words = found, words[1:]
    try:
        command.make_parser(click.Context(command)).parse_args(list(words))
    except click.UsageError as problem:
        return f"{command.name}: {problem.format_message()}"
    return None
