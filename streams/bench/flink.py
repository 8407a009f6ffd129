"""The same rules on Flink: measured here when there is a Python that has it, else what was measured for the design."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from streams.bench.rules import KINDS
from streams.errors import ShellError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

SCRIPT = Path(__file__).parents[2] / "bench" / "flink.py"  # of the repository: not installed with the package


@dataclass(frozen=True, slots=True)
class FlinkFigures:
    """Events a second by the name of the rule, and where they come from."""

    source: str
    events_per_s: dict[str, float]


def flink_figures(python: str | None, events: int, step: Callable[[str], None]) -> FlinkFigures:
    """Run ``bench/flink.py``, which starts Flink with ``python``; without it the figures of the design.

    Raises:
        UsageError: there is no such script.
        ShellError: it failed.
    """
    if python is None:
        return FlinkFigures(
            "measured for the design on 2 cores of another machine",
            {kind.name: kind.flink_events_per_s for kind in KINDS if kind.flink_events_per_s is not None},
        )
    if not SCRIPT.exists():
        raise UsageError(f"there is no {SCRIPT}", "run m1cep from its repository, or leave out --flink")
    step("Flink")
    done = subprocess.run(  # noqa: S603 - our own script
        [sys.executable, str(SCRIPT), "--json", "--events", str(events)],
        env=os.environ | {"M1CEP_FLINK_PYTHON": python},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1:] or ["no message"]
        raise ShellError(f"{SCRIPT.name} failed: {last[0]}", f"expected {python} to have apache-flink and Java 17")
    found = json.loads(done.stdout)
    return FlinkFigures("measured in this run", {row["rule"]: row["flink_events_per_s"] for row in found["flink"]})
