"""The synthetic flow: what the demo, the rules' tests and the benchmarks take for granted about it."""

from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from itertools import pairwise
from pathlib import Path

import orjson
import pytest

import m1cep
from streams.agents.outbox import keyed_partition
from streams.demo.attacks import FAMILIES
from streams.demo.damage import KINDS, OVERSIZED_BYTES
from streams.demo.synthetic import SyntheticFlow

START = 1_777_689_381_000
MINUTE = 60_000
STREAMS_SQL = Path(__file__).parents[3] / "rules" / "streams.sql"
UNUSED = {"request_id", "equity_usd", "maintenance_usd"}  # of platforms with approvals and margin: this one has neither


def flow(seed=1, minutes=10, **options):
    return SyntheticFlow(seed, START, minutes * MINUTE, **{"events_per_minute": 5_000, **options})


def of(events, stream):
    return [event for name, event in events if name == stream]


def by(events, *columns):
    groups = defaultdict(list)
    for event in events:
        groups[tuple(event[c] for c in columns)].append(event)
    return groups


# A slow, obvious checker for each kind of attack: which (account, time of completion) show it.


def layering(events):
    """Three new orders on a side, then a fill on the other, then three cancels of the first side, all within 5 s."""
    found = set()
    orders, fills = by(of(events, "orders"), "account", "symbol"), by(of(events, "fills"), "account", "symbol")
    for key, filled in fills.items():
        for side, other in (("buy", "sell"), ("sell", "buy")):
            news = [o["ts"] for o in orders[key] if o["side"] == side and o["action"] == "new"]
            cancels = [o["ts"] for o in orders[key] if o["side"] == side and o["action"] == "cancel"]
            for at in (f["ts"] for f in filled if f["side"] == other):
                before, after = news[: bisect_right(news, at)][-3:], cancels[bisect_left(cancels, at) :][:3]
                if len(before) == len(after) == 3 and after[2] - before[0] <= 5_000:
                    found.add((key[0], after[2]))
    return found


def wash_trade(events):
    """Four fills of an account with another of the same owner within a minute."""
    found = set()
    for (account,), fills in by(of(events, "fills"), "account").items():
        times = [f["ts"] for f in fills if f["owner"] is not None and f["owner"] == f["counterparty_owner"]]
        found |= {(account, late) for early, late in zip(times, times[3:], strict=False) if late - early <= MINUTE}
    return found


def account_takeover(events):
    """Three failed logins, a login, new password or second factor, new address, withdrawal: in order, within 30 minutes."""
    steps = ["login_failed"] * 3 + ["login", "credentials", "address_whitelisted", "withdrawal"]
    found = set()
    for (account,), own in by(of(events, "accounts"), "account").items():
        kinds = [("credentials" if e["kind"].endswith("_changed") else e["kind"], e["ts"]) for e in own]
        for start, (first, began) in enumerate(kinds):
            if first != "login_failed":
                continue
            at = 0
            for kind, ts in kinds[start:]:
                if ts - began > 30 * MINUTE:
                    break
                at += kind == steps[at]
                if at == len(steps):
                    found.add((account, ts))
                    break
    return found


def withdrawal_structuring(events):
    """Four withdrawals of 8 500 to 10 000 USD within ten minutes."""
    found = set()
    for (account,), own in by(of(events, "accounts"), "account").items():
        times = [e["ts"] for e in own if e["kind"] == "withdrawal" and 8_500 <= e["amount_usd"] < 10_000]
        found |= {(account, late) for early, late in zip(times, times[3:], strict=False) if late - early <= 10 * MINUTE}
    return found


CHECKERS = {check.__name__: check for check in (layering, wash_trade, account_takeover, withdrawal_structuring)}


def test_the_same_seed_gives_the_same_events_and_another_seed_gives_others():
    one, same, other = flow(minutes=2), flow(minutes=2), flow(seed=2, minutes=2)
    assert list(one) == list(same)
    assert list(one) == list(one), "a second iteration differs"
    assert one.planted == same.planted
    assert list(one) != list(other)


def test_events_come_by_event_time_within_the_span_with_ids_of_their_own():
    events = [event for _, event in flow()]
    times = [event["ts"] for event in events]
    assert times == sorted(times)
    assert times[0] >= START
    assert times[-1] < START + 10 * MINUTE
    assert len({event["event_id"] for event in events}) == len(events)


@pytest.mark.parametrize("events_per_minute", [2_000, 10_000, 17_000])
def test_the_flow_is_about_as_dense_as_asked_for(events_per_minute):
    count = sum(1 for _ in flow(minutes=5, events_per_minute=events_per_minute))
    assert count / 5 == pytest.approx(events_per_minute, rel=0.15)


def test_every_event_fits_its_declared_stream():
    streams = m1cep.parse_streams(STREAMS_SQL.read_text())
    events = list(flow(minutes=3))
    for name in ("orders", "fills", "accounts"):
        rows, errors, _ = streams[name].decode_many([orjson.dumps(event) for event in of(events, name)])
        assert errors == []
        assert len(rows) > 20
        declared = {column.name for column in streams[name].columns} - UNUSED
        assert {column for event in of(events, name) for column in event} == declared


def test_reports_on_margin_leave_no_gap_in_any_partition_and_change_nothing_else():
    reported, without = list(flow(margin_every_s=15.0)), list(flow())
    margin = [event for _, event in reported if event.get("kind") == "margin_update"]
    assert [item for item in reported if item[1].get("kind") != "margin_update"] == without
    times = {}
    for event in margin:
        times.setdefault(keyed_partition(event["account"].encode(), 4), []).append(event["ts"])
    gaps_ms = [after - before for own in times.values() for before, after in pairwise(own)]
    assert len(times) == 4
    assert max(gaps_ms) < 1_000
    assert all(0 < event["maintenance_usd"] < event["equity_usd"] for event in margin)


def test_the_everyday_events_are_the_same_with_attacks_and_without():
    with_attacks, without = list(flow()), list(flow(attacks=False))
    assert flow(attacks=False).planted == ()
    everyday = [(name, event) for name, event in with_attacks if not event["event_id"].startswith("syn-x-")]
    assert everyday == without
    assert len(with_attacks) > len(without)


@pytest.mark.parametrize("seed", [1, *(pytest.param(n, marks=pytest.mark.slow) for n in (2, 3))])
def test_a_slow_checker_finds_every_planted_attack_and_nothing_else(seed):
    attacked = flow(seed=seed, minutes=20, attacks_per_family=4, events_per_minute=6_000)
    events = list(attacked)
    assert Counter(attack.rule_family for attack in attacked.planted) == dict.fromkeys(FAMILIES, 4)
    for family, check in CHECKERS.items():
        planted = [attack for attack in attacked.planted if attack.rule_family == family]
        found = check(events)
        for attack in planted:
            assert any(who in attack.accounts and attack.start_ms <= at <= attack.end_ms for who, at in found), attack
        assert {who for who, _ in found} <= {who for attack in planted for who in attack.accounts}


@pytest.mark.parametrize("seed", [10, *(pytest.param(n, marks=pytest.mark.slow) for n in (11, 12))])
def test_without_attacks_a_slow_checker_finds_nothing(seed):
    events = list(flow(seed=seed, minutes=30, attacks=False, events_per_minute=4_000))
    assert {family: check(events) for family, check in CHECKERS.items()} == {name: set() for name in CHECKERS}


def test_an_attack_names_events_that_are_in_the_flow_between_its_times():
    attacked = flow()
    events = {event["event_id"]: event for _, event in attacked}
    assert {attack.rule_family for attack in attacked.planted} == set(FAMILIES)
    for attack in attacked.planted:
        own = [events[event_id] for event_id in attack.event_ids]
        assert {event["account"] for event in own} == set(attack.accounts)
        assert attack.account in attack.accounts
        assert (min(e["ts"] for e in own), max(e["ts"] for e in own)) == (attack.start_ms, attack.end_ms)
        assert attack.end_ms < attacked.end_ms


def test_a_takeover_takes_most_of_the_money_from_a_country_never_seen_before():
    attacked = flow()
    own = {(a.account): a for a in attacked.planted if a.rule_family == "account_takeover"}
    for (account,), events in by(of(list(attacked), "accounts"), "account").items():
        if account in own:
            ids = own[account].event_ids
            homes = {e["country"] for e in events if e["event_id"] not in ids and not e["event_id"].startswith("syn-x")}
            thief = {e["country"] for e in events if e["event_id"] in ids}
            assert len(thief) == 1
            assert homes
            assert not thief & homes
            first = min(e["ts"] for e in events if e["event_id"] in ids)
            assert any(e["kind"] == "login" and e["ts"] < first for e in events), "home is not known before"


def test_a_short_flow_still_holds_every_attack_whole():
    attacked = flow(minutes=1, attacks_per_family=2)
    events = list(attacked)
    assert len(attacked.planted) == 8
    for family, check in CHECKERS.items():
        hit = {who for who, _ in check(events)}
        assert all(hit & set(a.accounts) for a in attacked.planted if a.rule_family == family)


def test_near_misses_of_every_attack_happen():
    events = list(flow(minutes=30, attacks=False, events_per_minute=5_000))
    accounts = by(of(events, "accounts"), "account")

    pulled = Counter()  # a whole ladder of orders cancelled within five seconds, without a fill on the other side
    for (account, _, side), orders in by(of(events, "orders"), "account", "symbol", "side").items():
        times = [o["ts"] for o in orders if o["action"] == "cancel"]
        pulled[account, side] += sum(late - early <= 5_000 for early, late in zip(times, times[2:], strict=False))
    assert sum(pulled.values()) >= 5

    owners = by([f for f in of(events, "fills") if f["owner"]], "owner")
    assert any(len({f["account"] for f in fills}) > 1 for fills in owners.values()), "no owner has two accounts"
    assert any(f["owner"] is None and f["counterparty_owner"] is None for f in of(events, "fills"))
    between = Counter((f["account"], f["counterparty"]) for f in of(events, "fills"))
    assert between.most_common(1)[0][1] >= 4, "no two accounts trade with each other again and again"

    kinds = {who: [e["kind"] for e in own] for who, own in accounts.items()}
    assert any("login_failed,login_failed,login,password_changed,address_whitelisted,withdrawal" in ",".join(k)
               for k in kinds.values()), "nobody does all of a takeover with two failures"  # fmt: skip
    assert any(",".join(["login_failed"] * 3 + ["login", "password_changed"]) in ",".join(k) for k in kinds.values())

    near = defaultdict(list)
    for (who,), own in accounts.items():
        near[who] = [e["ts"] for e in own if e["kind"] == "withdrawal" and 8_500 <= e["amount_usd"] < 10_000]
    most = max(sum(at <= t <= at + 10 * MINUTE for t in times) for times in near.values() for at in times)
    assert 2 <= most <= 3


def test_orders_and_fills_add_up():
    open_qty, trades = {}, defaultdict(list)
    for name, event in flow(minutes=10):
        if name == "orders" and event["action"] == "new":
            assert event["qty"] > 0
            open_qty[event["order_id"]] = event["qty"]
        elif name == "orders":
            assert event["qty"] == pytest.approx(open_qty.pop(event["order_id"]), abs=1e-6)
        elif name == "fills":
            trades[event["trade_id"]].append(event)
            open_qty[event["order_id"]] -= event["qty"]  # KeyError: never announced, or cancelled before
            assert open_qty[event["order_id"]] >= -1e-6
    assert len(trades) > 1_000
    for one, other in trades.values():
        assert {one["side"], other["side"]} == {"buy", "sell"}
        assert (one["account"], one["owner"]) == (other["counterparty"], other["counterparty_owner"])
        assert (other["account"], other["owner"]) == (one["counterparty"], one["counterparty_owner"])
        assert (one["price"], one["qty"], one["ts"]) == (other["price"], other["qty"], other["ts"])


def test_a_limit_order_is_filled_at_its_limit_or_better():
    limits = {}
    for name, event in flow(minutes=5):
        if name == "orders" and event["action"] == "new":
            limits[event["order_id"]] = event["price"]
        elif name == "fills" and limits[event["order_id"]] is not None:
            sign = 1 if event["side"] == "buy" else -1
            assert sign * event["price"] <= sign * limits[event["order_id"]]


def test_damaged_records_are_refused_by_the_streams_and_their_neighbours_are_not_touched():
    streams = m1cep.parse_streams(STREAMS_SQL.read_text())
    clean = list(flow(minutes=2))
    damaged = list(flow(minutes=2, bad_records=2 * len(KINDS)))
    bad = [(name, raw) for name, raw in damaged if isinstance(raw, bytes)]
    assert [item for item in damaged if not isinstance(item[1], bytes)] == clean
    assert len(bad) == 2 * len(KINDS)
    for name, raw in bad:
        rows, errors, _ = streams[name].decode_many([raw])
        assert (len(rows), len(errors)) == (0, 1), raw[:300]
    assert sum(len(raw) > OVERSIZED_BYTES for _, raw in bad) == 2


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"minutes": 0}, "at least 60000 ms"),
        ({"events_per_minute": 60_000}, "18000 events a minute for 300 accounts"),
        ({"accounts": 30, "events_per_minute": 100}, "accounts for these attacks"),
    ],
)
def test_what_cannot_be_made_is_refused_with_the_limit(options, said):
    with pytest.raises(ValueError, match=said):
        flow(**options)
