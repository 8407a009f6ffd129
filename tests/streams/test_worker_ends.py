"""``m1cep worker``: what it refuses, and what makes it end: one line, and nothing lost."""

import contextlib
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from streams_harness import BIG, FILLS, ORDERS, THREE, Worker, order

from streams.config import load_settings
from streams.embedded import EmbeddedBroker
from streams.topic_table import BUILT_IN, Topic
from streams.topics import create_topics

pytestmark = pytest.mark.broker


def test_it_listens_on_no_port_and_writes_nothing_to_the_working_directory(kafka, rule, worker, tmp_path):
    running = worker(kafka, rule(BIG))
    inodes = set()
    for fd in Path(f"/proc/{running.process.pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # the worker goes on, and closes files
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
    create_topics(load_settings(broker=broker.address))
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
    assert "there is no agent 'grind'; agents are: custody, " in done.stderr


def test_a_broker_that_goes_away_is_reported_in_one_line(kafka, rule, worker):
    running = worker(kafka, rule(BIG), "--broker-timeout", 3)
    kafka.broker.stop()
    _, err = running.process.communicate(timeout=120)
    assert running.process.returncode == 3, err
    assert "has not answered for" in err.strip().splitlines()[-1]
    assert "Traceback" not in err
    assert len([line for line in err.splitlines() if line.strip()]) <= 3, err


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
        _, err = running.process.communicate(timeout=120)
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


@pytest.mark.embedded_only("what stands still is the worker")
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
        _, err = process.communicate(timeout=120)
    finally:
        process.kill()
    assert process.returncode == 1, err
    assert "has not moved" in err or "does not answer" in err
    assert "Traceback" not in err
