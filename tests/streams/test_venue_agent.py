"""Grids over a real broker that trade on a real venue's API: lost replies, too many requests, killed workers."""

import json
import random
import signal
import time
from decimal import Decimal

import pytest

pytest.importorskip("ccxt", reason="the extra ccxt is not installed")

from binance_stand_in import KEY, LOTS, MARKET, SECRET, Threaded

from m1cep.grid import wire
from m1cep.grid.machine import GridSpec, Rung
from m1cep.grid.orders import Side
from streams.config import load_settings
from streams.grid.desk import standing

pytestmark = pytest.mark.broker

FILLS, DEAD = "m1cep.fills.v1", "m1cep.dead-letters.v1"
CENTRE, STEP = 7_800_000, 20_000  # 78,000 USDT, steps of 200; each level 0.001 BTC
SPEC = GridSpec(
    market=MARKET,
    centre_ticks=CENTRE,
    up=(Rung(lots=LOTS, ticks=STEP),) * 3,
    down=(Rung(lots=LOTS, ticks=STEP),) * 3,
    cash=Decimal(100_000),
    lots=100_000,
    retries=20,  # after a restart the venue is given time: what waits then expires, and is given again
    reconcile_ms=5_000,
)
ENVIRONMENT = {
    "M1CEP_VENUE": "binance",
    "M1CEP_VENUE_ACCOUNT": "desk-1",
    "M1CEP_VENUE_KEY": KEY,
    "M1CEP_VENUE_SECRET": SECRET,
    "M1CEP_VENUE_SETTLE_S": "3",
}


@pytest.fixture
def venue():
    server = Threaded()
    yield server
    server.close()


@pytest.fixture
def start(start_m1cep, tmp_path, eventually, venue):
    """Starts a worker with agents and waits until it is ready."""
    count = 0

    def begin(kafka, agents, **env):
        nonlocal count
        count += 1
        stats = tmp_path / f"stats-{count}.json"
        options = ("--stats-file", stats, "--stats-every-ms", 50, "--session-timeout", 2, "--silence-ms", 0)
        log = (tmp_path / f"worker-{count}.log").open("w")
        env = ENVIRONMENT | {"M1CEP_VENUE_URL": venue.server.url, "M1CEP_BROKER": kafka.address} | env
        process = start_m1cep("worker", "--agents", agents, *options, stderr=log, **env)
        process.log = tmp_path / f"worker-{count}.log"

        def ready():
            assert process.poll() is None, process.log.read_text()
            return stats.exists() and json.loads(stats.read_text())["ready"]

        eventually(ready, 40)
        return process

    return begin


@pytest.fixture
def begin_grid(m1cep, tmp_path):
    def begin(kafka, name, *, account="desk-1", spec=SPEC):
        file = tmp_path / f"{name}.json"
        file.write_text(json.dumps(wire.spec_plain(spec)))
        options = ("--spec", file, "--account", account, "--venue", "binance")
        done = m1cep("grid", "start", name, *options, M1CEP_BROKER=kafka.address)
        assert done.returncode == 0, done.stderr

    return begin


def stands(kafka, name):
    return standing(load_settings(broker=kafka.address)).get(name, {})


def live(kafka, name, generations=1):
    """How it stands, once every level has its order: those that waited too long for the venue are given again."""
    now = stands(kafka, name)
    return now.get("state") == "live" and now["generations"] >= generations and now["orders"] == 6 and now


@pytest.mark.embedded_only("it is about the venue; what the broker does is tested elsewhere on both")
def test_a_grid_trades_at_the_venue_from_start_to_pause(kafka, start, begin_grid, m1cep, venue, eventually):
    worker = start(kafka, "grid,venue")
    begin_grid(kafka, "btc")
    eventually(lambda: live(kafka, "btc") and len(venue.open()) == 6, 30)

    venue.take(Side.BUY, CENTRE + STEP)  # the first level above the centre, whole
    now = eventually(lambda: len(venue.open()) == 6 and live(kafka, "btc", 2), 30)
    assert (now["fills"], now["centre_ticks"], now["unexplained"], now["quarantined"]) == (1, CENTRE + STEP, "0", 0)
    assert max(Decimal(price) for side, price, _ in venue.open() if side == "buy") == 78_000
    (fill,) = [json.loads(r.value) for r in kafka.read(FILLS)]
    assert (fill["account"], fill["side"], fill["price"], fill["qty"]) == ("desk-1", "sell", 78_200.0, 0.001)

    m1cep("grid", "pause", "btc", M1CEP_BROKER=kafka.address)
    eventually(lambda: stands(kafka, "btc")["state"] == "paused", 20)
    assert venue.open() == []
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(120) == 0
    log = worker.log.read_text()
    assert "venue.connected" in log
    assert "Unclosed" not in log
    assert SECRET not in log.replace("M1CEP_VENUE_SECRET", "")


@pytest.mark.slow
@pytest.mark.embedded_only("a minute of faults at the venue; what the broker does is tested elsewhere on both")
def test_whatever_is_lost_and_whoever_is_killed_the_venue_has_the_grids_orders(
    kafka, start, begin_grid, venue, eventually
):
    """One effective order for each intent: none twice, none left over, and the money adds up."""
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    rng = random.Random(seed)
    workers = {agent: start(kafka, agent) for agent in ("grid", "venue")}
    begin_grid(kafka, "btc")
    eventually(lambda: live(kafka, "btc"), 30)
    busy = {"status": 429, "body": {"code": -1003, "msg": "Too much request weight used."}}
    faults = (
        ("lose_reply", {}),
        ("lose_request", {}),
        ("delay", {"delay_s": 1.2}),
        ("status", busy | {"headers": {"Retry-After": "1"}}),
        ("status", {"status": 503}),
    )
    for _ in range(3):
        for _ in range(4):
            kind, about = rng.choice(faults)
            request = rng.choice(("POST order", "DELETE order", "GET order", "GET myTrades", "GET openOrders"))
            venue.fail(request, kind, **about)
            centre = stands(kafka, "btc")["centre_ticks"] or CENTRE
            side = rng.choice((Side.BUY, Side.SELL))
            venue.take(side, centre + (STEP if side is Side.BUY else -STEP), rng.choice((30, LOTS)))
            time.sleep(rng.random() * 1.5)
        killed = rng.choice((["venue"], ["venue", "grid"]))
        for agent in killed:
            workers[agent].send_signal(signal.SIGKILL)
            workers[agent].wait()
        venue.take(Side.BUY, 9_000_000, 20)  # trades while nobody is there
        workers |= {agent: start(kafka, agent) for agent in killed}
    venue.run(venue.server.faults.clear)

    def settled():
        now = live(kafka, "btc")
        return now and now["fills"] == venue.trades() and len(venue.open()) == now["orders"] > 0 and now

    eventually(settled, 90)
    time.sleep(1)
    now = eventually(settled, 30)
    assert (now["unexplained"], now["quarantined"]) == ("0", 0)
    ids = venue.ids()
    assert len(ids) == len(set(ids)), "an order was placed twice"
    fills = {}
    for record in kafka.read(FILLS):
        fill = json.loads(record.value)
        assert fills.setdefault(fill["event_id"], fill) == fill, "one trade, told in two ways"
    assert len(fills) == now["fills"] > 0
    print(len(ids), "orders", now["fills"], "fills", now["generations"], "generations")


@pytest.mark.embedded_only("a minute of waiting for groups; what the broker does is tested elsewhere on both")
def test_the_grids_go_from_worker_to_worker(kafka, start, begin_grid, venue, eventually):
    start(kafka, "grid")
    workers = [start(kafka, "venue")]
    begin_grid(kafka, "btc")
    eventually(lambda: live(kafka, "btc") and len(venue.open()) == 6, 40)
    workers.append(start(kafka, "venue"))  # whichever of the two has the symbol now
    for generation in (2, 3):
        venue.take(Side.BUY, stands(kafka, "btc")["centre_ticks"] + STEP)
        now = eventually(lambda: len(venue.open()) == 6 and live(kafka, "btc", generation), 60)  # noqa: B023
        assert (now["fills"], now["unexplained"], now["quarantined"]) == (generation - 1, "0", 0)
        if len(workers) == 2:
            workers.pop(0).send_signal(signal.SIGTERM)
    ids = venue.ids()
    assert len(ids) == len(set(ids)), "an order was placed twice"


@pytest.mark.embedded_only("it is about the venue; what the broker does is tested elsewhere on both")
def test_a_key_is_used_for_its_account_only(kafka, start, begin_grid, venue, eventually):
    start(kafka, "grid,venue")
    begin_grid(kafka, "theirs", account="desk-2")
    letter = eventually(lambda: kafka.read(DEAD), 20)[0]
    assert "the key for binance is of account 'desk-1'" in json.loads(letter.value)["reason"]
    assert venue.ids() == []
