"""The engine over a file, against decoding alone, in one run.

    python bench/replay.py [--events 300000] [--runs 5] [--json]

decode   read each line of the file and decode it to a typed row: what every engine has to do
others   ``m1cep replay``'s own loop over the same file, in this process, with the rules named
Runs alternate; figures are medians, ratios are to decode.
"""

from __future__ import annotations

import argparse
import gc
import json
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from common import FILTER_RULE, PATTERN_RULE, median, orders
from rich.console import Console
from rich.table import Table

import m1cep
from streams.files import load_rules, load_streams
from streams.replay import replay

if TYPE_CHECKING:
    from collections.abc import Callable

STREAMS = load_streams()
PATTERN = """SELECT * FROM orders MATCH_RECOGNIZE (PARTITION BY account ORDER BY ts MEASURES A.qty AS qty
  PATTERN ({}) WITHIN INTERVAL '{}' SECOND DEFINE {})"""
RULES = {
    "filter": FILTER_RULE,
    "A B C in 10 s": PATTERN.format(
        "A B C",
        10,
        "A AS A.action = 'new' AND A.side = 'buy' AND A.qty > 2, B AS B.action = 'cancel', C AS C.side = 'sell' AND C.qty < 1",
    ),
    "A{3,} W in 60 s": PATTERN.format("A{3,} W", 60, "A AS A.action = 'new', W AS W.action = 'cancel' AND W.qty > 2.5"),
    "A+ B with AVG, 60 s": PATTERN.format(
        "A+ B", 60, "A AS A.action = 'new', B AS B.action = 'cancel' AND B.qty > 1.5 * AVG(A.qty)"
    ),
    "N{4,6} C{3} in 5 s": PATTERN_RULE,
    "SUM OVER 60 s": """SELECT account, total FROM (SELECT *, SUM(qty) OVER (PARTITION BY account ORDER BY ts
      RANGE BETWEEN INTERVAL '60' SECOND PRECEDING AND CURRENT ROW) AS total FROM orders) WHERE total > 100""",
}


def decode(file: Path) -> int:
    """Rows decoded one by one."""
    one = STREAMS["orders"].decoder.decode
    count = 0
    with file.open("rb") as lines:
        for line in lines:
            one(line)
            count += 1
    return count


def run(rules: list[m1cep.Rule], file: Path) -> int:
    """Alerts of a replay."""
    with file.open("rb") as lines:
        return replay(rules, {"orders": (STREAMS["orders"], lines)}, on_alert=lambda _alert: None).alerts


def seconds(work: Callable[[], int]) -> float:
    """Of one call."""
    gc.collect()
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=300_000)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "orders.ndjson"
        with file.open("wb") as out:
            out.writelines(value + b"\n" for _, _, value in orders(options.events))
        works: dict[str, Callable[[], int]] = {"decode": lambda: decode(file)}
        for name, text in RULES.items():
            compiled = [m1cep.compile_rule(text, STREAMS, name)]
            works[name] = lambda rules=compiled: run(rules, file)  # type: ignore[misc]
        pack = load_rules(None, STREAMS)
        works[f"the {len(pack)} packaged rules"] = lambda: run(pack, file)
        taken: dict[str, list[float]] = {name: [] for name in works}
        alerts = {name: work() for name, work in works.items()}
        for _ in range(options.runs):
            for name, work in works.items():
                taken[name].append(seconds(work))
    rates = {name: options.events / median(times) for name, times in taken.items()}
    found = [
        {"what": name, "events_per_s": round(rate), "ratio": round(rate / rates["decode"], 3), "alerts": alerts[name]}
        for name, rate in rates.items()
    ]
    found[0]["alerts"] = 0  # decode's count is of rows
    if options.json:
        print(json.dumps({"events": options.events, "runs": options.runs, "replay": found}))
        return
    table = Table("what", "events/s", "of decode", "alerts", box=None, header_style="bold")
    for row in found:
        table.add_row(row["what"], f"{row['events_per_s']:,}", f"{row['ratio']:.2f}", f"{row['alerts']:,}")
    Console().print(table)


if __name__ == "__main__":
    main()
