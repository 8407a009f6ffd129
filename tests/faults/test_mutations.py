"""The suite can fail: each guarantee is broken on purpose, and a test must notice. README.md has the whole table.

Here the simulator looks for a seed that shows it, within seconds. With FAULTS_MUTANTS=all the tests with real processes that
notice are run too, each against its mutant: minutes.
"""

import multiprocessing
import os
import subprocess
import sys
from pathlib import Path

import pytest
from faults import cluster, sabotage
from faults.test_simulator import attempt

pytestmark = pytest.mark.faults

SEEDS = 600


def _no_check():
    cluster.Store.check = lambda *_: None
    cluster.Store.order = lambda _self, saved: sorted(saved, key=lambda s: s[1])


#: What the simulator shows, with a seed that did when this was written: it is tried first, then all the others.
SIMULATED = {
    "commit-before-acknowledgement": 8,
    "commit-before-snapshot": 22,
    "acknowledgements-not-awaited": 1,
    "no-generation-check": 770,
    "snapshot-without-waiting-rows": 0,
    "positions-later-than-state": 303,
    "failed-save-forgotten": 70,
    "saved-after-a-failure": 558,
    "claimed-counts-as-loaded": 162,
}
PROCESSES = {
    "no-generation-check": "test_group.py -k paused",
    "acknowledgements-not-awaited": "test_kills.py -k on_their_way",
    "commit-before-snapshot": "test_kills.py -k step",
    "outbox-never-waits": "test_resources.py -k slow",
    "failed-save-forgotten": "test_resources.py -k disk",
    "torn-snapshots-accepted": "test_kills.py -k step",
    "snapshot-without-waiting-rows": "test_kills.py -k step",
}


def _break(name):
    sabotage.MUTANTS[name]()
    if name == "no-generation-check":
        _no_check()  # the simulator's own store, too


@pytest.mark.parametrize("name", SIMULATED)
def test_the_simulator_notices(name):
    with multiprocessing.get_context("fork").Pool(os.cpu_count(), _break, (name,)) as pool:
        for *_, broken in pool.imap(attempt, [SIMULATED[name], *range(SEEDS)]):
            if broken:
                print(f"{name}: {broken.splitlines()[0]}")
                return
    pytest.fail(f"{SEEDS} seeds have not noticed {name}")


@pytest.mark.slow
def test_the_transport_notices_the_first_offset():
    """With it Faust would drop batches, were its acknowledgements not switched off: the suite here passes, that test does not."""
    test = Path(__file__).parents[1] / "streams" / "test_transport.py"
    code = "import sys, pytest, sabotage; sabotage.apply('mutant=first-offset'); sys.exit(pytest.main(sys.argv[1:]))"
    env = os.environ | {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])}
    command = [sys.executable, "-c", code, "-q", "-x", str(test)]
    done = subprocess.run(command, env=env, cwd=test.parents[2], capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stdout[-3000:]
    assert "what Faust is told: the last, not the first" in done.stdout


@pytest.mark.skipif(os.environ.get("FAULTS_MUTANTS") != "all", reason="takes minutes: FAULTS_MUTANTS=all")
@pytest.mark.parametrize("name", PROCESSES)
def test_real_processes_notice(name):
    file, *options = PROCESSES[name].split()
    command = [sys.executable, "-m", "pytest", "-q", "-x", str(Path(__file__).with_name(file)), *options]
    done = subprocess.run(
        command, env=os.environ | {"FAULTS_MUTANT": name}, capture_output=True, text=True, check=False
    )
    print(done.stdout[-3000:])
    assert done.returncode == 1
