"""Clocks and medians.

The clock is the processor time of this process: everything measured in it runs on one thread, and other programs on the machine
disturb it less than the wall's. On a quiet machine the two are the same.
"""

from __future__ import annotations

import gc
import os
import platform
import statistics
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def seconds(work: Callable[[], object]) -> float:
    """Of one call."""
    gc.collect()
    started = time.process_time()
    work()
    return time.process_time() - started


def by_turns(works: Mapping[str, Callable[[], float]], runs: int, step: Callable[[str], None]) -> dict[str, float]:
    """The median of what each work returns; they take turns, so that a disturbance hits all of them.

    Args:
        works: by name; each measures itself.
        runs: how often each is called.
        step: called with the name before each call.
    """
    taken: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(runs):
        for name, work in works.items():
            step(name)
            taken[name].append(work())
    return {name: statistics.median(values) for name, values in taken.items()}


def machine() -> dict[str, Any]:
    """What was measured on."""
    return {
        "cpu": _cpu_model(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "load_1_min": round(os.getloadavg()[0], 2),
    }


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or "unknown"
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")
