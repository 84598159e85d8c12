"""What every command keeps to: --json on what reads, --dry-run on what writes, progress on a
terminal where it takes long. A command that is in no table here fails."""

from __future__ import annotations

from collections.abc import Iterator

import click
import pytest

from relay.cli.main import main
from tests.cli.command import relay
from tests.relay.events import connected, emit
from tests.support.kafka import Broker
from tests.support.processes import environment
from tests.support.terminal import on_a_terminal

READS = {"status", "top", "doctor", "tail", "parked list", "parked show", "verify", "config show"}
WRITES = {
    *("run", "parked retry", "parked discard", "pause", "resume"),
    *("replay", "migrate", "recover", "adopt"),
}
NEITHER = {
    "completion": "prints a script",
    "demo": "brings its own services, or uses those it is given for its own events",
    **dict.fromkeys(
        (f"bench {name}" for name in ("drain", "longtx", "backlog", "consume", "latency")),
        "works in a database of its own, removed at the end",
    ),
    "bench writers": "as the others",
    "bench exactly-once": "as the others",
}
WITHOUT_JSON = {
    "run": "its log is JSON",
    "completion": "prints a script",
}
WITHOUT_DRY_RUN = {
    "run": "a daemon; what it would do is what `relay status` counts as pending",
    "recover": "whether a transaction is dead is seen by taking its lock, which is half of it",
}


def commands(group: click.Group = main, above: str = "") -> Iterator[tuple[str, click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from commands(command, f"{above}{name} ")
        else:
            yield above + name, command


ALL = dict(commands())


def options(name: str) -> set[str]:
    return {text for parameter in ALL[name].params for text in parameter.opts}


def test_every_command_is_known_to_read_or_to_write() -> None:
    assert ALL.keys() == READS | WRITES | NEITHER.keys()


@pytest.mark.parametrize("name", sorted(ALL.keys() - WITHOUT_JSON.keys()))
def test_it_speaks_json(name: str) -> None:
    assert "--json" in options(name)


@pytest.mark.parametrize("name", sorted(WRITES - WITHOUT_DRY_RUN.keys()))
def test_what_writes_can_be_rehearsed(name: str) -> None:
    assert "--dry-run" in options(name)


def test_no_exemption_outlives_its_reason() -> None:
    assert not [name for name in WITHOUT_JSON if "--json" in options(name)]
    assert not [name for name in WITHOUT_DRY_RUN if "--dry-run" in options(name)]


@pytest.mark.parametrize("name", sorted(ALL))
def test_its_help_fits_a_terminal_of_80_columns(name: str) -> None:
    said = relay(*name.split(), "--help").out
    assert max(map(len, said.splitlines())) <= 80


@pytest.mark.parametrize("name", sorted(ALL))
def test_no_option_takes_a_secret(name: str) -> None:
    assert not [one for one in options(name) if "password" in one or "url" in one]


ADOPTED = """create table public.legacy (id int primary key, topic text, key text, type text,
    payload text, published_at timestamptz);
    insert into public.legacy select 1, 't', 'k', 'x.y', '{}'"""


def test_what_takes_long_shows_on_a_terminal_how_far_it_is(
    database_url: str, mock_broker: Broker, topic: str
) -> None:
    mock_broker.create_topic(topic)
    emit(database_url, topic, count=20)
    servers = mock_broker.bootstrap_servers
    run = relay("run", "--until-drained", database_url=database_url, bootstrap_servers=servers)
    assert run.exit_code == 0, run.said
    with connected(database_url) as connection:
        connection.execute(ADOPTED)
    here = environment(database_url, servers)

    replayed = on_a_terminal("replay", "--since", "1h", columns=80, environment=here)
    assert "20/20" in replayed.raw
    adopted = on_a_terminal("adopt", "public.legacy", columns=80, environment=here)
    assert "\r1 rows" in adopted.raw
    again = relay("replay", "--since", "1h", database_url=database_url, bootstrap_servers=servers)
    assert (again.exit_code, again.err) == (0, ""), "off a terminal nothing but the outcome"
