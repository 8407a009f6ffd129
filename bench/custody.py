"""How long an approval takes: from a request on Kafka to a transaction that the chain has taken, by five signer processes of whom
three sign, and a coordinator, on the embedded broker.

    python bench/custody.py [--kind bitcoin|solana|evm] [--requests 30]

Times are of the wall clock, from before the request is written to the coordinator's word read here; beside them the processor
time of a signer's process and of the coordinator's for one approval. A busy machine makes all of it longer.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import msgspec
from common import median, percentile
from custodyhouse import CHAINS, House
from custodyoffice import SOME, Office

from m1cep.custody.policy.events import DestinationListed
from m1cep.custody.request import Kind, Request
from streams.config import load_settings
from streams.custody import asks
from streams.custody.counter import Counter, open_counter
from streams.custody.derive import chain_of
from streams.custody.mail import ROUNDS
from streams.custody.roster import load_roster
from streams.embedded import EmbeddedBroker
from streams.topics import BUILT_IN, create_topics, topics_of_signers

_TICKS = os.sysconf("SC_CLK_TCK")
_FUNDS = {"bitcoin": "1", "solana": "50", "evm": "50"}


def main() -> None:
    """Run it and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kind", choices=sorted(CHAINS), default="bitcoin")
    parser.add_argument("--requests", type=int, default=30)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "broker").mkdir()
        house = House(folder / "house", (options.kind,), signers=5, threshold=3)
        with EmbeddedBroker(folder / "broker") as broker:
            create_topics(load_settings(broker=broker.address), (*BUILT_IN, *topics_of_signers(house.numbers)))
            run(folder, house, broker.address, options.kind, options.requests)


def run(folder: Path, house: House, broker: str, kind: str, count: int) -> None:
    """With all processes."""
    env = os.environ | {
        "M1CEP_BROKER": broker,
        "M1CEP_HOME": str(folder / "home"),
        "M1CEP_SIGNER_PASSPHRASE_FILE": str(house.passphrase),
    }
    command = [sys.executable, "-c", "import sys; from streams.cli import main; sys.exit(main())", "worker"]
    workers = {}
    try:
        began_s = time.monotonic()
        for who in ("coordinator", *house.numbers):
            given = house.coordinator() if who == "coordinator" else house.signer(who)
            stats = folder / f"stats-{who}.json"
            log = (folder / f"log-{who}").open("w")
            arguments = [*command, *map(str, given), "--stats-file", str(stats), "--stats-every-ms", "100"]
            workers[who] = subprocess.Popen(arguments, env=env, stdout=log, stderr=log)
        for who in workers:
            wait_ready(folder / f"stats-{who}.json")
        print(f"{len(workers)} processes ready after {time.monotonic() - began_s:.1f} s, begun at once")
        roster = load_roster(house.roster)
        with open_counter(load_settings(broker=broker), roster) as counter:
            prepare(counter, house, kind)
            before = {who: cpu_s(process.pid) for who, process in workers.items()}
            took = [approve(counter, house, kind, number) for number in range(count)]
            used = {who: (cpu_s(process.pid) - before[who]) / count for who, process in workers.items()}
        show(took, used, kind)
    finally:
        for process in workers.values():
            process.terminate()
        for process in workers.values():
            process.wait()


def wait_ready(stats: Path) -> None:
    """Until a worker says so."""
    while not (stats.exists() and json.loads(stats.read_text())["ready"]):
        time.sleep(0.05)


def prepare(counter: Counter, house: House, kind: str) -> None:
    """A key, money, an address on the whitelist."""
    vault, bob = f"alice-{kind}", house.pen("bob")
    began_s = time.monotonic()
    counter.ask_desk(bob, asks.AskCeremony("keygen", "keygen", vault))
    assert counter.wait(lambda view: vault in view.vaults, 60), counter.view.ceremonies
    print(f"key generation by five: {time.monotonic() - began_s:.2f} s")
    counter.ask_desk(bob, asks.AskFunds("fund", vault, _FUNDS[kind]))
    event = DestinationListed("listed", "alice", CHAINS[kind], address(kind), True, 1)
    counter.send(house.pen("operations").write(ROUNDS, "facts", "fact", msgspec.json.encode(event).decode()))
    assert counter.wait(lambda view: int(view.vaults[vault].free) > 0, 30)


def address(kind: str) -> str:
    """Of a stranger."""
    office: Any = None
    return str(Office.stranger(office, kind))


def approve(counter: Counter, house: House, kind: str, number: int) -> tuple[float, float]:
    """One request: seconds until it was signed, and until the chain had taken it."""
    chain, now_ms = chain_of(CHAINS[kind]), time.time_ns() // 1_000_000
    request = Request(
        id=f"w-{number}",
        kind=Kind.TRANSFER,
        requester="shop",
        account="alice",
        vault=f"alice-{kind}",
        chain=chain.name,
        asset=chain.asset.symbol,
        destination=address(kind),
        amount=str(SOME[kind]),
        requested_ms=now_ms,
        expires_ms=now_ms + 60_000,
    )
    began_s = time.monotonic()
    counter.ask(house.pen("shop"), request)
    times = []
    for states in (("signed", "broadcast", "confirmed"), ("broadcast", "confirmed"), ("confirmed",)):

        def there(states: tuple[str, ...] = states) -> bool:
            seen = counter.view.requests.get(request.id)
            return seen is not None and seen.state in states

        assert counter.wait(lambda _view: there(), 60), counter.view.requests.get(request.id)
        times.append(time.monotonic() - began_s)
    return times[0], times[1]


def cpu_s(pid: int) -> float:
    """Processor time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def show(took: list[tuple[float, float]], used: dict[Any, float], kind: str) -> None:
    """The table."""
    for name, column in (("signed", 0), ("taken by the chain", 1)):
        values = [one[column] * 1000 for one in took]
        print(
            f"{kind}, {name:<18}  p50 {median(values):>5.0f} ms   p95 {percentile(values, 0.95):>5.0f} ms   "
            f"most {max(values):>5.0f} ms   of {len(values)}"
        )
    signers = [seconds * 1000 for who, seconds in used.items() if who != "coordinator"]
    print(
        f"processor time while one goes from asked for to confirmed: signer {median(signers):.0f} ms (median of "
        f"{len(signers)} processes, idling included), coordinator {used['coordinator'] * 1000:.0f} ms"
    )


if __name__ == "__main__":
    main()
