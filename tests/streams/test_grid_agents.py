"""Grids over a real broker with real workers: started by command, filled by the market, halted by an alert, killed."""

import json
import random
import signal
import time

import pytest
from grid_spec import SPEC

from m1cep.grid import wire
from streams.config import load_settings
from streams.grid.desk import standing

pytestmark = pytest.mark.broker

COMMANDS, GRID_LOG, FILLS, MARKET = (
    "m1cep.order-commands.v1",
    "m1cep.grid-log.v1",
    "m1cep.fills.v1",
    "m1cep.market.v1",
)


@pytest.fixture
def spec(tmp_path):
    file = tmp_path / "spec.json"
    file.write_text(json.dumps(wire.spec_plain(SPEC)))
    return file


@pytest.fixture
def grids(start_m1cep, tmp_path, eventually):
    """Starts a worker with grids and exchange and waits until it is ready."""
    count = 0

    def start(kafka, *options, agents="grid,paper_exchange"):
        nonlocal count
        count += 1
        stats = tmp_path / f"stats-{count}.json"
        common = ("--stats-file", stats, "--stats-every-ms", 50, "--session-timeout", 2, "--silence-ms", 0)
        process = start_m1cep("worker", "--agents", agents, *common, *options, M1CEP_BROKER=kafka.address)

        def ready():
            assert process.poll() is None, process.communicate()[1]
            return stats.exists() and json.loads(stats.read_text())["ready"]

        eventually(ready, 40)
        return process

    return start


class Flow:
    """The real flow, by hand: takers that trade with the grids' orders."""

    def __init__(self, kafka):
        self.kafka, self.count = kafka, 0

    def take(self, side, price, qty=0.01):
        """Somebody buys (a bid) or sells (an ask) up to a price."""
        self.count += 1
        self.kafka.send(
            MARKET,
            {
                "event_id": f"m{self.count}",
                "symbol": "BTC-USD",
                "action": "created",
                "order_id": f"x{self.count}",
                "side": side,
                "price": price,
                "qty": qty,
                "ts": int(time.time() * 1000),
            },
            key="symbol",
        )


def stands(kafka, name):
    return standing(load_settings(broker=kafka.address)).get(name, {})


def open_at_exchange(kafka, eventually, name):
    """Ask the exchange in the grid's name: ids of its open orders."""
    question = random.randrange(10**6, 10**9)
    body = {"grid": name, "account": "desk-1", "venue": "paper", "symbol": "BTC-USD"}
    body["command"] = {"type": "ask_open_orders", "question": question}
    number = next(r.partition for r in kafka.read(COMMANDS) if r.key == name.encode())
    kafka.send(COMMANDS, json.dumps(body).encode(), partition=number)

    def answer():
        reports = [json.loads(r.value) for r in kafka.read(GRID_LOG) if r.key == name.encode()]
        return next((r for r in reports if r["type"] == "open_orders" and r["question"] == question), None)

    return {order["order_id"] for order in eventually(answer, 20)["orders"]}


def test_a_grid_lives_from_command_to_command(kafka, grids, m1cep, spec, eventually):
    grids(kafka)
    broker = {"M1CEP_BROKER": kafka.address}
    done = m1cep("grid", "start", "btc", "--spec", spec, "--account", "desk-1", "--json", **broker)
    assert done.returncode == 0, done.stderr
    eventually(lambda: stands(kafka, "btc")["state"] == "live", 20)
    assert len(open_at_exchange(kafka, eventually, "btc")) == 6

    market = Flow(kafka)
    market.take("bid", 64_020.0)  # the first level above the centre, whole
    eventually(lambda: stands(kafka, "btc")["generations"] == 2 and stands(kafka, "btc")["state"] == "live", 20)
    after = stands(kafka, "btc")
    assert (after["fills"], after["centre_ticks"], after["unexplained"]) == (1, 6_402_000, "0")
    assert after["cash"] == "10640.16799"  # 640.2 less a fee of 0.03201
    (fill,) = [json.loads(r.value) for r in eventually(lambda: kafka.read(FILLS))]
    assert (fill["account"], fill["side"], fill["price"], fill["qty"]) == ("desk-1", "sell", 64_020.0, 0.01)

    done = m1cep("grid", "pause", "btc", "--json", **broker)
    assert done.returncode == 0, done.stderr
    eventually(lambda: stands(kafka, "btc")["state"] == "paused", 20)
    assert open_at_exchange(kafka, eventually, "btc") == set()
    m1cep("grid", "resume", "btc", **broker)
    eventually(lambda: stands(kafka, "btc")["state"] == "live", 20)
    table = m1cep("grid", "status", **broker).stdout
    assert "btc" in table
    assert "live" in table
    m1cep("grid", "stop", "btc", **broker)
    eventually(lambda: stands(kafka, "btc")["state"] == "stopped", 20)
    assert open_at_exchange(kafka, eventually, "btc") == set()


@pytest.mark.embedded_only("it is about the commands")
def test_what_the_commands_refuse(kafka, grids, m1cep, spec, tmp_path):
    broker = {"M1CEP_BROKER": kafka.address}
    assert "There are no grids" in m1cep("grid", "status", **broker).stdout
    done = m1cep("grid", "pause", "btc", **broker)
    assert (done.returncode, "there is no grid 'btc'; there are: none" in done.stderr) == (1, True)
    bad = tmp_path / "bad.json"
    bad.write_text(json.dumps(wire.spec_plain(SPEC) | {"cash": "-1"}))
    done = m1cep("grid", "start", "btc", "--spec", bad, "--account", "a", **broker)
    assert (done.returncode, "cash: expected an amount from 0, got -1" in done.stderr) == (1, True)
    bad.write_text("{")
    assert "is not JSON" in m1cep("grid", "start", "btc", "--spec", bad, "--account", "a", **broker).stderr
    grids(kafka)
    assert m1cep("grid", "start", "btc", "--spec", spec, "--account", "a", **broker).returncode == 0
    done = m1cep("grid", "start", "btc", "--spec", spec, "--account", "a", **broker)
    assert (done.returncode, "there is or was a grid 'btc' already" in done.stderr) == (1, True)


@pytest.mark.embedded_only("the way to a halt is the same on both; grids live on Kafka from command to command")
def test_an_alert_with_the_action_halts_the_grids_of_the_account(kafka, grids, m1cep, spec, eventually, tmp_path):
    rules = tmp_path / "rules"
    rules.mkdir()
    (rules / "large.sql").write_text(
        "/*\nid: large\nseverity: high\naction: halt_grid\n*/\nSELECT account, qty FROM orders WHERE qty > 100"
    )
    grids(kafka, "--rules", rules, agents="risk,grid,paper_exchange")
    for name, account in (("mine", "desk-1"), ("yours", "desk-2")):
        m1cep("grid", "start", name, "--spec", spec, "--account", account, M1CEP_BROKER=kafka.address)
        eventually(lambda name=name: stands(kafka, name).get("state") == "live", 20)
    order = {"event_id": "o1", "account": "desk-1", "order_id": "1", "symbol": "BTC-USD", "action": "new"}
    kafka.send("m1cep.orders.v1", order | {"side": "buy", "price": 1.0, "qty": 101.0, "ts": 1_700_000_000_000})
    halted = eventually(lambda: (s := stands(kafka, "mine"))["state"] == "halted" and s, 20)
    (alert,) = kafka.alerts()
    assert halted["reason"] == f"alert:{alert['id']}"
    assert open_at_exchange(kafka, eventually, "mine") == set()
    assert stands(kafka, "yours")["state"] == "live"


@pytest.mark.slow
@pytest.mark.embedded_only("a minute; what kills do on Kafka is tested with workers of rules")
def test_killed_again_and_again_grid_and_exchange_agree(kafka, grids, m1cep, spec, eventually):
    """One effective order for each intent: what is open at the exchange is what the grid wants, and the money adds up."""
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    rng = random.Random(seed)
    worker = grids(kafka)
    m1cep("grid", "start", "btc", "--spec", spec, "--account", "desk-1", M1CEP_BROKER=kafka.address)
    market = Flow(kafka)
    for _ in range(4):
        for _ in range(6):
            centre = (stands(kafka, "btc").get("centre_ticks") or 6_400_000) / 100
            if rng.random() < 0.5:
                market.take("bid", centre + 20, rng.choice([0.003, 0.01]))
            else:
                market.take("ask", centre - 20, rng.choice([0.003, 0.01]))
            time.sleep(rng.random() * 0.1)
        worker.send_signal(signal.SIGKILL)
        worker.wait()
        market.take("bid", 70_000.0, 0.002)  # trades while nobody is there
        worker = grids(kafka)

    def told():
        fills = {}
        for record in kafka.read(FILLS):
            fill = json.loads(record.value)
            assert fills.setdefault(fill["event_id"], fill) == fill, "one trade, told in two ways"
        return fills

    def settled():
        now = stands(kafka, "btc")
        if now.get("state") != "live" or not now["orders"] or len(told()) != now["fills"]:
            return None
        return len(open_at_exchange(kafka, eventually, "btc")) == now["orders"] and now

    eventually(settled, 60)
    time.sleep(1)
    now = eventually(settled, 60)
    assert (now["unexplained"], now["quarantined"]) == ("0", 0)
    fills = told()
    assert fills
    placed = {}
    for record in kafka.read(COMMANDS):
        command = json.loads(record.value).get("command", {})
        if command.get("type") == "place":
            order = (command["side"], command["ticks"], command["lots"])
            assert placed.setdefault(command["order_id"], order) == order
    kinds = {"bid": sum(f["side"] == "buy" for f in fills.values()), "n": len(fills)}
    print(kinds, now["generations"])
