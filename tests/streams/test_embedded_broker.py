"""The embedded broker: ready when it says so, on loopback alone, clear when it dies, never left behind."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from streams.embedded import EmbeddedBroker
from streams.errors import ServerError

pytestmark = [pytest.mark.broker, pytest.mark.embedded_only("it is about the embedded broker")]

OWNER = """
import sys, threading, time
from pathlib import Path
from streams.embedded import EmbeddedBroker
broker = EmbeddedBroker(Path(sys.argv[1]))
how = sys.argv[2]
if how == "thread":                      # the thread that starts the server ends at once
    starter = threading.Thread(target=broker.start)
    starter.start(); starter.join()
else:
    broker.start()
child = 0
if how == "fork":                        # a child that inherits the lifeline and outlives us
    import os
    child = os.fork()
    if child == 0:
        os.close(0); os.close(1); os.close(2)
        time.sleep(60); os._exit(0)
print(broker.process.pid, child, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def owner(tmp_path):
    """Starts a process that owns a broker; gives the process and the broker's pid."""
    started, children = [], []

    def start(how="plain"):
        process = subprocess.Popen(
            [sys.executable, "-c", OWNER, str(tmp_path), how], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        started.append(process)
        pid, child = map(int, process.stdout.readline().split())
        if child:
            children.append(child)
        return process, pid

    yield start
    for child in children:
        os.kill(child, signal.SIGKILL)
    for process in started:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()


def listening_sockets(pid):
    """(address, port) of every listening TCP socket of a process, from the kernel's tables."""
    inodes = set()
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # clients go
            target = str(link.readlink())
            if target.startswith("socket:["):
                inodes.add(target[8:-1])
    found = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(table).read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and fields[9] in inodes:  # 0A: LISTEN
                address, port = fields[1].split(":")
                found.add((address, int(port, 16)))
    return found


def test_it_answers_kafka_clients_as_soon_as_start_returns(tmp_path):
    from kafka import KafkaConsumer, KafkaProducer

    with EmbeddedBroker(tmp_path) as broker:
        producer = KafkaProducer(bootstrap_servers=broker.address, acks="all", enable_idempotence=False)
        producer.send("t", b"payload", headers=[("ce_id", b"1")]).get(10)
        producer.close()
        consumer = KafkaConsumer("t", bootstrap_servers=broker.address, auto_offset_reset="earliest")
        (records,) = consumer.poll(timeout_ms=10_000).values()
        consumer.close()
    assert [(r.value, r.headers) for r in records] == [(b"payload", [("ce_id", b"1")])]


@pytest.mark.skipif(sys.platform != "linux", reason="reads the kernel's socket tables")
def test_it_listens_on_loopback_only_and_advertises_loopback(broker):
    from kafka import KafkaAdminClient

    assert listening_sockets(broker.process.pid) == {("0100007F", broker.port)}  # 127.0.0.1, least byte first
    admin = KafkaAdminClient(bootstrap_servers=broker.address)
    nodes = admin.describe_cluster()["brokers"]
    admin.close()
    assert [(n["host"], n["port"]) for n in nodes] == [("127.0.0.1", broker.port)]


def test_a_taken_port_is_replaced_by_the_next_free_one(tmp_path):
    with EmbeddedBroker(tmp_path) as first, EmbeddedBroker(tmp_path, first.port) as second:
        assert second.port_asked == first.port
        assert second.port > first.port
        assert first.alive()
        assert second.alive()


def test_a_port_taken_by_a_server_on_all_interfaces_is_taken(tmp_path):
    with socket.socket() as other:
        other.bind(("0.0.0.0", 0))
        other.listen()
        port = other.getsockname()[1]
        with EmbeddedBroker(tmp_path, port) as broker:
            assert broker.port != port


def test_after_stop_it_can_start_again_and_has_forgotten_everything(tmp_path):
    broker = EmbeddedBroker(tmp_path)
    broker.start()
    first_cluster, pid = broker.cluster_id, broker.process.pid
    broker.stop()
    assert not broker.alive()
    assert broker.returncode == 0
    broker.stop()  # once more does no harm
    broker.start()
    assert broker.alive()
    assert broker.process.pid != pid
    assert broker.cluster_id != first_cluster
    broker.stop()


def test_a_killed_broker_is_reported_in_one_line(tmp_path):
    with EmbeddedBroker(tmp_path) as broker:
        broker.check()
        os.kill(broker.process.pid, signal.SIGKILL)
        broker.process.wait(10)
        with pytest.raises(ServerError, match=r"the embedded broker was ended by SIGKILL.*its log is") as caught:
            broker.check()
        assert broker.returncode == -signal.SIGKILL
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 3


@pytest.mark.parametrize("how", ["plain", "thread", "fork"])
def test_nothing_is_left_when_the_owner_is_killed(owner, how, alive, eventually):
    process, pid = owner(how)
    assert alive(pid)
    process.kill()
    process.wait()
    eventually(lambda: not alive(pid))


def test_nothing_is_left_when_the_owner_just_ends(owner, alive, eventually):
    process, pid = owner()
    process.stdin.close()
    assert process.wait(20) == 0
    eventually(lambda: not alive(pid))


@pytest.mark.skipif(sys.platform != "linux", reason="PR_SET_PDEATHSIG is Linux's")
def test_nothing_is_left_when_the_guard_is_killed(tmp_path, alive, eventually):
    with EmbeddedBroker(tmp_path) as broker:
        pid = broker.process.pid
        guard = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        os.kill(guard, signal.SIGKILL)
        eventually(lambda: not alive(pid))
        assert not broker.alive()


def test_brokers_start_from_several_threads(tmp_path):
    brokers = [EmbeddedBroker(tmp_path / str(n)) for n in range(3)]
    for broker in brokers:
        broker.folder.mkdir()
    threads = [threading.Thread(target=b.start) for b in brokers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    try:
        assert len({b.port for b in brokers if b.alive()}) == 3
    finally:
        for broker in brokers:
            broker.stop()


class TestCommand:
    """``m1cep broker``."""

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
    def test_a_signal_ends_it_in_order(self, start_m1cep, number, alive):
        process = start_m1cep("broker", "--json")
        facts = json.loads(process.stdout.readline())
        assert alive(facts["pid"])
        process.send_signal(number)
        out, err = process.communicate(timeout=120)
        assert process.returncode == 0
        assert out == ""
        assert "Traceback" not in err
        assert not alive(facts["pid"])

    def test_sigkill_leaves_nothing(self, start_m1cep, alive, eventually):
        process = start_m1cep("broker", "--json")
        pid = json.loads(process.stdout.readline())["pid"]
        process.kill()
        eventually(lambda: not alive(pid))

    def test_a_killed_broker_ends_it_with_one_line_and_exit_code_3(self, start_m1cep):
        process = start_m1cep("broker", "--json")
        os.kill(json.loads(process.stdout.readline())["pid"], signal.SIGKILL)
        _, err = process.communicate(timeout=120)
        assert process.returncode == 3
        (line,) = [line for line in err.splitlines() if "SIGKILL" in line]
        assert "Traceback" not in err
        assert "its log is" in line

    def test_a_taken_port_is_replaced_and_that_is_said(self, start_m1cep, broker):
        process = start_m1cep("broker", "--port", broker.port)
        line = process.stdout.readline()
        hint = process.stdout.readline()
        process.terminate()
        _, err = process.communicate(timeout=120)
        port = int(line.split("127.0.0.1:")[1].split(",")[0])
        assert port > broker.port
        assert f"M1CEP_BROKER=127.0.0.1:{port}" in hint
        assert str(broker.port) in err
        assert "taken" in err

    def test_a_home_that_cannot_be_made_is_a_usage_error(self, m1cep, tmp_path):
        (tmp_path / "file").write_text("")
        done = m1cep("broker", M1CEP_HOME=str(tmp_path / "file" / "home"))
        assert done.returncode == 2
        assert "M1CEP_HOME" in done.stderr
        assert "Traceback" not in done.stderr
