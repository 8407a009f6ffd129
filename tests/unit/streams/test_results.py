"""Intermediate results: exact, the same after a restart, nothing lost while the cache is away."""

import json
import random

import msgspec
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("redis", reason="the extra cache is not installed")

from streams.agents import closings as closings_module
from streams.agents.ahead import Ahead
from streams.agents.closings import Closings
from streams.agents.results import ResultsPartition
from streams.cache import rescreen
from streams.cache import results as results_module
from streams.cache.results import LAST_ALERTS, Results, parts

START_MS = 1_700_000_000_000


def order(n, account="a", *, action="new", side="buy", qty=2, price=100.1, symbol="BTC-USD"):
    event = {
        "event_id": f"o{n}-{action}",
        "account": account,
        "order_id": f"ord{n}",
        "symbol": symbol,
        "action": action,
    }
    return "orders", event | {"side": side, "qty": qty, "price": price, "ts": START_MS + n}


def fill(n, account="a", *, qty=1, side="buy", price=100.1):
    event = {"event_id": f"f{n}", "account": account, "order_id": f"ord{n}", "trade_id": f"t{n}", "symbol": "BTC-USD"}
    return "fills", event | {"side": side, "price": price, "qty": qty, "ts": START_MS + n}


def deposit(n, address, account="a"):
    return "accounts", {
        "event_id": f"d{n}",
        "account": account,
        "kind": "deposit",
        "address": address,
        "ts": START_MS + n,
    }


def alert(n, account="a"):
    body = {
        "id": f"al{n}",
        "rule": "r",
        "severity": "high",
        "key": {"account": account},
        "row": {},
        "event_time": START_MS + n,
        "events": [],
    }
    return "alerts", body


def heard(*events, results=None, at_ms=START_MS):
    results = results or Results()
    for kind, value in events:
        results.hear(kind, json.dumps(value).encode(), at_ms)
    return results


def test_exposure_counts_what_is_open_and_what_is_held_exactly():
    results = heard(order(1), order(2, side="sell", qty=0.3), fill(1))
    fields = results.fields("a")
    assert (fields["open_orders"], fields["exposure"]) == (2, "200.2"), "one bought, one more may be: 2 at 100.1"
    [holding] = orjson.loads(fields["holdings"]).values()
    assert holding == {"position": "1", "open_buys": "1", "open_sells": "0.3", "worst": "2", "price": "100.1"}
    heard(order(1, action="cancel", qty=1), results=results)
    assert results.fields("a")["exposure"] == "100.1"
    assert results.fields("nobody")["exposure"] == "0"


def test_velocity_is_of_the_last_minute():
    results = heard(order(1), order(2), order(2, action="cancel"))
    heard(order(3, qty=1), results=results, at_ms=START_MS + 59_999)
    assert (results.fields("a")["orders_60s"], results.fields("a")["value_60s"]) == (3, 500.5)
    heard(order(4, qty=1), results=results, at_ms=START_MS + 60_000)
    assert results.fields("a")["orders_60s"] == 2


@given(st.integers(0, 8), st.randoms())
def test_a_restart_changes_nothing(cut, rng):
    events = [
        order(1),
        fill(1),
        order(2, "b"),
        alert(1),
        deposit(1, "0xAB"),
        order(3),
        ("actions", _freeze()),
        alert(2, "b"),
    ]
    rng.shuffle(events)
    going = heard(*events)
    before = heard(*events[:cut])
    after = Results()
    after.load(before.state())
    heard(*events[cut:], results=after)
    assert [after.fields(n) for n in "ab"] == [going.fields(n) for n in "ab"]
    assert after.changes == going.changes, "what the cache has not taken yet is part of the state"


def _freeze():
    return {"id": "x", "action": "freeze_account", "account": "a", "rule": "r"}


def state(alert_id, word):
    said = {"alert": alert_id, "rule": "r", "key": {}, "state": word, "by": "ann", "time_ms": 1}
    return alert_id.encode(), json.dumps(said).encode()


def test_a_freeze_is_told_while_its_alert_is_not_closed_whichever_comes_first():
    closings = Closings()
    results = heard(("actions", _freeze()), ("actions", _freeze() | {"id": "y"}), results=Results(closings))

    def told(*record):
        results.take_changes()
        results.restate([closings.hear(*record)])
        return results.changes.accounts, list(orjson.loads(results.fields("a")["frozen"]))

    assert told(*state("x", "closed")) == ({"a"}, ["y"])
    assert told(*state("elsewhere", "closed")) == (set(), ["y"])
    assert told(*state("y", "closed")) == ({"a"}, [])
    assert told(*state("x", "acknowledged")) == ({"a"}, ["x"])
    assert told(b"y", None) == ({"a"}, ["x", "y"])
    assert closings.hear(b"y", b"{") is None
    closings.hear(*state("late", "closed"))
    heard(("actions", _freeze() | {"id": "late", "account": "b"}), results=results)
    assert results.fields("b")["frozen"] == b"{}"
    again = Results(closings)
    again.load(results.state())
    assert [again.fields(name)["frozen"] for name in "ab"] == [results.fields(name)["frozen"] for name in "ab"]


def test_of_closings_only_the_newest_are_known(monkeypatch):
    monkeypatch.setattr(closings_module, "MOST_CLOSED", 2)
    closings = Closings()
    for name in ("x", "y", "x", "z"):
        closings.hear(*state(name, "closed"))
    assert [name in closings for name in "xyz"] == [True, False, True]


def test_accounts_of_which_there_is_nothing_to_tell_are_forgotten_with_the_cache(monkeypatch):
    monkeypatch.setattr(results_module, "MOST_ACCOUNTS", 0)
    results = Results()
    heard(
        *[deposit(n, "0xAB", f"gone{n}") for n in range(50)], fill(1, "holds"), ("actions", _freeze()), results=results
    )
    results.take_changes()
    results.wrote(all_of_it=True)
    later_ms = START_MS + 8 * 86_400_000
    heard(deposit(99, "0xAB", "now"), results=results, at_ms=later_ms)
    results.lapse(later_ms)
    known = msgspec.msgpack.decode(results.state())[-1]
    assert set(known) == {"holds", "a", "now"}  # a position, a freeze, of today


def test_what_could_not_be_written_is_written_later_and_newer_counts_more():
    results = heard(deposit(1, "0xAB"), alert(1))
    results.take_changes()
    assert not results.changes
    heard(deposit(2, "0xAB", "b"), deposit(3, "0xAB"), *[alert(n) for n in range(2, LAST_ALERTS + 5)], results=results)
    results.wrote(all_of_it=False)
    seen = {
        key[2]: orjson.loads(about)["event_id"] for key, about in results.changes.seen.items() if key[0] == "address"
    }
    assert seen == {"a": "d3", "b": "d2"}
    assert results.changes.accounts == {"a", "b"}
    times = sorted(results.changes.alerts["a"].values())
    assert (len(times), times[-1]) == (LAST_ALERTS, START_MS + LAST_ALERTS + 4)


def test_what_is_on_its_way_to_the_cache_is_part_of_the_state():
    results = heard(deposit(1, "0xAB"), alert(1))
    results.take_changes()
    heard(deposit(2, "0xAB", "b"), results=results)
    after = Results()
    after.load(results.state())
    assert {(what, account) for what, _, account in after.changes.seen} == {
        ("account", "a"), ("address", "a"), ("account", "b"), ("address", "b")
    }  # fmt: skip
    assert list(after.changes.alerts) == ["a"]
    results.wrote(all_of_it=True)
    after = Results()
    after.load(results.state())
    assert {account for _, _, account in after.changes.seen} == {"b"}


def test_topics_are_held_back_by_what_the_cache_has_not_taken():
    kinds = {"accounts.v1": "accounts", "alerts.v1": "alerts"}
    partition = ResultsPartition(dict.fromkeys(kinds, 0), kinds, None)
    for n in range(10):
        heard(deposit(n, f"x{n}", f"acc{n}"), results=partition.results)
    ahead = Ahead(limit=19)

    def held_back():
        return ahead.of(partition.waiting().items())

    assert held_back() == set(kinds), "ten accounts and ten addresses"
    partition.results.take_changes()
    assert held_back(), "the cache has not said that it has them"
    partition.results.wrote(all_of_it=True)
    assert not held_back()


def test_parts_are_the_whole():
    results = heard(*[deposit(n, f"x{n}", f"acc{n % 7}") for n in range(20)], *[alert(n, f"acc{n}") for n in range(5)])
    changes, found = results.take_changes(), list(parts(results.changes, 6))
    assert not found
    found = list(parts(changes, 6))
    assert set().union(*(p.accounts for p in found)) == changes.accounts
    assert {k: v for p in found for k, v in p.seen.items()} == changes.seen
    assert {k: v for p in found for k, v in p.alerts.items()} == changes.alerts
    assert max(len(p.seen) for p in found) == 6


@pytest.mark.parametrize("kind", ["orders", "fills", "accounts", "alerts", "actions"])
@pytest.mark.parametrize(
    "value",
    [
        None,
        b"",
        b"{",
        b"[]",
        b"\xff",
        b'{"account": 5}',
        b'{"account": "a", "qty": "NaN", "kind": 5}',
        pytest.param(b'{"account": "a", "x": ' + b"[" * 100_000, id="deep"),
    ],
)
def test_a_record_that_does_not_fit_changes_nothing(kind, value):
    results = Results()
    results.hear(kind, value, START_MS)
    assert (results.unread, bool(results.changes)) == (1, False)


class TestScreeningOfFiles:
    def screened(self, tmp_path, *events, listed=("0xbad0000000000000000000000000000000000001", "mallory")):
        file = tmp_path / "e.ndjson"
        file.write_bytes(b"".join((e if isinstance(e, bytes) else orjson.dumps(e[1])) + b"\n" for e in events))
        return list(rescreen.in_files([file], frozenset(listed), lambda _: None))

    def test_finds_each_once_and_as_it_was_seen_first(self, tmp_path):
        bad = "0xBAD0000000000000000000000000000000000001"
        events = [deposit(1, "0xok"), deposit(2, bad), deposit(3, bad), deposit(4, bad, "b"), order(5, "mallory")]
        hits = self.screened(tmp_path, *events)
        assert [(h.what, h.account, h.event_id) for h in hits] == [
            ("address", "a", "d2"), ("address", "b", "d4"), ("account", "mallory", "o5-new")
        ]  # fmt: skip

    def test_lines_that_are_no_events_are_told(self, tmp_path):
        assert self.screened(tmp_path, b"{", b"[]", b'{"x": 1}', b"", deposit(1, "fine")) == [None] * 3

    def test_alerts_tell_each_hit_once_whatever_the_version(self):
        hit = rescreen.Hit("address", "0xbad", "a", "deposit", "d1", START_MS)
        one, again = hit.alert("sanctions", "v1", "critical"), hit.alert("sanctions", "v2", "critical")
        other = rescreen.Hit("address", "0xbad", "b", "deposit", "d1", START_MS).alert("sanctions", "v1", "critical")
        assert one.id == again.id != other.id
        assert (one.lists, one.events, one.key) == ({"sanctions": "v1"}, ["d1"], {"account": "a"})


def test_random_orders_agree_with_the_book_of_the_check():
    """The numbers are those that the pre-trade check decides by: made by the same book."""
    rng = random.Random(1)
    events = [order(n, rng.choice("ab"), side=rng.choice(("buy", "sell")), qty=rng.randint(1, 9)) for n in range(50)]
    results = heard(*events)
    for name in "ab":
        buys = sum(e["qty"] for _, e in events if e["account"] == name and e["side"] == "buy")
        sells = sum(e["qty"] for _, e in events if e["account"] == name and e["side"] == "sell")
        assert results.fields(name)["exposure"] == str(round(max(buys, sells) * 100.1, 1)).removesuffix(".0")
