"""The checker judges handmade histories: a clean one passes, each invariant has its violator.

Every event is on topic "runs" with 4 partitions; key "a" belongs into partition 0 and key "d" into
partition 1, as the first test says.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from relay.core.checker import (
    History,
    Meant,
    Outcome,
    Seen,
    Verdict,
    Violation,
    check,
    payload_hash,
    seen_record,
)
from relay.core.murmur2 import java_partition

TOPIC = "runs"
PARTITIONS = {TOPIC: 4}
PARTITION_OF = {"a": 0, "d": 1}


def meant(
    event_id: str,
    key: str | None,
    n: int,
    outcome: Outcome = Outcome.COMMITTED,
    *,
    in_database: bool = False,
) -> Meant:
    headers = {"tenant": "t1"}
    value = payload_hash(event_id.encode())
    return Meant("w1", key, n, event_id, TOPIC, value, headers, outcome, in_database)


def seen(event_id: str, key: str | None, offset: int, partition: int | None = None) -> Seen:
    if partition is None:
        partition = 0 if key is None else PARTITION_OF[key]
    headers = {"ce_id": event_id, "ce_sequence": "1", "ce_outboxepoch": "e1", "tenant": "t1"}
    value = payload_hash(event_id.encode())
    return Seen(TOPIC, partition, offset, key, event_id, value, headers)


def judge(
    events: list[Meant],
    log: list[Seen],
    parked: frozenset[str] = frozenset(),
    *,
    max_duplicates: int | None = None,
    transactional: bool = False,
) -> Verdict:
    history = History(events, log, parked)
    return check(
        history, partitions=PARTITIONS, max_duplicates=max_duplicates, transactional=transactional
    )


def only(verdict: Verdict) -> Violation:
    assert len(verdict.violations) == 1, verdict.report()
    return verdict.violations[0]


def of(verdict: Verdict, invariant: str) -> Violation:
    found = [one for one in verdict.violations if one.invariant == invariant]
    assert len(found) == 1, verdict.report()
    return found[0]


THREE = [meant("a1", "a", 1), meant("b1", "d", 1), meant("a2", "a", 2)]
THREE_SEEN = [seen("a1", "a", 0), seen("a2", "a", 1), seen("b1", "d", 0)]


def test_the_keys_of_these_tests_are_where_the_java_client_puts_them() -> None:
    assert {key: java_partition(key.encode(), 4) for key in PARTITION_OF} == PARTITION_OF


def test_a_clean_history_passes_and_is_counted() -> None:
    verdict = judge(THREE, THREE_SEEN, max_duplicates=0, transactional=True)

    assert verdict.ok, verdict.report()
    assert (verdict.committed, verdict.published_unique, verdict.duplicates) == (3, 3, 0)


def test_i1_a_committed_event_that_is_nowhere_is_lost() -> None:
    verdict = judge(THREE, THREE_SEEN[:1] + THREE_SEEN[2:])

    found = only(verdict)
    assert (found.invariant, found.event_id, found.key) == ("I1", "a2", "a")
    assert (found.partition, found.offsets) == (0, (0,))
    assert "not in partition 0, read to offset 0" in found.sentence
    assert verdict.lost == 1


def test_i1_a_lost_event_without_a_key_is_found() -> None:
    found = only(judge([meant("x", None, 1)], []))

    assert (found.invariant, found.event_id) == ("I1", "x")


def test_i1_a_parked_event_is_not_lost() -> None:
    assert judge(THREE, THREE_SEEN[:1] + THREE_SEEN[2:], frozenset({"a2"})).ok


def test_i1_an_unknown_commit_whose_row_is_there_must_be_published() -> None:
    unknown = meant("a1", "a", 1, Outcome.UNKNOWN, in_database=True)

    assert judge([unknown], [seen("a1", "a", 0)]).ok
    assert only(judge([unknown], [])).invariant == "I1"


def test_i1_an_unknown_commit_whose_row_is_not_there_must_not_be_published() -> None:
    unknown = meant("a1", "a", 1, Outcome.UNKNOWN, in_database=False)

    verdict = judge([unknown], [seen("a1", "a", 7)])

    found = only(verdict)
    assert (found.invariant, found.event_id, found.offsets) == ("I1", "a1", (7,))
    assert verdict.phantoms == 1
    assert judge([unknown], []).ok


def test_i2_an_event_of_a_rolled_back_transaction_is_a_phantom() -> None:
    events = [*THREE, meant("a3", "a", 3, Outcome.ROLLED_BACK)]

    verdict = judge(events, [*THREE_SEEN[:2], seen("a3", "a", 5), THREE_SEEN[2]])

    found = only(verdict)
    assert (found.invariant, found.event_id, found.key) == ("I2", "a3", "a")
    assert (found.partition, found.offsets) == (0, (5,))
    assert "writer w1 rolled it back" in found.sentence
    assert verdict.phantoms == 1


def test_i2_an_event_that_nobody_wrote_is_a_phantom_once() -> None:
    verdict = judge(THREE, [*THREE_SEEN, seen("??", "d", 1), seen("??", "d", 2)])

    assert "nobody meant to write it" in only(verdict).sentence
    assert verdict.phantoms == 1


def test_i2_a_parked_event_that_was_rolled_back_is_a_phantom() -> None:
    rolled_back = meant("a1", "a", 1, Outcome.ROLLED_BACK)

    assert only(judge([rolled_back], [], frozenset({"a1"}))).invariant == "I2"


def test_a_retry_under_the_same_id_after_a_rollback_is_no_phantom() -> None:
    events = [meant("a1", "a", 1, Outcome.ROLLED_BACK), meant("a1", "a", 1)]

    assert judge(events, [seen("a1", "a", 0)]).ok


def test_i3_first_appearances_against_commit_order_are_found() -> None:
    verdict = judge(THREE, [seen("a2", "a", 4), seen("a1", "a", 9), seen("b1", "d", 0)])

    found = of(verdict, "I3")
    assert (found.event_id, found.key, found.partition) == ("a1", "a", 0)
    assert found.offsets == (4, 9)
    assert "n=1) comes after n=2" in found.sentence
    assert verdict.out_of_order == 1


def test_i3_a_gap_inside_a_key_is_found_where_it_is_jumped() -> None:
    events = [meant(f"a{n}", "a", n) for n in (1, 2, 3)]

    verdict = judge(events, [seen("a1", "a", 0), seen("a3", "a", 1)])

    found = of(verdict, "I3")
    assert (found.event_id, found.key, found.offsets) == ("a2", "a", (1,))
    assert of(verdict, "I1").event_id == "a2"


def test_i3_a_gap_where_an_event_is_parked_is_none() -> None:
    events = [meant(f"a{n}", "a", n) for n in (1, 2, 3)]

    assert judge(events, [seen("a1", "a", 0), seen("a3", "a", 1)], frozenset({"a2"})).ok


def test_i3_a_parked_event_that_is_released_after_newer_ones_is_out_of_order() -> None:
    events = [meant(f"a{n}", "a", n) for n in (1, 2, 3)]
    log = [seen("a1", "a", 0), seen("a3", "a", 1), seen("a2", "a", 2)]

    assert of(judge(events, log), "I3").offsets == (1, 2)


def test_i4_a_stale_repeat_is_allowed_in_default_mode_only() -> None:
    log = [seen("a1", "a", 0), seen("a2", "a", 1), seen("a1", "a", 2), seen("b1", "d", 0)]

    assert judge(THREE, log).ok
    verdict = judge(THREE, log, transactional=True)
    found = of(verdict, "I4")
    assert (found.event_id, found.key, found.partition) == ("a1", "a", 0)
    assert found.offsets == (1, 2)
    assert verdict.stale_after_new == 1


def test_i4_a_stale_event_that_was_never_seen_before_is_found_in_default_mode() -> None:
    verdict = judge(THREE, [seen("a2", "a", 0), seen("a1", "a", 1), seen("b1", "d", 0)])

    assert of(verdict, "I4").offsets == (0, 1)


def test_i5_duplicates_beyond_the_limit_are_found() -> None:
    log = [*THREE_SEEN[:2], seen("a1", "a", 2), seen("a2", "a", 3), THREE_SEEN[2]]

    assert judge(THREE, log, max_duplicates=2).ok
    verdict = judge(THREE, log, max_duplicates=1)
    found = only(verdict)
    assert (found.invariant, found.event_id, found.key) == ("I5", "a2", "a")
    assert found.offsets == (1, 3)
    assert verdict.duplicates == 2


def test_i5_transactional_mode_allows_no_duplicate() -> None:
    log = [*THREE_SEEN, seen("b1", "d", 1)]

    assert only(judge(THREE, log, transactional=True)).invariant == "I5"


def test_i5_a_repeat_in_another_partition_is_split() -> None:
    unkeyed = [meant("x", None, 1)]

    verdict = judge(unkeyed, [seen("x", None, 3), seen("x", None, 8, partition=2)])

    found = only(verdict)
    assert (found.invariant, found.event_id, found.partition) == ("I5", "x", 2)
    assert found.offsets == (3, 8)
    assert verdict.split == 1


def test_i5_a_repeat_with_another_place_is_another_record() -> None:
    moved = seen("b1", "d", 1)
    moved = moved._replace(headers={**moved.headers, "ce_sequence": "2"})

    verdict = judge(THREE, [*THREE_SEEN, moved])

    found = only(verdict)
    assert (found.invariant, found.event_id, found.offsets) == ("I5", "b1", (0, 1))
    assert verdict.wrong_bytes == 1


def test_i5_a_repeat_in_a_new_epoch_may_have_another_place() -> None:
    moved = seen("b1", "d", 1)
    moved = moved._replace(headers={**moved.headers, "ce_sequence": "2", "ce_outboxepoch": "e2"})

    assert judge(THREE, [*THREE_SEEN, moved]).ok


SPOILED: dict[str, Callable[[Seen], Seen]] = {
    "value": lambda one: one._replace(value_hash=payload_hash(b"other")),
    "tombstone": lambda one: one._replace(value_hash=None),
    "key": lambda one: one._replace(key="c"),
    "null key": lambda one: one._replace(key=None),
    "header": lambda one: one._replace(headers={**one.headers, "tenant": "t2"}),
    "no header": lambda one: one._replace(headers={"ce_id": "a1"}),
    "header of nobody": lambda one: one._replace(headers={**one.headers, "x": ""}),
    "topic": lambda one: one._replace(topic="other"),
}


@pytest.mark.parametrize("part", SPOILED)
def test_i6_a_record_that_differs_from_what_was_written_is_found(part: str) -> None:
    verdict = judge([THREE[0]], [SPOILED[part](seen("a1", "a", 6))])

    found = only(verdict)
    assert (found.invariant, found.event_id, found.partition) == ("I6", "a1", 0)
    assert found.offsets == (6,)
    assert verdict.wrong_bytes == 1


def test_i6_a_violation_quotes_neither_payload_nor_header_value() -> None:
    spoiled = SPOILED["header"](seen("a1", "a", 0))

    assert "t2" not in judge([THREE[0]], [spoiled]).report()


def test_i6_a_tombstone_is_not_an_empty_payload() -> None:
    empty = THREE[0]._replace(payload_hash=payload_hash(b""))

    assert (
        judge([empty], [seen("a1", "a", 0)._replace(value_hash=payload_hash(None))]).wrong_bytes
        == 1
    )


def test_i7_a_key_outside_the_java_clients_partition_is_found() -> None:
    verdict = judge([THREE[0]], [seen("a1", "a", 5, partition=2)])

    found = only(verdict)
    assert (found.invariant, found.event_id, found.key) == ("I7", "a1", "a")
    assert (found.partition, found.offsets) == (2, (5,))
    assert "partition 0" in found.sentence
    assert verdict.wrong_partition == 1


def test_i7_a_null_key_may_be_anywhere_and_an_empty_key_may_not() -> None:
    empty_at = java_partition(b"", 4)

    def partition_violations(key: str | None, partition: int) -> int:
        record = seen("x", None, 0, partition)._replace(key=key)
        return judge([meant("x", key, 1)], [record]).wrong_partition

    assert [partition_violations(None, partition) for partition in range(4)] == [0, 0, 0, 0]
    expected = [int(partition != empty_at) for partition in range(4)]
    assert [partition_violations("", partition) for partition in range(4)] == expected


def test_all_violations_are_counted_and_the_first_hundred_kept() -> None:
    verdict = judge([meant(f"a{n}", "a", n) for n in range(250)], [])

    assert verdict.lost == 250
    assert [one.event_id for one in verdict.violations] == [f"a{n}" for n in range(100)]


def test_a_log_that_is_not_in_offset_order_is_refused() -> None:
    with pytest.raises(ValueError, match=r"runs\[0\]@1 came after offset 1"):
        judge(THREE, [seen("a1", "a", 1), seen("a2", "a", 1)])


def test_events_that_are_not_in_commit_order_are_refused() -> None:
    with pytest.raises(ValueError, match="n=3 after n=1"):
        judge([meant("a1", "a", 1), meant("a3", "a", 3)], [])


def test_two_committed_events_under_one_id_are_refused() -> None:
    with pytest.raises(ValueError, match="committed twice"):
        judge([meant("a1", "a", 1), meant("a1", "a", 2)], [])


def test_a_topic_without_a_number_of_partitions_is_refused() -> None:
    with pytest.raises(ValueError, match="'runs' was not given"):
        check(History([THREE[0]], []), partitions={})


def test_a_raw_record_that_is_as_written_equals_it() -> None:
    headers = [("ce_id", b"a1"), ("tenant", b"t1")]
    record = seen_record(topic=TOPIC, partition=0, offset=0, key=b"a", value=b"a1", headers=headers)

    assert judge([THREE[0]], [record]).ok


@pytest.mark.parametrize("extra", [("tenant", b"t1"), ("tenant", None), ("more", None)])
def test_a_raw_header_that_comes_twice_or_is_null_is_found(extra: tuple[str, bytes | None]) -> None:
    headers = [("ce_id", b"a1"), ("tenant", b"t1"), extra]
    record = seen_record(topic=TOPIC, partition=0, offset=0, key=b"a", value=b"a1", headers=headers)

    assert judge([THREE[0]], [record]).wrong_bytes == 1


def test_a_raw_header_without_a_value_is_not_an_empty_one() -> None:
    empty = THREE[0]._replace(headers={"tenant": ""})
    headers = [("ce_id", b"a1"), ("tenant", None)]
    record = seen_record(topic=TOPIC, partition=0, offset=0, key=b"a", value=b"a1", headers=headers)

    assert judge([empty], [record]).wrong_bytes == 1


def replayed(event_id: str, key: str | None, offset: int) -> Seen:
    one = seen(event_id, key, offset)
    return one._replace(headers={**one.headers, "ce_replay": "*"})


def test_a_replay_counts_as_no_repeat_and_not_as_out_of_order() -> None:
    events = [meant("a1", "a", 1), meant("a2", "a", 2)]
    log = [seen("a1", "a", 0), replayed("a1", "a", 1), seen("a2", "a", 2), replayed("a1", "a", 3)]
    verdict = judge(events, log, max_duplicates=0)
    assert verdict.ok, verdict.report()
    assert (verdict.replayed, verdict.duplicates) == (2, 0)


def test_i13_a_replay_of_what_was_not_published_yet() -> None:
    found = only(judge([meant("a1", "a", 1)], [replayed("a1", "a", 0), seen("a1", "a", 1)]))
    assert (found.invariant, found.event_id) == ("I13", "a1")


def test_a_replay_alone_does_not_save_an_event_from_being_lost() -> None:
    verdict = judge([meant("a1", "a", 1)], [replayed("a1", "a", 0)])
    assert (verdict.lost, verdict.replayed_early) == (1, 1)


def test_a_replay_has_the_bytes_and_the_partition_of_before() -> None:
    events = [meant("a1", "a", 1)]
    changed = replayed("a1", "a", 1)._replace(value_hash=payload_hash(b"changed"))
    assert only(judge(events, [seen("a1", "a", 0), changed])).invariant == "I6"
    moved = replayed("a1", "a", 1)._replace(partition=1)
    assert only(judge(events, [seen("a1", "a", 0), moved])).invariant == "I7"


def test_a_replay_into_another_topic_is_in_no_wrong_partition() -> None:
    elsewhere = replayed("a1", "a", 0)._replace(topic="again", partition=3)
    assert judge([meant("a1", "a", 1)], [seen("a1", "a", 0), elsewhere]).ok
