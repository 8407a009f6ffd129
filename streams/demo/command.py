"""How the demo starts workers: those whom nobody waits for give way to the rules, and ask the broker seldom."""

from __future__ import annotations

import sys

#: For readers whom nobody waits for. One that asks fifty times a second costs the embedded broker a tenth of a processor.
CALM_WAIT_MS = 100

#: Of the demo's topics. One worker reads all of them, and every fetch, batch and snapshot costs as much for each partition.
PARTITIONS = 1


def worker(agents: str, *options: str, nice: int = 0, fetch_wait_ms: int = CALM_WAIT_MS) -> list[str]:
    """The command of a worker with these agents.

    Args:
        agents: separated by commas.
        options: further ones.
        nice: by how much it gives way to others.
        fetch_wait_ms: how long the broker may wait for something new.
    """
    gives_way = ["nice", "-n", str(nice)] if nice else []
    common = ["--fetch-wait-ms", str(fetch_wait_ms), "--log-level", "warning"]
    return [*gives_way, sys.executable, "-m", "streams.cli", "worker", "--agents", agents, *common, *options]
