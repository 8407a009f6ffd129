"""What the benchmarks share: an embedded broker's topic filled with orders, medians."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, Any

from aiokafka import AIOKafkaProducer
from aiokafka.partitioner import DefaultPartitioner

from streams.bench.data import orders

if TYPE_CHECKING:
    from collections.abc import Sequence

ORDERS = "m1cep.orders.v1"
PARTITIONS = 4


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
