"""TLS to a real PostgreSQL: what is right connects, what is wrong is refused and named."""

from __future__ import annotations

import os
import pwd
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from relay.admin import migrate
from tests.cli.command import Outcome, relay
from tests.support.certificates import ELSEWHERE, LONG_AGO, Authority, Certificate, self_signed
from tests.support.listening import listening
from tests.support.postgres import CrashablePostgres
from tests.support.wait import until

SECRET = "hunter2swordfish"
SSL_REQUEST = bytes.fromhex("0000000804d2162f")


@pytest.fixture
def folder() -> Iterator[Path]:
    """Where a server that runs as somebody else can read."""
    path = Path(tempfile.mkdtemp(prefix="outbox-relay-tls-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


@pytest.fixture
def authority(folder: Path) -> Authority:
    made = Authority()
    (folder / "ca.pem").write_bytes(made.pem)
    return made


@pytest.fixture
def serving(
    folder: Path, own_postgres: Callable[..., CrashablePostgres]
) -> Callable[[Certificate], CrashablePostgres]:
    """Starts a server that shows this certificate."""

    def start(certificate: Certificate) -> CrashablePostgres:
        (folder / "server.pem").write_bytes(certificate.chain)
        key = folder / "server.key"
        key.write_bytes(certificate.key)
        key.chmod(0o600)
        if os.geteuid() == 0:
            os.chown(key, pwd.getpwnam("nobody").pw_uid, -1)
        files = {"ssl_cert_file": str(folder / "server.pem"), "ssl_key_file": str(key)}
        return own_postgres(_with_tls(), ssl="on", **files)

    return start


def _with_tls() -> Path:
    """The programs of a server that was built with TLS, as the wheel's was not."""
    on_path = shutil.which("pg_ctl")
    found = [Path(on_path).resolve().parent] if on_path else []
    found += sorted(Path("/usr/lib/postgresql").glob("[0-9]*/bin"), reverse=True)
    for folder in found:
        if b"libssl" in (folder / "postgres").read_bytes():
            return folder
    pytest.skip("needs PostgreSQL's programs with TLS, in PATH or /usr/lib/postgresql")


def status_of(url: str, folder: Path, mode: str = "verify-full") -> Outcome:
    authorities = quote(str(folder / "ca.pem"), safe="")
    return relay("status", database_url=f"{url}?sslmode={mode}&sslrootcert={authorities}")


def test_a_good_certificate_is_taken_by_verify_full(
    folder: Path, authority: Authority, serving: Callable[[Certificate], CrashablePostgres]
) -> None:
    server = serving(authority.issue())
    migrate.upgrade(server.url())
    assert status_of(server.url(), folder).exit_code == 0


@pytest.mark.parametrize(
    ("made", "why"),
    [
        (lambda by: by.issue(until=LONG_AGO), "certificate verify failed: certificate has expired"),
        (lambda by: by.issue(ELSEWHERE), 'does not match host name "127.0.0.1"'),
        (lambda _: Authority().issue(), "certificate chain: sslrootcert does not have its issuer"),
        (lambda _: self_signed(), "self-signed certificate: sslrootcert does not have its issuer"),
    ],
    ids=["expired", "wrong_host", "unknown_authority", "self_signed"],
)
def test_a_wrong_certificate_is_refused_and_named(
    folder: Path,
    authority: Authority,
    serving: Callable[[Certificate], CrashablePostgres],
    made: Callable[[Authority], Certificate],
    why: str,
) -> None:
    server = serving(made(authority))
    outcome = status_of(server.url(), folder)
    assert outcome.exit_code == 69, outcome.said
    assert why in outcome.err


@pytest.mark.parametrize("mode", ["require", "verify-full"])
def test_whoever_says_that_there_is_no_tls_is_told_no_more(
    folder: Path, authority: Authority, mode: str
) -> None:
    with listening(answer=b"N") as server:
        url = f"postgresql://relay:{SECRET}@127.0.0.1:{server.port}/app"
        outcome = status_of(url, folder, mode)
        until(lambda: server.heard, what="the end of a connection")
    assert outcome.exit_code == 69
    assert "server does not support SSL" in outcome.err
    assert set(server.heard) == {SSL_REQUEST}
