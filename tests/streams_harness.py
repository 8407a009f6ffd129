"""A broker and workers as the stream tests use them: events in, records out, a process with its stats file."""

import json
import signal
from dataclasses import dataclass, field
from typing import Any

from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from topics_read import read_topic

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
        return [future.get(120) for future in futures]  # a broker that was restarted is found again after a while

    def read(self, topic):
        """Every record that the topic holds now."""
        return read_topic(self.address, topic)

    def alerts(self):
        return [json.loads(r.value) for r in self.read(ALERTS)]

    def committed(self, topic=ORDERS):
        consumer = KafkaConsumer(bootstrap_servers=self.address, group_id="m1cep-risk", enable_auto_commit=False)
        try:
            return {p: consumer.committed(TopicPartition(topic, p)) for p in range(4)}
        finally:
            consumer.close(autocommit=False)


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
        _, err = self.process.communicate(timeout=80)
        return self.process.returncode, err
