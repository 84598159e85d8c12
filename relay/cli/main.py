"""The group of commands, and what their exit codes mean.

0   done
1   failed, or a proof did not hold
2   a mistake on the command line
69  database or broker cannot be reached (commands that do not wait for them)
70  a bug: an invariant is broken
75  stopped before everything in flight was acknowledged; it is sent again by the next relay; a
    replay says how to go on; or an undo failed, and `relay recover` is to be run again
78  bad configuration, missing or other schema, unsafe database, an undo that no module registers: a
    restart will not heal it
"""

from __future__ import annotations

import importlib
import sys
from typing import Any

try:
    import click
except ModuleNotFoundError:
    sys.exit("relay: this installation can only write events: pip install 'outbox-relay[relay]'")

from relay.cli.printable import printable
from relay.errors import RelayError

__all__ = ["main"]

_COMMANDS = (
    "run",
    "status",
    "parked",
    "pause",
    "resume",
    "replay",
    "verify",
    "migrate",
    "recover",
    "adopt",
    "demo",
    "bench",
)


class _Relay(click.Group):
    """Loads a command's module only when it is called: `status` needs no librdkafka, `run` no
    terminal graphics.

    Prints our errors as a sentence, without a traceback, and ends with their exit code.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        command: click.Command = getattr(importlib.import_module(f"relay.cli.{cmd_name}"), cmd_name)
        return command

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except RelayError as problem:
            click.echo(f"relay: {printable(str(problem))}", err=True)
            sys.exit(problem.exit_code)


@click.group(cls=_Relay)
@click.version_option(package_name="outbox-relay")
def main() -> None:
    """Publishes the events of a PostgreSQL outbox to Kafka: all of them, in order per key."""


if __name__ == "__main__":
    main()
