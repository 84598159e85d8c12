"""Who claims which outbox, and who gives one away."""

from __future__ import annotations

from relay.core.fleet import CLAIM_KEPT_S, Claim, Held, Member


def leading(*outboxes: str) -> Member:
    member = Member("me")
    for outbox in outboxes:
        member = member.leading(outbox)
    return member


def heard(member: Member, now_s: float = 0.0, **leads: int) -> Member:
    for outbox, count in leads.items():
        member = member.heard(outbox, Held(count), now_s)
    return member


def claimed(member: Member, outbox: str, now_s: float = 0.0) -> bool:
    return member.claiming(outbox, now_s).claimed == outbox


def test_an_outbox_is_claimed_whose_leader_leads_two_more() -> None:
    assert claimed(heard(leading("x"), a=3), "a")


def test_none_is_claimed_whose_leader_leads_one_more() -> None:
    assert not claimed(heard(leading("x"), a=2), "a")


def test_where_all_serve_one_outbox_none_is_claimed() -> None:
    assert not claimed(heard(Member("me"), a=1), "a")


def test_one_outbox_is_claimed_at_a_time() -> None:
    member = heard(Member("me"), a=4, b=4)
    first = "a" if claimed(member, "a") else "b"
    second = {"a": "b", "b": "a"}[first]

    assert claimed(member, first)
    assert not claimed(member.claiming(first, 0.0), second)


def test_the_one_of_the_leader_with_the_most_is_claimed() -> None:
    member = heard(Member("me"), a=2, b=3)

    assert not claimed(member, "a")
    assert claimed(member, "b")


def test_a_claim_is_repeated_while_its_leader_is_two_ahead() -> None:
    member = heard(Member("me"), a=2).claiming("a", 0.0)

    assert claimed(heard(member, a=2, now_s=1.0), "a", 1.0)
    assert not claimed(heard(member, a=1, now_s=1.0), "a", 1.0)


def test_another_claim_waits_until_the_first_can_not_be_granted_any_more() -> None:
    member = heard(Member("me"), a=2).claiming("a", 0.0)
    member = heard(member, a=1, b=2, now_s=1.0).claiming("a", 1.0)

    assert not claimed(member, "b", CLAIM_KEPT_S - 0.1)
    assert claimed(member, "b", CLAIM_KEPT_S)


def test_after_a_claim_was_granted_the_next_need_not_wait() -> None:
    member = heard(Member("me"), a=4, b=3).claiming("a", 0.0).leading("a")

    assert claimed(member, "b", 0.1)


def test_an_outbox_of_which_nothing_is_heard_does_not_keep_others_from_being_claimed() -> None:
    member = heard(heard(Member("me"), away=9), a=2, now_s=CLAIM_KEPT_S)

    assert claimed(member, "a", CLAIM_KEPT_S)


def test_claimants_of_one_leader_do_not_all_prefer_the_same_outbox() -> None:
    found = {
        outbox
        for name in map(str, range(20))
        for outbox in "abc"
        if claimed(heard(Member(name), a=3, b=3, c=3), outbox)
    }

    assert found == {"a", "b", "c"}


def test_a_leader_gives_to_a_claimant_that_leads_two_fewer() -> None:
    assert leading("a", "b").gives_to(Claim("c", 0))
    assert not leading("a", "b").gives_to(Claim("c", 1))


def test_the_leader_of_one_gives_it_to_nobody() -> None:
    assert not leading("a").gives_to(Claim("c", 0))


def test_what_was_given_away_counts_no_more() -> None:
    assert not leading("a", "b").ended("a").gives_to(Claim("c", 0))
