"""Re-keying without a broker: writers and readers that crash at random, go back to their last snapshots and do it again."""

import json
import random
from types import SimpleNamespace

import pytest
from faust.types import TP

from m1cep import Engine, compile_rule, parse_streams
from streams.agents.lanes import LaneReader
from streams.agents.outbox import Packet
from streams.agents.rekey import Forwarding, RekeyPartition
from streams.agents.risk import RiskPartition
from streams.agents.risk_state import unpacked
from streams.codec import ALERTS
from streams.rekey import all_rekeyed, over_lanes
from streams.transport import Batch

COUNT = 3  # partitions
STREAMS = parse_streams("""
CREATE TABLE bids (event_id STRING NOT NULL, account STRING, symbol STRING, qty BIGINT, ts TIMESTAMP(3),
  WATERMARK FOR ts AS ts) PARTITIONED BY (account) WITH ('topic' = 'bids');
CREATE TABLE trades (event_id STRING NOT NULL, venue STRING, symbol STRING, qty BIGINT, ts TIMESTAMP(3),
  WATERMARK FOR ts AS ts) PARTITIONED BY (venue) WITH ('topic' = 'trades');
CREATE VIEW both_sides AS SELECT event_id, symbol, qty, ts FROM bids UNION ALL SELECT event_id, symbol, qty, ts FROM trades;
""")
PATTERN = """MATCH_RECOGNIZE (PARTITION BY symbol ORDER BY ts MEASURES FIRST(A.event_id) AS a, LAST(B.event_id) AS b
  PATTERN (A+? B) WITHIN INTERVAL '30' SECOND DEFINE A AS A.qty > 4, B AS B.qty < 3)"""
RULES = [
    compile_rule(text, STREAMS, f"r{n}.sql")
    for n, text in enumerate(
        [
            f"SELECT * FROM bids {PATTERN}",
            f"SELECT * FROM both_sides {PATTERN}",
            f"SELECT * FROM trades {PATTERN.replace('PARTITION BY symbol ', '')}",
            "SELECT qty FROM bids WHERE qty > 8",
        ]
    )
]
DIRECT = {"bids": STREAMS["bids"]}  # read as it is by the last rule


class Log:
    """Records of one partition."""

    def __init__(self):
        self.records = []

    def append(self, key, value, headers=()):
        self.records.append(
            SimpleNamespace(offset=len(self.records), timestamp=0, key=key, value=value, headers=tuple(headers))
        )

    def batch(self, topic, number, position, size):
        found = self.records[position : position + size]
        return Batch(topic, number, 1, position, position + len(found), found) if found else None


class Simulation:
    """All of it: the logs, the agents' partitions with their last snapshots, the alerts."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.logs = {}
        self.alerts = {}
        self.late = 0
        self.needed = all_rekeyed(RULES)
        self.lanes = {one.topic: one.lanes(COUNT) for one in self.needed}
        self.rules = [over_lanes(rule, COUNT) for rule in RULES]
        self.sources = {one.stream.topic: one.stream for one in self.needed}
        self.saved = {}
        self.asked = {}
        self.running = {}
        for number in range(COUNT):
            for agent in ("rekey", "risk"):
                self.saved[agent, number] = None
                self.begin(agent, number)

    def log(self, topic, number):
        return self.logs.setdefault((topic, number), Log())

    def begin(self, agent, number):
        """Start an agent's partition from its last snapshot."""
        positions, state = self.saved[agent, number] or ({}, None)
        if agent == "rekey":
            forwardings = {
                topic: Forwarding(
                    stream, "id", tuple(n for n in self.needed if n.stream is stream), COUNT, topic not in DIRECT
                )
                for topic, stream in self.sources.items()
            }
            positions = dict.fromkeys(self.sources, 0) | positions
            self.running[agent, number] = RekeyPartition(number, positions, forwardings, state)
            return
        topics = [*DIRECT, *(one.topic for one in self.needed)]
        readers = {one.topic: LaneReader(one.topic, one.stream, self.lanes[one.topic]) for one in self.needed}
        engine = Engine(self.rules)
        if state is not None:
            blob, lanes, _ = unpacked(state)
            engine = Engine.restore(self.rules, blob)
            for topic, reader in readers.items():
                reader.load(lanes[topic])
        positions = dict.fromkeys(topics, 0) | positions
        self.running[agent, number] = RiskPartition(positions, engine, DIRECT, readers.values())

    def step(self, *, crash=0.0):
        """Something happens to one partition of one agent; whether anything was left to do."""
        agent, number = self.random.choice(list(self.running))
        partition = self.running[agent, number]
        if self.random.random() < crash:
            return self.begin(agent, number)
        if self.random.random() < 0.2:
            self.saved[agent, number] = dict(partition.positions), partition.snapshot()
        if agent == "risk":
            self.take(partition.sources_end(self.asked.get(partition, {})))
            if self.random.random() < 0.5:
                partition.before_asking()  # the answer comes when this partition has its turn again
                self.asked[partition] = {
                    TP(topic, n): len(self.log(topic, n).records) for topic in self.sources for n in range(COUNT)
                }
        topic = self.random.choice(list(partition.positions))
        batch = self.log(topic, number).batch(topic, number, partition.positions[topic], self.random.randrange(1, 40))
        self.take(partition.idle(topic) if batch is None else partition.take(batch))
        return None

    def take(self, outcome):
        for message in outcome.messages if outcome else ():
            if isinstance(message, Packet):
                for key, value, headers in message.records:
                    self.log(message.topic, message.partition).append(key, value, headers)
            elif message.topic == ALERTS:
                alert = json.loads(message.value)
                assert self.alerts.setdefault(alert["id"], alert) == alert
            else:
                self.late += 1

    def behind(self):
        return any(
            position < len(self.log(topic, number).records)
            for (_, number), partition in self.running.items()
            for topic, position in partition.positions.items()
        )


@pytest.mark.parametrize("seed", range(10))
def test_every_alert_comes_and_no_other(seed):
    simulation = Simulation(seed)
    draw, whole, wanted = simulation.random, Engine(RULES), []
    for n in range(200):
        name = draw.choice(["bids", "trades"])
        event = {"event_id": f"e{n}", "symbol": draw.choice("xyz"), "qty": draw.randrange(10), "ts": 300 * n}
        event["account" if name == "bids" else "venue"] = key = draw.choice("abcdefgh")
        simulation.log(name, ord(key) % COUNT).append(key.encode(), json.dumps(event).encode())
        wanted += whole.push(name, [event])
        for _ in range(draw.randrange(4)):
            simulation.step(crash=0.1)
    for _ in range(10_000):
        simulation.step()
        if not simulation.behind():
            break
    for _ in range(300):  # until every lane's writer has said that there is nothing more
        simulation.step()
    for name in STREAMS:
        if name in whole.inputs:
            wanted += whole.idle(name)
    assert len(wanted) > 20
    assert simulation.alerts == {a.id: json.loads(a.to_json()) for a in wanted}
    assert simulation.late == 0
