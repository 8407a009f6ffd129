"""How long an approval takes: from a request on Kafka to a transaction that the chain has taken, by five signer processes of whom
three sign, and a coordinator, on the embedded broker.

    python bench/custody.py [--kind bitcoin|solana|evm] [--requests 30] [--busy 0]

Times are of the wall clock, from before the request is written to the coordinator's word read here; beside them, stage by stage,
how they compare with so many hops through the broker by a process that only answers (``custody_stages``), and the processor time
of a signer's process and of the coordinator's for one approval. A busy machine makes all of it longer: ``--busy`` adds so many
processes that do nothing but compute.
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
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import msgspec
from common import median, percentile
from custody_stages import PING, PONG, STAGES, Floor, Letters
from custodyhouse import CHAINS, House
from custodyoffice import SOME, Office
from topics_read import read_topic

from m1cep.custody.policy.events import DestinationListed
from m1cep.custody.request import Kind, Request
from streams.config import load_settings
from streams.custody import asks
from streams.custody.counter import Counter, open_counter
from streams.custody.derive import chain_of
from streams.custody.mail import RELEASES, REQUESTS, ROUNDS
from streams.custody.roster import load_roster
from streams.embedded import EmbeddedBroker
from streams.topic_table import BUILT_IN, Topic, topics_of_signers
from streams.topics import create_topics

_TICKS = os.sysconf("SC_CLK_TCK")
_FUNDS = {"bitcoin": "1", "solana": "50", "evm": "50"}


def main() -> None:
    """Run it and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kind", choices=sorted(CHAINS), default="bitcoin")
    parser.add_argument("--requests", type=int, default=30)
    parser.add_argument("--busy", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "broker").mkdir()
        house = House(folder / "house", (options.kind,), signers=5, threshold=3)
        with EmbeddedBroker(folder / "broker") as broker:
            own = (*topics_of_signers(house.numbers), Topic(PING, partitions=1), Topic(PONG, partitions=1))
            create_topics(load_settings(broker=broker.address), (*BUILT_IN, *own))
            run(folder, house, broker.address, options)


def run(folder: Path, house: House, broker: str, options: argparse.Namespace) -> None:
    """With all processes."""
    kind, count = options.kind, options.requests
    busy: list[subprocess.Popen[bytes]] = []
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
        with open_counter(load_settings(broker=broker), roster) as counter, Floor(broker) as floor:
            prepare(counter, house, kind)
            approve(counter, house, kind, -1)  # the first of a process is slower: imports, connections
            busy += [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(options.busy)]
            before = {who: cpu_s(process.pid) for who, process in workers.items()}
            took, floors_ms = [], []
            for number in range(count):
                took.append(approve(counter, house, kind, number))
                floors_ms.append(floor.hops_ms(len(STAGES)))
            used = {who: (cpu_s(process.pid) - before[who]) / count for who, process in workers.items()}
        show(took, used, kind)
        letters = Letters({topic: read_topic(broker, topic) for topic in (REQUESTS, ROUNDS, RELEASES)})
        stages = [letters.stages(f"w-{n}", house.threshold, one.heard_ms) for n, one in enumerate(took)]
        show_stages([one for one in stages if one is not None], [one.signed_s * 1_000 for one in took], floors_ms)
    finally:
        for process in (*busy, *workers.values()):
            process.terminate()
        for process in (*busy, *workers.values()):
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


class Took(NamedTuple):
    """One approval: seconds until it was signed, until the chain had taken it; and when it was heard that it was signed."""

    signed_s: float
    taken_s: float
    heard_ms: float


def approve(counter: Counter, house: House, kind: str, number: int) -> Took:
    """One request."""
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
    times, heard_ms = [], 0.0
    for states in (("signed", "broadcast", "confirmed"), ("broadcast", "confirmed"), ("confirmed",)):

        def there(states: tuple[str, ...] = states) -> bool:
            seen = counter.view.requests.get(request.id)
            return seen is not None and seen.state in states

        assert counter.wait(lambda _view: there(), 60), counter.view.requests.get(request.id)
        times.append(time.monotonic() - began_s)
        heard_ms = heard_ms or time.time_ns() / 1_000_000
    return Took(times[0], times[1], heard_ms)


def cpu_s(pid: int) -> float:
    """Processor time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def show(took: list[Took], used: dict[Any, float], kind: str) -> None:
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


def show_stages(stages: list[list[float]], signed_ms: list[float], floors_ms: list[float]) -> None:
    """What each took, and how often a hop of the floor."""
    hop_ms = median(floors_ms) / len(STAGES)
    print(
        f"one hop through the broker by a process that only answers: {hop_ms:.1f} ms (median, {len(STAGES)} at a time)"
    )
    print(f"{'stage':<34}{'p50, ms':>9}{'p95, ms':>9}{'hops, p50':>11}")
    for name, values in zip(STAGES, zip(*stages, strict=True), strict=True):
        print(f"{name:<34}{median(values):>9.0f}{percentile(values, 0.95):>9.0f}{median(values) / hop_ms:>11.1f}")
    hops = median(signed_ms) / median(floors_ms), percentile(signed_ms, 0.95) / percentile(floors_ms, 0.95)
    print(
        f"signed, against {len(STAGES)} hops of the floor: p50 {median(signed_ms):.0f} / {median(floors_ms):.0f} ms = "
        f"{hops[0]:.1f}; p95 {percentile(signed_ms, 0.95):.0f} / {percentile(floors_ms, 0.95):.0f} ms = {hops[1]:.1f}; "
        f"{len(signed_ms) - len(stages)} of {len(signed_ms)} took another attempt or a round of commitments"
    )


if __name__ == "__main__":
    main()
