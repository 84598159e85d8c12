"""Certificates for tests: good ones, and each kind that must be refused."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import ip_address

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

HERE = x509.IPAddress(ip_address("127.0.0.1"))
ELSEWHERE = x509.DNSName("other.example")
FROM, LONG_AGO, TO = (datetime(year, 1, 1, tzinfo=UTC) for year in (2020, 2021, 2100))


@dataclass(frozen=True)
class Certificate:
    """A key and what proves it, in PEM; the chain begins with the certificate itself."""

    key: bytes
    chain: bytes


class Authority:
    """One that signs; a client trusts it by `pem`."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name(f"authority {x509.random_serial_number()}")
        certificate = (
            _certificate(self._key, self._name, TO)
            .issuer_name(self._name)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(self._key, hashes.SHA256())
        )
        self.pem = _pem(certificate)

    def issue(self, host: x509.GeneralName = HERE, *, until: datetime = TO) -> Certificate:
        """A server's, for `host`; of LONG_AGO it has expired."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = (
            _certificate(key, _name("a server of a test"), until)
            .issuer_name(self._name)
            .add_extension(x509.SubjectAlternativeName([host]), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        return Certificate(_key_pem(key), _pem(certificate) + self.pem)


def self_signed() -> Certificate:
    """A server's that nobody signed but itself."""
    key, name = ec.generate_private_key(ec.SECP256R1()), _name("a server of a test")
    certificate = (
        _certificate(key, name, TO)
        .issuer_name(name)
        .add_extension(x509.SubjectAlternativeName([HERE]), critical=False)
        .sign(key, hashes.SHA256())
    )
    return Certificate(_key_pem(key), _pem(certificate))


def _certificate(
    key: ec.EllipticCurvePrivateKey, name: x509.Name, until: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(FROM)
        .not_valid_after(until)
    )


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
