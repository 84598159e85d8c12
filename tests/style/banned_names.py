"""Names that may be used in their own place only, each with what to use instead.

Names are resolved through the file's imports, so `from time import sleep as rest` hides nothing.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from tests.style.rules import Problems, Rule, Source, each_python


@dataclass(frozen=True)
class Banned:
    """`name` and all below it. `allowed` maps a path's beginning to the reason why."""

    name: str
    instead: str
    allowed: Mapping[str, str] = field(default_factory=dict)


_CLOCK = {"relay/daemon/clock.py": "the one clock"}
_CHILDREN = {
    "tests/": "chooses services, and hands its environment to the processes that it starts",
    "relay/demo/": "hands its environment to the processes that it starts",
    "relay/bench/": "hands its environment to the processes that it starts",
}
_SEEDED = {
    "tests/": "a seeded dice",
    "relay/demo/": "a seeded dice: the work of the run runner",
    "relay/bench/": "a seeded dice: payloads",
    "coordinator/testing/": "a seeded dice: the schedules of a check",
}
_READERS = {
    "relay/config.py": "the relay's one reader",
    "coordinator/runs/factory.py": "the coordinator's one reader",
}
# All of them draw from one hidden state: nobody can replay what they did.
_MODULE_LEVEL_CHANCE = (
    *("choice", "choices", "gauss", "randbytes", "randint", "random", "randrange", "sample"),
    *("seed", "shuffle", "triangular", "uniform", "SystemRandom"),
)

BANNED = (
    Banned("time.time", "the database's now(), or time.monotonic for a span", _CLOCK),
    Banned(
        "time.sleep",
        "wait for a condition: Event.wait, or tests.support.wait.until",
        {**_CLOCK, "tests/support/wait.py": "the one wait of the tests"},
    ),
    Banned("random.Random", "chance comes in as an argument", _SEEDED),
    *(
        Banned(f"random.{name}", "a seeded random.Random that comes in as an argument")
        for name in _MODULE_LEVEL_CHANCE
    ),
    *(
        Banned(f"datetime.datetime.{name}", "the database's now()")
        for name in ("now", "utcnow", "today")
    ),
    Banned("datetime.date.today", "the database's now()"),
    *(
        Banned(name, "relay.config, which alone reads the environment", _READERS | _CHILDREN)
        for name in ("os.environ", "os.environb", "os.getenv", "os.putenv")
    ),
    Banned(
        "print",
        "structlog in the relay, click.echo on the command line, rich in the demo",
        {"relay/demo/mock_broker.py": "its standard output is the protocol with its parent"},
    ),
    Banned("unittest.mock", "the real service from tests/support, or a fake of the port"),
    Banned("asyncio.get_event_loop", "asyncio.run"),
    Banned("pickle", "JSON: a pickle runs code when it is read"),
)


def _imports(tree: ast.Module) -> dict[str, str]:
    """Which full name each imported name stands for."""
    names: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for one in node.names:
                top = one.name.split(".")[0]
                names[one.asname or top] = one.name if one.asname else top
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for one in node.names:
                names[one.asname or one.name] = f"{node.module}.{one.name}"
    return names


def _dotted(node: ast.expr) -> str | None:
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute) and (inner := _dotted(node.value)):
        return f"{inner}.{node.attr}"
    return None


def _used_names(tree: ast.Module) -> Iterator[tuple[int, str]]:
    names = _imports(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Name | ast.Attribute) and (dotted := _dotted(node)):
            first, _, rest = dotted.partition(".")
            full = names.get(first, first)
            yield node.lineno, f"{full}.{rest}" if rest else full
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for one in node.names:
                yield node.lineno, f"{node.module}.{one.name}"
        elif isinstance(node, ast.Import):
            for one in node.names:
                yield node.lineno, one.name


def _banned_here(banned: Banned, source: Source) -> Problems:
    if source.path.startswith(tuple(banned.allowed)):
        return
    lines = {
        line
        for line, name in _used_names(source.tree)
        if name == banned.name or name.startswith(f"{banned.name}.")
    }
    for line in sorted(lines):
        yield line, f"{banned.name} is banned here; use {banned.instead}"


def _use_of(name: str) -> str:
    module, _, attribute = name.rpartition(".")
    if not module:
        return f"{name}()\n"
    top, _, inner = module.partition(".")
    if inner and inner == "datetime":
        return f"from {top} import {inner} as dt\n\nx = dt.{attribute}\n"
    return f"from {module} import {attribute} as alias\n\nx = alias\n"


def _rule(banned: Banned) -> Rule:
    def find(source: Source) -> Problems:
        return _banned_here(banned, source)

    return Rule(
        f"{banned.name} is used in its own place only",
        each_python(find),
        planted=[{"relay/daemon/planted.py": _use_of(banned.name)}],
        spared={
            "relay/daemon/spared.py": f'"""Not {banned.name}."""\n\nx = own.{banned.name}\n',
            **{
                path if path.endswith(".py") else f"{path}some.py": _use_of(banned.name)
                for path in banned.allowed
            },
        },
    )


BANNED_NAME_RULES = tuple(_rule(banned) for banned in BANNED)
