"""The group of commands, and what their exit codes mean (exit_codes.py)."""

from __future__ import annotations

import importlib
import sys
from typing import Any

try:
    import click
except ModuleNotFoundError:
    sys.exit("relay: this installation can only write events: pip install 'outbox-relay[relay]'")

from relay.cli.exit_codes import EXIT_CODES
from relay.core.printable import printable_lines
from relay.errors import InvariantBroken, RelayError, told_bug

__all__ = ["main"]

_COMMANDS = (
    "run",
    "status",
    "top",
    "tail",
    "doctor",
    "parked",
    "pause",
    "resume",
    "replay",
    "verify",
    "migrate",
    "recover",
    "adopt",
    "config",
    "completion",
    "demo",
    "bench",
)


_EPILOG = "\b\nExit codes:\n" + "\n".join(
    f"  {code:<3} {what}" for code, what in EXIT_CODES.items()
)


class _Relay(click.Group):
    """Loads a command's module only when it is called: `status` needs no librdkafka, `run` no
    terminal graphics.

    Prints our errors as a sentence, without a traceback, and ends with their exit code. A bug is
    told by its kind and place: a traceback ends with a text that may quote a row or a password.
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
            click.echo(f"relay: {printable_lines(str(problem))}", err=True)
            sys.exit(problem.exit_code)
        except (click.ClickException, click.Abort, click.exceptions.Exit, OSError):
            raise
        except Exception as bug:  # noqa: BLE001 - whatever it is, it is told and ends the process
            click.echo(f"relay: {told_bug(bug)}; please report this line", err=True)
            sys.exit(InvariantBroken.exit_code)


@click.group(cls=_Relay, epilog=_EPILOG)
@click.version_option(package_name="outbox-relay")
def main() -> None:
    """Publishes the events of a PostgreSQL outbox to Kafka: all of them, in order per key."""


if __name__ == "__main__":
    main()
