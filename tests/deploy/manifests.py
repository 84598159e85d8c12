"""The manifests as a cluster gets them: rendered by kustomize."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from relay.config import RelaySettings
from relay.kafka_settings import PREFIX as KAFKA_PREFIX

DEPLOY = Path(__file__).parents[2] / "deploy"
OVERLAYS = ("staging", "production")

Object = dict[str, Any]


@cache
def _rendered(folder: str) -> tuple[Object, ...]:
    if shutil.which("kubectl") is None:
        pytest.skip("no kubectl here")
    command = ["kubectl", "kustomize", str(DEPLOY / "kubernetes" / "overlays" / folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return tuple(yaml.safe_load_all(done.stdout))


def rendered(overlay: str) -> list[Object]:
    """Every object of an overlay, its migration among them."""
    return [*_rendered(overlay), *_rendered(f"{overlay}/migrate")]


def only(kind: str, objects: list[Object]) -> Object:
    """The one object of this kind."""
    (found,) = (one for one in objects if one["kind"] == kind)
    return found


def containers(objects: list[Object]) -> Iterator[tuple[Object, Object]]:
    """Each pod's specification with each of its containers."""
    for one in objects:
        if pod := one.get("spec", {}).get("template", {}).get("spec"):
            for container in pod["containers"]:
                yield pod, container


def settings(container: Object, objects: list[Object]) -> dict[str, str]:
    """The environment that a container has, of its own and of ConfigMaps."""
    maps = {one["metadata"]["name"]: one["data"] for one in objects if one["kind"] == "ConfigMap"}
    found: dict[str, str] = {}
    for source in container.get("envFrom", ()):
        found |= maps[source["configMapRef"]["name"]]
    return found | {one["name"]: one["value"] for one in container["env"]}


def unknown(names: Mapping[str, str]) -> set[str]:
    """Those that the relay would not read: it passes over what it does not know."""
    fields = {f"RELAY_{field.upper()}" for field in RelaySettings.model_fields}
    database = {"RELAY_DATABASE_URL", "RELAY_DATABASE_URL_FILE"}
    others = set(names) - fields - database
    return {name for name in others if not name.startswith(KAFKA_PREFIX)}
