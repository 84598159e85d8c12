"""The manifests keep to the published schemas, and agree with the relay that they run."""

from __future__ import annotations

from typing import Any

import kubernetes_validate
import pytest
import yaml

from relay.daemon.shutdown import HARD_LIMIT_S
from relay.kafka.properties import faults
from tests.deploy.manifests import (
    DEPLOY,
    OVERLAYS,
    containers,
    only,
    rendered,
    settings,
    unknown,
)

PORT = 9464
SECRETS = list(yaml.safe_load_all((DEPLOY / "kubernetes" / "secret.example.yaml").read_text()))
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture(params=OVERLAYS)
def objects(request: pytest.FixtureRequest) -> list[dict[str, Any]]:
    return rendered(request.param)


@pytest.mark.parametrize("version", ["1.27", "1.37"])
def test_every_object_keeps_to_the_published_schema(
    objects: list[dict[str, Any]], version: str
) -> None:
    for one in (*objects, *SECRETS):
        if one["kind"] != "PodMonitor":  # of the Prometheus operator: not among them
            kubernetes_validate.validate(one, version, strict=True)


def test_a_stop_is_given_more_time_than_it_ever_takes(objects: list[dict[str, Any]]) -> None:
    pod = only("Deployment", objects)["spec"]["template"]["spec"]
    assert pod["terminationGracePeriodSeconds"] > HARD_LIMIT_S


def test_the_relay_reads_every_setting_that_it_is_given(objects: list[dict[str, Any]]) -> None:
    for _, container in containers(objects):
        assert unknown(settings(container, objects)) == set()


def test_the_properties_of_the_client_are_sound(objects: list[dict[str, Any]]) -> None:
    given = settings(only_container("Deployment", objects), objects)
    prefix, password = "RELAY_KAFKA_", "RELAY_KAFKA_SASL_PASSWORD_FILE"
    assert password in given
    properties = {
        name.removeprefix(prefix).lower().replace("_", "."): value
        for name, value in given.items()
        if name.startswith(prefix) and name not in (password, f"{prefix}BOOTSTRAP_SERVERS")
    }
    assert faults({**properties, "sasl.password": "any"}) == {}


def test_each_secret_is_a_file_of_a_mounted_secret(objects: list[dict[str, Any]]) -> None:
    keys = {one["metadata"]["name"]: set(one["stringData"]) for one in SECRETS}
    for pod, container in containers(objects):
        (mount,), (volume,) = container["volumeMounts"], pod["volumes"]
        assert "subPath" not in mount, "a rotated Secret would never reach the pod"
        given = settings(container, objects)
        files = {value for name, value in given.items() if name.endswith("_FILE")}
        named = {f"{mount['mountPath']}/{key}" for key in keys[volume["secret"]["secretName"]]}
        assert files == named


def test_nothing_that_is_secret_stands_in_a_setting(objects: list[dict[str, Any]]) -> None:
    for _, container in containers(objects):
        names = {one for one in settings(container, objects) if not one.endswith("_FILE")}
        assert not [one for one in names if "PASSWORD" in one or "DATABASE_URL" in one]


def test_every_container_is_restricted(objects: list[dict[str, Any]]) -> None:
    for pod, container in containers(objects):
        own = container["securityContext"]
        assert own["readOnlyRootFilesystem"]
        assert own["allowPrivilegeEscalation"] is False
        assert own["capabilities"] == {"drop": ["ALL"]}
        assert pod["securityContext"]["runAsNonRoot"]
        assert pod["securityContext"]["runAsUser"] > 0
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pod["automountServiceAccountToken"] is False


def test_probes_metrics_and_the_policy_agree_on_the_port(objects: list[dict[str, Any]]) -> None:
    container = only_container("Deployment", objects)
    port = {"name": "http", "containerPort": PORT}
    assert container["ports"] == [port]
    assert settings(container, objects)["RELAY_HTTP"] == f"0.0.0.0:{PORT}"
    asked = {
        kind: container[f"{kind}Probe"]["httpGet"] for kind in ("startup", "liveness", "readiness")
    }
    assert {one["port"] for one in asked.values()} == {"http"}
    assert [one["path"] for one in asked.values()] == ["/livez", "/livez", "/readyz"]
    (scraped,) = only("PodMonitor", objects)["spec"]["podMetricsEndpoints"]
    assert (scraped["port"], scraped["path"]) == ("http", "/metrics")
    (let_in,) = only("NetworkPolicy", objects)["spec"]["ingress"]
    assert let_in["ports"] == [{"protocol": "TCP", "port": PORT}]


def test_one_selector_finds_the_relays_and_no_migration(objects: list[dict[str, Any]]) -> None:
    relays = only("Deployment", objects)["spec"]["template"]["metadata"]["labels"]
    job = only("Job", objects)["spec"]["template"]["metadata"]["labels"]
    for kind in ("Deployment", "PodDisruptionBudget", "PodMonitor"):
        wanted = only(kind, objects)["spec"]["selector"]["matchLabels"]
        assert wanted.items() <= relays.items()
        assert not wanted.items() <= job.items()
    every = only("NetworkPolicy", objects)["spec"]["podSelector"]["matchLabels"]
    assert every.items() <= relays.items()
    assert every.items() <= job.items()


def test_a_drain_of_nodes_leaves_one_of_two(objects: list[dict[str, Any]]) -> None:
    assert only("Deployment", objects)["spec"]["replicas"] == 2
    assert only("PodDisruptionBudget", objects)["spec"]["maxUnavailable"] == 1


def only_container(kind: str, objects: list[dict[str, Any]]) -> dict[str, Any]:
    (found,) = only(kind, objects)["spec"]["template"]["spec"]["containers"]
    return dict(found)
