"""``m1cep soak`` with real processes: a short one that must hold, one that must not, and workers that end by themselves."""

import json
import shutil
import sys
import threading
import time
from pathlib import Path

import pytest

from streams.config import load_settings
from streams.embedded import EmbeddedBroker
from streams.errors import ServerError
from streams.soak import crew as crews
from streams.soak.crew import Crew
from streams.soak.options import SoakOptions
from streams.soak.run import Soak


@pytest.mark.slow
@pytest.mark.broker
def test_workers_that_are_killed_and_leave_miss_no_alert(m1cep, tmp_path):
    report, plot = tmp_path / "soak.md", tmp_path / "soak.svg"
    done = m1cep(
        *("soak", "--minutes", "0.35", "--rate", "600", "--faults", "kill,leave,burst,damage,repeat", "--seed", "3"),
        *("--json", "--report", report, "--plot", plot),
        timeout_s=240,
    )
    assert done.returncode == 0, done.stderr + done.stdout[:2000]
    found = json.loads(done.stdout)
    assert found["ok"]
    assert {"kill", "leave", "burst"} <= {fault["kind"] for fault in found["faults"]}
    assert all(fault["recovered_s"] for fault in found["faults"] if fault["kind"] != "burst")
    assert found["alerts"]["expected"] == found["alerts"]["received"] > 50
    assert found["sent_twice"] > 0
    assert found["dead_letters"] == found["damaged"] > 0
    assert found["late"] == found["not_processed"] == 0
    assert report.read_text().startswith("# Soak: nothing missing, nothing invented")
    assert "polyline" in plot.read_text()


class Forgetful(Soak):
    """Its workers seem to have been given fewer events than were sent: the replay gets every fill of some more once again."""

    def expected(self, folder):
        fills = (folder / "fills.ndjson").read_bytes().splitlines(keepends=True)
        more = [line.replace(b'"account":"', b'"account":"lost-') for line in fills]
        (folder / "fills.ndjson").write_bytes(b"".join(line for both in zip(fills, more, strict=True) for line in both))
        return super().expected(folder)


@pytest.mark.broker
def test_events_that_never_reached_the_workers_are_told_and_a_soak_can_be_ended_early(home, monkeypatch):
    monkeypatch.setenv("M1CEP_HOME", str(home))
    stop = threading.Event()
    stopped = []

    def tell(what, _share):
        if " sent, lag" in what and int(what.split(maxsplit=1)[0].replace(",", "")) > 4000 and not stopped:
            stopped.append(time.monotonic())
            stop.set()

    found = Forgetful(load_settings(), SoakOptions(seconds=300, rate=1000, faults=()), stop, tell).run()

    assert stopped
    assert found["load_s"] < 60
    assert not found["ok"]
    assert found["alerts"]["missing"] > 0
    assert found["alerts"]["invented"] == 0
    assert any(reason.endswith("alerts missing") for reason in found["reasons"])
    assert found["alerts"]["examples"]["missing"]
    kept = Path(found["kept"])
    assert len((kept / "received.ndjson").read_bytes().splitlines()) >= found["alerts"]["received"]
    assert list(kept.glob("worker-*.log"))
    shutil.rmtree(kept)


@pytest.mark.broker
def test_a_broker_whose_topics_hold_events_is_left_alone(m1cep, tmp_path):
    with EmbeddedBroker(tmp_path) as theirs:
        settings = {"M1CEP_BROKER": theirs.address}
        m1cep("topics", "create", **settings)
        events = tmp_path / "orders.ndjson"
        events.write_text('{"event_id":"e","account":"a"}\n')
        assert m1cep("produce", "--file", events, "--stream", "orders", **settings).returncode == 0

        done = m1cep("soak", "--minutes", "0.1", "--broker", theirs.address)

        assert done.returncode == 2
        assert "the topics m1cep.orders.v1 of the broker" in done.stderr
        assert "leave out --broker" in done.stderr


# -- workers that end by themselves


@pytest.fixture
def crew(tmp_path, monkeypatch):
    """A crew of programs that do nothing, some of them not for long; who has ended is started again at once."""
    monkeypatch.setattr(crews, "START_AGAIN_AFTER_S", 0.0)

    def make(program):
        return Crew([sys.executable, "-c", program], tmp_path, {})

    return make


def until(condition, crew):
    deadline_s = time.monotonic() + 80
    while not condition():
        crew.supervise()
        assert time.monotonic() < deadline_s
        time.sleep(0.01)


def test_who_ends_by_itself_is_noted_and_started_again(crew):
    ends_once = "import pathlib, time\np = pathlib.Path('once')\nif not p.exists(): p.touch(); exit('superseded')\ntime.sleep(60)"
    with crew(ends_once) as group:
        worker = group.add()
        until(lambda: worker.lives == 2 and worker.alive, group)
        assert [(ending.worker, ending.code, ending.words) for ending in group.endings] == [(1, 1, "superseded")]
    assert not worker.alive


def test_who_was_killed_on_purpose_is_neither_noted_nor_started_again(crew):
    with crew("import time; time.sleep(60)") as group:
        worker = group.add()
        group.kill(worker)
        until(lambda: not worker.alive, group)
        for _ in range(3):
            group.supervise()
        assert worker.lives == 1
        assert group.endings == []
        assert group.running() == []


def test_a_worker_that_ends_again_and_again_ends_the_soak(crew):
    with crew("exit('no such rule')") as group:
        group.add()
        with pytest.raises(ServerError, match="worker 1 ends again and again: no such rule"):
            until(lambda: False, group)


def test_a_paused_worker_is_not_left_behind(crew):
    with crew("import time; time.sleep(60)") as group:
        worker = group.add()
        group.pause(worker)
        assert worker.alive
        assert group.running() == []
    assert not worker.alive
