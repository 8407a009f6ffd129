"""What a key costs in memory: every key has one attempt of `A B C` open, and then WITHIN passes.

Each size is a process of its own: ``python -m streams.bench.keys COUNT`` prints one JSON object. Bytes are those that Python
allocated since before the first event (tracemalloc): the key, its attempt, the engine's tables. ``rss`` is what the process grew
by, as the operating system sees it, in a second process: tracemalloc needs memory itself.
"""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
import tracemalloc
from pathlib import Path
from typing import TYPE_CHECKING, Any

import m1cep
from streams.bench.figures import Row, Section, most
from streams.bench.rules import A_B_C
from streams.files import load_streams

if TYPE_CHECKING:
    from collections.abc import Callable

    from streams.bench.setup import Setup

MOST_BYTES_PER_KEY = 300
MOST_BYTES_AFTER = 30  # "near zero": a tenth of that
STATM = Path("/proc/self/statm")
BATCH = 1_000
SPREAD_MS = 5_000  # the keys come within half of the rule's ten seconds


def keys(setup: Setup) -> Section:
    """A thousand ... a million keys."""
    section = Section(
        "keys", "A B C in 10 s, one open attempt a key: bytes a key (tracemalloc), and after WITHIN has passed"
    )
    for count in setup.sizes.keys:
        setup.step(f"{count:,} keys")
        figures = _child(count, "traced")
        if STATM.exists():
            figures["rss_bytes_per_key"] = _child(count, "rss")["bytes_per_key"]
        targets = (most("bytes_per_key", MOST_BYTES_PER_KEY), most("bytes_per_key_after", MOST_BYTES_AFTER))
        section.rows.append(Row(f"{count:,} keys", figures, targets if count == max(setup.sizes.keys) else ()))
    return section


def _child(count: int, how: str) -> dict[str, float]:
    command = [sys.executable, "-m", "streams.bench.keys", str(count), how]
    done = subprocess.run(command, capture_output=True, check=True)  # noqa: S603 - ourselves
    found: dict[str, float] = json.loads(done.stdout)
    return found


def _measure(count: int, size: Callable[[], int]) -> dict[str, float]:
    """Bytes a key while its attempt is open, and after."""
    stream = load_streams()["orders"]
    engine = m1cep.Engine([m1cep.compile_rule(A_B_C, {"orders": stream}, "abc")])
    engine.push("orders", [_order(0, "warm-up", 0)])  # what is made once is made now
    before = size()
    for first in range(1, count + 1, BATCH):
        batch = range(first, min(first + BATCH, count + 1))
        engine.push("orders", [_order(n, f"acc-{n:07d}", 1_000 + n * SPREAD_MS // count) for n in batch])
    engine.idle("orders")  # those within the stream's delay go to the rule as well
    open_bytes = size() - before
    engine.push("orders", [_order(count + 1, "later", 60_000), _order(count + 2, "later", 120_000)])
    return {"bytes_per_key": round(open_bytes / count, 1), "bytes_per_key_after": round((size() - before) / count, 1)}


def _order(n: int, account: str, ts: int) -> bytes:
    order: dict[str, Any] = {"event_id": f"o{n}", "account": account, "order_id": f"ord{n}", "symbol": "BTC-USD"}
    return json.dumps(order | {"action": "new", "side": "buy", "price": 1.0, "qty": 2.5, "ts": ts}).encode()


def _traced_bytes() -> int:
    gc.collect()
    return tracemalloc.get_traced_memory()[0]


def _rss_bytes() -> int:
    gc.collect()
    return int(STATM.read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")


def main() -> None:
    """The child."""
    count, how = int(sys.argv[1]), sys.argv[2]
    if how == "traced":
        tracemalloc.start()
    print(json.dumps(_measure(count, _traced_bytes if how == "traced" else _rss_bytes)))  # noqa: T201 - to the parent


if __name__ == "__main__":
    main()
