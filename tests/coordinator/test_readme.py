"""The README's chapter on transactions of one's own, executed as it stands."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

import coordinator
from tests.coordinator.orders import done, statuses

README = Path(coordinator.__file__).parents[1] / "README.md"


class Cards:
    """Charges cards: an effect outside the database."""

    def __init__(self) -> None:
        self.charged: list[str] = []

    def charge(self, amount: str) -> str:
        self.charged.append(amount)
        return f"charge-{len(self.charged)}"

    def refund(self, charge_id: str) -> None:
        raise AssertionError(f"{charge_id} is refunded without need")


def examples(chapter: str) -> list[str]:
    text_of_chapter = README.read_text(encoding="utf-8").partition(f"### {chapter}\n")[2]
    return re.findall(r"```python\n(.*?)```", re.split(r"\n##+ ", text_of_chapter)[0], re.DOTALL)


def test_the_examples_of_any_other_transaction_run_and_may_be_run_again(orders: Engine) -> None:
    cards = Cards()
    for replayed in (False, True):
        names: dict[str, Any] = {
            "engine": orders,
            "cards": cards,
            "text": text,
            "Session": Session,
        }
        run, join = examples("Any other transaction")
        exec(run, names)
        assert names["outcome"].value == {"paid": "9.50"}
        assert names["outcome"].replayed is replayed
        exec(join, names)
        assert names["tx"].replayed is replayed
    assert cards.charged == ["9.50"]
    assert statuses(orders) == {7: "shipped"}
    assert done(orders) == {"transaction_claims": 2, "transaction_records": 2, "event": 2}
