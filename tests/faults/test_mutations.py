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

SEEDS = 600  # the rarest shows under the 300th


def _no_check():
    cluster.Store.check = lambda *_: None
    cluster.Store.order = lambda _self, saved: sorted(saved, key=lambda s: s[1])


#: Those that the simulator shows, and how to break it where it plays the part of the product.
SIMULATED = {
    "commit-before-acknowledgement": None,
    "commit-before-snapshot": None,
    "acknowledgements-not-awaited": None,
    "no-generation-check": _no_check,
    "snapshot-without-waiting-rows": None,
    "positions-later-than-state": None,
    "failed-save-forgotten": None,
    "saved-after-a-failure": None,
}
PROCESSES = {
    "first-offset": "test_group.py",
    "no-generation-check": "test_group.py -k paused",
    "acknowledgements-not-awaited": "test_kills.py -k step",
    "commit-before-snapshot": "test_kills.py -k step",
    "outbox-never-waits": "test_resources.py -k slow",
    "failed-save-forgotten": "test_resources.py -k disk",
    "torn-snapshots-accepted": "test_kills.py -k step",
    "snapshot-without-waiting-rows": "test_kills.py -k step",
}


def _break(name):
    sabotage.MUTANTS[name]()
    if SIMULATED[name] is not None:
        SIMULATED[name]()


@pytest.mark.parametrize("name", SIMULATED)
def test_the_simulator_notices(name):
    with multiprocessing.get_context("fork").Pool(os.cpu_count(), _break, (name,)) as pool:
        for seed, (*_, broken) in enumerate(pool.imap(attempt, range(SEEDS), chunksize=2)):
            if broken:
                print(f"{name}: seed {seed}: {broken.splitlines()[0]}")
                return
    pytest.fail(f"{SEEDS} seeds have not noticed {name}")


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
