"""Which variables are settings: a name that is none has no effect, and nobody would say so.

Naive: refuse what is unknown. Kubernetes puts RELAY_SERVICE_HOST and the like into the environment
of whatever runs beside a service called relay. So it is told, and those are not.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from relay import kafka_settings
from relay.secret_files import SUFFIX
from relay.settings import RelaySettings

__all__ = ["IS_A_URL", "is_a_setting", "misspelt"]

IS_A_URL = re.compile(r"RELAY_(OUTBOX_[A-Z0-9_]+_)?DATABASE_URL")
_OF_AN_OUTBOX = re.compile(r"RELAY_(OUTBOX_[A-Z0-9_]+_)?(DATABASE_URL|SCHEMA|SOURCE)")
_OF_THE_RELAY = frozenset(f"RELAY_{name.upper()}" for name in RelaySettings.model_fields)
_OF_A_SERVICE = re.compile(r"RELAY_([A-Z0-9_]+_)?(SERVICE_(HOST|PORT)|PORT)(_[A-Z0-9_]+)?")


def is_a_setting(name: str) -> bool:
    """Whether the relay reads the variable, itself or as the path of a file with the value."""
    whole = name.removesuffix(SUFFIX)
    if whole.startswith(kafka_settings.PREFIX) or IS_A_URL.fullmatch(whole):
        return True
    # What is no secret is in no file.
    return bool(_OF_AN_OUTBOX.fullmatch(name)) or name in _OF_THE_RELAY


def misspelt(names: Iterable[str]) -> list[str]:
    """Those that are meant as settings, by their names, and are none."""
    return sorted(
        name
        for name in names
        if name.startswith("RELAY_")
        and not is_a_setting(name)
        and not _OF_A_SERVICE.fullmatch(name)
    )
