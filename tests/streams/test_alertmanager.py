"""Alertmanager itself takes our alerts, shows them, and takes them for resolved when they are closed."""

import asyncio
import json
import shutil
import subprocess
import time
import urllib.request

import pytest
from notifyworld import House, alert, targets_file

from m1cep.alert_states import AlertState, State
from streams import codec
from streams.embedded.ports import any_free_port

pytestmark = pytest.mark.embedded_only("about no broker")

CONFIG = "route:\n  receiver: nobody\nreceivers:\n  - name: nobody\n"


@pytest.fixture
def alertmanager(tmp_path, eventually):
    """Its address."""
    program = shutil.which("prometheus-alertmanager") or shutil.which("alertmanager")
    if program is None:
        pytest.skip("Alertmanager is not installed (Debian: apt-get install prometheus-alertmanager)")
    (tmp_path / "am.yml").write_text(CONFIG)
    port = any_free_port()
    options = [f"--config.file={tmp_path}/am.yml", f"--storage.path={tmp_path}/am", "--cluster.listen-address="]
    with (tmp_path / "am.log").open("wb") as log:
        process = subprocess.Popen(
            [program, *options, f"--web.listen-address=127.0.0.1:{port}"], stdout=log, stderr=log
        )
    url = f"http://127.0.0.1:{port}"

    def ready():
        assert process.poll() is None, (tmp_path / "am.log").read_text()
        try:
            return urllib.request.urlopen(f"{url}/-/ready").status == 200
        except OSError:
            return False

    eventually(ready, 30)
    yield url
    process.terminate()
    process.wait(10)


def test_it_takes_alerts_shows_them_and_resolves_those_that_are_closed(alertmanager, tmp_path, eventually):
    page = 'page = "https://dash.example"'
    path = targets_file(tmp_path, f'[targets.oncall]\nkind = "alertmanager"\nurl = "{alertmanager}"\n{page}\n')

    def active():
        with urllib.request.urlopen(f"{alertmanager}/api/v2/alerts") as answer:
            return {one["labels"]["alert_id"]: one for one in json.load(answer)}

    async def run():
        now_ms = time.time_ns() // 1_000_000
        async with House(path, now_ms=now_ms) as house:
            house.hear(alert("a1"), alert("a2", "critical", "wash-trade"), alert("a3", odd="<b>\u00fc\n"))
            await house.step()
            assert (house.machine.waiting, house.letters) == (0, [])
            found = await asyncio.to_thread(active)
            assert set(found) == {"a1", "a2", "a3"}
            assert found["a2"]["labels"]["alertname"] == "wash-trade"
            assert found["a2"]["generatorURL"] == "https://dash.example/?alert=a2"
            closed = AlertState("a2", "wash-trade", {}, State.CLOSED, "bob", now_ms)
            house.hear(closed.to_json(), topic=codec.ALERT_STATES)
            await house.step(10)
            assert (house.machine.waiting, house.letters) == (0, [])

    asyncio.run(run())
    eventually(lambda: set(active()) == {"a1", "a3"})
