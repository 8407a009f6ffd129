"""``m1cep worker`` as a process on a real broker: what comes out, in what order it is committed, how it ends."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from kafka import KafkaConsumer, KafkaProducer, TopicPartition

from streams import codec
from streams.agents.outbox import Outbox
from streams.config import load_settings
from streams.embedded import EmbeddedBroker
from streams.topics import BUILT_IN, Topic, create_topics

pytestmark = [pytest.mark.broker, pytest.mark.slow]

ORDERS, FILLS, MARKET = "m1cep.orders.v1", "m1cep.fills.v1", "m1cep.market.v1"
ALERTS, DEAD, LATE = "m1cep.alerts.v1", "m1cep.dead-letters.v1", "m1cep.late.v1"
START_MS = 1_700_000_000_000
BIG = "SELECT account, qty FROM orders WHERE qty > 100"
# Three in a row, so that it needs state between batches.
THREE = """
SELECT * FROM orders MATCH_RECOGNIZE (
  PARTITION BY account ORDER BY ts MEASURES FIRST(A.event_id) AS first_id, LAST(A.event_id) AS last_id
  ONE ROW PER MATCH AFTER MATCH SKIP PAST LAST ROW PATTERN (A{3}) WITHIN INTERVAL '1' HOUR DEFINE A AS A.qty > 100
)
"""


def order(n, *, account="acc-1", qty=1.0, ts=None, **more):
    event = {"event_id": f"o{n}", "account": account, "order_id": f"ord{n}", "symbol": "BTC-USD", "action": "new"}
    return (
        event | {"side": "buy", "price": 64_000.5, "qty": qty, "ts": START_MS + n * 1000 if ts is None else ts} | more
    )


@dataclass
class Kafka:
    """A broker of the test's own, with all topics."""

    broker: Any  # embedded or Apache Kafka
    producer: KafkaProducer
    sent: list = field(default_factory=list)

    @property
    def address(self):
        return self.broker.address

    def send(self, topic, *values, partition=None, key="account"):
        """Write events (or bytes as they are), keyed by a column."""
        futures = []
        for value in values:
            raw = value if isinstance(value, bytes) or value is None else json.dumps(value).encode()
            named = value[key].encode() if isinstance(value, dict) else b"k"
            futures.append(self.producer.send(topic, value=raw, key=named, partition=partition))
        return [future.get(10) for future in futures]

    def read(self, topic):
        """Every record that the topic holds now."""
        consumer = KafkaConsumer(bootstrap_servers=self.address, enable_auto_commit=False)
        try:
            tps = [TopicPartition(topic, p) for p in range(4)]
            consumer.assign(tps)
            consumer.seek_to_beginning(*tps)
            end = consumer.end_offsets(tps)  # on the embedded broker too low, so what comes is read beyond it
            found, empty = [], 0
            while empty < 2:
                batch = [r for rs in consumer.poll(timeout_ms=300).values() for r in rs]
                found += batch
                empty = empty + 1 if not batch and all(consumer.position(tp) >= end[tp] for tp in tps) else 0
            return found
        finally:
            consumer.close()

    def alerts(self):
        return [json.loads(r.value) for r in self.read(ALERTS)]

    def committed(self, topic=ORDERS):
        consumer = KafkaConsumer(bootstrap_servers=self.address, group_id="m1cep-risk", enable_auto_commit=False)
        try:
            return {p: consumer.committed(TopicPartition(topic, p)) for p in range(4)}
        finally:
            consumer.close(autocommit=False)


@pytest.fixture
def kafka(own_broker):
    create_topics(load_settings(broker=own_broker.address))
    producer = KafkaProducer(
        bootstrap_servers=own_broker.address,
        acks="all",
        enable_idempotence=False,
        max_in_flight_requests_per_connection=1,  # so that a retry, usual on a topic just made, makes no event late
        max_request_size=4 << 20,
    )
    yield Kafka(own_broker, producer)
    producer.close(timeout=1)


@pytest.fixture
def rule(tmp_path):
    def write(text, name="big"):
        folder = tmp_path / "rules"
        folder.mkdir(exist_ok=True)
        (folder / f"{name}.sql").write_text(text)
        return folder

    return write


class Worker:
    """A worker process with its stats file."""

    def __init__(self, process, stats_path):
        self.process = process
        self.stats_path = stats_path

    @property
    def stats(self):
        return json.loads(self.stats_path.read_text())["agents"]["risk"]

    def ready(self):
        assert self.process.poll() is None, self.process.communicate()[1]
        return self.stats_path.exists() and self.stats["ready"]

    def end(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        _, err = self.process.communicate(timeout=20)
        return self.process.returncode, err


@pytest.fixture
def worker(start_m1cep, tmp_path, eventually):
    """Starts a worker and waits until it is ready."""
    count = 0

    def start(kafka, rules, *arguments, wait=True, **env):
        nonlocal count
        count += 1
        stats = tmp_path / f"stats-{count}.json"
        options = ("--rules", rules, "--stats-file", stats, "--stats-every-ms", 50, "--session-timeout", 2)
        options += ("--silence-ms", 0)  # event time here has nothing to do with the clock
        process = start_m1cep("worker", *options, *arguments, M1CEP_BROKER=kafka.address, **env)
        running = Worker(process, stats)
        if wait:
            eventually(running.ready, 30)
        return running

    return start


def test_alerts_leave_with_key_and_headers_and_the_last_positions_are_committed_at_sigterm(
    kafka, rule, worker, eventually
):
    running = worker(kafka, rule("SELECT symbol, price FROM market WHERE qty > 100"))
    trade = {"action": "trade", "side": "bid", "price": 2.5}
    events = [
        {"event_id": f"m{n}", "symbol": f"S{n % 7}", "qty": 101.0 if n % 10 == 0 else 1.0, "ts": START_MS + n, **trade}
        for n in range(200)
    ]
    kafka.send(MARKET, *events, key="symbol")
    eventually(lambda: running.stats["events"] == 200)
    code, err = running.end()  # long before the next regular commit
    assert code == 0, err
    records = kafka.read(ALERTS)
    assert sorted(json.loads(r.value)["events"][0] for r in records) == sorted(f"m{n}" for n in range(0, 200, 10))
    for record in records:
        alert, headers = json.loads(record.value), dict(record.headers)
        assert set(alert) == {"id", "rule", "severity", "key", "row", "event_time", "events"}
        assert record.key == "|".join(map(str, alert["key"].values())).encode()
        assert headers["ce_id"] == alert["id"].encode()
        assert headers["ce_specversion"] == b"1.0"
        assert headers["ce_type"] == b"m1cep.alert.v1"
        assert headers["ce_source"] == b"/m1cep/risk"
        assert headers["content-type"] == b"application/json"
        assert headers["ce_time"].startswith(b"2023-11-14T22:13:20.")
    assert sum(offset or 0 for offset in kafka.committed(MARKET).values()) == 200
    assert running.stats["alerts_by_rule"] == {"big": 20}
    assert running.stats["state"] == "stopped"


def test_what_waits_for_its_turn_and_open_patterns_outlive_a_stop(kafka, rule, worker, eventually):
    """Orders may be 200 ms late, so the newest wait; A{3} has seen two of three. Nothing is read twice."""
    rules = rule(BIG)
    rule(THREE, "three")
    first = worker(kafka, rules, "--idle-timeout-ms", 60_000)
    kafka.send(ORDERS, *(order(n, ts=START_MS + n * 10, qty=101.0) for n in range(100)), partition=0)
    eventually(lambda: first.stats["events"] == 100)
    assert first.end()[0] == 0
    seen = {a["events"][0] for a in kafka.alerts() if a["rule"] == "big"}
    assert seen == {f"o{n}" for n in range(80)}  # at 990 ms, less 200: 790 is the last that may go
    assert kafka.committed()[0] == 100
    again = worker(kafka, rules, "--idle-timeout-ms", 60_000)
    kafka.send(ORDERS, order(100, ts=START_MS + 2000), partition=0)
    eventually(lambda: again.stats["alerts_by_rule"] == {"big": 20, "three": 7})
    assert again.stats["events"] == 1
    assert again.end()[0] == 0
    alerts = kafka.alerts()
    assert len({a["id"] for a in alerts}) == len(alerts) == 133
    threes = [a["row"] for a in alerts if a["rule"] == "three"]
    assert [(r["first_id"], r["last_id"]) for r in threes] == [(f"o{n}", f"o{n + 2}") for n in range(0, 99, 3)]


def test_open_patterns_outlive_a_kill_in_postgresql_and_its_password_is_nowhere(
    kafka, rule, worker, eventually, postgres, tmp_path
):
    url, state_dir = postgres.url.get_secret_value(), tmp_path / "unused"
    setting = {"M1CEP_STATE_URL": url, "M1CEP_STATE_DIR": str(state_dir)}
    rules = rule(THREE, "three")
    first = worker(kafka, rules, **setting)
    kafka.send(ORDERS, order(0, qty=101.0), order(1, qty=101.0), partition=0)
    eventually(lambda: first.stats["committed"].get(f"{ORDERS}/0") == 2)
    _, said = first.end(signal.SIGKILL)
    assert url.split(":")[2].split("@")[0] not in said
    again = worker(kafka, rules, **setting)
    kafka.send(ORDERS, order(2, qty=101.0), order(3), partition=0)
    eventually(lambda: again.stats["alerts"] == 1)
    assert again.stats["events"] == 2  # the first two were not read again
    assert again.end()[0] == 0
    assert [(a["row"]["first_id"], a["row"]["last_id"]) for a in kafka.alerts()] == [("o0", "o2")]
    assert not list(state_dir.rglob("*.snapshot"))


def test_each_bad_record_becomes_a_dead_letter_and_its_neighbours_are_processed(kafka, rule, worker, eventually):
    bad = {
        "text": b"not json at all",
        "array": b"[1, 2]",
        "nan": b'{"event_id": "x", "qty": NaN}',
        "missing": json.dumps({k: v for k, v in order(1).items() if k != "account"}).encode(),
        "type": json.dumps(order(2, qty="many")).encode(),
        "digits": json.dumps(order(3)).encode().replace(str(START_MS + 3000).encode(), b"1" * 40),
        "utf8": b'{"event_id": "\xff\xfe"}',
        "deep": b"[" * 5000,
        "null": None,
        "long": json.dumps(order(4, symbol="x" * 2_000_000)).encode(),
    }
    for n, raw in enumerate(bad.values()):
        kafka.send(ORDERS, order(100 + 2 * n, qty=101.0), partition=0)
        kafka.send(ORDERS, raw, partition=0)
        kafka.send(ORDERS, order(101 + 2 * n, qty=101.0), partition=0)
    running = worker(kafka, rule(BIG))
    eventually(lambda: running.stats["dead_letters"] >= len(bad) and running.stats["alerts"] >= 2 * len(bad), 20)
    code, err = running.end()
    assert code == 0, err
    assert sorted(a["events"][0] for a in kafka.alerts()) == [f"o{100 + n}" for n in range(2 * len(bad))]
    letters = {json.loads(r.value)["offset"]: (json.loads(r.value), dict(r.headers)) for r in kafka.read(DEAD)}
    assert sorted(letters) == [3 * n + 1 for n in range(len(bad))]
    for n, (name, raw) in enumerate(bad.items()):
        letter, headers = letters[3 * n + 1]
        assert letter["topic"] == ORDERS, name
        assert letter["partition"] == 0, name
        assert letter["reason"], name
        assert letter["timestamp"] > 1_700_000_000_000, name
        assert letter["length"] == len(raw or b""), name
        assert headers["ce_id"] == f"{ORDERS}/0/{3 * n + 1}".encode(), name
    assert letters[1][0]["raw"] == "not json at all"
    assert letters[10][0]["column"] == "account"
    assert letters[19][0]["encoding"] == "base64"
    long, _ = letters[28]
    assert len(long["raw"]) == 65536
    assert long["note"] == f"cut after 65536 of {len(bad['long'])} bytes"
    assert sum(offset or 0 for offset in kafka.committed().values()) == 3 * len(bad)


def test_events_behind_the_watermark_go_to_the_late_topic(kafka, rule, worker, eventually):
    running = worker(kafka, rule(BIG))
    kafka.send(ORDERS, order(1, ts=START_MS + 10_000), order(2, ts=START_MS + 9_000, qty=101.0), partition=0)
    eventually(lambda: running.stats["late"] == 1)
    assert running.end()[0] == 0
    (record,) = kafka.read(LATE)
    late = json.loads(record.value)
    assert (late["topic"], late["partition"], late["offset"], late["stream"]) == (ORDERS, 0, 1, "orders")
    assert late["event_time"] == START_MS + 9_000
    assert late["watermark"] == START_MS + 9_800
    assert late["reason"]
    assert json.loads(late["raw"])["event_id"] == "o2"
    assert kafka.alerts() == []


def test_a_silent_topic_does_not_hold_back_the_others(kafka, rule, worker, eventually):
    # The view reads orders, fills and accounts; only orders has events.
    running = worker(kafka, rule("SELECT account, qty FROM events WHERE kind = 'order' AND qty > 100"))
    kafka.send(ORDERS, order(1, qty=101.0))
    eventually(lambda: running.stats["alerts"] == 1)
    assert running.end()[0] == 0


def test_killed_in_the_middle_it_misses_nothing_and_repeats_only_with_the_same_id(kafka, rule, worker, eventually):
    rules = rule(BIG)
    for part in range(4):
        kafka.send(ORDERS, *(order(n, account=f"acc-{n % 50}", qty=101.0) for n in range(part * 500, part * 500 + 500)))
        running = worker(kafka, rules)
        eventually(lambda: running.stats["alerts"] > 0)  # noqa: B023 - it is awaited here
        running.process.kill()
        running.process.wait()
    running = worker(kafka, rules)
    eventually(lambda: running.stats["lag_total"] == 0 and sum(running.stats["committed"].values()) == 2000, 20)
    assert running.end()[0] == 0
    alerts = kafka.alerts()
    assert {a["events"][0] for a in alerts} == {f"o{n}" for n in range(2000)}
    assert len({a["id"] for a in alerts}) == 2000


def test_a_second_worker_takes_half_with_its_state_and_gives_it_back(kafka, rule, worker, eventually):
    rules = rule(THREE, "three")
    accounts = [f"acc-{n}" for n in range(40)]

    def round_of(number):
        kafka.send(ORDERS, *(order(number + n, account=a, qty=101.0) for n, a in enumerate(accounts)))

    first = worker(kafka, rules)
    round_of(0)
    eventually(lambda: first.stats["events"] == 40)
    second = worker(kafka, rules)
    eventually(lambda: first.stats["ready"] and len(first.stats["assigned"]) == len(second.stats["assigned"]) == 2, 30)
    round_of(100)
    eventually(lambda: first.stats["events"] + second.stats["events"] == 80)
    assert second.end()[0] == 0
    eventually(lambda: first.stats["ready"] and len(first.stats["assigned"]) == 4, 30)
    round_of(200)
    eventually(lambda: {a["key"]["account"] for a in kafka.alerts()} == set(accounts), 20)
    assert first.end()[0] == 0
    alerts = kafka.alerts()
    assert [(a["row"]["first_id"], a["row"]["last_id"]) for a in sorted(alerts, key=lambda a: a["event_time"])] == [
        (f"o{n}", f"o{200 + n}") for n in range(40)
    ]
    assert sum(offset or 0 for offset in kafka.committed().values()) == 120


def test_it_listens_on_no_port_and_writes_nothing_to_the_working_directory(kafka, rule, worker, tmp_path):
    running = worker(kafka, rule(BIG))
    inodes = set()
    for fd in Path(f"/proc/{running.process.pid}/fd").iterdir():
        target = str(fd.readlink())
        if target.startswith("socket:["):
            inodes.add(target[8:-1])
    listening = []
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            columns = line.split()
            if columns[3] == "0A" and columns[9] in inodes:
                listening.append(columns[1])
    assert listening == []
    assert running.end(signal.SIGINT)[0] == 0
    assert {p.name for p in tmp_path.iterdir()} <= {"broker", "rules", "home", "stats-1.json"}


def test_a_rule_that_fails_ends_the_process_with_one_line_and_commits_nothing(kafka, tmp_path, command_env):
    """In SQL only AFTER MATCH SKIP can fail at run time; this rule is made to, in a real worker."""
    script = tmp_path / "failing.py"
    script.write_text(
        textwrap.dedent("""
        import sys
        from dataclasses import replace
        from pathlib import Path
        from m1cep import compile_rule
        from streams.errors import ShellError
        from streams.files import load_streams
        from streams.logs import configure_logs
        from streams.agents.context import WorkerOptions
        from streams.worker import run_worker

        class Failing:
            def __init__(self, operator): self.operator = operator
            def feed(self, batch, out, **options):
                if any(row.qty == 13 for row in batch.rows): raise ZeroDivisionError("as asked")
                self.operator.feed(batch, out, **options)
            def __getattr__(self, name): return getattr(self.operator, name)

        streams = load_streams()
        rule = compile_rule(sys.argv[2], streams, "big.sql")
        rule = replace(rule, start=lambda module, start=rule.start: Failing(start(module)))
        configure_logs("info")
        options = dict(agents=["risk"], rules=[rule], streams=streams, client={"bootstrap_servers": sys.argv[1]})
        try:
            run_worker(WorkerOptions(**options, state_dir=Path(sys.argv[3]), session_timeout_s=2.0))
        except ShellError as error:
            print(f"m1cep: {error}", file=sys.stderr)
            sys.exit(error.exit_code)
        """)
    )
    kafka.send(ORDERS, order(1, qty=101.0), order(2, qty=13.0), partition=2)
    arguments = [sys.executable, str(script), kafka.address, BIG, str(tmp_path)]
    done = subprocess.run(arguments, env=command_env, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 1, done.stderr
    last = done.stderr.strip().splitlines()[-1]
    assert "rule 'big' failed: ZeroDivisionError: as asked" in last
    assert f"on events before offset 2 of {ORDERS}" in last
    assert "Traceback" not in done.stderr
    assert not any(kafka.committed().values())


def test_without_a_broker_it_says_so_at_once(m1cep, rule):
    done = m1cep("worker", "--rules", rule(BIG), M1CEP_BROKER="127.0.0.1:9")
    assert done.returncode == 3
    assert done.stderr.strip().splitlines()[-1].startswith("m1cep: no Kafka broker answers at 127.0.0.1:9; start one")
    assert "Traceback" not in done.stderr


def test_without_its_topics_it_says_what_to_do(m1cep, rule, broker):
    streams = (
        rule(
            "CREATE TABLE pay (event_id STRING, qty DOUBLE, ts TIMESTAMP(3), WATERMARK FOR ts AS ts)\n"
            "  PARTITIONED BY (event_id) WITH ('topic' = 'no-such-topic')",
            "pay-streams",
        )
        / "pay-streams.sql"
    )
    text = streams.read_text()
    streams.unlink()
    file = streams.parent.parent / "streams.sql"
    file.write_text(text)
    rules = rule("SELECT qty FROM pay WHERE qty > 1", "pay")
    done = m1cep("worker", "--rules", rules, "--streams", file, M1CEP_BROKER=broker.address)
    assert done.returncode == 3
    assert "has no topic no-such-topic" in done.stderr
    assert "m1cep topics create" in done.stderr


def test_unequal_partition_counts_are_refused(m1cep, rule, own_broker):
    settings = load_settings(broker=own_broker.address)
    create_topics(settings, [Topic(FILLS, partitions=3)])
    create_topics(settings, [t for t in BUILT_IN if t.name != FILLS])
    rules = rule("SELECT account FROM events WHERE qty > 100")
    done = m1cep("worker", "--rules", rules, M1CEP_BROKER=own_broker.address)
    assert done.returncode == 1
    assert f"different numbers of partitions: m1cep.accounts.v1 4, {FILLS} 3, {ORDERS} 4" in done.stderr


def test_an_unknown_agent_is_refused(m1cep, rule):
    done = m1cep("worker", "--rules", rule(BIG), "--agents", "risk,grind")
    assert done.returncode == 2
    assert "there is no agent 'grind'; agents are: rekey, risk" in done.stderr


def test_a_broker_that_goes_away_is_reported_in_one_line(kafka, rule, worker):
    running = worker(kafka, rule(BIG), "--broker-timeout", 3)
    kafka.broker.stop()
    started_s = time.monotonic()
    _, err = running.process.communicate(timeout=25)
    assert running.process.returncode == 3, err
    assert "has not answered for" in err.strip().splitlines()[-1]
    assert "Traceback" not in err
    assert len([line for line in err.splitlines() if line.strip()]) <= 3, err
    assert time.monotonic() - started_s < 20


@pytest.mark.kafka_only
def test_a_broker_that_restarts_with_all_that_it_held_is_no_reason_to_end(kafka, rule, worker, eventually):
    running = worker(kafka, rule(THREE, "three"), "--broker-timeout", 60)
    kafka.send(ORDERS, order(1, qty=101.0), order(2, qty=101.0))
    eventually(lambda: running.stats["events"] == 2)
    kafka.broker.stop()
    kafka.broker.start()
    kafka.send(ORDERS, order(3, qty=101.0))
    eventually(lambda: running.stats["alerts"] == 1, 60)
    assert running.end()[0] == 0
    assert [(a["row"]["first_id"], a["row"]["last_id"]) for a in kafka.alerts()] == [("o1", "o3")]


@pytest.mark.embedded_only("it keeps what it holds over a restart")
def test_a_broker_that_comes_back_with_nothing_in_it_is_reported(kafka, rule, worker, tmp_path):
    running = worker(kafka, rule(BIG))
    port = kafka.broker.port
    kafka.broker.stop()
    with EmbeddedBroker(tmp_path, port):
        _, err = running.process.communicate(timeout=25)
    assert running.process.returncode == 3, err
    assert "another Kafka cluster answers" in err.strip().splitlines()[-1]
    assert "Traceback" not in err


HANGING = {
    "the rules": """
        from streams.agents.risk import RiskPartition
        take = RiskPartition.take
        def hang(self, batch):
            if b"hang" in batch.records[0].value:
                time.sleep(60)
            return take(self, batch)
        RiskPartition.take = hang
        """,
    "the consumer": """
        from streams.transport.thread import BatchConsumerThread
        read = BatchConsumerThread._fetch_records
        async def hang(self, *arguments, **options):
            found = await read(self, *arguments, **options)
            if any(b"hang" in record.value for batches in found.values() for b in batches for record in b.records):
                await asyncio.sleep(60)
            return found
        BatchConsumerThread._fetch_records = hang
        """,
}


@pytest.mark.parametrize("where", HANGING)
def test_a_worker_that_stands_still_while_events_come_ends(kafka, rule, eventually, tmp_path, command_env, where):
    script = tmp_path / "hanging.py"
    lines = "import asyncio, sys, time\n" + textwrap.dedent(HANGING[where])
    script.write_text(lines + "from streams.cli import main\nmain()\n")
    stats = tmp_path / "stats.json"
    options = ["--rules", rule(BIG), "--stats-file", stats, "--stats-every-ms", 50, "--session-timeout", 2]
    process = subprocess.Popen(
        [sys.executable, script, "worker", *map(str, options), "--stall-timeout", "3"],
        env=command_env | {"M1CEP_BROKER": kafka.address},
        stderr=subprocess.PIPE,
        text=True,
    )
    running = Worker(process, stats)
    try:
        eventually(running.ready, 30)
        kafka.send(ORDERS, order(1), partition=0)
        eventually(lambda: running.stats["events"] == 1)
        for n in range(30):
            if process.poll() is not None:
                break
            kafka.send(ORDERS, order(n + 2, symbol="hang"), partition=0)
            time.sleep(0.5)
        _, err = process.communicate(timeout=20)
    finally:
        process.kill()
    assert process.returncode == 1, err
    assert "has not moved" in err or "does not answer" in err
    assert "Traceback" not in err


# -- time in silence, repetitions, topics that are ahead, a slow sink

UNANSWERED = """
SELECT account, first_id FROM orders MATCH_RECOGNIZE (
  PARTITION BY account ORDER BY ts MEASURES A.event_id AS first_id
  PATTERN (A ABSENT(B)) WITHIN INTERVAL '{within}' SECOND DEFINE A AS A.qty > 100, B AS B.action = 'cancel'
)
"""


def test_an_absence_fires_on_an_idle_topic_and_what_then_comes_too_late_is_told(kafka, rule, worker, eventually):
    running = worker(kafka, rule(UNANSWERED.format(within=1)), "--silence-ms", 400)
    now_ms = int(time.time() * 1000)
    kafka.send(ORDERS, order(0, qty=101.0, ts=now_ms), partition=0)
    eventually(lambda: running.stats["alerts"] == 1)
    kafka.send(ORDERS, order(1, ts=now_ms + 500), partition=0)  # within its lateness, had time not gone on
    eventually(lambda: running.stats["late_by_topic"] == {ORDERS: {"silence": 1}})
    assert running.end()[0] == 0
    [alert] = kafka.alerts()
    assert (alert["row"]["first_id"], alert["event_time"]) == ("o0", now_ms + 1000)
    [late] = kafka.read(LATE)
    assert json.loads(late.value)["reason"] == "silence"


def test_a_silent_partition_goes_on_with_the_others(kafka, rule, worker, eventually):
    running = worker(kafka, rule(UNANSWERED.format(within=3600)), "--silence-ms", 500)
    kafka.send(ORDERS, order(0, qty=101.0), partition=0)
    steps = iter(range(1, 10_000))

    def an_hour_has_passed_elsewhere():
        n = next(steps)
        kafka.send(ORDERS, order(n, account="acc-2", ts=START_MS + 10 * 60_000 * n), partition=1)
        time.sleep(0.05)
        return running.stats["alerts"] == 1

    eventually(an_hour_has_passed_elsewhere)
    assert running.end()[0] == 0
    assert [alert["row"]["first_id"] for alert in kafka.alerts()] == ["o0"]


def test_a_repetition_is_dropped_and_counted_also_after_a_restart(kafka, rule, worker, eventually):
    rules = rule(BIG)
    running = worker(kafka, rules)
    kafka.send(ORDERS, *[order(0, qty=101.0)] * 3, order(1, qty=101.0), partition=0)
    eventually(lambda: running.stats["duplicates"] == 2 and running.stats["alerts"] == 2)
    assert running.end()[0] == 0
    again = worker(kafka, rules)
    kafka.send(ORDERS, order(0, qty=101.0), order(2, qty=101.0), partition=0)
    eventually(lambda: again.stats["duplicates_by_topic"] == {ORDERS: 1} and again.stats["alerts"] == 1)
    assert again.end()[0] == 0
    assert sorted(alert["events"][0] for alert in kafka.alerts()) == ["o0", "o1", "o2"]


def test_a_topic_that_is_far_ahead_is_not_read_further_until_the_others_follow(kafka, rule, worker, eventually):
    rules = rule("SELECT o.account FROM orders o JOIN fills f ON o.account = f.account AND f.ts = o.ts")
    count = 60_000
    kafka.send(FILLS, order(0, trade_id="t0"), partition=0)
    raw = json.dumps(order(0, ts=0)).encode().replace(b'"o0"', b'"o%d"').replace(b'"ts": 0', b'"ts": %d')
    kafka.send(ORDERS, *(raw % (n, START_MS + 1000 + n) for n in range(count)), partition=0)
    running = worker(kafka, rules, "--idle-timeout-ms", 60_000, "--max-waiting", 500)
    eventually(lambda: running.stats["held_back"] == [f"{ORDERS}/0"])
    eventually(lambda: running.stats["events_by_topic"].get(FILLS) == 1)
    time.sleep(1)  # whatever was on its way comes
    taken = running.stats["events_by_topic"][ORDERS]
    time.sleep(1)
    assert running.stats["events_by_topic"][ORDERS] == taken < count * 0.8
    later = [START_MS + 1000 + count // 2, START_MS + 2000 + count]
    kafka.send(FILLS, *(order(n, ts=ts, trade_id=f"t{n}") for n, ts in enumerate(later, 1)), partition=0)
    eventually(lambda: running.stats["events_by_topic"][ORDERS] == count)
    assert running.stats["held_back"] == []
    assert running.end()[0] == 0
    assert len(kafka.alerts()) == 1


def test_a_broker_that_stands_still_holds_the_outbox_within_bounds(kafka):
    async def run():
        async with Outbox({"bootstrap_servers": kafka.address}, "bounds") as outbox:
            message = codec.Message(ALERTS, b"k", b"x" * 1000, [])
            await (await outbox.send(message))
            os.kill(kafka.broker.process.pid, signal.SIGSTOP)
            sent = []
            try:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(2):
                        while len(sent) < 20_000:
                            sent.append(await outbox.send(message))
                            await asyncio.sleep(0)
            finally:
                os.kill(kafka.broker.process.pid, signal.SIGCONT)
            assert 100 < len(sent) < 1_000  # a batch on its way, and one that fills: 256 kB each
            await asyncio.gather(*sent)
            return len(sent)

    count = asyncio.run(run())
    assert len(kafka.read(ALERTS)) == count + 1
