"""The policy file of docs/custody-policy.md: which rule decides what, and what is no policy."""

import contextlib
import re
from hashlib import sha256
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from m1cep.custody.policy import Approval, ChangeApproval, Facts, Verdict, change_policy, decide, parse_policy, settle
from m1cep.custody.policy.events import (
    AlertClosed,
    AlertRaised,
    AlertReopened,
    Credential,
    CredentialChanged,
    DestinationListed,
    Held,
    HoldAction,
    Lifted,
    LockReturned,
    LockStands,
    Severity,
    Spending,
    Spent,
    VaultBalance,
    parse_fact,
)
from m1cep.custody.policy.records import of_account, of_action, of_alert
from m1cep.custody.request import Kind, Lock, Request
from m1cep.errors import CustodyError, PolicyError

PAGE = Path(__file__).parents[4] / "docs/custody-policy.md"
TEXT = re.search(r"^```yaml\n(.*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE)[1]
POLICY = parse_policy(TEXT)
KEYS = POLICY.people
HOUR, DAY = 3_600_000, 86_400_000
NOW = 100 * DAY


def request(**changes):
    plain = {
        "id": "w-1",
        "kind": Kind.TRANSFER,
        "requester": "dora",
        "account": "acme",
        "vault": "v1",
        "chain": "bitcoin",
        "asset": "BTC",
        "destination": "bcrt1q",
        "amount": "10000000",
        "requested_ms": NOW - 1_000,
        "expires_ms": NOW + HOUR,
    }
    return Request(**{**plain, **changes})


def listed(since=NOW - 2 * DAY, *, event_id="e1", on=True):
    return DestinationListed(event_id, "acme", "bitcoin", "bcrt1q", on, since)


def balance(units="1000000000", time_ms=NOW - HOUR):
    return VaultBalance("v1", "bitcoin", "BTC", units, time_ms)


def alert(severity=Severity.CRITICAL, alert_id="a1", account="acme"):
    return AlertRaised(alert_id, "account-takeover", severity, account, NOW - HOUR)


def hold(action=HoldAction.FREEZE, alert_id="a1"):
    return Held("h1", action, "acme", NOW - HOUR, alert_id)


def spent(request_id, amount, spent_=Spent.RELEASED, time_ms=NOW - HOUR, account="acme"):
    return Spending(request_id, account, "v1", "bitcoin", "BTC", str(amount), spent_, time_ms)


def facts(*events):
    known = Facts()
    for event in events:
        known.apply(event)
    return known


GOOD = (listed(), balance())
LOCK = Lock("v9", "solana", "SOL", "5")
STANDS = LockStands("w-1", "v9", "solana", "SOL", "5", NOW - 10)
CROSS = {"kind": Kind.CROSS_CHAIN, "lock": LOCK}
TIMED = {"kind": Kind.TIME_LOCK, "not_before_ms": NOW}
LATER = {"kind": Kind.TIME_LOCK, "not_before_ms": NOW + 1}
ESCROW = {"kind": Kind.ESCROW, "not_before_ms": NOW}
BIG = 500_000_000

TABLE = [
    # what is asked for, what is known, the verdict and what decides
    ({}, GOOD, "allow", "small"),
    ({"amount": "10000001"}, GOOD, "approve", "large"),
    ({"amount": str(BIG)}, GOOD, "approve", "large"),
    ({"amount": str(BIG + 1)}, GOOD, "approve", "over-the-day"),
    ({"chain": "solana"}, (*GOOD, DestinationListed("e", "acme", "solana", "bcrt1q", True, 1)), "reject", "rest"),
    ({"asset": "XBT"}, GOOD, "reject", "rest"),
    # the destination
    ({}, (balance(),), "reject", "unknown-destination"),
    ({}, (balance(), listed(NOW - DAY + 1)), "reject", "unknown-destination"),
    ({}, (balance(), listed(NOW - DAY)), "allow", "small"),
    ({}, (*GOOD, listed(NOW - 5, event_id="e2")), "reject", "unknown-destination"),
    ({}, (*GOOD, listed(NOW - 5, event_id="e2", on=False)), "reject", "unknown-destination"),
    ({"destination": "bcrt1p"}, GOOD, "reject", "unknown-destination"),
    ({"account": "other"}, GOOD, "reject", "unknown-destination"),
    # password and second factor
    ({}, (*GOOD, CredentialChanged("c", "acme", Credential.PASSWORD, NOW - DAY + 1)), "reject", "cooling-off"),
    ({}, (*GOOD, CredentialChanged("c", "acme", Credential.SECOND_FACTOR, NOW - 1)), "reject", "cooling-off"),
    ({}, (*GOOD, CredentialChanged("c", "acme", Credential.PASSWORD, NOW - DAY)), "allow", "small"),
    ({}, (*GOOD, CredentialChanged("c", "other", Credential.PASSWORD, NOW - 1)), "allow", "small"),
    # velocity: five in an hour, the sixth is one too many
    ({}, (*GOOD, *[spent(f"o{n}", 1, time_ms=NOW - 5) for n in range(4)]), "allow", "small"),
    ({}, (*GOOD, *[spent(f"o{n}", 1, time_ms=NOW - 5) for n in range(5)]), "reject", "too-often"),
    ({}, (*GOOD, *[spent(f"o{n}", 1, time_ms=NOW - HOUR) for n in range(5)]), "allow", "small"),
    ({}, (*GOOD, *[spent(f"o{n}", 1, time_ms=NOW - 5, account="b") for n in range(5)]), "allow", "small"),
    # the sum of a day, of the vault, with what is only reserved and without what came back
    ({}, (*GOOD, spent("o", BIG - 10_000_000)), "allow", "small"),
    ({}, (*GOOD, spent("o", BIG - 9_999_999)), "approve", "over-the-day"),
    ({}, (*GOOD, spent("o", BIG - 9_999_999, account="b")), "approve", "over-the-day"),
    ({}, (*GOOD, spent("o", BIG - 9_999_999, Spent.RESERVED, NOW - 9 * DAY)), "approve", "over-the-day"),
    ({}, (*GOOD, spent("o", BIG - 9_999_999, Spent.RETURNED)), "allow", "small"),
    ({}, (*GOOD, spent("o", BIG - 9_999_999, time_ms=NOW - DAY)), "allow", "small"),
    ({}, (*GOOD, spent("w-1", BIG, Spent.RESERVED)), "allow", "small"),  # its own
    # alerts and holds
    ({}, (*GOOD, alert()), "reject", "alert"),
    ({}, (*GOOD, alert(), AlertClosed("a1", "bob", NOW)), "allow", "small"),
    ({}, (*GOOD, alert(), AlertClosed("a1", "bob", NOW), AlertReopened("a1", NOW)), "reject", "alert"),
    ({}, (*GOOD, alert(), AlertReopened("a1", NOW), AlertClosed("a1", "bob", NOW + 1)), "allow", "small"),
    ({}, (*GOOD, hold(), Lifted("h1", "bob", NOW), AlertReopened("h1", NOW + 1)), "reject", "hold"),
    ({}, (*GOOD, alert(Severity.HIGH)), "approve", "watched"),
    ({}, (*GOOD, alert(Severity.MEDIUM)), "approve", "watched"),
    ({}, (*GOOD, alert(Severity.LOW)), "allow", "small"),
    ({}, (*GOOD, alert(account="other")), "allow", "small"),
    ({}, (*GOOD, hold()), "reject", "hold"),
    ({}, (*GOOD, hold(HoldAction.HOLD)), "reject", "hold"),
    ({}, (*GOOD, hold(), Lifted("h1", "bob", NOW)), "allow", "small"),
    # time
    ({"expires_ms": NOW}, GOOD, "reject", "expired"),
    ({"expires_ms": NOW + 1}, GOOD, "allow", "small"),
    ({"requested_ms": NOW + 60_001}, GOOD, "wait", "not-yet"),
    (TIMED, GOOD, "allow", "small"),
    (LATER, GOOD, "wait", "not-yet"),
    (LATER, (), "reject", "unknown-destination"),  # does not wait for what cannot be
    # escrow: any open alert holds it up, none rejects it
    (ESCROW, GOOD, "allow", "small"),
    (ESCROW, (*GOOD, alert()), "wait", "alert"),
    (ESCROW, (*GOOD, alert(Severity.INFO)), "wait", "alert"),
    (ESCROW, (*GOOD, hold()), "wait", "hold"),
    # the vault
    ({}, (listed(),), "wait", "solvency"),
    ({}, (listed(), balance("9999999")), "reject", "solvency"),
    ({}, (listed(), balance("10000000")), "allow", "small"),
    ({}, (listed(), balance("10000000"), spent("o", 1, Spent.RESERVED)), "reject", "solvency"),
    ({}, (listed(), balance("10000000"), spent("o", 1, time_ms=NOW - 5)), "reject", "solvency"),
    ({}, (listed(), balance("10000000"), spent("o", 1, time_ms=NOW - 2 * HOUR)), "allow", "small"),  # in the balance
    # across chains
    (CROSS, GOOD, "wait", "lock"),
    (CROSS, (*GOOD, STANDS), "allow", "small"),
    (CROSS, (*GOOD, STANDS, LockReturned("w-1", NOW)), "reject", "lock"),
    (CROSS, (*GOOD, msgspec.structs.replace(STANDS, amount="4")), "reject", "lock"),
]


@pytest.mark.parametrize(("asked", "known", "verdict", "by"), TABLE)
def test_what_decides(asked, known, verdict, by):
    decision = decide(POLICY, request(**asked), facts(*known), NOW)
    assert (decision.verdict.value, decision.rule) == (verdict, by)
    assert decision.policy == sha256(TEXT.encode()).hexdigest()


def test_every_rule_and_guard_is_in_the_table():
    assert {by for *_, by in TABLE} == {rule.name for rule in POLICY.rules} | {
        "expired", "not-yet", "hold", "alert", "lock", "solvency"
    }  # fmt: skip


@pytest.mark.parametrize("known", [alert(alert_id="alert-77"), hold(alert_id="alert-77")])
def test_a_refusal_because_of_an_alert_names_it(known):
    decision = decide(POLICY, request(), facts(*GOOD, known), NOW)
    assert "alert-77" in decision.reason
    assert decision.alerts == ("alert-77",)


def test_a_file_can_be_stricter_about_alerts():
    strict = parse_policy(TEXT.replace("refuse_alerts: critical", "refuse_alerts: low"))
    assert decide(strict, request(), facts(*GOOD, alert(Severity.LOW)), NOW).rule == "alert"


def test_who_asks_can_matter():
    policy = parse_policy(
        TEXT.replace("{open_alert: medium}", "{requester_in: officers, kinds: [transfer], vaults: [v1]}")
    )
    assert decide(policy, request(requester="alice"), facts(*GOOD), NOW).rule == "watched"
    assert decide(policy, request(), facts(*GOOD), NOW).rule == "small"


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        ("accounts: [acme, b]", True),
        ("accounts: [b]", False),
        ("vaults: [v1]", True),
        ("vaults: [v2]", False),
        ("chains: [solana, bitcoin]", True),
        ("chains: [solana]", False),
        ("kinds: [escrow, transfer]", True),
        ("kinds: [escrow]", False),
        ("asset: bitcoin/BTC, amount_above: 9_999_999", True),
        ("asset: bitcoin/BTC, amount_above: 10_000_000", False),
        ("older_than: 0.999 s", True),
        ("older_than: 1 s", False),
        ("accounts: [acme], vaults: [v2]", False),  # all of them must hold
    ],
)
def test_each_condition_alone(condition, holds):
    policy = parse_policy(TEXT.replace("{open_alert: medium}", "{" + condition + "}"))
    assert (decide(policy, request(), facts(*GOOD), NOW).rule == "watched") is holds


# -- facts


EVENTS = [
    *GOOD, alert(), alert(Severity.HIGH), AlertClosed("a1", "bob", NOW), alert(alert_id="a2"), hold(), Lifted("h1", "bob", NOW),
    listed(NOW - 5, on=False), listed(NOW - 5, event_id="e3"), spent("o", 7, Spent.RESERVED), spent("o", 7, Spent.RETURNED),
    spent("o", 7), spent("p", 7, Spent.RESERVED, NOW), CredentialChanged("c", "acme", Credential.PASSWORD, 7),
    CredentialChanged("d", "acme", Credential.PASSWORD, 9), balance("5"), balance("6"), STANDS, LockReturned("w-1", NOW),
    LockReturned("w-1", NOW - 9), hold(HoldAction.HOLD), AlertReopened("a2", NOW - 3), AlertClosed("a2", "bob", NOW - 4),
    AlertReopened("h1", NOW - 1), AlertReopened("a1", NOW - 7),
]  # fmt: skip


@given(st.permutations(EVENTS), st.lists(st.sampled_from(EVENTS)), st.integers(0, len(EVENTS)))
def test_order_and_duplicates_of_events_do_not_matter(order, again, cut):
    known = facts(*order[:cut])
    known = Facts.restore(msgspec.json.decode(msgspec.json.encode(known.snapshot())))
    for event in [*order[cut:], *again]:
        known.apply(event)
    assert _sorted(known) == _sorted(facts(*EVENTS))


def _sorted(known):
    stands = [known.open_alerts("acme", Severity.INFO), known.holds("acme"), known.count_open_alerts()]
    kept = known.snapshot()
    for one in ("a1", "a2", "h1"):  # nor does it matter what they are once they are all reopened
        known.apply(AlertReopened(one, NOW + DAY))
    stands += [known.open_alerts("acme", Severity.INFO), known.holds("acme")]
    del kept["state"]["standing"]["alerts"], kept["state"]["standing"]["holds"]  # in the order in which they came
    return msgspec.json.encode([kept, stands], order="deterministic")


def test_what_is_forgotten_cannot_make_a_vault_poorer_or_a_limit_looser():
    known = facts(*GOOD, spent("old", 5, time_ms=NOW - 9 * DAY), spent("kept", 5, Spent.RESERVED, NOW - 9 * DAY))
    known.forget(NOW - 2 * DAY)
    known.apply(spent("old", 5, Spent.RESERVED, NOW - 9 * DAY))  # told again
    assert list(known.spent(request(), NOW - DAY, of_account=True)) == [5]
    assert known.spending("kept")


def test_an_alert_that_was_closed_is_forgotten_in_time_and_opens_again_when_it_is_told_again():
    known = facts(alert(), AlertClosed("a1", "bob", NOW - DAY))
    known.forget(NOW - DAY)
    known.apply(alert())
    assert known.open_alerts("acme", Severity.INFO) == []
    known.forget(NOW - DAY + 1)
    known.apply(alert())
    assert known.open_alerts("acme", Severity.INFO) == [alert()]


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("close_alerts: {group: officers, count: 9}", "only 3 people"),
        ("close_alerts: {group: officers, count: 0}", "at least 1"),
        ("close_alerts: {group: nobody, count: 1}", "no group"),
        ("close_alerts: officers", "close_alerts"),
    ],
)
def test_who_closes_alerts_is_a_group_that_can(line, says):
    text = re.sub(r"^close_alerts:.*$", line, TEXT, flags=re.MULTILINE)
    with pytest.raises(PolicyError, match=says):
        parse_policy(text)
    assert parse_policy(re.sub(r"^close_alerts:.*$", "", TEXT, flags=re.MULTILINE)).close_alerts is None


def test_an_old_closing_that_is_said_again_does_not_end_what_was_reopened_long_ago():
    known = facts(alert(), AlertClosed("a1", "bob", NOW - 3 * DAY), AlertReopened("a1", NOW - 2 * DAY))
    known.forget(NOW - DAY)
    known.apply(AlertClosed("a1", "bob", NOW - 3 * DAY))
    assert known.open_alerts("acme", Severity.INFO) == [alert()]


def test_what_stands_is_asked_for_by_account_and_counted_over_all():
    known = facts(
        alert(alert_id="a1"),
        alert(alert_id="a2", account="b"),
        alert(alert_id="0" * 32, account="b"),
        alert(alert_id="F" * 32, account="b"),
        AlertClosed("a2", "bob", NOW),
    )
    assert [one.alert_id for one in known.open_alerts("b", Severity.INFO)] == ["0" * 32, "F" * 32]
    assert known.count_open_alerts() == (3, alert().time_ms)
    assert Facts().count_open_alerts() == (0, None)
    assert [(one.alert_id, one.account) for one in known.every_open_alert()] == [
        ("a1", "acme"), ("0" * 32, "b"), ("F" * 32, "b")
    ]  # fmt: skip


def test_an_alert_that_nobody_closes_is_never_forgotten_and_costs_little():
    known, names = Facts(), [sha256(str(n).encode()).hexdigest()[:32] for n in range(500)]
    for n, name in enumerate(names):
        known.apply(alert(alert_id=name, account=f"account-{n % 50}"))
    known.forget(NOW + 1_000 * DAY)
    known = Facts.restore(msgspec.json.decode(msgspec.json.encode(known.snapshot())))
    found = {one.alert_id for n in range(50) for one in known.open_alerts(f"account-{n}", Severity.CRITICAL)}
    assert found == set(names)
    assert len(msgspec.msgpack.encode(known.snapshot())) < 50 * len(names)  # bytes; each was 174


@pytest.mark.parametrize("cause", ["", "h1", "a1", "by hand, see note 7", " ", "-"])
def test_what_a_hold_comes_from_is_kept_in_whatever_words(cause):
    known = facts(hold(alert_id=cause), hold(alert_id=cause))
    assert known.holds("acme") == [hold(alert_id=cause)]


def test_another_alert_with_the_same_id_does_not_hide_a_graver_one():
    lesser = msgspec.structs.replace(alert(Severity.INFO), rule="zzz", time_ms=NOW)
    for order in ([alert(), lesser], [lesser, alert()]):
        known = facts(*order, *order)
        assert known.count_open_alerts().alerts == 2
        assert known.open_alerts("acme", Severity.HIGH) == [alert()]
        known.apply(AlertClosed("a1", "bob", NOW))
        assert known.open_alerts("acme", Severity.INFO) == []


def test_a_snapshot_of_the_version_before_is_read():
    held, lifted = hold(), msgspec.structs.replace(hold(), action_id="h2", alert_id="h2")
    before = {
        "version": 1,
        "state": {
            "alerts": {"a1": msgspec.to_builtins(alert())},
            "holds": {"h1": msgspec.to_builtins(held)},
            "over": {
                "alert a2": msgspec.to_builtins(alert(alert_id="a2")),
                "hold h2": msgspec.to_builtins(lifted),
            },
            "closed": {"alert a2": NOW, "hold h2": NOW},
            "reopened": {},
            "credentials": {},
            "listed": {},
            "spendings": {},
            "balances": {},
            "locks": {},
            "returned": {},
            "settled": {"w-1": NOW},
            "forgotten_ms": 7,
        },
    }
    known = Facts.restore(before)
    assert known.open_alerts("acme", Severity.INFO) == [alert()]
    assert known.holds("acme") == [held]
    assert known.lock_is_settled("w-1")
    known.apply(AlertReopened("a2", NOW + 1))
    known.apply(AlertReopened("h2", NOW + 1))
    assert [one.alert_id for one in known.open_alerts("acme", Severity.INFO)] == ["a1", "a2"]
    assert sorted(one.action_id for one in known.holds("acme")) == ["h1", "h2"]


def test_locks_are_forgotten_with_their_return():
    known = facts(STANDS, LockReturned("w-1", NOW))
    known.forget(NOW + 1)
    known.apply(STANDS)  # told again
    assert known.lock("w-1") is None


def test_a_snapshot_of_something_else_is_refused():
    broken = facts(alert()).snapshot()
    broken["state"]["standing"]["alerts"]["piles"]["acme"] = "3Q=="
    unknown = facts(alert()).snapshot()
    unknown["state"]["standing"]["alerts"]["kinds"] = {}
    for kept in ({}, {"version": 3}, {"version": 2}, {"version": 1, "state": {"alerts": 3}}, broken, unknown):
        with pytest.raises(CustodyError, match="snapshot of facts"):
            Facts.restore(kept)


ALERT = {
    "id": "a7",
    "rule": "takeover",
    "severity": "critical",
    "key": {"account": "acme"},
    "row": {},
    "event_time": 5_000,
    "events": [],
}
ACTION = {
    "id": "a7",
    "action": "freeze_account",
    "account": "acme",
    "symbol": None,
    "rule": "takeover",
    "event_time_ms": 5,
}
ROW = {"event_id": "e7", "account": "acme", "kind": "password_changed", "ts": 5}
LISTED = {**ROW, "kind": "address_whitelisted", "asset": "BTC", "address": "bcrt1q"}
CHAINS = {"BTC": "bitcoin"}


def test_records_of_other_topics_are_facts():
    assert of_alert(ALERT, 5) == AlertRaised("a7", "takeover", Severity.CRITICAL, "acme", 5)
    assert of_alert({**ALERT, "key": {}, "row": {"account": "acme"}}, 5) == of_alert(ALERT, 5)
    assert of_alert({**ALERT, "key": {"symbol": "BTC"}}, 5) is None
    assert of_action(ACTION) == Held("a7", HoldAction.FREEZE, "acme", 5, "a7")
    assert of_action({**ACTION, "action": "halt_grid"}) is None
    assert of_account(ROW, CHAINS) == CredentialChanged("e7", "acme", Credential.PASSWORD, 5)
    assert of_account(LISTED, CHAINS) == DestinationListed("e7", "acme", "bitcoin", "bcrt1q", True, 5)
    assert of_account({**LISTED, "asset": None}, CHAINS) is None
    assert of_account({**ROW, "kind": "login"}, CHAINS) is None


@pytest.mark.parametrize(
    "read",
    [
        lambda: of_alert({}, 5),
        lambda: of_alert({**ALERT, "severity": "grave"}, 5),
        lambda: of_alert({**ALERT, "key": {"account": "a b"}}, 5),
        lambda: of_alert({**ALERT, "id": None}, 5),
        lambda: of_action({**ACTION, "event_time_ms": "now"}),
        lambda: of_account({**ROW, "ts": -1}, CHAINS),
        lambda: of_account({**LISTED, "address": None}, CHAINS),
    ],
)
def test_a_record_that_is_none_is_refused(read):
    with pytest.raises(CustodyError, match="expected an"):
        read()


@pytest.mark.parametrize("event", EVENTS)
def test_a_fact_is_read_as_it_was_written(event):
    assert parse_fact(msgspec.json.encode(event)) == event


@given(st.data())
def test_any_bytes_are_a_fact_or_refused(data):
    blob = msgspec.json.encode(data.draw(st.sampled_from(EVENTS)))
    at = data.draw(st.integers(0, len(blob)))
    blob = blob[:at] + data.draw(st.binary(max_size=4)) + blob[at + data.draw(st.integers(0, 6)) :]
    with contextlib.suppress(CustodyError):
        facts(parse_fact(blob))


@pytest.mark.parametrize("units", ["", "-1", "01", "1.0", "1e3", "\u0663", 5])
def test_a_balance_is_written_in_one_way(units):
    with pytest.raises(CustodyError, match="expected"):
        parse_fact(msgspec.json.encode({**msgspec.to_builtins(balance()), "units": units}))


# -- people


def key_of(name):
    return KEYS[name]


def sign(key, message):
    return sha256(key.encode() + message).hexdigest()


def verify(key, message, signature):
    return sign(key, message) == signature


def word(name, asked, *, approve=True, by=None, digest=None):
    bare = Approval(asked.id, digest or asked.digest(), name, approve)
    return msgspec.structs.replace(bare, signature=sign(key_of(by or name), bare.message()))


LARGE = request(amount=str(BIG + 1))  # two officers


def settled(asked, *words):
    return settle(POLICY, decide(POLICY, asked, facts(*GOOD), NOW), asked, words, verify)


def test_enough_different_people_allow():
    assert settled(LARGE, word("alice", LARGE), word("bob", LARGE)).verdict is Verdict.ALLOW


@pytest.mark.parametrize(
    "second",
    [
        word("alice", LARGE),  # the same person again
        word("bob", LARGE, by="alice"),  # another's key
        word("bob", request()),  # on other contents
        word("bob", request(id="w-2", amount=LARGE.amount)),
        Approval("w-1", LARGE.digest(), "mallory", True),
    ],
)
def test_a_word_that_does_not_count(second):
    decision = settled(LARGE, word("alice", LARGE), second)
    assert decision.verdict is Verdict.APPROVE
    assert "1 missing" in decision.reason


def test_who_asks_does_not_approve():
    own = msgspec.structs.replace(LARGE, requester="bob")
    assert settled(own, word("alice", own), word("bob", own)).verdict is Verdict.APPROVE
    assert settled(own, word("alice", own), word("carol", own)).verdict is Verdict.ALLOW


@pytest.mark.parametrize("order", [1, -1])
def test_one_who_refuses_rejects_whatever_they_said_before_or_after(order):
    words = [word("bob", LARGE), word("bob", LARGE, approve=False), word("alice", LARGE)][::order]
    decision = settled(LARGE, *words)
    assert decision.verdict is Verdict.REJECT
    assert decision.reason == "refused by bob"


NEXT = TEXT.replace("version: 1", "version: 2").replace("10_000_000", "20_000_000")


def consent(name, new=NEXT, old=TEXT, by=None):
    bare = ChangeApproval(sha256(old.encode()).hexdigest(), sha256(new.encode()).hexdigest(), name)
    return msgspec.structs.replace(bare, signature=sign(key_of(by or name), bare.message()))


def test_two_people_change_the_policy():
    new = change_policy(POLICY, NEXT, [consent("alice"), consent("carol")], verify)
    assert new.hash == sha256(NEXT.encode()).hexdigest()


@pytest.mark.parametrize(
    ("text", "consents", "why"),
    [
        (NEXT, [consent("alice")], "got 1: alice"),
        (NEXT, [consent("alice"), consent("alice")], "got 1: alice"),
        (NEXT, [consent("alice"), consent("bob", by="alice")], "got 1: alice"),
        (NEXT, [consent("alice"), consent("bob", new=TEXT)], "got 1: alice"),
        (NEXT, [consent("alice"), consent("bob", old=NEXT)], "got 1: alice"),
        (TEXT, [consent("alice", TEXT), consent("bob", TEXT)], "expected version 2"),
    ],
)
def test_a_policy_that_is_not_changed(text, consents, why):
    with pytest.raises(CustodyError, match=why):
        change_policy(POLICY, text, consents, verify)


# -- what is no policy


@pytest.mark.parametrize(
    ("old", "new", "line", "says"),
    [
        ("refuse_alerts", "refuse_alert", 10, "there is no key 'refuse_alert'.*did you mean 'refuse_alerts'"),
        ("amount_at_most: 10", "amount_atmost: 10", 41, "did you mean 'amount_at_most'"),
        ("change: {group: officers", "change: {group: oficers", 9, "did you mean 'officers'"),
        ("change: {group: officers, count: 2}", "change: {group: officers, count: 1}", 9, "at least 2"),
        ("change: {group: officers, count: 2}", "change: {group: officers, count: 4}", 9, "only 3 people"),
        ("[alice, bob, carol]", "[alice, bob, bob]", 8, "'bob' is there twice"),
        ("[alice, bob, carol]", "[alice, bob, karol]", 8, "did you mean 'carol'"),
        ("[alice, bob, carol]", "[]", 8, "at least one"),
        ("[alice, bob, carol]", "&x [alice, bob, carol]", 8, "aliases"),
        ("[alice, bob, carol]", "!!set {alice}", 8, "tags"),
        ("refuse_alerts: critical", "refuse_alerts: grave", 10, "expected one of info"),
        ("amount_at_most: 10_000_000", "amount_at_most: 0100", 41, "whole number"),
        ("amount_at_most: 10_000_000", "amount_at_most: 1e7", 41, "whole number"),
        ("amount_at_most: 10_000_000", "amount_at_most: 10_00", 41, "whole number"),
        ("amount_at_most: 10_000_000", "amount_at_most: 1:30", 41, "whole number"),
        ("amount_at_most: 10_000_000", "amount_at_most: 0", 41, "at least 1"),
        ("asset: bitcoin/BTC, amount_at_most: 10", "amount_at_most: 10", 41, "differ from asset to asset"),
        ("asset: bitcoin/BTC, amount_at_most: 10", "asset: BTC, amount_at_most: 10", 41, "chain/asset"),
        ("_within: 24 h", "_within: a day", 14, "expected a duration"),
        ("of: account", "of: client", 24, "expected one of account, vault"),
        ("- name: small", "- name: watched", 40, "taken"),
        ("- name: small", "- name: hold", 40, "taken by a guard"),
        ("- name: small", "- name: very small", 40, "expected a name"),
        ("then: allow", "then: wait", 42, "expected allow, approve or reject"),
        ("then: allow", "then: allow\n    count: 2", 43, "has none"),
        ("    when: {open_alert: medium}\n", "", 34, "never apply"),
        ("  - name: rest\n    then: reject\n    reason: this policy does not foresee it\n", "", 44, "must block what is left"),
        ("    reason: this policy does not foresee it\n", "", 50, "expected the key 'reason'"),
        ("version: 1", "version: 1\nversion: 1", 2, "there twice"),
        ("version: 1", "version: 0", 1, "at least 1"),
        ("summary: Withdrawals", "summary: [", 2, "not YAML|expected text"),
        (KEYS["bob"], KEYS["alice"], 5, "same key"),
        (KEYS["bob"], "secret", 5, "public key"),
    ],
)  # fmt: skip
def test_what_is_no_policy_is_refused_with_its_line(old, new, line, says):
    assert TEXT.count(old) >= 1
    with pytest.raises(PolicyError) as caught:
        parse_policy(TEXT.replace(old, new, 1))
    assert re.search(says, str(caught.value), re.DOTALL)
    if "not YAML" not in says:
        assert caught.value.line == line


@pytest.mark.parametrize(
    "text", ["", "# nothing", "x", "[]", "\ud800", "a: b: c", "--- {}\n--- {}", "[" * 50, "x" * 100_001, "\x00"]
)
def test_what_is_not_even_close(text):
    with pytest.raises(PolicyError):
        parse_policy(text)


HARM = ["", "{", "]", ": ", "- ", "\n", "&a", "*a", "!", "no", "0x1", "\t", "'", '"', "|", "?"]


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_any_text_is_a_policy_or_refused(data):
    """Text from anywhere, and the example with something cut, put in or exchanged."""
    if data.draw(st.booleans()):
        text = data.draw(st.text())
    else:
        at, length = data.draw(st.integers(0, len(TEXT))), data.draw(st.integers(0, 40))
        put = data.draw(st.sampled_from(HARM) | st.text(max_size=5))
        text = TEXT[:at] + put + TEXT[at + length :]
    try:
        policy = parse_policy(text)
    except PolicyError:
        return
    assert policy.rules[-1].then is Verdict.REJECT
    assert not policy.rules[-1].when
    assert policy.change.count >= 2
