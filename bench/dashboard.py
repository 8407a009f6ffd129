"""What two hundred browsers cost the engine: events/s of a worker at full speed, with and without them.

    python bench/dashboard.py [--events 600000] [--turns 5] [--clients 200] [--stuck 20] [--json]

One embedded broker with orders in it. A worker of a new group reads them all, twice a turn: alone, and with a dashboard
beside it (every second turn the other way round), with its clients: half on /events, half on /live, some of which never read,
and come again when they are let go. The clients' own process is of the lowest priority: browsers are other people's machines.
Of each: events per second of the clock, and per second that the worker was on a processor (which other programs on the machine
touch less). The ratio is the median of the turns' own: what disturbs the machine for longer disturbs both halves of a turn.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import socket
import statistics
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from aiohttp import ClientSession, ClientTimeout, TCPConnector
from common import fill

from streams.config import load_settings
from streams.embedded import EmbeddedBroker
from streams.embedded.ports import any_free_port
from streams.embedded.process import Process
from streams.logs import configure_logs
from streams.topics import create_topics

#: One of two thousand orders is an alert: some fifty a second.
RULE = "SELECT account, symbol, qty FROM orders WHERE action = 'new' AND qty > 2.997"
WAIT_S = 120.0
CPU_HZ = os.sysconf("SC_CLK_TCK")


class Turn:
    """One worker through all orders.

    Args:
        folder: of the bench.
        broker: address.
        number: of the turn.
    """

    def __init__(self, folder: Path, broker: str, number: int) -> None:
        # Another text is another version, and its alerts are other ones: the dashboard drops those that it has already.
        (folder / "rule.sql").write_text(f"{RULE} -- turn {number}", encoding="utf-8")
        self._stats = folder / f"stats-{number}.json"
        self._worker = Process("the worker", folder / "worker.log", grace_s=10.0)
        self._command = [sys.executable, "-m", "streams.cli", "worker", "--agents", "risk", "--log-level", "warning"]
        self._command += ["--rules", str(folder / "rule.sql"), "--group", f"bench-{number}-{os.getpid()}"]
        self._command += ["--stats-file", str(self._stats), "--stats-every-ms", "20"]
        self._environment = environment(folder, broker)

    def run(self, count: int) -> dict[str, float]:
        """Events per second of the clock and of the processor, between a tenth and nineteen twentieths of all events."""
        self._worker.start(self._command, env=self._environment)
        try:
            begin = self._until(count // 10)
            end = self._until(count * 19 // 20)
        finally:
            self._worker.stop()
        events = end[0] - begin[0]
        return {"events_per_s": events / (end[1] - begin[1]), "events_per_cpu_s": events / (end[2] - begin[2])}

    def _until(self, count: int) -> tuple[int, float, float]:
        """Events, clock, processor when so many have been taken."""
        deadline_s = time.monotonic() + WAIT_S
        while time.monotonic() < deadline_s:
            self._worker.check()
            try:
                found = json.loads(self._stats.read_bytes())
            except (OSError, ValueError):
                found = {}
            events = found.get("agents", {}).get("risk", {}).get("events", 0)
            if events >= count:
                return events, found["time_s"], cpu_s(self._worker.pid or 0)
            time.sleep(0.005)
        raise SystemExit("the worker did not come to the end")


def cpu_s(pid: int) -> float:
    """Seconds that a process was on a processor."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / CPU_HZ


def rss_mb(pid: int) -> float:
    """The most memory that a process had."""
    line = next(
        one for one in Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines() if one.startswith("VmHWM")
    )
    return int(line.split()[1]) / 1024


def environment(folder: Path, broker: str) -> dict[str, str]:
    """Of the processes."""
    mine = {"M1CEP_BROKER": broker, "M1CEP_STATE_DIR": str(folder / "state"), "M1CEP_HOME": str(folder)}
    return {**{k: v for k, v in os.environ.items() if not k.startswith("M1CEP_")}, **mine}


def start_dashboard(stack: ExitStack, folder: Path, broker: str, options: argparse.Namespace) -> tuple[Process, Path]:
    """The dashboard and its clients; returns when all of these have heard something."""
    port = any_free_port()
    dashboard = Process("the dashboard", folder / "dashboard.log", grace_s=10.0)
    command = [sys.executable, "-m", "streams.cli", "worker", "--agents", "dashboard", "--log-level", "warning"]
    dashboard.start([*command, "--web-port", str(port)], env=environment(folder, broker))
    stack.enter_context(dashboard)
    told = folder / "clients.json"
    told.unlink(missing_ok=True)
    clients = Process("the clients", folder / "clients.log")
    arguments = [str(port), str(options.clients - options.stuck), str(options.stuck), str(told)]
    command = ["nice", "-n", "19", sys.executable, __file__, "--child", *arguments]
    clients.start(command, env=environment(folder, broker))
    stack.enter_context(clients)
    deadline_s = time.monotonic() + WAIT_S
    while time.monotonic() < deadline_s:
        dashboard.check()
        clients.check()
        if told.exists():
            return dashboard, told
        time.sleep(0.1)
    raise SystemExit("the clients are not all there")


async def watch(port: int, reading: int, stuck: int, told: Path) -> None:
    """Child: clients that read, and clients that do not; says what they got."""
    got = {"events": 0, "bytes": 0, "here": 0, "again": 0}
    base = f"http://127.0.0.1:{port}"
    async with ClientSession(connector=TCPConnector(limit=0), timeout=ClientTimeout(total=None)) as session:
        while True:
            try:
                async with session.get(f"{base}/readyz") as answer:
                    if answer.status == 200:
                        break
            except OSError:
                pass
            await asyncio.sleep(0.2)

        async def read(path: str) -> None:
            async with session.get(base + path) as answer:
                got["here"] += 1
                async for chunk in answer.content.iter_any():
                    got["bytes"] += len(chunk)
                    got["events"] += chunk.count(b"data: ")

        async def never_read(path: str) -> None:
            first = True
            while True:
                taken = socket.socket()
                taken.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                taken.setblocking(False)
                await asyncio.get_running_loop().sock_connect(taken, ("127.0.0.1", port))
                taken.send(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
                got["here" if first else "again"] += 1
                first = False
                while not _is_reset(taken):  # noqa: ASYNC110 - a socket that nobody reads tells nothing
                    await asyncio.sleep(0.5)
                taken.close()

        paths = ("/events", "/live")
        tasks = [asyncio.create_task(read(paths[n % 2])) for n in range(reading)]
        tasks += [asyncio.create_task(never_read(paths[n % 2])) for n in range(stuck)]
        while True:
            await asyncio.sleep(0.5)
            for task in tasks:
                if task.done():
                    task.result()
            if got["here"] == reading + stuck:
                half = told.with_suffix(".half")
                half.write_text(json.dumps(got), encoding="utf-8")
                half.replace(told)


def _is_reset(taken: socket.socket) -> bool:
    """Whether the server has hung up on a socket that nobody reads."""
    return taken.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] != 1  # TCP_ESTABLISHED


def beside_dashboard(
    turn: Turn, folder: Path, broker: str, options: argparse.Namespace
) -> tuple[dict[str, float], dict[str, Any]]:
    """The worker's figures with the dashboard and its clients there, and theirs."""
    with ExitStack() as stack:
        dashboard, file = start_dashboard(stack, folder, broker, options)
        pid = dashboard.pid or 0
        before_s = cpu_s(pid), time.monotonic()
        found = turn.run(options.events)
        share = (cpu_s(pid) - before_s[0]) / (time.monotonic() - before_s[1])
        time.sleep(1)
        told = json.loads(file.read_bytes())
        return found, {**told, "dashboard_mb": round(rss_mb(pid)), "dashboard_cpu": round(share, 2)}


def measure(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """All turns."""
    alone: list[dict[str, float]] = []
    watched: list[dict[str, float]] = []
    told: dict[str, Any] = {}
    with EmbeddedBroker(folder) as broker:
        create_topics(load_settings(broker=broker.address), partitions=4)
        asyncio.run(fill(broker.address, options.events))
        for number in range(options.turns):
            for with_clients in (False, True) if number % 2 == 0 else (True, False):
                turn = Turn(folder, broker.address, 2 * number + with_clients)
                if with_clients:
                    result, told = beside_dashboard(turn, folder, broker.address, options)
                    watched.append(result)
                else:
                    alone.append(turn.run(options.events))
            print(f"turn {number + 1}: {alone[-1]} / {watched[-1]} {told}", file=sys.stderr)
    ratios = {}
    for name in alone[0]:
        turns = zip(watched, alone, strict=True)
        ratios[name] = round(statistics.median(with_[name] / without[name] for with_, without in turns), 3)
    return {"alone": alone, "watched": watched, "ratio": ratios, "last": told}


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=600_000)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--stuck", type=int, default=20)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--child", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        port, reading, stuck, told = options.child
        asyncio.run(watch(int(port), int(reading), int(stuck), Path(told)))
        return
    configure_logs("warning")
    with tempfile.TemporaryDirectory() as folder:
        found = measure(Path(folder), options)
    if options.json:
        print(json.dumps(found))
        return
    for name, title in (("events_per_s", "events/s, clock"), ("events_per_cpu_s", "events/s, processor")):
        one, other = (statistics.median(o[name] for o in found[kind]) for kind in ("alone", "watched"))
        print(
            f"{title:<22}{one:>12,.0f} alone {other:>12,.0f} with {options.clients} clients   ratio {found['ratio'][name]}"
        )
    last = found["last"]
    print(
        f"dashboard: {last['dashboard_mb']} MB at most, {last['dashboard_cpu']:.0%} of a processor; clients got "
        f"{last['events']:,} events, {last['bytes'] / 1e6:.0f} MB; {last['again']} stuck ones came again"
    )


if __name__ == "__main__":
    main()
