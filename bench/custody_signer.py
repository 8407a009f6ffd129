"""Processor time of one signer for one transfer, 3 of 5, through the whole machine: letters, policy, derivation, shares, state.

    python bench/custody_signer.py

In this process, with a chain of its own for each suite, no broker. Solo saves the state after each letter: that is
counted too, without the disk.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from custodians import CHAINS, Custodians

from streams.chains.local import open_local
from streams.logs import configure_logs

RUNS = 40
DESTINATIONS = {
    "btc": "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080",
    "sol": "4zvwRjXUKGfvwnParsHAS3HuSVzV5cA4McphgmoCtajS",
    "eth": "0x" + "11" * 20,
}
UNITS = {"btc": 100_000, "sol": 10**8, "eth": 10**16}


class Clock:
    """Wraps a machine's methods and adds up what they take."""

    def __init__(self, machine: Any) -> None:
        self.machine, self.spent_s, self.letters = machine, 0.0, 0
        self.take, machine.take = machine.take, self._take

    def _take(self, topic: str, partition: int, record: Any) -> Any:
        started_s = time.process_time()
        said = self.take(topic, partition, record)
        if said:
            self.machine.snapshot()
        self.spent_s += time.process_time() - started_s
        self.letters += len(said)
        return said


def measure(vault: str) -> tuple[list[float], list[float]]:
    """Milliseconds of each signer that signed, and of each that only voted."""
    signed, voted = [], []
    with tempfile.TemporaryDirectory() as folder:
        world = Custodians(Path(folder), vaults=(vault,))
        node = open_local("evm" if vault == "eth" else CHAINS[vault].split(":")[0])
        world.new_key(vault)
        world.fund(vault, node, UNITS[vault] * 1_000)
        world.run()
        clocks = [Clock(world.signer(number)) for number in world.numbers]
        for _ in range(RUNS):
            for clock in clocks:
                clock.spent_s, clock.letters = 0.0, 0
            request = world.request(vault, DESTINATIONS[vault], UNITS[vault])
            world.run()
            assert request.id in world.signatures, world.coordinator.case(request.id).reason
            for clock in clocks:
                (signed if clock.letters > 1 else voted).append(clock.spent_s * 1_000)
        node.close()
    return signed, voted


def main() -> None:
    """Print a table."""
    configure_logs("error")
    print(f"{'':8}{'signs, ms':>12}{'p95':>8}{'only votes, ms':>18}")
    for vault, chain in CHAINS.items():
        signed, voted = measure(vault)
        p95 = statistics.quantiles(signed, n=20)[-1]
        print(f"{chain.split(':')[0]:8}{statistics.median(signed):12.2f}{p95:8.2f}{statistics.median(voted):18.2f}")


if __name__ == "__main__":
    main()
