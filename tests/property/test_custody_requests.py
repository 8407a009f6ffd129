"""Coordinator and signers under faults. The invariants are in tests/custodyworld.py, each with its name.

M1CEP_CASES sets how many random runs are tried in all (default 100).
"""

import os

import hypothesis
import pytest
from custodyworld import Faults, World
from hypothesis import given, settings
from hypothesis import strategies as st

from m1cep.custody.requests import State

CASES = max(1, int(os.environ.get("M1CEP_CASES", "100")))
STEPS = 80

# A run is made of its seed: a smaller seed is no simpler one.
AS_IT_IS = {"deadline": None, "phases": [hypothesis.Phase.explicit, hypothesis.Phase.generate]}
share = st.sampled_from([0.0, 0.05, 0.2])
all_faults = st.builds(
    Faults,
    lost=share,
    doubled=share,
    delay_ms=st.sampled_from([0, 300, 4_000]),
    replayed=share,
    crash=st.sampled_from([0.0, 0.02, 0.1]),
    liars=st.sampled_from([0, 1, 2]),
    alerts=st.sampled_from([0.0, 0.05]),
    refresh=st.sampled_from([0.0, 0.02]),
    void=st.sampled_from([0.0, 0.05]),
    cancel=st.sampled_from([0.0, 0.02]),
    thief=st.sampled_from([0.0, 0.2]),
)
HARSH = Faults(0.2, 0.2, 4_000, 0.2, 0.1, 2, 0.05, 0.02, 0.05, 0.02, 0.2)
CALM = Faults(doubled=0.2, delay_ms=300)


def run(seed, faults, **kwargs):
    world = World(seed, faults, **kwargs)
    world.ask()
    for _ in range(STEPS):
        world.step()
    world.settle()
    return world


@settings(max_examples=CASES, **AS_IT_IS)
@given(seed=st.integers(0, 2**32), faults=all_faults, size=st.sampled_from([(5, 3), (3, 2), (4, 3), (1, 1)]))
def test_every_invariant_holds_under_every_fault(seed, faults, size):
    run(seed, faults, signers=size[0], threshold=size[1])


def test_the_runs_are_not_idle():
    ends = [s.state for seed in range(20) for s in run(seed, HARSH).watch.statuses.values()]
    for state in (State.CONFIRMED, State.REJECTED, State.EXPIRED):
        assert ends.count(state) >= 5
