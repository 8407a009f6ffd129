"""Grids on topics: whatever order topics are read in, and whoever crashes, grids and exchange agree and the money adds up.

M1CEP_CASES sets how many random runs are tried.
"""

import json
import os
from collections import defaultdict
from decimal import Decimal

import hypothesis
import msgspec
import pytest
from gridlogs import FILLS_TOPIC, MARKET_TOPIC, Topics, standing
from hypothesis import given, settings
from hypothesis import strategies as st

from m1cep.grid import wire
from m1cep.grid.machine import Pause, Resume, Stop
from m1cep.grid.orders import Fill, Place
from streams import codec
from streams.agents.paper_exchange import PaperPartition
from streams.grid.log import COMMANDS, GRID_LOG, PAPER_LOG, event_record
from streams.transport import Batch

CASES = max(1, int(os.environ.get("M1CEP_CASES", "100")) // 4)
# A run is made of its seed: a smaller seed is no simpler one.
AS_IT_IS = {"deadline": None, "phases": [hypothesis.Phase.explicit, hypothesis.Phase.generate]}


def run(seed, steps=800):
    topics = Topics(seed)
    topics.start("one")
    topics.start("two", account="other")
    for _ in range(steps):
        topics.step()
    topics.settle()
    return topics


def check(topics):
    """What must be true when everything has come to its end."""
    exchange = topics.floor()
    for name, grid in topics.grids().items():
        summary = grid.summary()
        assert summary["state"] == "live", summary
        assert summary["unexplained"] == "0", summary
        assert summary["quarantined"] == 0, grid.state.quarantine
        client = exchange._clients[name]
        assert {order.id for order in grid.open_orders} == set(client.open), "not the orders that the exchange has"
        assert summary["fills"] == len(client.fills), "not the fills that the exchange has"
        assert standing(topics)[name]["cash"] == summary["cash"], "the last status is not how it stands"
    contents = defaultdict(set)
    for record in topics.read(FILLS_TOPIC):
        contents[json.loads(record.value)["event_id"]].add(record.value)
    assert all(len(found) == 1 for found in contents.values()), "one trade, told in two ways"
    told = sum(summary["fills"] for summary in standing(topics).values())
    assert len(contents) == told, "trades that no grid knows"
    placed = defaultdict(set)
    for record in topics.read(COMMANDS):
        command = wire.command(json.loads(record.value)["command"])
        if isinstance(command, Place):
            placed[command.order_id].add((command.side, command.ticks, command.lots))
    assert all(len(found) == 1 for found in placed.values()), "one id for two orders"
    return told


@settings(max_examples=CASES, **AS_IT_IS)
@given(st.integers(0, 10**9))
def test_grids_and_exchange_agree_whoever_crashes(seed):
    check(run(seed))


@settings(max_examples=max(2, CASES // 5), **AS_IT_IS)
@given(st.integers(0, 10**9))
def test_whoever_reads_the_whole_log_again_comes_to_the_same(seed):
    """State and messages; so a crash anywhere, back to any snapshot or to none, changes nothing."""
    topics = run(seed)
    for name, agent in topics.agents.items():
        if name[0] == "sequencer":
            continue  # its order of reading is the one thing that is decided there, once
        twin, written = topics.again(name)
        assert twin.snapshot() == agent.partition.snapshot(), name
        if name[0] == "grid":
            said = {line[2][1][1]: line[1] for m in written if m.topic == COMMANDS for line in m.records}
            first = {}
            for record in topics.read(COMMANDS):
                first.setdefault(dict(record.headers)["ce_id"], record.value)
            assert said == {i: v for i, v in first.items() if i.startswith(f"{GRID_LOG}/{name[1]}/".encode())}


def test_a_snapshot_at_any_offset_goes_on_as_if_nothing_had_been():
    topics = run(7, steps=150)
    for name in [("grid", 0), ("grid", 1), ("paper", 0), ("paper", 1)]:
        topic = {"grid": GRID_LOG, "paper": PAPER_LOG}[name[0]]
        records = topics.topics[topic, name[1]]
        agent = topics.agents[name]
        one = agent.open(dict.fromkeys(agent.topics, 0), None)
        for record in records:
            two = agent.open(dict(one.positions), one.snapshot())
            batch = _batch(topic, name[1], record)
            assert two.take(batch).messages == one.take(batch).messages
            assert two.snapshot() == one.snapshot()


def test_runs_trade_and_build_anew():
    """Else the tests above would have shown nothing."""
    topics = [run(seed) for seed in range(4)]
    assert sum(check(t) for t in topics) > 20
    assert max(s["generations"] for t in topics for s in standing(t).values()) >= 4


def test_an_exchange_that_forgets_the_real_orders_is_noticed(monkeypatch):
    original = PaperPartition.snapshot
    monkeypatch.setattr(PaperPartition, "snapshot", lambda self: _without_real_orders(original(self)))
    for seed in range(40):
        try:
            check(run(seed))
        except AssertionError:
            return
    pytest.fail("40 runs have not noticed")


def test_what_the_sequencer_writes_twice_is_read_once():
    """After a crash, and then in other portions; a topic made anew begins again with offset 0."""
    topics = Topics(5)
    for _ in range(60):
        topics.trade()
    name = ("sequencer", topics.flow_partition)
    while topics.take(name):
        pass
    once = topics.agents["paper", topics.flow_partition]
    while topics.take(("paper", topics.flow_partition)):
        pass
    before = once.partition.snapshot()
    topics.agents[name].begin()
    while topics.take(name, 7):
        pass
    while topics.take(("paper", topics.flow_partition)):
        pass
    assert once.partition.snapshot() == before
    topics.ids[MARKET_TOPIC] = "another"
    topics.agents[name].begin()
    while topics.take(name):
        pass
    while topics.take(("paper", topics.flow_partition)):
        pass
    assert once.partition.snapshot() != before


def _without_real_orders(state):
    (accounts, floors), read = msgspec.msgpack.decode(state)
    for floor in floors.values():
        floor[0]["book"] = [[entry for entry in half if entry[0] is not None] for half in floor[0]["book"]]
        floor[0]["external"] = []
    return msgspec.msgpack.encode([[accounts, floors], read])


def _batch(topic, number, record):
    return Batch(topic, number, 1, record.offset, record.offset + 1, [record])


# -- what is asked, and what alerts do


def quiet(*accounts):
    topics = Topics(3)
    for n, account in enumerate(accounts):
        topics.start(f"g{n}", account)
    topics.settle(3)
    return topics


def action(topics, alert, **about):
    body = {"id": alert, "action": "halt_grid", **about}
    for _ in range(2):  # an action may be read twice
        topics.write(codec.ACTIONS, b"k", json.dumps(body).encode())
    topics.settle(3)
    return {name: (s["state"], s["reason"]) for name, s in standing(topics).items()}


def test_an_alert_on_an_account_halts_its_grids_and_no_other():
    topics = quiet("a", "b")
    assert action(topics, "x1", account="a") == {"g0": ("halted", "alert:x1"), "g1": ("live", "")}
    assert not topics.floor()._clients["g0"].open


def test_an_alert_on_a_symbol_halts_its_grids():
    topics = quiet("a", "b")
    assert action(topics, "x1", symbol="ETH-USD")["g0"] == ("live", "")
    assert action(topics, "x2", symbol="BTC-USD") == {"g0": ("halted", "alert:x2"), "g1": ("halted", "alert:x2")}


def test_other_actions_are_not_for_grids():
    topics = quiet("a")
    topics.write(codec.ACTIONS, b"a", json.dumps({"id": "x", "action": "freeze_account", "account": "a"}).encode())
    topics.settle(2)
    assert standing(topics)["g0"]["state"] == "live"


def test_a_request_counts_once():
    topics = quiet("a")
    for request in (Pause("p"), Resume("r"), Pause("p")):
        topics.write(GRID_LOG, *event_record("g0", request, "t", "/test"))
        topics.settle(3)
    assert standing(topics)["g0"]["state"] == "live"
    topics.write(GRID_LOG, *event_record("g0", Stop("s"), "t", "/test"))
    topics.settle(3)
    assert standing(topics)["g0"]["state"] == "stopped"
    assert not topics.floor()._clients["g0"].open


def test_a_grid_whose_exchange_is_silent_calls_for_help(monkeypatch):
    topics = quiet("a")
    monkeypatch.setattr(PaperPartition, "_tell", lambda *_: None)
    topics.write(GRID_LOG, *event_record("g0", Pause("p"), "t", "/test"))
    topics.settle(40)
    alerts = [json.loads(r.value) for r in topics.read(codec.ALERTS)]
    assert [a["rule"] for a in alerts] == ["grid-stuck"]
    assert alerts[0]["row"]["orders"]


def test_a_fill_that_cannot_be_true_is_put_aside_with_an_alert():
    topics = quiet("a")
    cash = standing(topics)["g0"]["cash"]
    order = topics.grids()["g0"].open_orders[0]
    bad = Fill(order.id, "T1", order.side, order.ticks, order.lots + 1, Decimal(0), True, topics.now_ms)
    topics.write(GRID_LOG, *event_record("g0", bad, "t", "/test"))
    negative = Fill(order.id, "T2", order.side, order.ticks, -1, Decimal(0), True, topics.now_ms)
    topics.write(GRID_LOG, *event_record("g0", negative, "t", "/test"))
    topics.settle(10)
    alerts = [json.loads(r.value) for r in topics.read(codec.ALERTS)]
    assert [a["rule"] for a in alerts] == ["grid-quarantine"] * 2
    assert standing(topics)["g0"]["cash"] == cash
    assert standing(topics)["g0"]["quarantined"] == 2


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        (b"g0", b"{", "expected JSON"),
        (b"g0", b"[]", "expected a JSON object"),
        (b"g0", b'{"type": "fill"}', "missing required field"),
        (b"gone", b'{"type": "pause", "request_id": "1"}', "there is no grid 'gone'"),
        (b"\xff", b'{"type": "pause", "request_id": "1"}', "in UTF-8"),
        (None, b'{"type": "stop", "request_id": "1"}', "for all grids to be a tick, price or halt, got 'stop'"),
        (b"g0", b'{"type": "start", "request_id": "2"}', "the spec of a grid"),
    ],
)
def test_what_cannot_be_read_goes_to_the_dead_letters(key, value, reason):
    topics = quiet("a")
    topics.write(GRID_LOG, key, value, partition=0)
    topics.settle(1)
    (letter,) = [json.loads(r.value) for r in topics.read(codec.DEAD_LETTERS)]
    assert reason in letter["reason"]
    assert standing(topics)["g0"]["state"] == "live"


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"{", "unexpected end"),
        (b'{"venue": "paper"}', "grid, account and command"),
        (
            b'{"venue": "paper", "grid": "g", "account": "a", "symbol": "ETH", "command": {"type": "cancel", "order_id": "1"}}',
            "no market 'ETH', only BTC-USD",
        ),
    ],
)
def test_commands_that_make_no_sense_go_to_the_dead_letters(value, reason):
    topics = quiet()
    topics.write(COMMANDS, b"g", value)
    topics.settle(1)
    (letter,) = [json.loads(r.value) for r in topics.read(codec.DEAD_LETTERS)]
    assert reason in letter["reason"]
    assert letter["topic"] == COMMANDS


def test_orders_counted_in_other_steps_are_turned_away():
    topics = quiet()
    command = {"type": "place", "order_id": "1", "side": "buy", "ticks": 100, "lots": 10}
    body = {"venue": "paper", "grid": "g", "account": "a", "symbol": "BTC-USD", "tick": "0.01", "lot": "0.001"}
    topics.write(COMMANDS, b"g", json.dumps(body | {"command": command}).encode())
    topics.settle(1)
    reports = [json.loads(r.value) for r in topics.read(GRID_LOG)]
    assert [(r["type"], r["reason"]) for r in reports] == [
        ("rejected", "tick: expected orders in steps of 0.5, got '0.01'")
    ]


ORDER = {"type": "place", "order_id": "1", "side": "buy", "ticks": 990, "lots": 20}
BODY = {"venue": "paper", "grid": "g", "account": "a", "symbol": "BTC-USD", "tick": "0.5", "lot": "0.001"}


def command(topics, **changed):
    topics.write(
        COMMANDS, b"g", json.dumps(BODY | {"command": ORDER | changed}).encode(), partition=topics.flow_partition
    )
    topics.settle(1)


def test_an_order_that_comes_too_late_is_not_delivered():
    """Else a grid that has given it up would find it open one day."""
    topics = quiet()
    command(topics, expires_ms=topics.now_ms - 1)
    assert [json.loads(r.value)["reason"] for r in topics.read(GRID_LOG)] == ["expired"]
    assert not topics.floor().knows("g", "1")
    command(topics, order_id="2", expires_ms=topics.now_ms + 60_000)
    assert topics.floor().knows("g", "2")


def test_commands_stand_in_the_partition_of_their_symbol():
    """Wherever their grid is: there its exchange reads."""
    topics = quiet("a", "b", "c", "d")
    logs = {r.key: n for n in range(2) for r in topics.topics[GRID_LOG, n] if r.key}
    assert set(logs.values()) == {0, 1}, "all grids are in one partition: the test shows nothing"
    assert topics.topics[COMMANDS, topics.flow_partition]
    assert not topics.topics[COMMANDS, 1 - topics.flow_partition]


def test_a_trade_that_is_asked_for_again_is_no_new_fill():
    topics = quiet()
    command(topics)
    taker = {"action": "created", "order_id": "x", "side": "ask", "price": 495.0, "qty": 0.02, "symbol": "BTC-USD"}
    topics.write(MARKET_TOPIC, b"BTC-USD", json.dumps(taker | {"event_id": "m", "ts": 5}).encode())
    for name in ("sequencer", "paper"):  # read, and held until its millisecond is over: the question lets it go
        while topics.take((name, topics.flow_partition)):
            pass
    command(topics, type="ask_fills")
    assert [json.loads(r.value)["type"] for r in topics.read(GRID_LOG) if r.key].count("fill") == 2
    assert len(topics.read(FILLS_TOPIC)) == 1


def test_the_time_is_written_once_until_it_has_come_back():
    topics = quiet("a")
    agent = next(a for (kind, _), a in topics.agents.items() if kind == "grid" and a.partition._fleet.members)
    now_ms = topics.now_ms + 60_000
    assert agent.partition.tick(now_ms) is not None
    assert agent.partition.tick(now_ms + 20) is None
    assert agent.partition.tick(now_ms + 2_000) is not None, "it may have been lost"


def test_the_same_name_with_another_spec_is_refused():
    topics = quiet("a")
    topics.start("g0", account="b")
    topics.settle(1)
    (letter,) = [json.loads(r.value) for r in topics.read(codec.DEAD_LETTERS)]
    assert "a name is used once" in letter["reason"]
    assert standing(topics)["g0"]["account"] == "a"
