"""Custody over a real broker with real processes: coordinator, signers, commands; killed while they work."""

import json
import re
import signal
import time
from pathlib import Path

import msgspec
import pytest
from custodyhouse import CHAINS, PASSPHRASE, House
from custodyoffice import Office

from m1cep.custody.policy.events import DestinationListed
from streams import codec
from streams.chains.safe import safe_code
from streams.config import load_settings
from streams.custody.keyfile import Keyfile
from streams.custody.mail import ROUNDS
from streams.custody.reserving import MOST_AHEAD_MS
from streams.custody.strongbox import WEAK
from streams.errors import PackageIndexError
from streams.ledger.statements import Owed, publish
from streams.topic_table import BUILT_IN, topics_of_signers
from streams.topics import create_topics

pytestmark = pytest.mark.broker


class Running:
    """The house with its processes."""

    def __init__(self, house, kafka, start, run, tmp_path, eventually):
        self.house, self.kafka, self.eventually = house, kafka, eventually
        self._start, self._run, self._tmp_path = start, run, tmp_path
        self.env = {"M1CEP_BROKER": kafka.address, "M1CEP_SIGNER_PASSPHRASE_FILE": str(house.passphrase)}
        self.processes, self._count, self._begun_s = {}, 0, 0.0

    def begin(self, *names):
        """Start processes: a signer's number, or ``coordinator``."""
        waits = []
        for name in names:
            self._count += 1
            stats = self._tmp_path / f"stats-{self._count}.json"
            options = self.house.coordinator() if name == "coordinator" else self.house.signer(name)
            log = (self._tmp_path / f"log-{name}-{self._count}").open("w")
            process = self._start(
                "worker", *options, "--stats-file", stats, "--stats-every-ms", 50, stderr=log, **self.env
            )
            self.processes[name] = process
            waits.append((process, stats, log))
        for process, stats, log in waits:

            def ready(process=process, stats=stats, log=log):
                assert process.poll() is None, Path(log.name).read_text()
                return stats.exists() and json.loads(stats.read_text())["ready"]

            self.eventually(ready, 60)
        self._begun_s = time.monotonic()

    def kill(self, name):
        self.processes[name].send_signal(signal.SIGKILL)
        self.processes[name].wait()

    def do(self, *arguments, by=None, code=0, roster=True):
        more = self.house.person(by) if by else ("--custody", self.house.roster) if roster else ()
        done = self._run("custody", *arguments, *more, **self.env)
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    def run(self, *arguments):
        return self._run(*arguments, **self.env).stdout

    def status(self, request_id):
        return json.loads(self.do("status", request_id, "--json"))

    def attest(self, vault):
        """The vault's key signs for a statement of nothing that is owed.

        Signers refuse what is of before they remember, and for as long after it as clocks may be apart.
        """
        time.sleep(max(0.0, self._begun_s + MOST_AHEAD_MS / 1_000 - time.monotonic()))
        stands = next(
            one for line in self.do("vaults", "--json").splitlines() if (one := json.loads(line))["vault"] == vault
        )
        out, holdings = self._tmp_path / "statement", self._tmp_path / "holdings.csv"
        publish(self._tmp_path / "books", out, time.time_ns() // 1_000_000, {stands["asset"]: Owed(8, {})})
        header = "chain,asset,address,units,height,scheme,public_key,signature"
        holdings.write_text(f"{header}\n{stands['chain']},{stands['asset']},{stands['address']},7,1,,,\n")
        said = self.do("attest", holdings, "--from", out, by="bob")
        assert self._run("ledger", "reserves", holdings, "--from", out, **self.env).returncode == 0
        return said

    def list_destination(self, kind):
        address = Office.stranger(None, kind)
        event = DestinationListed(f"list-{kind}", "alice", CHAINS[kind], address, True, 1)
        letter = self.house.pen("operations").write(ROUNDS, "facts", "fact", msgspec.json.encode(event).decode())
        self.kafka.producer.send(letter.topic, letter.value, key=letter.key, headers=letter.headers).get(10)
        return address


@pytest.fixture
def custody(kafka, start_m1cep, m1cep, tmp_path, eventually):
    def make(kinds, signers=3):
        house = House(tmp_path / "house", kinds, signers, strength=WEAK)
        create_topics(load_settings(broker=kafka.address), (*BUILT_IN, *topics_of_signers(house.numbers)))
        running = Running(house, kafka, start_m1cep, m1cep, tmp_path, eventually)
        running.begin("coordinator", *house.numbers)
        return running

    return make


@pytest.mark.embedded_only("a minute of kills; on Kafka custody runs in tests/faults and with its grants")
def test_from_a_key_to_a_release_though_everybody_is_killed_once(custody, eventually):
    here = custody(["bitcoin"])
    assert "no key yet" in here.do("vaults")
    assert "alice-bitcoin receives at bcrt1p" in here.do("keygen", "alice-bitcoin", by="bob")
    here.do("fund", "alice-bitcoin", "0.5", by="bob")
    (key,) = re.findall(r'under \[audit\]: (key = "[0-9a-f]{64}")', here.do("keygen", "audit", by="bob"))
    here.house.roster.write_text(here.house.roster.read_text() + key + "\n")
    to = here.list_destination("bitcoin")
    eventually(lambda: "0.5 BTC" in here.do("vaults"), 20)

    out = here.do("request", "alice-bitcoin", to, "0.001", "--id", "w-1", "--wait", "30", "--json", by="shop")
    assert json.loads(out)["state"] == "confirmed"

    # A large one waits for people; meanwhile coordinator and a signer are killed.
    here.do("request", "alice-bitcoin", to, "0.02", "--id", "w-2", by="shop")
    here.do("approve", "w-2", by="bob")
    here.kill("coordinator")
    here.kill(1)
    here.begin("coordinator", 1)
    here.do("approve", "w-2", by="carol")
    eventually(lambda: here.status("w-2")["state"] == "confirmed", 40)

    assert "is refused: the id was used with other contents" in here.do(
        "request", "alice-bitcoin", to, "0.003", "--id", "w-1", by="shop", code=1
    )
    # Signer 2 has lost its share: the others give it back; then two people change the policy.
    here.kill(2)
    keyfile = Keyfile.open(here.house.keyfile(2), PASSPHRASE)
    keyfile.give_up("alice-bitcoin")
    keyfile.close()
    here.begin(2)
    assert "signer 2 has its share again" in here.do("repair", "alice-bitcoin", "--signer", 2, by="carol")
    new = here.house.policy.with_name("policy-2.yaml")
    new.write_text(here.house.policy.read_text().replace("version: 1", "version: 2"))
    assert "signed by bob" in here.do("policy", new, "--old", here.house.policy, by="bob")
    assert "version 2, stands" in here.do("policy", new, "--old", here.house.policy, by="carol")
    here.do("refresh", "alice-bitcoin", by="carol")
    here.do("request", "alice-bitcoin", to, "0.001", "--id", "w-3", by="shop")
    eventually(lambda: here.status("w-3")["state"] == "confirmed", 40)
    (file,) = (here.house.folder.parent / "home" / "state" / "custody").glob("audit-*.jsonl")

    def audited():
        found = json.loads(here.do("audit", file, "--json"))
        return found["heads"]["group_to"] > found["seq"] // 2 and found["heads"]["by_coordinator"] > 0

    eventually(audited, 40)
    assert "alice-bitcoin has signed at bcrt1p" in here.attest("alice-bitcoin")
    assert "unbroken" in here.do("audit-copy", file.with_name("copy.jsonl"))
    data = file.read_bytes()
    assert data.startswith(file.with_name("copy.jsonl").read_bytes()[:10_000])
    file.write_bytes(data.replace(b'"w-1"', b'"w-9"', 1))
    assert "is broken at entry" in here.do("audit", file, code=1)


@pytest.mark.embedded_only("it is about Safes; custody on Kafka is in tests/faults and with its grants")
def test_a_safe_whose_owners_are_the_signers(custody, eventually, tmp_path):
    try:
        safe_code(tmp_path / "home" / "safe")
    except PackageIndexError as error:
        pytest.skip(f"the Safe's contracts cannot be had: {error}")
    here = custody(["safe"])
    # Of another account, and nobody closes it.
    alert = {"id": "a1", "rule": "spoofing", "severity": "high", "key": {"account": "bea"}, "row": {}, "event_time": 1}
    here.kafka.send(codec.ALERTS, json.dumps(alert | {"events": []}).encode())
    assert here.house.owners[2] in here.do("owner", "alice-safe", "--keyfile", here.house.keyfile(2), roster=False)
    eventually(lambda: "0x" in here.do("vaults"), 60)
    here.do("fund", "alice-safe", "2", by="bob")
    to = here.list_destination("safe")
    eventually(lambda: "2 ETH" in here.do("vaults"), 30)
    out = here.do("request", "alice-safe", to, "0.5", "--wait", "30", "--json", by="shop")
    assert json.loads(out)["state"] == "confirmed", out
    assert "alice-safe has signed at 0x" in here.attest("alice-safe")
    assert json.loads(here.do("alerts", "2", "--json", roster=False))["alert"] == "a1"
    found = map(json.loads, here.run("doctor", "--offline", "--json").splitlines())
    told = next(one["text"] for one in found if one["name"] == "open alerts")
    assert told.startswith("signer 1: 1, signer 2: 1, signer 3: 1; the oldest is"), told
