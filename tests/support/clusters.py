"""Clusters made of others by PostgreSQL's own programs: a dump, a standby, pg_upgrade."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from relay.demo.embedded_postgres import find_binaries
from tests.relay.events import connected, value_of
from tests.support.postgres import SERVER_OPTIONS, CrashablePostgres

__all__ = ["dump", "old_binaries", "program", "read_in", "standby_of", "upgrade", "use_up_ids"]

DUMPED_BY = {
    "custom": ("--format=custom",),
    "directory": ("--format=directory", "--jobs=2"),
    "plain": ("--format=plain",),
    "inserts": ("--format=plain", "--inserts"),
}
_PASSWORDLESS = "local all all trust\nhost all all 127.0.0.1/32 scram-sha-256\n"


def program(server: CrashablePostgres, name: str, *args: str) -> None:
    """Run one of PostgreSQL's own programs to its end, as the user that the server runs as."""
    done = subprocess.run(
        [server.bin / name, *args],
        check=False,
        capture_output=True,
        text=True,
        cwd=server._folder,
        **server._run_as,
    )
    assert done.returncode == 0, f"{name}: {done.stdout}{done.stderr}"


def dump(source_url: str, target: CrashablePostgres, how: str = "custom", *more: str) -> str:
    """Dump a database beside the data of `target`; where the dump is."""
    path = str(target._folder / "data" / f"events.{how}")
    program(target, "pg_dump", *DUMPED_BY[how], *more, f"--file={path}", source_url)
    return path


def read_in(target: CrashablePostgres, path: str, *more: str) -> None:
    """Restore a dump."""
    to = f"--dbname={target.url()}"
    if path.endswith((".plain", ".inserts")):
        program(target, "psql", "--no-psqlrc", "--set=ON_ERROR_STOP=1", f"--file={path}", to)
    else:
        jobs = ("--jobs=2",) if path.endswith(".directory") else ()
        program(target, "pg_restore", "--exit-on-error", *jobs, *more, to, path)


def use_up_ids(url: str, *, beyond: str) -> None:
    """Give out transaction ids in the cluster of `url` until it is ahead of that of `beyond`."""
    ahead_of = value_of(beyond, "select pg_snapshot_xmax(pg_current_snapshot())::text::bigint")
    with connected(url) as connection:
        connection.execute("set synchronous_commit = off")
        connection.execute(
            f"do $$ begin while pg_current_xact_id()::text::bigint < {ahead_of + 2_000} loop"
            " commit; end loop; end $$".encode()
        )


def standby_of(primary: CrashablePostgres) -> CrashablePostgres:
    """A streaming replica of `primary`, not started yet."""
    standby = CrashablePostgres(SERVER_OPTIONS)
    data = standby._folder / "data"
    shutil.rmtree(data)
    copy = ("--write-recovery-conf", "--checkpoint=fast", "--no-sync")
    program(primary, "pg_basebackup", f"--pgdata={data}", f"--dbname={primary.url()}", *copy)
    standby._password = primary._password
    return standby


def old_binaries() -> Path | None:
    """Programs of an older release than those that the tests use; None where there are none."""
    used = find_binaries()
    wheels = used.parent.parent / "pginstall" / "bin"
    found = [wheels, *Path("/usr/lib/postgresql").glob("[0-9]*/bin")]
    older = [one for one in found if (one / "initdb").is_file() and _major(one) < _major(used)]
    return max(older, key=_major, default=None)


def upgrade(old: CrashablePostgres, new: CrashablePostgres) -> None:
    """pg_upgrade; both are stopped, and afterwards `new` has what `old` had."""
    for server in (old, new):
        hba = server._folder / "data" / "pg_hba.conf"
        hba.write_text(_PASSWORDLESS)
    program(new, "pg_checksums", "--disable", f"--pgdata={new._folder / 'data'}")
    folders = (f"--old-datadir={old._folder / 'data'}", f"--new-datadir={new._folder / 'data'}")
    bins = (f"--old-bindir={old.bin}", f"--new-bindir={new.bin}")
    program(new, "pg_upgrade", *folders, *bins, "--username=postgres", "--no-sync")
    new._password = old._password


def _major(binaries: Path) -> int:
    said = subprocess.run(
        [binaries / "postgres", "--version"], capture_output=True, text=True, check=True
    )
    return int(said.stdout.split()[2].partition(".")[0])
