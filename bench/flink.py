"""Flink on the same rules and the same file, against the engine, in one run.

    python bench/flink.py [--events 1000000] [--runs 2] [--json]

Rules, events and the loop over the file are those of ``m1cep bench``, which starts this with ``--flink``. Flink runs the job
that ``m1cep rules flink`` writes: filesystem source and sink, parallelism 1; its time is the job's own net running time, without
start and planning. ``m1cep`` is timed in this process before Flink starts, decoding included. Of each the shortest run, Flink's
compiler having warmed up; both by the clock on the wall, so the machine should have nothing else to do. Slow rules run over a
part of the events.

Needs Java 17 and Flink: the extra ``flink``, or an environment with apache-flink in M1CEP_FLINK_PYTHON.
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

from rich.console import Console
from rich.table import Table

import m1cep
from m1cep.sql.flink import Connector, flink_job
from streams.bench.data import write_orders
from streams.bench.replays import replay_files
from streams.bench.rules import KINDS
from streams.files import load_streams

PYTHON = os.environ.get("M1CEP_FLINK_PYTHON", sys.executable)
RUNNER = Path(__file__).parent / "flink_runner.py"
STREAMS = load_streams()
RULES = {kind.name: kind.text for kind in KINDS if kind.times_flink is not None}
#: How many times fewer events each one gets: Flink takes minutes otherwise.
SHARE = {"A{3,} W in 60 s": 4, "A+ B with AVG, 60 s": 20}


def compare(events: int, runs: int) -> list[dict[str, Any]]:
    """For each rule: events per second of both, their ratio, and how many alerts each one found.

    Raises:
        RuntimeError: Flink is not there, or a job failed; says why.
    """
    found = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sizes = {rule: max(1, events // share) for rule, share in ((r, SHARE.get(r, 1)) for r in RULES)}
        for size in set(sizes.values()):
            write_orders(input_of(folder, size), size)
        jobs = [job(folder, rule, size, attempt) for rule, size in sizes.items() for attempt in range(runs)]
        for rule, size in sizes.items():
            compiled = [m1cep.compile_rule(RULES[rule], STREAMS, rule)]
            file = input_of(folder, size)
            taken, alerts = min(timed(compiled, file) for _ in range(runs))
            found.append(
                {"rule": rule, "events": size, "m1cep_events_per_s": round(size / taken), "m1cep_alerts": alerts}
            )
        milliseconds = on_flink(folder, jobs)
        for row in found:
            rate = row["events"] * 1000 / min(milliseconds[row["rule"]])
            row |= {
                "flink_events_per_s": round(rate),
                "ratio": round(row["m1cep_events_per_s"] / rate, 1),
                "flink_alerts": alerts_in(place(folder, row["rule"], 0) / "alerts"),
            }
    return found


def timed(rules: list[m1cep.Rule], file: Path) -> tuple[float, int]:
    """Seconds of a replay, and its alerts."""
    started = time.perf_counter()
    alerts = replay_files(rules, {"orders": file}).alerts
    return time.perf_counter() - started, alerts


def input_of(folder: Path, size: int) -> Path:
    """The file with so many events."""
    return folder / f"{size}.ndjson"


def place(folder: Path, rule: str, attempt: int) -> Path:
    """The folder of one run of a job."""
    return folder / f"job{list(RULES).index(rule)}-{attempt}"


def job(folder: Path, rule: str, size: int, attempt: int) -> dict[str, Any]:
    """What the runner needs for one run of a rule."""
    here = place(folder, rule, attempt)
    here.mkdir()
    where = Connector(folder=str(here))
    made = flink_job(RULES[rule], STREAMS, name=rule, connector=where)
    (here / "orders.ndjson").symlink_to(input_of(folder, size))
    return {"name": rule, "statements": made.statements}


def on_flink(folder: Path, jobs: list[dict[str, Any]]) -> dict[str, list[int]]:
    """Net milliseconds of each run of each job."""
    file = folder / "jobs.json"
    file.write_text(json.dumps(jobs))
    ran = subprocess.run([PYTHON, str(RUNNER), str(file)], capture_output=True, text=True, check=False)
    answers = [json.loads(line) for line in ran.stdout.splitlines()]
    failed = [a["error"] for a in answers if "error" in a]
    if failed or len(answers) != len(jobs):
        raise RuntimeError((failed or [ran.stderr[-2000:]])[0])
    taken: dict[str, list[int]] = {}
    for answer in answers:
        taken.setdefault(answer["name"], []).append(answer["net_ms"])
    return taken


def alerts_in(folder: Path) -> int:
    """Lines that a job wrote."""
    files = [f for f in folder.rglob("*") if f.is_file() and not f.name.startswith((".", "_"))]
    return sum(f.read_bytes().count(b"\n") for f in files)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--runs", type=int, default=2)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    try:
        found = compare(options.events, options.runs)
    except RuntimeError as error:
        sys.exit(f"bench/flink.py: {error}")
    if options.json:
        print(json.dumps({"runs": options.runs, "load": round(os.getloadavg()[0], 1), "flink": found}))
        return
    table = Table("rule", "events", "Flink/s", "m1cep/s", "ratio", "alerts", box=None, header_style="bold")
    for row in found:
        counts = f"{row['flink_alerts']:,} / {row['m1cep_alerts']:,}"
        rates = (f"{row[k]:,}" for k in ("events", "flink_events_per_s", "m1cep_events_per_s"))
        table.add_row(row["rule"], *rates, f"{row['ratio']:.1f}", counts)
    Console().print(table)


if __name__ == "__main__":
    main()
