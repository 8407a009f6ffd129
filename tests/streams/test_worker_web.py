"""A real worker's probes, metrics and status record: they tell what is, and what is wrong while it is wrong."""

import json
import os
import re
import signal
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from streams_harness import BIG, ORDERS, order

DOCUMENT = Path(__file__).parents[2] / "docs" / "metrics.md"
TOKEN = "an-open-sesame-of-ali"
#: What a risk worker shows in docs/metrics.md, column ``agents``.
SHOWN = {"all", "risk"}

pytestmark = pytest.mark.embedded_only("it stops the broker for a while")


def now_ms():
    return time.time_ns() // 1_000_000


class Site:
    """A worker's web server as somebody with the token sees it."""

    def __init__(self, url):
        self.url = url

    def ask(self, path, token=TOKEN):
        request = urllib.request.Request(self.url + path, headers={"Authorization": f"Bearer {token}"})
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def failed(self):
        """The checks of /readyz that do not hold."""
        status, body = self.ask("/readyz")
        found = json.loads(body)["failed"]
        assert (status == 503) == bool(found)
        return found

    def families(self):
        return {f.name: f for f in text_string_to_metric_families(self.ask("/metrics")[1])}


def documented():
    """By metric of the table in docs/metrics.md, whose worker shows it."""
    rows = re.findall(r"^\| `(m1cep_\w+)` \| [^|]* \| [^|]* \| [^|]* \| ([^|]*) \|", DOCUMENT.read_text(), re.MULTILINE)
    return {name.removesuffix("_total"): agents.strip() for name, agents in rows}


@pytest.fixture
def site(kafka, rule, worker, tmp_path, m1cep, eventually):
    """A worker that has judged events of now: good, bad, late and repeated ones."""
    (tmp_path / "tokens").write_text(f"ali:{TOKEN}\n")
    settings = {"M1CEP_READY_BROKER_S": "2", "M1CEP_READY_SNAPSHOT_AGE_S": "3"}
    tokens = {"M1CEP_WEB_TOKEN_FILE": str(tmp_path / "tokens")}
    running = worker(kafka, rule(BIG), "--web-port", 0, **tokens, **settings)
    at = now_ms()
    kafka.send(ORDERS, *(order(n, qty=500.0, ts=at + n) for n in range(20)), b"{", partition=0)
    kafka.send(ORDERS, order(0, qty=500.0, ts=at), order(99, ts=at - 60_000), order(100, ts=at + 5_000), partition=0)
    site = Site(eventually(lambda: statuses(m1cep, kafka))[0]["web"])
    site.worker = running
    return site


def statuses(m1cep, kafka):
    """What workers say of themselves: each once a second, from its start on."""
    return json.loads(m1cep("status", "--json", M1CEP_BROKER=kafka.address).stdout)["workers"]


def test_a_worker_tells_how_it_is(site, kafka, m1cep, eventually, home):
    # Metrics: what the document promises of such a worker is there, and nothing else is.
    least = {"m1cep_alerts": 20, "m1cep_dead_letters": 1, "m1cep_late_events": 1, "m1cep_rule_matches": 20}
    told = documented()
    shown = {name for name, agents in told.items() if agents in SHOWN}

    def all_is_told():
        """The first snapshot is saved after about a second, what rules cost is sampled."""
        found = site.families()
        sums = {name: sum(sample.value for sample in family.samples) for name, family in found.items()}
        latency = [s.value for s in found["m1cep_alert_latency_seconds"].samples if s.name.endswith("_count")]
        enough = all(sums[name] >= count for name, count in least.items()) and sum(latency) >= 20
        whole = shown <= {name for name, family in found.items() if family.samples}
        return enough and whole and sums["m1cep_rule_busy_seconds"] and found

    families = eventually(all_is_told, 60)
    mine = {name: family for name, family in families.items() if name.startswith("m1cep_")}
    assert mine.keys() <= told.keys()
    latency = {sample.name: sample.value for sample in mine["m1cep_alert_latency_seconds"].samples}
    assert 0 < latency["m1cep_alert_latency_seconds_sum"] / latency["m1cep_alert_latency_seconds_count"] < 60
    assert "process_resident_memory_bytes" in families

    # Nobody without the token; probes are for everybody.
    assert [site.ask(path, "wrong" * 4)[0] for path in ("/metrics", "/healthz", "/nothing")] == [401, 200, 401]
    eventually(lambda: site.failed() == [], 30)

    # The status topic says the same, to people too.
    (status,) = eventually(
        lambda: (
            (found := statuses(m1cep, kafka)) and found[0]["ready"] and found[0]["rules"][0]["alerts"] == 20 and found
        )
    )
    assert (status["alive"], status["pid"]) == (True, site.worker.process.pid)
    assert status["agents"]["risk"]["alerts"] == 20
    seen = m1cep("status", M1CEP_BROKER=kafka.address).stdout
    assert re.search(r"^ *risk +ready +", seen, re.MULTILINE)
    assert re.search(r"^ *big +\w+ +active +", seen, re.MULTILINE)

    # A broker that is silent is seen, and seen to be back.
    os.kill(kafka.broker.process.pid, signal.SIGSTOP)
    try:
        eventually(lambda: site.failed() == ["broker"], 30)
        assert site.ask("/healthz")[0] == 200
    finally:
        os.kill(kafka.broker.process.pid, signal.SIGCONT)
    eventually(lambda: site.failed() == [], 30)

    # So is state that cannot be saved.
    (home / "state").rename(home / "aside")
    (home / "state").write_text("a file in place of the folder")
    kafka.send(ORDERS, order(200, ts=now_ms() + 6_000), partition=0)
    eventually(lambda: site.failed() == ["risk.snapshot"], 60)
    (home / "state").unlink()
    (home / "aside").rename(home / "state")
    eventually(lambda: site.failed() == [], 60)

    # Who ends well is gone from the status.
    assert site.worker.end()[0] == 0
    assert statuses(m1cep, kafka) == []


def test_a_port_that_is_taken_and_a_host_without_a_token_end_a_worker_in_one_line(kafka, rule, m1cep):
    port = kafka.address.rpartition(":")[2]
    taken = m1cep("worker", "--rules", rule(BIG), "--web-port", port, M1CEP_BROKER=kafka.address)
    assert (taken.returncode, taken.stderr.splitlines()[-1].startswith("m1cep: the web server cannot listen on")) == (
        2,
        True,
    )
    bare = m1cep("worker", "--rules", rule(BIG), M1CEP_BROKER=kafka.address, M1CEP_WEB_HOST="0.0.0.0")
    assert (bare.returncode, len(bare.stderr.splitlines())) == (2, 1)
