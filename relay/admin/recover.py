"""Undoes what dead processes did outside the database, with undos from the user's own modules."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence

import psycopg
from sqlalchemy import create_engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from coordinator.engine.recover import Recovery
from coordinator.engine.recover import recover as recover_on
from relay.errors import BadConfiguration
from relay.postgres.connect import translated_errors

__all__ = ["Recovery", "import_undos", "recover"]


def import_undos(modules: Sequence[str]) -> None:
    """Import the user's modules, from the present folder too: each registers its undos.

    Raises:
        BadConfiguration: one cannot be imported.
    """
    # Python puts the script's folder there, not the one where it is called.
    if os.getcwd() not in sys.path:  # noqa: PTH109 - a folder of Python's path is text
        sys.path.insert(0, os.getcwd())  # noqa: PTH109 - as above
    for module in modules:
        try:
            importlib.import_module(module)
        except ImportError as problem:
            raise BadConfiguration(f"module {module}: {problem}") from problem
        except Exception as problem:  # the user's code; its message may hold what it read
            raise BadConfiguration(
                f"module {module}: its import raised {type(problem).__name__}"
            ) from problem


def recover(url: str) -> Recovery:
    """Undo what is left; see `coordinator.recover`.

    Raises:
        SchemaMismatch: the tables are missing.
        Unreachable: the database is away; what was recorded by then stands.
    """
    engine = create_engine(
        "postgresql+psycopg://",
        creator=lambda: psycopg.connect(url, application_name="relay recover"),
        poolclass=NullPool,
    )
    with translated_errors(url):
        try:
            return recover_on(engine)
        except DBAPIError as problem:
            raise problem.orig or problem from None
