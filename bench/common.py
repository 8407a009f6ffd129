"""What the benchmarks share: seeded orders, an embedded broker filled with them, medians."""

from __future__ import annotations

import random
import statistics
from typing import TYPE_CHECKING, Any

import orjson
from aiokafka import AIOKafkaProducer
from aiokafka.partitioner import DefaultPartitioner

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

ORDERS = "m1cep.orders.v1"
PARTITIONS = 4

#: A row pattern: four to six new buy orders of an account, then three cancelled, within five seconds.
PATTERN_RULE = """
SELECT * FROM orders MATCH_RECOGNIZE (
  PARTITION BY account ORDER BY ts
  MEASURES FIRST(N.ts) AS started, COUNT(N.*) AS placed
  ONE ROW PER MATCH AFTER MATCH SKIP PAST LAST ROW
  PATTERN (N{4,6} C{3}) WITHIN INTERVAL '5' SECOND
  DEFINE N AS N.action = 'new' AND N.side = 'buy', C AS C.action = 'cancel' AND C.side = 'buy'
)
"""
#: As little as a rule can do.
FILTER_RULE = "SELECT account, symbol, qty FROM orders WHERE action = 'new' AND qty > 2.9"


def orders(count: int, *, seed: int = 7, start_ms: int = 1_700_000_000_000) -> Iterator[tuple[str, int, bytes]]:
    """Account, event time and JSON of ``count`` orders of 400 accounts, about 165 bytes each, 200 a second of event time."""
    rng = random.Random(seed)
    ts = start_ms
    for i in range(count):
        ts += rng.randrange(0, 11)
        account = f"acc-{rng.randrange(400):04d}"
        order = {
            "event_id": f"o{i}",
            "account": account,
            "order_id": f"ord{i}",
            "symbol": rng.choice(("BTC-USD", "ETH-USD", "SOL-USD")),
            "action": "new" if rng.random() < 0.7 else "cancel",
            "side": rng.choice(("buy", "sell")),
            "price": round(rng.uniform(10, 70_000), 2),
            "qty": round(rng.uniform(0.001, 3), 5),
            "ts": ts,
        }
        yield account, ts, orjson.dumps(order)


async def fill(broker: str, count: int) -> None:
    """Write ``count`` orders to the orders topic, in batches as a busy producer makes them."""
    hashed = DefaultPartitioner()
    numbers = list(range(PARTITIONS))
    partition_of = {f"acc-{a:04d}": hashed(f"acc-{a:04d}".encode(), numbers, numbers) for a in range(400)}
    producer = AIOKafkaProducer(bootstrap_servers=broker, acks="all", max_batch_size=256 * 1024)
    await producer.start()
    try:
        batches: dict[int, Any] = {}
        for account, ts, value in orders(count):
            partition = partition_of[account]
            batch = batches.setdefault(partition, producer.create_batch())
            if batch.append(key=account.encode(), value=value, timestamp=ts) is None:
                await producer.send_batch(batch, ORDERS, partition=partition)
                batches[partition] = batch = producer.create_batch()
                batch.append(key=account.encode(), value=value, timestamp=ts)
        for partition, batch in batches.items():
            await (await producer.send_batch(batch, ORDERS, partition=partition))
    finally:
        await producer.stop()


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which ``share`` of the sorted values lie."""
    found = sorted(values)
    return found[min(len(found) - 1, int(len(found) * share))]


def median(values: Sequence[float]) -> float:
    """The median."""
    return statistics.median(values)
