"""Up and down from an installed wheel, far from any checkout."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from relay.admin import migrate

CHECKOUT = Path(migrate.__file__).parents[2]

PROGRAM = """
import sys, pathlib
sys.path.insert(0, sys.argv[1])
from relay.admin import migrate
assert pathlib.Path(sys.argv[1]) in migrate.migrations_folder().parents, migrate.migrations_folder()
migrate.upgrade(sys.argv[2])
print(migrate.current(sys.argv[2]))
migrate.downgrade(sys.argv[2], "base")
print(migrate.current(sys.argv[2]))
"""


IN_A_USERS_HISTORY = """
import sys, pathlib
sys.path.insert(0, sys.argv[1])
from coordinator import migrating
assert pathlib.Path(sys.argv[1]) in pathlib.Path(migrating.__file__).parents, migrating.__file__
from alembic.migration import MigrationContext
from alembic.operations import Operations
from sqlalchemy import create_engine
with create_engine(sys.argv[2].replace("postgresql:", "postgresql+psycopg:", 1)).begin() as users:
    op = Operations(MigrationContext.configure(users))
    migrating.upgrade(op)
    migrating.downgrade(op, to=migrating.revisions()[0])
    print(migrating.revisions()[0])
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder into which the wheel was unpacked, as an installer does."""
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        cwd=CHECKOUT,
        check=True,
        capture_output=True,
    )
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


def run(program: str, installed: Path, url: str, folder: Path) -> list[str]:
    return subprocess.run(
        [sys.executable, "-P", "-c", program, str(installed), url],
        cwd=folder,
        env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()


def test_an_installed_wheel_migrates_up_and_down(
    installed: Path, empty_database_url: str, tmp_path: Path
) -> None:
    said = run(PROGRAM, installed, empty_database_url, tmp_path)
    assert said == [migrate.head(), "None"]


def test_an_installed_wheel_is_a_step_of_a_users_history(
    installed: Path, empty_database_url: str, tmp_path: Path
) -> None:
    said = run(IN_A_USERS_HISTORY, installed, empty_database_url, tmp_path)
    assert said == [migrate.current(empty_database_url)]


def test_a_wheel_carries_what_type_checkers_and_the_relay_read(installed: Path) -> None:
    for name in ("coordinator/py.typed", "relay/py.typed", "relay/migrations/env.py"):
        assert (installed / name).is_file(), name


def test_a_wheel_carries_the_status_page_as_it_stands_in_the_checkout(installed: Path) -> None:
    page = Path("relay", "observe", "page", "index.html")
    assert (installed / page).read_bytes() == (CHECKOUT / page).read_bytes()
