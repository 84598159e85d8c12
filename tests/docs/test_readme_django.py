"""The README's Django view and migration, in a project of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import psycopg
import pytest
from django.test import Client, override_settings
from django.urls import path

from relay.admin import migrate
from tests.coordinator.django_project import Order, django_on
from tests.docs.readme import examples, run

CHAPTER = "In a Django project"
(VIEW,) = examples(CHAPTER)
_, _, MIGRATION = examples("With your own migrations")

SETTINGS = """
import os
from psycopg.conninfo import conninfo_to_dict
parts = conninfo_to_dict(os.environ["DATABASE_URL"])
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": parts["dbname"],
        "USER": parts["user"],
        "PASSWORD": parts.get("password", ""),
        "HOST": parts["host"],
        "PORT": parts["port"],
    }
}
INSTALLED_APPS = ["shop"]
"""


@pytest.mark.parametrize("atomic_requests", [False, True])
def test_the_view_commits_row_and_event(database_url: str, atomic_requests: bool) -> None:
    urls = ModuleType("urls")
    view = run(CHAPTER, VIEW, Order=Order)["pay"]
    vars(urls)["urlpatterns"] = [path("orders/<int:order_id>/pay", view)]
    with django_on(database_url, ATOMIC_REQUESTS=atomic_requests):
        Order.objects.create(pk=7, status="open")
        with override_settings(ROOT_URLCONF=urls):
            assert Client().post("/orders/7/pay").json() == {"paid": 7}
        assert Order.objects.get().status == "paid"
    with psycopg.connect(database_url) as connection:
        rows = connection.execute("select key, type, payload from outbox.event").fetchall()
    assert rows == [("7", "order.paid", b'{"id":7}')]


def test_the_schema_is_a_step_of_djangos_history(empty_database_url: str, tmp_path: Path) -> None:
    migrations = tmp_path / "shop" / "migrations"
    migrations.mkdir(parents=True)
    for package in (migrations.parent, migrations):
        (package / "__init__.py").touch()
    (migrations / "0001_outbox.py").write_text(MIGRATION)
    (migrations / "outbox.sql").write_text(printed())
    (migrations / "outbox_down.sql").write_text(printed("--down", "base"))
    (tmp_path / "settings.py").write_text(SETTINGS)
    django_migrate(tmp_path, empty_database_url)
    assert migrate.current(empty_database_url) == migrate.head()
    django_migrate(tmp_path, empty_database_url, "shop", "zero")
    assert migrate.current(empty_database_url) is None


def printed(*arguments: str) -> str:
    """What `relay migrate --sql` prints."""
    command = [sys.executable, "-m", "relay.cli.main", "migrate", "--sql", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def django_migrate(folder: Path, url: str, *arguments: str) -> None:
    """Run `django-admin migrate` in the project."""
    names = {"DATABASE_URL": url, "DJANGO_SETTINGS_MODULE": "settings", "PYTHONPATH": str(folder)}
    command = [sys.executable, "-m", "django", "migrate", "--verbosity=0", *arguments]
    subprocess.run(command, check=True, cwd=folder, env=os.environ | names)
