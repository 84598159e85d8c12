"""F44, its replays: while events are written, published ones are sent again, by several at once
and by one that is stopped half-way. The stream keeps its order; a replay is told by its mark."""

from __future__ import annotations

import json
import shlex
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

from tests.cli.command import Outcome, relay
from tests.support.history import Ledger, prove, wait_drained
from tests.support.kafka import Broker
from tests.support.processes import StartRelay, environment
from tests.support.wait import until
from tests.support.workload import AWKWARD, Shape, Writer, writing

RELAY = (sys.executable, "-m", "relay.cli.main")
SHAPES = [shape for shape in AWKWARD if not shape.prepared] + [Shape(pause_s=0.02)]


def test_live_order_is_kept_beside_replays_and_verify_agrees(
    broker: Broker, outbox_url: str, ledger: Ledger, relay_process: StartRelay
) -> None:
    def run(*args: str) -> Outcome:
        return relay(*args, database_url=outbox_url, bootstrap_servers=broker.bootstrap_servers)

    def replay(whom: str) -> int:
        outcome = run("replay", "--json", "--topic", ledger.topic, "--for", whom)
        assert outcome.exit_code == 0, outcome.said
        return int(json.loads(outcome.out)["replayed"])

    relay_process(outbox_url, broker.bootstrap_servers)
    with writing(outbox_url, ledger, writers=4, shapes=SHAPES):
        ledger.wait_for(transactions=50)
        with ThreadPoolExecutor() as pool:
            replayed = sum(pool.map(replay, ["billing", "shipping", "*"]))
        ledger.wait_for(transactions=20)
    proof = prove(ledger, outbox_url, broker.bootstrap_servers)
    assert replayed > 0
    assert proof.verdict.replayed == replayed
    verified = run("verify", "--since", "1h", "--json")
    assert verified.exit_code == 0, verified.said
    found = json.loads(verified.out)
    assert (found["events"], found["replayed"]) == (proof.verdict.committed, replayed)


def test_a_replay_that_is_stopped_goes_on_with_the_command_that_it_prints(
    broker: Broker, outbox_url: str, ledger: Ledger, relay_process: StartRelay
) -> None:
    events = 300
    writer = Writer("w", outbox_url, ledger)
    writer.backlog(events)
    writer.close()
    relay_process(outbox_url, broker.bootstrap_servers)
    wait_drained(outbox_url)
    stopped = subprocess.Popen(
        [*RELAY, "replay", "--topic", ledger.topic, "--rate", "50/s"],
        env=environment(outbox_url, broker.bootstrap_servers),
        stdout=subprocess.PIPE,
        text=True,
    )
    until(
        lambda: prove(ledger, outbox_url, broker.bootstrap_servers).verdict.replayed,
        what="a replayed event",
    )
    stopped.send_signal(signal.SIGINT)
    said, _ = stopped.communicate(timeout=30)
    assert stopped.returncode == 75, said
    (command,) = [line for line in said.splitlines() if "relay replay" in line]
    _, *args = shlex.split(command)
    assert "--after" in args
    args[args.index("50/s")] = "100000/s"
    outcome = relay(*args, database_url=outbox_url, bootstrap_servers=broker.bootstrap_servers)
    assert outcome.exit_code == 0, outcome.said
    # What was in flight when it was stopped may come twice; nothing is left out.
    proof = prove(ledger, outbox_url, broker.bootstrap_servers)
    again = {
        dict(one.headers)["ce_id"] for one in proof.records if "ce_replay" in dict(one.headers)
    }
    assert len(again) == events
    assert events <= proof.verdict.replayed <= events + 5
