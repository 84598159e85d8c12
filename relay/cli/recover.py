"""`relay recover`: what processes that were killed left outside the database is undone."""

from __future__ import annotations

import json
import sys

import click

from relay.admin import recover as recovery
from relay.cli.options import chosen_outbox, outbox_option

__all__ = ["recover"]

_FAILED = 75
_UNKNOWN = 78


@click.command()
@outbox_option
@click.argument("modules", metavar="MODULE...", nargs=-1, required=True)
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def recover(modules: tuple[str, ...], as_json: bool) -> None:
    """Undo what transactions that did not commit have done by tx.outside.

    Each MODULE (shop.undos) is imported, from the present folder too, and registers undos.
    RELAY_DATABASE_URL names the database. Exit 0: nothing is left. 75: an undo failed; run this
    again. 78: an undo is registered by none of the modules.
    """
    url = chosen_outbox().url
    recovery.import_undos(modules)
    found = recovery.recover(url)
    click.echo(json.dumps(found.to_dict()) if as_json else _for_people(found))
    if found.unknown:
        sys.exit(_UNKNOWN)
    if found.failed:
        sys.exit(_FAILED)


def _for_people(found: recovery.Recovery) -> str:
    groups = {
        "undone": found.undone,
        "running": found.running,
        "FAILED": found.failed,
        "UNKNOWN": found.unknown,
    }
    lines = [
        f"{name:<9} {effect.undo} of {effect.action} under {'/'.join(effect.key)}, "
        f"attempt {effect.attempt_id}" + (f": {effect.error}" if effect.error else "")
        for name, effects in groups.items()
        for effect in effects
    ]
    if found.failed:
        lines.append("FAILED: mend what the error says, and run this again")
    if found.unknown:
        lines.append("UNKNOWN: name the module whose @undo has this name")
    return "\n".join(lines or ["nothing is left to undo"])
