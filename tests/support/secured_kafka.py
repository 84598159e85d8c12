"""A real broker that speaks SASL_SSL, once with each kind of certificate."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from confluent_kafka.admin import (  # type: ignore[attr-defined]  # public, and not in its __all__
    AdminClient,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialUpsertion,
)

from relay.demo.apache_kafka import ApacheKafka
from relay.demo.embedded_postgres import free_port
from tests.support.certificates import ELSEWHERE, LONG_AGO, Authority, self_signed
from tests.support.kafka import skip_without_jars

USER: Final = "relay-user"
PASSWORD: Final = "first-swordfish"
_TIMEOUT_S: Final = 10.0
_JAAS: Final = "org.apache.kafka.common.security.scram.ScramLoginModule required;"


@dataclass(frozen=True)
class SecuredKafka:
    """Addresses by the kind of certificate: good, expired, elsewhere, alone.

    Attributes:
        kafka: the broker itself, whose own address is in the clear, for the test.
        ca: the file to trust.
    """

    kafka: ApacheKafka
    addresses: dict[str, str]
    ca: Path

    def set_password(self, password: str) -> None:
        """What the broker asks of USER from now on, of those that connect anew."""
        client = AdminClient({"bootstrap.servers": self.kafka.bootstrap_servers, "log_level": 0})
        how = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, 4096)
        asked = UserScramCredentialUpsertion(USER, how, password.encode())
        for answer in client.alter_user_scram_credentials([asked]).values():
            answer.result(_TIMEOUT_S)

    def settings(self, password_file: Path, **more: str) -> dict[str, str]:
        """The environment of a relay that trusts the right authority."""
        return {
            "RELAY_KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
            "RELAY_KAFKA_SASL_MECHANISM": "SCRAM-SHA-512",
            "RELAY_KAFKA_SASL_USERNAME": USER,
            "RELAY_KAFKA_SASL_PASSWORD_FILE": str(password_file),
            "RELAY_KAFKA_SSL_CA_LOCATION": str(self.ca),
            **more,
        }


@contextmanager
def secured_kafka(folder: Path) -> Iterator[SecuredKafka]:
    """One of its own; skips, by name, where none can be started."""
    skip_without_jars()
    authority = Authority()
    ca = folder / "ca.pem"
    ca.write_bytes(authority.pem)
    certificates = {
        "good": authority.issue(),
        "expired": authority.issue(until=LONG_AGO),
        "elsewhere": authority.issue(ELSEWHERE),
        "alone": self_signed(),
    }
    addresses = {name: f"127.0.0.1:{free_port()}" for name in certificates}
    protocols = ["BROKER:PLAINTEXT", "CONTROLLER:PLAINTEXT"]
    properties: dict[str, str] = {}
    for name, certificate in certificates.items():
        store = folder / f"{name}.pem"
        store.write_bytes(certificate.key + certificate.chain)
        protocols.append(f"{name.upper()}:SASL_SSL")
        properties |= {
            f"listener.name.{name}.ssl.keystore.type": "PEM",
            f"listener.name.{name}.ssl.keystore.location": str(store),
            f"listener.name.{name}.sasl.enabled.mechanisms": "SCRAM-SHA-512",
            f"listener.name.{name}.scram-sha-512.sasl.jaas.config": _JAAS,
        }
    properties["listener.security.protocol.map"] = ",".join(protocols)
    listeners = [f"{name.upper()}://{address}" for name, address in addresses.items()]
    with ApacheKafka(properties, listeners) as kafka:
        secured = SecuredKafka(kafka, addresses, ca)
        secured.set_password(PASSWORD)
        yield secured
