"""`make simulate`: as many seeds as wanted over all cores, or one seed once more with its steps."""

from __future__ import annotations

import os
import secrets
import traceback
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor

import click

from tests.simulation.world import simulate

SEEDS_AT_ONCE = 50
NEW_SEEDS_BELOW = 1 << 40


@click.command()
@click.option("--seed", type=int, help="One seed, with its last steps.")
@click.option("--seeds", type=int, default=1_000, show_default=True, help="How many.")
@click.option("--first", type=int, help="The first of them; drawn if not given.")
def main(seed: int | None, seeds: int, first: int | None) -> None:
    """Simulate relays, database, broker and network, and what befalls them."""
    if seed is not None:
        raise SystemExit(_shown(seed))
    begin = secrets.randbelow(NEW_SEEDS_BELOW) if first is None else first
    click.echo(f"seeds {begin} to {begin + seeds - 1}")
    failed = 0
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        for found in pool.map(_failures, *zip(*_batches(begin, seeds), strict=True)):
            for report in found:
                failed += 1
                click.echo(report)
    click.echo(f"{seeds} seeds, {failed} failed")
    raise SystemExit(1 if failed else 0)


def _shown(seed: int) -> int:
    """The exit code."""
    try:
        world = simulate(seed)
    except Exception:  # noqa: BLE001 - whatever ended the world is what was asked for
        click.echo(traceback.format_exc())
        return 1
    click.echo(world.report())
    return 0


def _batches(first: int, seeds: int) -> Iterator[tuple[int, int]]:
    for begin in range(first, first + seeds, SEEDS_AT_ONCE):
        yield begin, min(begin + SEEDS_AT_ONCE, first + seeds)


def _failures(first: int, end: int) -> list[str]:
    return [report for seed in range(first, end) if (report := _failure(seed))]


def _failure(seed: int) -> str:
    try:
        simulate(seed)
    except Exception as problem:  # noqa: BLE001 - reported; the night goes on
        return "".join(traceback.format_exception(problem, limit=-1))
    return ""


if __name__ == "__main__":
    main()
