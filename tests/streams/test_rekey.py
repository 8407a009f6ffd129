"""Rules whose PARTITION BY is not their stream's key, on four partitions: the worker's alerts are those of ``replay``."""

import json
import random
import signal

import pytest
from topics_read import read_topic

from m1cep import compile_rule
from streams.config import Settings
from streams.files import load_streams
from streams.producer import Producer
from streams.replay import replay
from streams.topics import create_topics

pytestmark = pytest.mark.broker

ALERTS, DEAD, LATE = "m1cep.alerts.v1", "m1cep.dead-letters.v1", "m1cep.late.v1"
START_MS = 1_700_000_000_000
PATTERN = """MATCH_RECOGNIZE ({by} ORDER BY ts
  MEASURES FIRST(A.event_id) AS first_id, LAST(A.event_id) AS last_id, C.event_id AS then_id
  PATTERN (A{{2}} B*? C) WITHIN INTERVAL '5' SECOND
  DEFINE A AS A.side = 'buy', B AS B.qty > 3, C AS C.side = 'sell' AND C.qty > 5)"""
RULES = {
    "by-symbol": f"SELECT * FROM orders {PATTERN.format(by='PARTITION BY symbol')}",
    "in-one": f"SELECT * FROM (SELECT * FROM orders WHERE qty > 6) {PATTERN.format(by='')}",
    "view": f"SELECT * FROM (SELECT * FROM events WHERE kind IN ('order', 'fill')) {PATTERN.format(by='PARTITION BY symbol')}",
    "by-account": f"SELECT * FROM orders {PATTERN.format(by='PARTITION BY account')}",
    "join": """SELECT o.event_id AS o, m.event_id AS m FROM orders o JOIN market m
      ON o.symbol = m.symbol AND m.ts BETWEEN o.ts AND o.ts + INTERVAL '2' SECOND WHERE o.qty > 9 AND m.qty > 9""",
}


def make_events(count, seed=1):
    """Events of three streams, no two at one time, so that there is one right order; by stream."""
    draw = random.Random(seed)
    found = {"orders": [], "fills": [], "market": []}
    for n in range(count):
        stream = draw.choice(["orders", "orders", "fills", "market"])
        account, symbol = f"a{draw.randrange(30)}", f"S{draw.randrange(8)}"
        event = {"event_id": f"{stream}{n}", "symbol": symbol, "side": draw.choice(["buy", "sell"]), "price": 1.5}
        event |= {"qty": float(draw.randrange(1, 11)), "ts": START_MS + 20 * n}
        if stream == "market":
            event |= {"action": "trade"}
        else:
            event |= {"account": account, "order_id": f"i{n}", "action": "new", "trade_id": f"t{n}"}
        found[stream].append(event)
    return found


def expected(rules, events, tmp_path):
    """Alerts by id, as ``replay`` gives them."""
    streams, inputs, alerts = load_streams(), {}, []
    for name in ("orders", "fills", "market", "accounts"):
        file = tmp_path / f"{name}.ndjson"
        file.write_text("".join(json.dumps(e) + "\n" for e in events.get(name, [])))
        inputs[name] = (streams[name], file.open("rb"))
    replay([compile_rule(text, streams, f"{name}.sql") for name, text in rules.items()], inputs, on_alert=alerts.append)
    return {a.id: json.loads(a.to_json()) for a in alerts}


class Kafka:
    """A broker of one test."""

    def __init__(self, broker, settings):
        self.broker, self.settings = broker, settings

    def send(self, events):
        with Producer(self.settings.client_settings(), load_streams()) as producer:
            for name, event in sorted(((n, e) for n, es in events.items() for e in es), key=lambda pair: pair[1]["ts"]):
                producer.send(name, event)

    def read(self, topic):
        return read_topic(self.broker.address, topic)

    def alerts(self):
        """By id; alerts that come twice are the same."""
        found = {}
        for record in self.read(ALERTS):
            alert = json.loads(record.value)
            assert found.setdefault(alert["id"], alert) == alert
        return found


@pytest.fixture
def kafka(own_broker, home):
    settings = Settings(broker=own_broker.address, home=home)
    create_topics(settings)
    return Kafka(own_broker, settings)


@pytest.fixture
def worker(start_m1cep, tmp_path, kafka):
    """Starts a worker; its process and a function that reads its counters, empty before there are any."""
    count = 0

    def start(rules, *arguments):
        nonlocal count
        count += 1
        folder, stats = tmp_path / "rules", tmp_path / f"stats-{count}.json"
        folder.mkdir(exist_ok=True)
        for name, text in rules.items():
            (folder / f"{name}.sql").write_text(f"/*\nid: {name}\n*/\n{text}")
        options = ("--stats-file", stats, "--stats-every-ms", 50, "--session-timeout", 2)
        process = start_m1cep("worker", "--rules", folder, *options, *arguments, M1CEP_BROKER=kafka.broker.address)

        def read():
            assert process.poll() is None, process.communicate()[1]
            return json.loads(stats.read_text())["agents"] if stats.exists() else {}

        return process, read

    return start


def ready(stats):
    agents = stats()
    return bool(agents) and all(a["state"] == "ready" for a in agents.values())


def texts(rules):
    """The oracle's rules have the same text, hence the same version and alert ids."""
    return {name: f"/*\nid: {name}\n*/\n{text}" for name, text in rules.items()}


def test_alerts_are_those_of_replay(kafka, worker, tmp_path, eventually):
    events = make_events(4000)
    wanted = expected(texts(RULES), events, tmp_path)
    assert {a["rule"] for a in wanted.values()} == set(RULES)
    process, stats = worker(RULES)
    eventually(lambda: ready(stats), 30)
    kafka.send(events)
    eventually(lambda: stats()["risk"]["alerts"] >= len(wanted), 20)
    process.send_signal(signal.SIGTERM)
    assert process.wait(120) == 0
    assert kafka.alerts() == wanted
    assert kafka.read(LATE) == []


@pytest.mark.slow
def test_killed_again_and_again_it_misses_nothing_and_invents_nothing(kafka, worker, tmp_path, eventually):
    events = make_events(8000, seed=2)
    wanted = expected(texts(RULES), events, tmp_path)
    for quarter in range(4):
        part = {s: [e for e in es if (e["ts"] - START_MS) // 40_000 == quarter] for s, es in events.items()}
        process, stats = worker(RULES)
        eventually(lambda: ready(stats), 30)  # noqa: B023 - it is awaited here
        before = stats()["risk"][
            "events"
        ]  # of what was left over; it may be through with the new before it is all sent
        kafka.send(part)
        eventually(lambda: stats()["risk"]["events"] > before, 20)  # noqa: B023
        process.kill()
        process.wait()
    process, stats = worker(RULES)
    eventually(lambda: ready(stats), 30)
    eventually(lambda: kafka.alerts().keys() >= wanted.keys(), 30)
    process.send_signal(signal.SIGTERM)
    assert process.wait(120) == 0
    assert kafka.alerts() == wanted
    assert kafka.read(LATE) == []


@pytest.mark.parametrize(("names", "reporter"), [(["by-symbol"], "rekey"), (["by-symbol", "by-account"], "risk")])
def test_bad_and_late_records_are_told_once_and_nothing_of_them_is_sent_on(kafka, worker, eventually, names, reporter):
    orders = make_events(200)["orders"]
    late = orders[0] | {"event_id": "late", "ts": START_MS - 60_000}
    kafka.send({"orders": orders})
    with Producer(kafka.settings.client_settings(), load_streams()) as producer:
        producer.send("orders", b"not json", key=b"a1")
        producer.send("orders", late)
    process, stats = worker({name: RULES[name] for name in names})
    eventually(lambda: ready(stats) and stats()["rekey"]["events"] == len(orders) + 1, 30)
    eventually(lambda: (stats()[reporter]["dead_letters"], stats()[reporter]["late"]) == (1, 1), 20)
    process.send_signal(signal.SIGTERM)
    assert process.wait(120) == 0
    [letter], [missed] = kafka.read(DEAD), kafka.read(LATE)
    assert json.loads(letter.value)["raw"] == "not json"
    assert json.loads(letter.value)["topic"] == json.loads(missed.value)["topic"] == "m1cep.orders.v1"
    assert dict(letter.headers)["ce_source"] == f"/m1cep/{reporter}".encode()
    assert json.loads(json.loads(missed.value)["raw"])["event_id"] == "late"
    sent_on = [r for r in kafka.read("m1cep.orders-by-symbol.v1") if r.headers[-1][0] == "m1cep-from"]
    assert sorted(json.loads(r.value)["event_id"] for r in sent_on) == sorted(o["event_id"] for o in orders)
    assert all(r.key.decode() == json.loads(r.value)["symbol"] for r in sent_on)


def test_a_source_partition_whose_worker_is_away_holds_the_others_back(kafka, worker, tmp_path, eventually):
    """Two workers; one is paused, longer than its session lasts, while events come: they are neither lost nor late."""
    events = make_events(4000, seed=3)
    rules = {name: RULES[name] for name in ("by-symbol", "in-one")}
    wanted = expected(texts(rules), events, tmp_path)
    first, stats = worker(rules)
    eventually(lambda: ready(stats), 60)
    second, others = worker(rules)
    eventually(lambda: ready(stats) and ready(others) and len(others()["rekey"]["assigned"]) == 2, 60)
    half = START_MS + 20 * 2000
    kafka.send({name: [e for e in found if e["ts"] < half] for name, found in events.items()})
    orders = sum(order["ts"] < half for order in events["orders"])
    eventually(lambda: stats()["rekey"]["events"] + others()["rekey"]["events"] >= orders, 60)
    second.send_signal(signal.SIGSTOP)
    kafka.send({name: [e for e in found if e["ts"] >= half] for name, found in events.items()})
    eventually(lambda: kafka.alerts().keys() >= wanted.keys(), 80)
    second.send_signal(signal.SIGCONT)
    first.send_signal(signal.SIGTERM)
    assert first.wait(120) == 0
    second.kill()
    assert kafka.alerts() == wanted
    assert kafka.read(LATE) == []
