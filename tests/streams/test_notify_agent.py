"""The agent notify as a process: killed while a target fails, started again; what was refused, sent again by hand."""

import json
import signal
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from notifyworld import alert, targets_file
from streams_harness import ALERTS, DEAD

pytestmark = pytest.mark.broker


class Server:
    """Keeps what is posted: path and alert's id, or Alertmanager's alerts; ``answer(id)`` is the status."""

    def __init__(self):
        self.got, self.posted, self.answer = [], [], lambda _id: 200
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                status = 200
                if isinstance(body, list):
                    outer.posted += body
                else:
                    status = outer.answer(self.headers["webhook-id"])
                    outer.got.append((self.headers["webhook-id"], status))
                self.send_response(status)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}"
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    def taken(self):
        return [name for name, status in self.got if status == 200]


@pytest.fixture
def server():
    made = Server()
    yield made
    made.http.shutdown()
    made.http.server_close()


@pytest.mark.embedded_only("it is about the targets; its way over Kafka is in test_kafka_security")
def test_killed_while_a_target_fails_it_delivers_after_its_restart_and_what_was_refused_can_be_sent_again(
    kafka, server, start_m1cep, m1cep, tmp_path, eventually
):
    text = f"""
        [targets.hook]
        kind = "webhook"
        url = "{server.url}/in"
        secret_file = "hook.secret"
        severity = "high"
        [targets.oncall]
        kind = "alertmanager"
        url = "{server.url}"
    """
    env = {"M1CEP_BROKER": kafka.address, "M1CEP_NOTIFY": str(targets_file(tmp_path, text))}
    stats = tmp_path / "stats.json"

    def start():
        stats.unlink(missing_ok=True)
        process = start_m1cep("worker", "--agents", "notify", "--stats-file", stats, "--stats-every-ms", 50, **env)

        def ready():
            assert process.poll() is None, process.communicate()[1]
            return stats.exists() and json.loads(stats.read_text())["agents"]["notify"]["snapshots"]

        eventually(ready, 30)
        return process

    for name in ("old-1", "old-2", "old-3"):
        kafka.send(ALERTS, json.dumps(alert(name)).encode(), partition=0)
    first = start()
    server.answer = lambda _id: 500
    kafka.send(ALERTS, json.dumps(alert("a1")).encode())
    eventually(lambda: ("a1", 500) in server.got)
    first.send_signal(signal.SIGKILL)
    first.wait()
    kafka.send(
        ALERTS, *(json.dumps(alert(name, grave)).encode() for name, grave in (("a2", "critical"), ("a3", "low")))
    )
    server.answer = lambda name: 404 if name == "a4" else 200
    second = start()
    eventually(lambda: {"a1", "a2"} <= set(server.taken()))
    assert "a3" not in dict(server.got), "not so grave"
    assert "old-1" not in dict(server.got), "a first start does not tell of all that was before it"
    eventually(lambda: {"a1", "a2", "a3"} <= {one["labels"]["alert_id"] for one in server.posted})

    m1cep("alerts", "close", "a1", **env)
    eventually(
        lambda: (
            [one for one in server.posted if one["labels"]["alert_id"] == "a1"][-1]["endsAt"] < "2100"
            and "startsAt" not in server.posted[-1]
        )
    )

    kafka.send(ALERTS, json.dumps(alert("a4")).encode())
    eventually(lambda: [one for one in kafka.read(DEAD) if json.loads(one.value)["alert"] == "a4"])
    server.answer = lambda _id: 200
    done = m1cep("notify", "redeliver", "--json", **env)
    assert (done.returncode, json.loads(done.stdout)["arrived"]) == (0, True), done.stderr
    assert server.taken().count("a4") == 1

    done = m1cep("notify", "test", "hook", **env)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("hook: arrived, status 200 (alert test-")
    server.answer = lambda _id: 401
    done = m1cep("notify", "test", "hook", **env)
    assert (done.returncode, "not taken: status 401" in done.stdout) == (1, True)

    second.send_signal(signal.SIGTERM)
    _, err = second.communicate(timeout=60)
    assert second.returncode == 0, err
    assert "whsec" not in err
