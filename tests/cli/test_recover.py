"""relay recover: what it undoes, what it says, and how it ends."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from coordinator import Coordinator
from coordinator.engine import undo_registry
from relay.admin import migrate
from tests.cli.command import Outcome, relay
from tests.coordinator.database import engine_on
from tests.coordinator.orders import KEY
from tests.coordinator.outside_world import World, travel

UNDOS = "tests.coordinator.outside_world"


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    with engine_on(database_url) as made:
        yield made


@pytest.fixture
def left_behind(engine: Engine, tmp_path: Path) -> World:
    """A booking whose transaction was not committed."""
    world = World(tmp_path)
    with Session(engine) as session:
        with Coordinator(engine).join(session, key=KEY) as tx:
            travel(tx, world.folder, "flight")
        session.rollback()
    return world


def recover(database_url: str, *args: str) -> Outcome:
    return relay("recover", *args, database_url=database_url)


def test_it_undoes_what_is_left_says_so_and_ends_with_0(
    database_url: str, left_behind: World
) -> None:
    outcome = recover(database_url, UNDOS)
    assert outcome.exit_code == 0, outcome.said
    assert "undone    test.cancel of book under acme/7" in outcome.out
    assert left_behind.bookings == []


def test_where_nothing_is_left_it_says_so(database_url: str) -> None:
    outcome = recover(database_url, UNDOS)
    assert (outcome.exit_code, outcome.out) == (0, "nothing is left to undo\n")


def test_an_undo_that_fails_ends_with_75_and_says_why_and_what_to_do(
    database_url: str, left_behind: World
) -> None:
    left_behind.close()
    outcome = recover(database_url, UNDOS)
    assert outcome.exit_code == 75
    assert ": OSError: the hotel is closed\nFAILED: mend" in outcome.out
    left_behind.open()
    assert recover(database_url, UNDOS).exit_code == 0


def test_an_undo_of_no_module_ends_with_78_and_is_left_alone(
    database_url: str, left_behind: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(undo_registry, "_functions", {})
    outcome = recover(database_url, UNDOS)
    assert outcome.exit_code == 78
    assert "UNKNOWN   test.cancel" in outcome.out
    assert left_behind.bookings != []


def test_its_json_has_what_was_found(database_url: str, left_behind: World) -> None:
    found = json.loads(recover(database_url, "--json", UNDOS).out)
    assert [effect["key"] for effect in found["undone"]] == [["acme", "7"]]
    assert left_behind.folder not in json.dumps(found)


def test_modules_are_found_in_the_present_folder(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "shop_undos.py").write_text("imported = True\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", list(sys.path))
    assert recover(database_url, "shop_undos").exit_code == 0


@pytest.mark.parametrize(
    ("text", "said"),
    [(None, "No module named 'shop_wrong'"), ("1 / 0", "its import raised ZeroDivisionError")],
)
def test_a_module_that_cannot_be_imported_ends_with_78_and_undoes_nothing(
    database_url: str,
    left_behind: World,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    text: str | None,
    said: str,
) -> None:
    if text is not None:
        (tmp_path / "shop_wrong.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    outcome = recover(database_url, UNDOS, "shop_wrong")
    assert outcome.exit_code == 78
    assert said in outcome.err
    assert left_behind.bookings != []


def test_without_a_module_it_is_a_mistake_on_the_command_line(database_url: str) -> None:
    assert recover(database_url).exit_code == 2


def test_an_older_schema_is_named(database_url: str) -> None:
    migrate.downgrade(database_url, "0005_expand_emit_many")
    outcome = recover(database_url, UNDOS)
    assert outcome.exit_code == 78
    assert "run `relay migrate`" in outcome.err


def test_a_database_that_is_away_ends_with_69() -> None:
    assert recover("postgresql://127.0.0.1:1/none", UNDOS).exit_code == 69
