"""`relay doctor`: is everything as it should be, and what to do about what is not."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import asdict

import click

from relay import config
from relay.address import Address
from relay.admin.doctor import Patient, examined
from relay.cli.layout import labelled, width
from relay.cli.options import chosen_of, chosen_outbox, outbox_option
from relay.core.checkup import Finding, fail, ok
from relay.core.printable import printable
from relay.errors import BadConfiguration
from relay.kafka.properties import faults, producer_properties, transactional_properties

__all__ = ["doctor"]

_COLOURS = {"OK": "green", "WARN": "yellow", "FAIL": "red", "SKIP": "blue"}
_INDENT = 20


@click.command()
@outbox_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def doctor(as_json: bool) -> None:
    """Check the database, the broker and the settings, and say what to do about each fault.

    Changes nothing, and may run beside a relay, with its environment and as its role. Every check
    is made, whatever came of those before. Exit 0: none failed (there may be warnings). 1: one did.
    """
    found = []
    for finding in _findings():
        found.append(finding)
        if not as_json:
            click.echo(_for_people(finding))
    failed = sum(one.verdict == "FAIL" for one in found)
    if as_json:
        click.echo(json.dumps({"ok": not failed, "checks": [asdict(one) for one in found]}))
    else:
        click.echo(_sum(found))
    sys.exit(1 if failed else 0)


def _findings() -> Iterator[Finding]:
    try:
        configured = config.load({}, faults)
    except BadConfiguration as problem:
        lines = str(problem).splitlines()[1:] or [str(problem)]
        advice = "set it, and look again; `relay config show` tells where each value comes from"
        yield fail("configuration", "; ".join(line.strip() for line in lines), advice)
        # The database may be told all the same, and is looked at then.
        yield from examined(Patient(_address, None, creates=False, listening=False))
        return
    shared = configured.shared
    outbox = chosen_of(configured.outboxes)
    delivery = f"{shared.delivery}, envelope {shared.envelope}, wakeup {shared.wakeup}"
    yield ok("configuration", delivery)
    of = transactional_properties if shared.delivery == "exactly-once" else producer_properties
    yield from examined(
        Patient(
            outbox.address,
            of(shared.kafka_bootstrap_servers, config.kafka_properties()),
            creates=shared.topic_shape is not None,
            listening=shared.wakeup == "listen",
        )
    )


def _address() -> Address:
    """Raises BadConfiguration, where it is asked for."""
    return chosen_outbox().address()


def _for_people(one: Finding) -> str:
    verdict = click.style(one.verdict.ljust(5), fg=_COLOURS[one.verdict], bold=True)
    columns = width()
    text = labelled(one.check, printable(one.found), columns and columns - 5, _INDENT - 5)
    lines = (verdict + text).replace("\n", "\n     ")
    if not one.advice:
        return lines
    return f"{lines}\n{labelled('', f'do: {printable(one.advice)}', columns, _INDENT)}"


def _sum(found: list[Finding]) -> str:
    counts = {verdict: sum(one.verdict == verdict for one in found) for verdict in _COLOURS}
    text = f"{counts['OK']} in order, {counts['WARN']} warnings, {counts['FAIL']} failed"
    return f"\n{text}" + (f", {counts['SKIP']} not looked at" if counts["SKIP"] else "")
