"""How long nothing can be written when the embedded database's primary is lost or moved, and whether anything is lost.

    python bench/failover.py [--turns 5] [--json]

A writer commits numbered rows one by one, on one connection after another: what is not acknowledged is sent again. By turns the
primary is killed (SIGKILL; found by the supervisor, the replica is promoted) and the replica is promoted on request
(``m1cep db promote``). ``gap`` is the longest time between two acknowledgements around it, as the writer sees it, next to
``commit``, the median of its commits. ``lost`` counts what was acknowledged and is not in the table: it must be 0. ``back`` is
the time until commits are on two servers again.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import signal
import statistics
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Self

import psycopg
import structlog

from streams.database.connection import connect
from streams.embedded import EmbeddedDatabase

if TYPE_CHECKING:
    from streams.database.connection import BoundedConnection

BEFORE = 100  # commits before it happens


class Writer:
    """Commits 0, 1, 2, ... and notes when each was acknowledged."""

    def __init__(self, database: EmbeddedDatabase) -> None:
        self.times: list[float] = []
        self._database = database
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        connection: BoundedConnection | None = None
        while not self._ended.is_set():
            try:
                if connection is None:
                    connection = connect(self._database.write_url.get_secret_value()).hear()
                connection.execute("INSERT INTO bench.t VALUES (%s) ON CONFLICT DO NOTHING", [len(self.times)])
                self.times.append(time.monotonic())
            except psycopg.Error:
                if connection is not None:
                    connection.close()
                connection = None
                time.sleep(0.005)


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--turns", type=int, default=5)
    options.add_argument("--json", action="store_true")
    given = options.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    with tempfile.TemporaryDirectory(prefix="m1cep-bench-") as folder:
        Path(folder).chmod(0o711)
        with EmbeddedDatabase(Path(folder)) as database, database.supervised():
            rows = {how: [turn(database, how) for _ in range(given.turns)] for how in ("killed", "promoted")}
    found = {
        how: {name: statistics.median(row[name] for row in turns) for name in turns[0]}
        | {"lost": sum(r["lost"] for r in turns)}
        for how, turns in rows.items()
    }
    if given.json:
        print(json.dumps(found))
        return
    for how, row in found.items():
        ratio = row["gap_ms"] / row["commit_ms"]
        print(
            f"primary {how:9} nothing written for {row['gap_ms']:6.0f} ms ({ratio:5.0f} commits of {row['commit_ms']:.2f} ms), "
            f"two copies again after {row['back_s']:.1f} s, lost {row['lost']}"
        )


def turn(database: EmbeddedDatabase, how: str) -> dict[str, float]:
    """One loss, from a quiet beginning to both servers in step."""
    until(lambda: database.in_step)
    with connect(database.owner_url.get_secret_value()) as owner:
        owner.execute(
            "DROP SCHEMA IF EXISTS bench CASCADE; CREATE SCHEMA bench; CREATE TABLE bench.t (n int PRIMARY KEY)"
        )
        owner.execute("GRANT USAGE ON SCHEMA bench TO m1cep_ledger; GRANT SELECT, INSERT ON bench.t TO m1cep_ledger")
    generation = database.generation
    with Writer(database) as writer:
        until(lambda: len(writer.times) > BEFORE)
        began = time.monotonic()
        if how == "killed":
            os.kill(database.primary.process.pid or 0, signal.SIGKILL)
        else:
            database.promote()
        until(lambda: database.generation > generation and writer.times[-1] > began + 1)
        until(lambda: database.in_step)
        back_s = time.monotonic() - began
    gaps = [after - before for before, after in zip(writer.times, writer.times[1:], strict=False)]
    with connect(database.write_url.get_secret_value()) as reader:
        kept = {n for (n,) in reader.execute("SELECT n FROM bench.t").fetchall()}
    return {
        "gap_ms": max(g for g, at in zip(gaps, writer.times[1:], strict=False) if at > began) * 1000,
        "commit_ms": statistics.median(gaps[:BEFORE]) * 1000,
        "back_s": back_s,
        "lost": len(set(range(len(writer.times))) - kept),
    }


def until(condition: object, timeout_s: float = 120.0) -> None:
    """Wait for a condition."""
    deadline = time.monotonic() + timeout_s
    while not condition():  # type: ignore[operator]
        if time.monotonic() > deadline:
            raise TimeoutError("the condition did not come true")
        time.sleep(0.005)


if __name__ == "__main__":
    main()
