"""A broker, workers that can be killed, and the comparison with ``m1cep replay``.

``FAULTS_MUTANT=NAME`` runs every worker of the suite with a guarantee broken on purpose: see README.md.
"""

import os

import pytest
from faults.harness import Kafka, Worker, until
from faults.load import RULES
from faults.nursery import Nursery

from streams.embedded import EmbeddedBroker

_MUTANT = os.environ.get("FAULTS_MUTANT")


@pytest.fixture(scope="session")
def nursery():
    found = Nursery()
    yield found
    found.close()


@pytest.fixture
def kafka(tmp_path):
    (tmp_path / "broker").mkdir()
    with EmbeddedBroker(tmp_path / "broker") as broker:
        found = Kafka(broker)
        yield found
        found.close()


@pytest.fixture
def rules(tmp_path):
    """A folder with the suite's rules."""
    folder = tmp_path / "rules"
    folder.mkdir()
    for name, text in RULES.items():
        (folder / f"{name}.sql").write_text(text)
    return folder


@pytest.fixture
def workers(nursery, kafka, rules, tmp_path):
    """Starts workers of one group; those that are left at the end are killed."""
    started = []

    # Never idle unless asked: events are sent while workers run, and a topic that waits for its next portion would
    # be left behind by the others. The last events close everything without it.
    def start(*arguments, sabotage=("snapshot-every=0.2", "session=1"), idle_ms=3_600_000, wait=True):
        number = len(started)
        stats, log = tmp_path / f"stats-{number}.json", tmp_path / f"log-{number}.txt"
        options = ["worker", "--rules", rules, "--stats-file", stats, "--stats-every-ms", 20]
        env = {"M1CEP_BROKER": kafka.address, "M1CEP_HOME": str(tmp_path / "home"), "NO_COLOR": "1", "COLUMNS": "200"}
        asked = [*sabotage, f"mutant={_MUTANT}"] if _MUTANT else sabotage
        pid = nursery.start([*options, "--idle-timeout-ms", idle_ms, *arguments], env, log, asked)
        worker = Worker(nursery, pid, stats, log)
        started.append(worker)
        if wait:
            until(worker.ready, 30, worker.said)
        return worker

    yield start
    for worker in started:
        worker.kill()


@pytest.fixture
def finished(kafka):
    """Lets the worker come to the end, stops it cleanly, and holds the alerts against the oracle."""

    def finish(worker, rules=RULES):
        until(lambda: kafka.all_committed(worker), 40, worker.said)
        worker.stop()
        return kafka.compare(rules)

    return finish
