"""Thousands of clusters that crash, pause, rebalance and lose messages, each decided by its seed: see ``simulator.py``.

M1CEP_CASES=50000 looks at more of them, M1CEP_RANDOM=1 at others. ``simulate(SEED)`` lives through one again.
"""

import logging
import multiprocessing
import os
import random

import pytest
from faults.oracle import Broken
from faults.simulator import simulate

pytestmark = pytest.mark.faults

SEEDS = int(os.environ.get("M1CEP_CASES", "1000"))
QUICK = min(SEEDS, 200)
FIRST = random.randrange(1 << 40) if os.environ.get("M1CEP_RANDOM") else 0


def attempt(seed):
    """Alerts, repetitions, and what broke."""
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    try:
        return (*simulate(seed), None)
    except Broken as broken:
        return 0, 0, str(broken)


@pytest.mark.parametrize(
    "seeds",
    [
        pytest.param(range(FIRST, FIRST + QUICK), id="the first"),
        pytest.param(range(FIRST + QUICK, FIRST + SEEDS), id="the others", marks=pytest.mark.slow),
    ],
)
def test_whatever_strikes_the_alerts_are_those_of_replay(seeds):
    alerts = repeated = 0
    with multiprocessing.get_context("fork").Pool(os.cpu_count()) as pool:
        for came, again, broken in pool.imap_unordered(attempt, seeds, chunksize=10):
            assert broken is None, broken
            alerts, repeated = alerts + came, repeated + again
    print(f"{alerts} alerts, {repeated} of them more than once")
    assert alerts > len(seeds) or not seeds
    assert repeated > len(seeds) / 10 or not seeds, "nothing was processed twice: the faults have not struck"


def test_a_seed_is_always_the_same():
    assert [attempt(seed) for seed in range(20)] == [attempt(seed) for seed in range(20)]
