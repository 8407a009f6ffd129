"""The pre-trade check over gRPC against a method that does nothing, in turns: python bench/rpc.py [--rounds N] [--seconds S]

Batches: eight calls of 100 orders under way all the time; the empty method gets the same bytes and does not look at them.
Unary: 500 calls a second, each at its time whether or not those before it are answered; the latency counts from that time.
Beside the wall clock's figures stand those of the server's processor time: other work on the machine does not change them.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc
from common import median, percentile

from streams.rpc.client import order
from streams.rpc.v1 import risk_pb2

if TYPE_CHECKING:
    from collections.abc import Callable

BATCH, UNDER_WAY, RATE = 100, 8, 500
ACCOUNTS, SYMBOLS = 300, ("BTC-USD", "ETH-USD", "SOL-USD", "XRP-USD", "LTC-USD")
SERVICE = "/m1cep.risk.v1.RiskService"
TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_ids = itertools.count()


def an_order() -> risk_pb2.Order:
    """One of another account, symbol, side, size and price than the one before; buys and sells nearly level out."""
    n = next(_ids)
    qty, price = f"0.{n % 89 + 10}", f"{95 + n % 11}.{n % 97:02d}"
    return order(
        f"acc-{n % ACCOUNTS:04d}", f"bench-{n}", SYMBOLS[n % 5], "buy" if n // ACCOUNTS % 2 else "sell", qty, price
    )


class Server:
    """The process that is measured."""

    def __init__(self) -> None:
        script = Path(__file__).with_name("rpc_server.py")
        self._process = subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.address = f"127.0.0.1:{int(self._process.stdout.readline())}"

    def processor_s(self) -> float:
        """Processor time of the process so far."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS_PER_S

    def stop(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait()


async def batches(call: Callable[[bytes], Any], seconds: float, made: list[bytes]) -> float:
    """Batches answered in a second of the wall clock."""
    done, end_s = 0, time.perf_counter() + seconds

    async def ask() -> None:
        nonlocal done
        while time.perf_counter() < end_s and made:
            await call(made.pop())
            done += 1

    started_s = time.perf_counter()
    await asyncio.gather(*(ask() for _ in range(UNDER_WAY)))
    return done / (time.perf_counter() - started_s)


async def unary(call: Callable[[bytes], Any], seconds: float, made: list[bytes]) -> list[float]:
    """Latencies in ms of calls at their times."""
    found: list[float] = []

    async def ask(due_s: float, request: bytes) -> None:
        await call(request)
        found.append((time.perf_counter() - due_s) * 1000)

    start_s = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for n in range(int(seconds * RATE)):
            due_s = start_s + n / RATE
            if (wait_s := due_s - time.perf_counter()) > 0:
                await asyncio.sleep(wait_s)
            group.create_task(ask(due_s, made.pop()))
    return found


def _batch() -> bytes:
    return risk_pb2.CheckBatchRequest(orders=[an_order() for _ in range(BATCH)]).SerializeToString()


def _single() -> bytes:
    return risk_pb2.CheckRequest(order=an_order()).SerializeToString()


def _accepted(answer: bytes) -> int:
    return sum(one.accepted for one in risk_pb2.CheckBatchResponse.FromString(answer).decisions)


async def measure(server: Server, rounds: int, seconds: float) -> None:
    """All rounds, and the figures."""
    async with grpc.aio.insecure_channel(server.address) as channel:
        # Bytes in, bytes out: what the client does with messages is not measured.
        empty, check = channel.unary_unary("/bench.Empty/Call"), channel.unary_unary(f"{SERVICE}/Check")
        check_batch = channel.unary_unary(f"{SERVICE}/CheckBatch")
        print(f"accepted of the first {BATCH}: {_accepted(await check_batch(_batch()))}")
        rates: dict[str, list[float]] = {"empty": [], "check": []}
        costs: dict[str, list[float]] = {"empty": [], "check": []}
        tails: dict[str, list[float]] = {"empty": [], "check": []}
        middles: dict[str, list[float]] = {"empty": [], "check": []}
        for _ in range(rounds):
            for name, call in (("empty", empty), ("check", check_batch)):
                made = [_batch() for _ in range(int(seconds * 1_500))]
                count, before_s = len(made), server.processor_s()
                rates[name].append(await batches(call, seconds, made))
                costs[name].append((server.processor_s() - before_s) * 1e6 / (count - len(made)))
            for name, call in (("empty", empty), ("check", check)):
                latencies = await unary(call, seconds, [_single() for _ in range(int(seconds * RATE))])
                tails[name].append(percentile(latencies, 0.99))
                middles[name].append(percentile(latencies, 0.5))
    _tell(rates, costs, tails, middles)


def _tell(rates: dict[str, list[float]], costs: dict[str, list[float]], tails: Any, middles: Any) -> None:
    rate, cost = ({name: median(found) for name, found in kind.items()} for kind in (rates, costs))
    print(f"batches of {BATCH}, {UNDER_WAY} under way:")
    print(f"  checks a second        {rate['check'] * BATCH:10,.0f}   best round {max(rates['check']) * BATCH:,.0f}")
    print(
        f"  calls a second, ratio  {rate['check'] / rate['empty']:10.2f}   of those of an empty method ({rate['empty']:,.0f})"
    )
    each = cost["check"] / BATCH
    print(f"  server's processor     {each:10.1f} us a check, so {1e6 / each:,.0f} checks/s of a core")
    print(f"  ratio                  {cost['check'] / cost['empty']:10.1f}   x an empty call ({cost['empty']:,.0f} us)")
    print(f"one at a time, {RATE} a second:")
    for name in ("check", "empty"):
        best, tail = min(tails[name]), median(tails[name])
        print(f"  {name:6} p50 {median(middles[name]):6.2f} ms   p99 {tail:6.2f} ms   best round's p99 {best:6.2f} ms")
    print(f"  p99, ratio             {median(tails['check']) / median(tails['empty']):10.2f}")


def main() -> None:
    """The benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0)
    options = parser.parse_args()
    server = Server()
    try:
        asyncio.run(measure(server, options.rounds, options.seconds))
    finally:
        server.stop()


if __name__ == "__main__":
    main()
