"""The worker end to end against a bare aiokafka loop on the same topic, and the latency of alerts.

    python bench/worker.py [--events 200000] [--runs 3] [--json]

One embedded broker, one topic of four partitions. Each run is a process of its own:
  bare    aiokafka getmany until the last record, nothing decoded; from the first call
  worker  decode, rules, alerts written and acknowledged; from "partitions assigned" until the committed offsets are the end
Runs alternate, so that a noisy machine hits both; the ratio is that of the medians.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from common import ORDERS, PARTITIONS, fill, median, percentile

import m1cep
from streams.bench.rules import FILTER_RULE, PATTERN_RULE
from streams.config import load_settings
from streams.embedded import EmbeddedBroker
from streams.logs import configure_logs
from streams.topics import create_topics

if TYPE_CHECKING:
    from collections.abc import Iterator

RULES = {"pattern": PATTERN_RULE, "filter": FILTER_RULE}
BATCH = 4000  # records a getmany call may give, for both
TPS = [TopicPartition(ORDERS, p) for p in range(PARTITIONS)]
ALERTS = "m1cep.alerts.v1"


async def bare(broker: str, count: int) -> None:
    """Child: read ``count`` records with getmany and print the seconds."""
    consumer = AIOKafkaConsumer(bootstrap_servers=broker, enable_auto_commit=False)
    await consumer.start()
    consumer.assign(TPS)
    await consumer.seek_to_beginning()
    started_s = time.perf_counter()
    seen = 0
    while seen < count:
        found = await consumer.getmany(timeout_ms=200, max_records=BATCH)
        seen += sum(map(len, found.values()))
    print(json.dumps({"seconds": time.perf_counter() - started_s}))
    await consumer.stop()


def worker(broker: str, group: str, rule: str, delay_ms: int) -> None:
    """Child: the worker itself, with one rule.

    It commits often and takes a silent topic for idle soon: orders may be 200 ms late, so the last of them wait for that, and
    the end of a short run would be measured instead of its speed.
    """
    from streams.agents.context import WorkerOptions
    from streams.worker import run_worker

    configure_logs("info", json=True)
    text = (Path(__file__).parent.parent / "rules" / "streams.sql").read_text(encoding="utf-8")
    streams = m1cep.parse_streams(text.replace("INTERVAL '200' MILLISECOND", f"INTERVAL '{delay_ms}' MILLISECOND"))
    run_worker(
        WorkerOptions(
            agents=["risk"],
            rules=[m1cep.compile_rule(RULES[rule], streams, rule)],
            streams=streams,
            client={"bootstrap_servers": broker},
            state_dir=Path(tempfile.gettempdir()) / "m1cep-bench",
            group=group,
            snapshot_every_s=0.05,
            idle_timeout_s=0.02,
        )
    )


class Worker:
    """A worker process, from its readiness to its end."""

    def __init__(self, broker: str, rule: str, delay_ms: int = 200) -> None:
        self.group = f"bench-{os.getpid()}-{time.monotonic_ns()}"
        self._arguments = ["worker", broker, self.group, rule, str(delay_ms)]

    async def __aenter__(self) -> Self:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, __file__, "--child", *self._arguments, stderr=asyncio.subprocess.PIPE
        )
        assert self._process.stderr
        while b"worker.ready" not in (line := await self._process.stderr.readline()):
            if not line:
                raise SystemExit("the worker ended before it was ready")
            sys.stderr.buffer.write(line)
        self._rest = asyncio.create_task(self._process.stderr.read())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._process.terminate()
        await self._process.wait()
        await self._rest


async def end_to_end(broker: str, count: int, rule: str) -> float:
    """Seconds from readiness until everything is committed."""
    admin = AIOKafkaAdminClient(bootstrap_servers=broker)
    await admin.start()
    try:
        async with Worker(broker, rule) as process:
            started_s = time.perf_counter()
            committed = 0
            while committed < count:
                await asyncio.sleep(0.02)
                offsets = await admin.list_consumer_group_offsets(f"{process.group}-risk", partitions=TPS)
                committed = sum(max(0, found.offset) for found in offsets.values())
            return time.perf_counter() - started_s
    finally:
        await admin.close()


async def child_seconds(*arguments: str) -> float:
    """What a child prints."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, __file__, "--child", *arguments, stdout=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate()
    return float(json.loads(out)["seconds"])


async def throughput(broker: str, count: int, runs: int) -> dict[str, Any]:
    """Events per second of both, and their ratio."""
    await fill(broker, count)
    rates: dict[str, list[float]] = {"bare": [], **{rule: [] for rule in RULES}}
    for _ in range(runs):
        rates["bare"].append(count / await child_seconds("bare", broker, str(count)))
        for rule in RULES:
            rates[rule].append(count / await end_to_end(broker, count, rule))
    middle = {name: median(found) for name, found in rates.items()}
    return {
        "events": count,
        "events_per_s": {name: round(rate) for name, rate in middle.items()},
        "runs": {name: [round(rate) for rate in found] for name, found in rates.items()},
        "ratio": {rule: round(middle[rule] / middle["bare"], 3) for rule in RULES},
    }


async def latency(broker: str, rate: int, seconds: float) -> dict[str, Any]:
    """Milliseconds from a producer's send to its alert being readable; every 50th order raises one."""
    async with Worker(broker, "filter", delay_ms=0):
        consumer = AIOKafkaConsumer(ALERTS, bootstrap_servers=broker, fetch_max_wait_ms=20)
        await consumer.start()
        await consumer.seek_to_end()
        for tp in consumer.assignment():
            await consumer.position(tp)
        sent: dict[str, float] = {}
        waited: list[float] = []

        async def read() -> None:
            async for record in consumer:
                waited.append(time.perf_counter() - sent.pop(json.loads(record.value)["events"][0]))  # noqa: PERF401 - it never ends

        reading = asyncio.create_task(read())
        await _produce(broker, rate, seconds, sent)
        for _ in range(100):
            if not sent:
                break
            await asyncio.sleep(0.05)
        reading.cancel()
        await consumer.stop()
    if not waited or sent:
        raise SystemExit(f"{len(sent)} of {len(sent) + len(waited)} alerts did not come")
    return {
        "rate": rate,
        "alerts": len(waited),
        "p50_ms": round(percentile(waited, 0.5) * 1000, 1),
        "p90_ms": round(percentile(waited, 0.9) * 1000, 1),
        "p99_ms": round(percentile(waited, 0.99) * 1000, 1),
        "max_ms": round(max(waited) * 1000, 1),
    }


async def _produce(broker: str, rate: int, seconds: float, sent: dict[str, float]) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=broker, acks="all", linger_ms=2, max_batch_size=128 * 1024)
    await producer.start()
    started_s = time.perf_counter()
    n = 0
    while (elapsed_s := time.perf_counter() - started_s) < seconds:
        while n < elapsed_s * rate:
            n += 1
            now_ms = int(time.time() * 1000)
            order = {"event_id": f"x{n}", "account": f"acc-{n % 400:04d}", "order_id": f"ord{n}", "symbol": "BTC-USD"}
            order |= {"action": "new", "side": "buy", "price": 64_000.5, "ts": now_ms, "qty": 1.0 if n % 50 else 3.0}  # type: ignore[dict-item]
            if n % 50 == 0:
                sent[f"x{n}"] = time.perf_counter()
            await producer.send(ORDERS, json.dumps(order).encode(), key=order["account"].encode())
        await asyncio.sleep(0.002)
    await producer.stop()


def main() -> None:
    """Run the benchmarks and print a table, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=200_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--rate", type=int, default=5000, help="events/s for the latency")
    parser.add_argument("--seconds", type=float, default=10.0, help="of the latency measurement; 0 leaves it out")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--child", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        _child(*options.child)
        return
    configure_logs("warning")
    result: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        with _broker(folder) as broker:
            result["throughput"] = asyncio.run(throughput(broker.address, options.events, options.runs))
        if options.seconds:
            with _broker(
                folder
            ) as broker:  # a new one: the embedded broker slows down as a topic fills with small batches
                result["latency"] = asyncio.run(latency(broker.address, options.rate, options.seconds))
    print(json.dumps(result) if options.json else _table(result))


@contextmanager
def _broker(folder: str) -> Iterator[EmbeddedBroker]:
    with EmbeddedBroker(Path(folder)) as broker:
        create_topics(load_settings(broker=broker.address), partitions=PARTITIONS)
        yield broker


def _child(kind: str, broker: str, *arguments: str) -> None:
    if kind == "bare":
        asyncio.run(bare(broker, int(arguments[0])))
    else:
        group, rule, delay_ms = arguments
        worker(broker, group, rule, int(delay_ms))


def _table(result: dict[str, Any]) -> str:
    found = result["throughput"]
    lines = [f"{found['events']} orders, median of {len(found['runs']['bare'])} runs        events/s   of bare"]
    lines.append(f"  bare aiokafka getmany                {found['events_per_s']['bare']:>10,}     1.00")
    for rule, ratio in found["ratio"].items():
        lines.append(f"  worker end to end, one {rule:<7} rule  {found['events_per_s'][rule]:>10,}     {ratio:.2f}")
    if late := result.get("latency"):
        figures = ", ".join(f"{name} {late[f'{name}_ms']} ms" for name in ("p50", "p90", "p99", "max"))
        lines.append(f"alert latency at {late['rate']} events/s, {late['alerts']} alerts: {figures}")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
