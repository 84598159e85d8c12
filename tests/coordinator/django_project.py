"""A minimal Django in this process, on any database, with one model."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import django
from django.conf import settings
from django.db import connections, models
from psycopg.conninfo import conninfo_to_dict

settings.configure(DATABASES={}, USE_TZ=True)
django.setup()


class Order(models.Model):  # type: ignore[misc]  # Django ships no types
    """An order."""

    status = models.TextField()

    class Meta:
        """Where it is."""

        app_label = "shop"
        db_table = "orders"


@contextmanager
def django_on(url: str, **database: Any) -> Iterator[Any]:
    """Django's default database is `url`, and the table of orders is there.

    Args:
        url: the database.
        database: more of Django's settings for it, such as `ATOMIC_REQUESTS=True`.

    Yields:
        Its connection, not opened yet.
    """
    parts = conninfo_to_dict(url)
    names = {"NAME": "dbname", "USER": "user", "PASSWORD": "password"}
    places = {"HOST": "host", "PORT": "port"}
    given = {ours: parts.get(theirs, "") for ours, theirs in (names | places).items()}
    given |= {"ENGINE": "django.db.backends.postgresql", **database}
    connections.settings = connections.configure_settings({"default": given})
    # Defining a model has asked for the default connection before there was a database.
    connection = connections["default"] = connections.create_connection("default")
    try:
        with connection.schema_editor() as editor:
            editor.create_model(Order)
        connection.close()
        yield connection
    finally:
        connection.close()
        connection.close_pool()
        del connections["default"]
