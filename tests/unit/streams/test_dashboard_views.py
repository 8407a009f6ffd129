"""What the dashboard makes of records; damaged ones do no harm, and nothing grows for ever."""

import orjson
import pytest
from dashboardworld import World

from m1cep import compile_rule, parse_streams
from streams.ledger.statements import owed_by_asset, publish
from streams.web.dashboard.columns import Columns
from streams.web.dashboard.documents import Documents
from streams.web.dashboard.grids import MOST_FILLS, Grids
from streams.web.dashboard.overview import BUCKETS, FORGOTTEN_MS, Overview
from streams.web.dashboard.reserves import Reserves
from streams.web.dashboard.rules import Rules

STREAMS = parse_streams(
    "CREATE TABLE t (event_id STRING, a STRING, q DOUBLE, ts TIMESTAMP(3), WATERMARK FOR ts AS ts) "
    "PARTITIONED BY (a) WITH ('topic' = 't.v1')"
)
SQL = "/*\nid: big\nseverity: low\nsummary: big ones\n*/\nSELECT a, q FROM t WHERE q > 5"
SPEC = {"market": {"symbol": "BTC-USD", "tick": "0.01", "lot": "0.0001"}, "lots": 100}


def status(rate, *, rules=(), latency=None, agent="risk", **counters):
    return orjson.dumps({
        "ready": True, "events_per_s": rate, "agents": {agent: {"state": "ready", **counters}}, "rules": list(rules),
        "alert_latency_ms": latency, "watermark_lag_ms": {"t/0": rate},
    })  # fmt: skip


def test_the_overview_adds_up_who_judges_and_leaves_out_who_is_silent():
    view = Overview()
    view.status(b"w1", status(100, latency={"p50": 10.0, "p99": 20.0, "count": 1}, lag_total=5, late=1), 10_000)
    view.status(b"w2", status(50, latency={"p50": 40.0, "p99": 90.0, "count": 2}, lag_total=7, dead_letters=3), 11_000)
    view.status(b"w3", status(7, agent="grid"), 11_000)
    now = view.plain(12_000)["now"]
    assert (now["events_per_s"], now["consumer_lag"], now["late"], now["dead_letters"]) == (150, 12, 1, 3)
    assert (now["latency_p50_ms"], now["latency_p99_ms"], now["watermark_lag_ms"]) == (30.0, 90.0, 100)
    assert view.plain(15_500)["now"]["events_per_s"] == 50
    assert [one["age_ms"] for one in view.plain(15_500)["workers"]] == [5_500, 4_500, 4_500]
    view.status(b"w2", None, 16_000)
    view.tick(10_000 + FORGOTTEN_MS + 1)
    assert [one["worker"] for one in view.plain(0)["workers"]] == ["w3"]


def test_the_time_of_a_replay_is_that_of_the_worker_furthest_on():
    view = Overview()
    for name, newest_ms, behind_ms in ((b"w1", 70_000, 900), (b"w2", 90_000, 100)):
        said = orjson.loads(status(1)) | {"watermark_lag_ms": {}}
        view.status(name, orjson.dumps(said | {"event_time": {"newest_ms": newest_ms, "behind_ms": behind_ms}}), 1_000)
    view.status(b"old", status(1), 1_000)  # of a version that does not tell
    now = view.plain(1_500)["now"]
    assert (now["event_time_ms"], now["watermark_behind_ms"]) == (90_000, 900)


def test_history_has_columns_of_one_length_and_is_bounded():
    view = Overview()
    for second in range(2_000):
        view.tick(second * 1_000)
    history = view.plain(2_000_000)["history"]
    assert {len(column) for column in history.values()} == {900}
    assert history["t_s"] == list(range(1_100, 2_000))


def test_alerts_by_rule_are_counted_in_buckets_of_ten_seconds():
    view = Overview()
    for ms in (0, 5_000, 12_000, 40_000):
        view.alert("r1", ms)
    view.alert("r2", 15_000)
    found = view.plain(45_000)["alerts_by_rule"]
    assert found["t_s"] == [0, 10, 20, 30, 40]
    assert found["rules"] == {"r1": [2, 1, 0, 0, 1], "r2": [0, 1, 0, 0, 0]}
    for n in range(10_000):
        view.alert("r1", n * 10_000)
    assert len(view.plain(100_000_000)["alerts_by_rule"]["t_s"]) == BUCKETS
    assert view.alerts_per_hour("r1", 9_999 * 10_000) == BUCKETS


def rules(*deployed):
    view = Rules([(compile_rule(SQL, STREAMS), "packaged")], STREAMS)
    for name, record in deployed:
        view.take(name.encode(), None if record is None else orjson.dumps(record))
    return view


def record(text=SQL, *, mode="active", version="v2", **more):
    about = {"rule": "big", "version": version, "text": text, "mode": mode, "by": "ann", "time_ms": 7}
    return about | more


def listed(view, overview=None):
    return {one["id"]: one for one in view.plain(overview or Overview(), 0)["rules"]}


def test_a_deployed_rule_replaces_the_packaged_one_and_a_tombstone_brings_it_back():
    deployed = record(SQL.replace("5", "9"), before=[record(version="v1", time_ms=3)])
    one = listed(rules(("big", deployed)))["big"]
    assert (one["origin"], one["version"], one["by"]) == ("topic", "v2", "ann")
    assert "q > 9" in one["sql"]
    assert [old["version"] for old in one["before"]] == ["v1"]
    one = listed(rules(("big", deployed), ("big", None)))["big"]
    assert (one["origin"], one["by"]) == ("packaged", None)


def test_a_packaged_rule_that_is_only_switched_off_keeps_its_text():
    one = listed(rules(("big", record(None, mode="disabled"))))["big"]
    assert (one["mode"], one["origin"]) == ("disabled", "packaged")
    assert "q > 5" in one["sql"]


def test_a_proposal_changes_nothing_and_is_shown_beside_what_is_in_force():
    proposal = record(SQL.replace("5", "9"), mode="proposed", version="v3", by="bob", proposed_mode="active")
    one = listed(rules(("big", proposal | {"before": [record(SQL.replace("5", "7"))]})))["big"]
    assert (one["version"], one["mode"], one["by"]) == ("v2", "active", "ann")
    assert "q > 7" in one["sql"]
    assert (one["proposed"]["version"], one["proposed"]["by"]) == ("v3", "bob")
    assert "q > 9" in one["proposed"]["text"]
    assert listed(rules(("big", proposal)))["big"]["mode"] == "proposed"


def test_a_rule_that_does_not_compile_here_is_shown_with_the_reason():
    one = listed(rules(("odd", record("SELECT nothing FROM nowhere", rule="odd"))))["odd"]
    assert one["sql"] == "SELECT nothing FROM nowhere"
    assert "nowhere" in one["reason"]


def test_of_several_workers_counters_are_added_and_the_gravest_mode_counts():
    overview = Overview()
    told = {"id": "big", "version": "v", "severity": "low", "events": 1_000, "alerts": 2, "open": 1, "busy_us": 500}
    overview.status(b"w1", status(1, rules=[told | {"mode": "active"}]), 1)
    overview.status(b"w2", status(1, rules=[told | {"mode": "quarantined", "reason": "division by zero"}]), 1)
    one = listed(rules(), overview)["big"]
    assert (one["events"], one["alerts"], one["open"], one["cost_us_per_event"]) == (2_000, 4, 2, 0.5)
    assert (one["mode"], one["reason"]) == ("quarantined", "division by zero")


def standing(**more):
    return orjson.dumps({
        "grid": "g", "state": "live", "reason": "", "generations": 2, "cause": "c", "centre_ticks": 10_000,
        "mark_ticks": 10_100, "start_ticks": 10_000, "fills": 1, "symbol": "BTC-USD", "time_ms": 5, "spec": SPEC,
        "grid_profit": "1.5", "floating_pnl": "-0.25", "equity_change": "1.25", "unexplained": "0",
        "levels": [9_900, 10_100],
        "open_orders": [{"id": "o1", "side": "buy", "ticks": 9_900, "lots": 3, "filled": 1}], **more,
    })  # fmt: skip


def fill(n):
    return orjson.dumps({
        "type": "fill", "order_id": "o", "trade_id": f"t{n}", "side": "buy", "ticks": 9_900, "lots": 3, "time_ms": n
    })  # fmt: skip


def test_a_grid_is_shown_in_exact_decimal_text():
    grids = Grids()
    grids.stands(b"g", standing())
    grids.hears(b"g", fill(1))
    grids.hears(b"g", fill(1))
    (one,) = grids.plain()["grids"]
    assert (one["lower"], one["upper"], one["levels"]) == ("99.00", "101.00", ["99.00", "101.00"])
    assert one["orders"] == [{"id": "o1", "side": "buy", "price": "99.00", "qty": "0.0003", "filled": "0.0001"}]
    assert [(f["price"], f["qty"]) for f in one["fills"]] == [("99.00", "0.0003")]
    assert one["books"]["floating_pnl"] == "-0.25"
    assert one["equity"]["hold"] == [0.01]  # 0.01 BTC that rose by one dollar


def test_prices_are_of_the_grids_symbol_and_not_too_many():
    grids = Grids()
    grids.stands(b"g", standing())
    for ms in range(0, 5_000, 100):
        for symbol in ("ETH-USD", "BTC-USD"):
            event = {
                "type": "price",
                "time_ms": 1_000_000 + ms,
                "ticks": 10_000 + (symbol == "BTC-USD") * ms,
                "symbol": symbol,
            }
            grids.hears(None, orjson.dumps(event))
    price = grids.plain()["grids"][0]["price"]
    assert price["t_ms"] == [1_000_000 + ms for ms in range(0, 5_000, 500)]
    assert price["p"][1] == 105.0
    for n in range(2 * MOST_FILLS):
        grids.hears(b"g", fill(n))
    assert len(grids.plain()["grids"][0]["fills"]) == MOST_FILLS


def test_full_curves_become_coarser_and_keep_their_beginning():
    curve = Columns("t", "p", most=100, thin=True)
    for n in range(10_000):
        curve.add(n, n)
    times = curve.plain()["t"]
    assert (times[0], times[-1]) == (0, 9_999)
    assert len(times) <= 100
    assert times == sorted(set(times))


def test_a_status_that_does_not_fit_neither_shows_nor_stops_anything():
    view = Overview()
    view.status(b"good", status(100), 1_000)
    for bad in (
        {"events_per_s": "x"},
        {"rules": [{"id": 5}]},
        {"agents": {"risk": {"lag_total": "y"}}},
        {"watermark_lag_ms": [1]},
    ):
        view.status(b"bad", orjson.dumps(orjson.loads(status(1)) | bad), 1_000)
        view.tick(1_500)
    assert [one["worker"] for one in view.plain(1_500)["workers"]] == ["good"]


@pytest.mark.parametrize("value", [b"", b"{", b"[]", b"5", b'{"type": "fill"}', b'{"spec": 5}', b"\xff", None])
@pytest.mark.parametrize(
    "topic", ["m1cep.alerts.v1", "m1cep.status.v1", "m1cep.rules.v1", "m1cep.alert-states.v1", "m1cep.grids.v1"]
)
def test_what_makes_no_sense_is_left_out(topic, value):
    world = World()
    world.hear(topic, value, key="k")
    for name in world.board.documents.names:
        assert orjson.loads(world.board.documents.get(name))


def test_a_document_that_cannot_be_made_is_shown_as_it_was():
    made = iter((1, 2))
    documents = Documents(lambda: next(clock))
    clock = iter(range(0, 100, 10))
    documents.add("one", lambda: {"n": next(made)}, 5.0)
    seen = [documents.get("one") for _ in range(4)]
    assert seen == [b'{"n":1}', b'{"n":2}', b'{"n":2}', b'{"n":2}']
    assert documents.get("two") is None


def test_statements_are_shown_newest_first_and_a_forged_one_as_such(tmp_path):
    pytest.importorskip("nacl")
    published = tmp_path / "published"
    published.mkdir()
    for n, name in enumerate(("one", "two")):
        owed = owed_by_asset([("ann", "BTC", 150_000_000, 8), ("bob", "BTC", n, 8)])
        publish(tmp_path / "home", published / name, 1_000 + n, owed)
    view = Reserves(published)
    found = view.look()["statements"]
    assert [(one["name"], one["time_ms"], one["signature_ok"]) for one in found] == [
        ("two", 1_001, True),
        ("one", 1_000, True),
    ]
    assert found[0]["total"] == {"BTC": "1.50000001"}
    assert found[0]["reserves"] is None
    file = published / "two" / "statement.json"
    forged = orjson.loads(file.read_bytes())
    forged["statement"]["assets"]["BTC"]["total"] = "1"
    file.unlink()
    file.write_bytes(orjson.dumps(forged))
    assert [one["signature_ok"] for one in view.look()["statements"]] == [False, True]
    (published / "one" / "statement.json").write_text("{")
    assert [one["name"] for one in view.look()["statements"]] == ["two"]
    assert Reserves(None).look() == {"statements": None}


@pytest.mark.parametrize(
    "document",
    [
        {"statement": []},
        {"statement": {"format": "m1cep-liabilities-1", "epoch_ms": 1, "assets": []}},
        {"statement": {"format": "m1cep-liabilities-1", "epoch_ms": 1, "assets": {"BTC": 5}}},
        {"statement": {"format": "m1cep-liabilities-1", "epoch_ms": "soon", "assets": {}}},
        {"statement": {"format": "m1cep-liabilities-1", "epoch_ms": 1, "assets": {}}, "signature": 5},
    ],
)
def test_a_file_that_is_no_statement_hides_no_other(tmp_path, document):
    well = {"statement": {"format": "m1cep-liabilities-1", "epoch_ms": 2, "assets": {}}}
    for name, content in (("one", document), ("two", well)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "statement.json").write_bytes(orjson.dumps(content))
    found = {one["name"]: one["signature_ok"] for one in Reserves(tmp_path).look()["statements"]}
    assert found.pop("two") is None
    assert found in ({}, {"one": False})
