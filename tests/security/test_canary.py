"""Secrets are planted in a whole run, and nothing that the relay says has any of them: its log, its
errors, what its commands print, its pages, its process titles, its sessions in the database."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import click
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.types.json import Jsonb

from relay.cli.main import main
from relay.demo.embedded_postgres import free_port
from tests.cli.command import relay
from tests.relay.events import connected
from tests.security.canary import HEADER, KEY, PASSWORD, PAYLOAD, SASL, Heard, pages, sung, titles
from tests.support.consume import read_topic
from tests.support.kafka import Broker
from tests.support.processes import RelayProcess, StartRelay, environment
from tests.support.wait import until

WHOLE = f"{PASSWORD} @/:%'\\"
"""The password: one that has to be escaped in every form of a connection string."""

TRACE = "0af7651916cd43dd8448eb211c80319c"
LEGACY = """create table public.legacy (id bigint primary key, topic text, key text, type text,
    payload bytea, headers jsonb, published_at timestamptz, created_at timestamptz default now())"""

READING: dict[str, list[str]] = {
    "status": [],
    "migrate": ["--dry-run"],
    "top": [],
    "doctor": [],
    "config show": [],
    "parked list": [],
    "parked show": ["--id", "{parked}"],
    "verify": ["--since", "1h"],
    "replay": ["--since", "1h", "--dry-run"],
    "adopt": ["public.legacy", "--dry-run"],
    "parked retry": ["--all", "--why", "test", "--dry-run"],
    "parked discard": ["--id", "{parked}", "--yes-key", KEY, "--why", "test", "--dry-run"],
    "pause": ["--topic", "{topic}", "--why", "test", "--dry-run"],
    "resume": ["--topic", "{topic}", "--why", "test", "--dry-run"],
}
"""Each that can print JSON, with what it needs to change nothing."""

TELL_KEYS = {"parked list", "parked show", "parked retry", "parked discard"}
WITH_A_WORLD_OF_THEIR_OWN = {"demo", "bench", "recover"}
ENDS_BY_ITSELF = ["--count", "1"]
"""`tail` goes on until it has seen so many, so something has to be written meanwhile."""


class World:
    """A database whose owner has the planted password, a topic, and what was heard of them."""

    def __init__(self, url: str, broker: Broker, topic: str, start: StartRelay, user: str) -> None:
        self.owner, self.broker, self.topic, self.user = url, broker, topic, user
        self.heard = Heard()
        self._start = start
        parts = conninfo_to_dict(url)
        self.place = f"{parts['host']}:{parts['port']}/{parts['dbname']}"
        self.parts: dict[str, Any] = {**parts, "user": user, "password": WHOLE}
        self.url = make_conninfo(**self.parts)

    def relay(self, url: str | None = None, *args: str, **env: str) -> RelayProcess:
        servers = env.pop("servers", self.broker.bootstrap_servers)
        planted = {"RELAY_KAFKA_SASL_PASSWORD": SASL, "RELAY_KAFKA_SASL_USERNAME": "user"}
        return self._start(url or self.url, servers, *args, **{**planted, **env})

    def hear(self, where: str, process: RelayProcess) -> None:
        """Its titles while it runs, and its log after that; every line is one of JSON."""
        if process.exit_code is None:
            self.heard.said[f"titles: {where}"] = titles(process)
            process.kill()
        self.heard.said[f"log: {where}"] = process.log_text()
        assert len(process.log_lines()) == len(process.log_text().splitlines()), where

    def emit(self, payload: bytes, topic: str | None = None) -> str:
        headers = {"x-secret": HEADER, "traceparent": f"00-{TRACE}-b7ad6b7169203331-01"}
        with connected(self.owner) as connection:
            row = connection.execute(
                "insert into outbox.event (topic, key, type, payload, headers)"
                " values (%s, %s, 'thing.happened', %s, %s) returning id::text",
                (topic or self.topic, KEY, payload, Jsonb(headers)),
            ).fetchone()
        assert row is not None
        return str(row[0])


@pytest.fixture
def world(
    database_url: str, broker: Broker, topic: str, relay_process: StartRelay
) -> Iterator[World]:
    with a_user(database_url) as user:
        yield World(database_url, broker, topic, relay_process, user)


@contextmanager
def a_user(url: str) -> Iterator[str]:
    user = f"canary_{uuid4().hex[:8]}"
    name, password = sql.Identifier(user), sql.Literal(WHOLE)
    with connected(url) as owner:
        made = sql.SQL("create role {} superuser login password {}")
        owner.execute(made.format(name, password))
        try:
            yield user
        finally:
            owner.execute(sql.SQL("drop owned by {} cascade").format(name))
            owner.execute(sql.SQL("drop role {}").format(name))


def commands(command: click.Command, name: str = "") -> Iterator[str]:
    """The names of those that can print JSON."""
    if isinstance(command, click.Group):
        for one in command.list_commands(click.Context(command)):
            inner = command.get_command(click.Context(command), one)
            assert inner is not None
            if one not in WITH_A_WORLD_OF_THEIR_OWN:
                yield from commands(inner, f"{name} {one}".strip())
    elif any("--json" in option.opts for option in command.params):
        yield name


def test_every_command_that_prints_json_is_listened_to() -> None:
    assert set(commands(main)) == {*READING, "tail"}


def test_nothing_that_is_said_in_a_whole_run_has_a_planted_secret(world: World) -> None:
    fine = world.emit(PAYLOAD.encode())
    parked = world.emit(PAYLOAD.encode() * 20_000)
    world.emit(PAYLOAD.encode())
    world.emit(PAYLOAD.encode(), topic="nowhere.to.be.found")
    leader = world.relay(RELAY_HTTP="127.0.0.1:0", RELAY_KAFKA_MESSAGE_MAX_BYTES="100000")
    line = leader.wait_for_log("event_parked", event_id=parked)
    (record,) = read_topic(world.broker.bootstrap_servers, world.topic, at_least=1)
    assert record.header("ce_id") == fine.encode()
    assert sung(f"{record.key!r} {record.value!r} {record.headers}") == {KEY, PAYLOAD, HEADER}

    assert (line["topic"], line["trace_id"]) == (world.topic, TRACE)
    world.heard.said["titles"] = titles(leader)
    world.heard.said["sessions"] = sessions(world)
    port = leader.wait_for_log("serving")["port"]
    until(lambda: world.topic in pages(port)["/status.json"], what="what waits, on the page")
    shown = pages(port)
    assert "outbox_parked_events" in shown["/metrics"]
    world.heard.telling_keys |= shown
    listen_to_commands(world, parked)
    leader.terminate()
    assert leader.wait() == 0
    world.hear("leader", leader)
    assert world.heard.leaks() == {}


def listen_to_commands(world: World, parked: str) -> None:
    """All that read, as JSON and for people; and that a secret can be seen in what they print."""
    with connected(world.owner) as connection:
        connection.execute(LEGACY)
        connection.execute(
            "insert into legacy values (1, %s, %s, 't', %s, %s), (2, '', %s, '', %s, %s)",
            (*(world.topic, KEY, PAYLOAD, Jsonb({"h": HEADER})), *(KEY, PAYLOAD, Jsonb([HEADER]))),
        )
    for name, options in READING.items():
        needed = [one.format(parked=parked, topic=world.topic) for one in options]
        for form in ([], ["--json"]):
            heard = run(world, world.url, name, *needed, *form)
            kept = world.heard.telling_keys if name in TELL_KEYS else world.heard.said
            kept[f"{name} {form}"] = heard
            assert "a bug" not in heard, f"{name}: {heard}"
    for form in ([], ["--json"]):
        world.heard.said[f"tail {form}"] = run_beside_a_writer(
            world, "tail", *ENDS_BY_ITSELF, *form
        )
    shown = run(world, world.url, "parked show", "--id", parked, "--payload", "--json")
    assert sung(shown) == {KEY, PAYLOAD, HEADER}, "it is there to be seen"


def run(world: World, url: str, name: str, *options: str) -> str:
    servers = world.broker.bootstrap_servers
    planted = {"RELAY_KAFKA_SASL_PASSWORD": SASL}
    done = relay(*name.split(), *options, database_url=url, bootstrap_servers=servers, **planted)
    return done.said


def run_beside_a_writer(world: World, *args: str) -> str:
    command = [sys.executable, "-m", "relay.cli.main", *args]
    flows = f"flows.{uuid4().hex[:12]}"  # in the other one the key waits behind what is parked
    world.broker.create_topic(flows)
    told = environment(world.url, world.broker.bootstrap_servers, RELAY_KAFKA_SASL_PASSWORD=SASL)
    with subprocess.Popen(
        command, env=told, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        until(
            lambda: world.emit(PAYLOAD.encode(), topic=flows) and process.poll() is not None,
            every_s=0.1,
            what="an event to be seen",
        )
        assert process.stdout is not None
        return process.stdout.read()


def sessions(world: World) -> str:
    """What others see of the relay's sessions: its last statements, and how it names itself."""
    with connected(world.owner) as connection:
        rows = connection.execute(
            "select application_name, query from pg_stat_activity where usename = %s", (world.user,)
        ).fetchall()
    assert rows
    return str(rows)


@pytest.mark.parametrize("shape", ["url", "in_the_query", "words", "environment", "passfile"])
def test_a_password_is_taken_in_every_shape_and_told_in_none(
    world: World, shape: str, tmp_path: Path
) -> None:
    world.emit(PAYLOAD.encode())
    url, env = shapes(world, WHOLE, tmp_path)[shape]
    drained = world.relay(url, "--until-drained", **env)
    assert drained.wait() == 0
    world.hear(shape, drained)
    url, env = shapes(world, f"{WHOLE} not", tmp_path)[shape]
    refused = world.relay(url, **env)
    refused.wait_for_log("unreachable")
    world.hear(f"{shape}, refused", refused)
    said = relay("status", database_url=url, **env).said
    assert "password authentication failed" in said
    world.heard.said["status, refused"] = said
    assert world.heard.leaks() == {}


def shapes(world: World, password: str, place: Path) -> dict[str, tuple[str, dict[str, str]]]:
    """Connection strings with it, and what stands in the environment beside them."""
    escaped = "".join(
        f"%{byte:02x}" if chr(byte) in " @/:%'\\" else chr(byte) for byte in password.encode()
    )
    file = place / "pgpass"
    inner = password.replace("\\", "\\\\").replace(":", "\\:")
    file.write_text(f"*:*:*:*:{inner}\n")
    file.chmod(0o600)
    bare = f"postgresql://{world.user}@{world.place}"
    return {
        "url": (f"postgresql://{world.user}:{escaped}@{world.place}", {}),
        "in_the_query": (f"{bare}?password={escaped}", {}),
        "words": (make_conninfo(**{**world.parts, "password": password}), {}),
        "environment": (bare, {"PGPASSWORD": password}),
        "passfile": (bare, {"PGPASSFILE": str(file)}),
    }


def test_errors_that_end_or_hinder_a_relay_tell_no_secret(
    world: World, empty_database_url: str
) -> None:
    world.emit(PAYLOAD.encode())
    lost = make_conninfo(**{**world.parts, "port": free_port()})
    empty = make_conninfo(
        **{**world.parts, "dbname": conninfo_to_dict(empty_database_url)["dbname"]}
    )
    unheard: list[tuple[str, RelayProcess, Callable[[RelayProcess], object]]] = [
        ("database away", world.relay(lost), lambda it: it.wait_for_log("unreachable")),
        ("no schema", world.relay(empty), lambda it: it.wait_for_log("ended", exit_code=78)),
        (
            "SASL refused",
            world.relay(
                RELAY_KAFKA_SECURITY_PROTOCOL="sasl_plaintext", RELAY_KAFKA_SASL_MECHANISM="PLAIN"
            ),
            lambda it: it.wait_for_log("broker_trouble"),
        ),
    ]
    for where, process, waited in unheard:
        waited(process)
        world.hear(where, process)
    for name, options in READING.items():
        needed = [one.format(parked=uuid4(), topic=world.topic) for one in options]
        for where, url in (("away", lost), ("no schema", empty)):
            world.heard.said[f"{name}, {where}"] = said = run(world, url, name, *needed)
            assert said, (name, where)
    assert world.heard.leaks() == {}


BROKEN = st.text("@:/?#%&='\"\\ []+,;.$1", max_size=3)
TEMPLATES = st.sampled_from(
    [
        "postgresql://relay:{}@127.0.0.1:1/db",
        "postgresql://:{}@127.0.0.1:1",
        "postgresql://relay@127.0.0.1:1/db?password={}",
        "postgresql://relay:{}@127.0.0.1:1,127.0.0.1:2/db?sslmode=bogus",
        "postgresql+psycopg://relay:{}@127.0.0.1:1/db",
        "postgresql:/relay:{}@127.0.0.1:1/db",
        "postgresql://relay;{}@127.0.0.1:1/db",
        "mysql://relay:{}@127.0.0.1:1/db",
        "jdbc:postgresql://127.0.0.1:1/db?user=relay&password={}",
        "relay:{}@127.0.0.1:1/db",
        "host=127.0.0.1 port=1 user=relay password={} dbname=db",
        "host=127.0.0.1 port=1 password='{}'",
        "host=127.0.0.1 port=1 sslpassword={}",
        "password={}",
    ]
)


@settings(deadline=None)  # the first loads the commands
@given(TEMPLATES, BROKEN, BROKEN, BROKEN)
def test_no_part_of_a_password_is_told_however_it_breaks_its_connection_string(
    template: str, before: str, within: str, behind: str
) -> None:
    """The driver quotes the part that it stumbles over, and what it took for a host or a port."""
    url = template.format(f"{before}{PASSWORD}{within}{SASL}{behind}")
    for command in ("status", "config show --json"):
        outcome = relay(*command.split(), database_url=url)
        assert outcome.exit_code in (0, 69, 78)
        assert sung(outcome.said) == set()
