"""From a fill to the commands that follow from it, over the embedded broker; next to the way alone.

    python bench/grid.py [--fills 200] [--turns 3] [--json]

The benchmark is the venue: it answers the commands of one grid and fills a level. The grid agent runs in a process of its own.
  echo    a record written by us, read by a process that does nothing but write it again, read by us: the floor
  fill    the fill written by us, until the first command that follows (the cancellation of the generation) is read by us
  anew    the fill, until the last order of the next generation is read by us: twice the way through grid and venue
Turns alternate; medians of the medians. Both ways go through Faust's transport or a bare aiokafka loop with the same fetch wait.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import tempfile
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from common import PARTITIONS, median, percentile

from m1cep.grid import wire
from m1cep.grid.machine import GridSpec, Rung, Start
from m1cep.grid.orders import (
    Accepted,
    AskOpenOrders,
    AskOrder,
    Cancel,
    CancelAll,
    Cancelled,
    Fill,
    Lifecycle,
    Market,
    OpenOrders,
    OrderState,
    Place,
)
from streams.config import load_settings
from streams.embedded import EmbeddedBroker
from streams.embedded.process import Process
from streams.grid.log import COMMANDS, GRID_LOG, event_record
from streams.logs import configure_logs
from streams.topics import create_topics

NAME = "bench"
FETCH_WAIT_MS = 20  # as the worker's, on this machine
ECHO_IN, ECHO_OUT = "m1cep.orders.v1", "m1cep.fills.v1"
SPEC = GridSpec(
    market=Market("BTC-USD", Decimal("0.01"), Decimal("0.00000001"), Decimal(1), Decimal("0.00005"), Decimal("0.0005")),
    centre_ticks=6_400_000,
    up=(Rung(lots=100_000, ticks=2_000),) * 5,
    down=(Rung(lots=100_000, ticks=2_000),) * 5,
    cash=Decimal(1_000_000),
    lots=1_000_000_000,
    rate_per_s=10_000,  # a venue's limit is not what is measured
)


def reader(broker: str) -> AIOKafkaConsumer:
    """A consumer without a group, as often asking as the worker does."""
    return AIOKafkaConsumer(bootstrap_servers=broker, enable_auto_commit=False, fetch_max_wait_ms=FETCH_WAIT_MS)


async def echo(broker: str) -> None:
    """Child: write again what is read."""
    consumer, producer = reader(broker), AIOKafkaProducer(bootstrap_servers=broker, acks="all")
    await consumer.start()
    await producer.start()
    consumer.assign([TopicPartition(ECHO_IN, p) for p in range(PARTITIONS)])
    await consumer.seek_to_beginning()
    while True:
        for records in (await consumer.getmany(timeout_ms=200)).values():
            for record in records:
                await producer.send(ECHO_OUT, record.value, key=record.key)


class Venue:
    """One grid's venue, that fills the lowest sell when it is told to."""

    def __init__(self, broker: str) -> None:
        self._consumer = reader(broker)
        self._producer = AIOKafkaProducer(bootstrap_servers=broker, acks="all")
        self._open: dict[str, Place] = {}
        self._trades = 0

    async def start(self) -> None:
        """Begin with the grid, and go on until all its orders are there."""
        await self._consumer.start()
        await self._producer.start()
        self._consumer.assign([TopicPartition(COMMANDS, p) for p in range(PARTITIONS)])
        await self._consumer.seek_to_beginning()
        more = {"spec": wire.spec_plain(SPEC), "account": "bench", "venue": "bench"}
        await self._tell(Start("1"), **more)
        await self._until_complete()

    async def fill(self) -> tuple[float, float]:
        """Fill the lowest sell; milliseconds until the first command, and until the last order of the next generation."""
        order = min((o for o in self._open.values() if o.side == "sell"), key=lambda o: o.ticks)
        del self._open[order.order_id]
        self._trades += 1
        fee = order.ticks * order.lots * SPEC.market.tick * SPEC.market.lot * SPEC.market.maker_fee
        now_ms = time.time_ns() // 1_000_000
        report = Fill(order.order_id, f"T{self._trades}", order.side, order.ticks, order.lots, fee, True, now_ms)
        started_s = time.perf_counter()
        await self._tell(report)
        first_s = await self._until_complete()
        return (first_s - started_s) * 1000, (time.perf_counter() - started_s) * 1000

    async def stop(self) -> None:
        """Let go of the broker."""
        await self._consumer.stop()
        await self._producer.stop()

    async def _until_complete(self) -> float:
        """Answer until as many orders are open as the grid has levels; when the first command came."""
        first_s, placed = 0.0, False
        while not placed or len(self._open) < len(SPEC.up) + len(SPEC.down):
            for records in (await self._consumer.getmany(timeout_ms=200)).values():
                first_s = first_s or time.perf_counter()
                for record in records:
                    command = wire.command(orjson.loads(record.value)["command"])
                    placed = placed or isinstance(command, Place)
                    await self._answer(command)
        return first_s

    async def _answer(self, command: Any) -> None:
        match command:
            case Place():
                self._open[command.order_id] = command
                await self._tell(Accepted(command.order_id))
            case Cancel(order_id):
                self._open.pop(order_id, None)
                await self._tell(Cancelled(order_id, 0))
            case CancelAll(order_ids):
                for order_id in order_ids:
                    if self._open.pop(order_id, None):
                        await self._tell(Cancelled(order_id, 0))
            case AskOpenOrders(question):
                states = tuple(OrderState(i, Lifecycle.OPEN, o.lots) for i, o in self._open.items())
                await self._tell(OpenOrders(states, question))
            case AskOrder(order_id, question):
                known = self._open.get(order_id)
                state = (
                    OrderState(order_id, Lifecycle.OPEN, known.lots)
                    if known
                    else OrderState(order_id, Lifecycle.UNKNOWN)
                )
                await self._tell(OrderState(order_id, state.lifecycle, state.lots, 0, question))

    async def _tell(self, event: Any, **more: Any) -> None:
        key, value, headers = event_record(NAME, event, "bench", "/bench", **more)
        await self._producer.send(GRID_LOG, value, key=key, headers=headers)


async def echoes(broker: str, count: int) -> list[float]:
    """Milliseconds there and back, one after the other."""
    consumer, producer = reader(broker), AIOKafkaProducer(bootstrap_servers=broker, acks="all")
    await consumer.start()
    await producer.start()
    consumer.assign([TopicPartition(ECHO_OUT, p) for p in range(PARTITIONS)])
    await consumer.seek_to_end()
    await asyncio.gather(*map(consumer.position, consumer.assignment()))
    found: list[float] = []
    for n in range(count + 5):
        started_s = time.perf_counter()
        await producer.send(ECHO_IN, b"%d" % n, key=b"k")
        while not await consumer.getmany(timeout_ms=200):
            pass
        found.append((time.perf_counter() - started_s) * 1000)
    await consumer.stop()
    await producer.stop()
    return found[5:]  # the first ones look for their leaders


async def measure(broker: str, fills: int, turns: int) -> dict[str, Any]:
    """All ways, by turns."""
    venue = Venue(broker)
    await venue.start()
    ways: dict[str, list[list[float]]] = {"echo": [], "fill": [], "anew": []}
    for _ in range(turns):
        ways["echo"].append(await echoes(broker, fills // turns))
        both = [await venue.fill() for _ in range(fills // turns)]
        ways["fill"].append([first for first, _ in both])
        ways["anew"].append([last for _, last in both])
    await venue.stop()
    found: dict[str, Any] = {
        way: {"p50_ms": median([median(turn) for turn in all_]), "p99_ms": median([percentile(t, 0.99) for t in all_])}
        for way, all_ in ways.items()
    }
    return found | {"fill_over_echo": found["fill"]["p50_ms"] / found["echo"]["p50_ms"], "fills": fills}


def run(fills: int, turns: int) -> dict[str, Any]:
    """Broker, grid agent and echo in processes of their own; the venue in this one."""
    with tempfile.TemporaryDirectory() as folder, EmbeddedBroker(Path(folder)) as broker:
        create_topics(load_settings(broker=broker.address), partitions=PARTITIONS)
        env = os.environ | {"M1CEP_BROKER": broker.address, "M1CEP_STATE_DIR": f"{folder}/state"}
        stats = Path(folder, "stats.json")
        with Process("grid", Path(folder, "grid.log")) as agent, Process("echo", Path(folder, "echo.log")) as mirror:
            options = ["worker", "--agents", "grid", "--stats-file", str(stats), "--log-level", "warning"]
            agent.start([sys.executable, "-m", "streams.cli", *options], env=env)
            mirror.start([sys.executable, __file__, "--echo", broker.address], env=env)
            while not (stats.exists() and json.loads(stats.read_bytes())["ready"]):
                agent.check()
                time.sleep(0.1)
            return asyncio.run(measure(broker.address, fills, turns))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fills", type=int, default=200)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--echo", help=argparse.SUPPRESS)
    options = parser.parse_args()
    configure_logs("warning")
    if options.echo:
        asyncio.run(echo(options.echo))
    result = run(options.fills, options.turns)
    if options.json:
        print(json.dumps(result))
        return
    for way in ("echo", "fill", "anew"):
        print(f"{way:5} p50 {result[way]['p50_ms']:6.1f} ms   p99 {result[way]['p99_ms']:6.1f} ms")
    print(f"a fill's way to the first command is {result['fill_over_echo']:.2f} times that of an echo")


if __name__ == "__main__":
    main()
