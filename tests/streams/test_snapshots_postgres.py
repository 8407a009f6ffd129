"""Snapshots in PostgreSQL: what can happen to the server, to the way to it, and between two owners at the same moment."""

import os
import signal
import threading
import traceback
import uuid
from pathlib import Path

import pytest
from pydantic import SecretStr

from streams.embedded import EmbeddedPostgres
from streams.embedded.ports import any_free_port
from streams.snapshots import KEPT, StoreError, SupersededError, open_store

psycopg = pytest.importorskip("psycopg", reason="the extra postgres is not installed")


@pytest.fixture
def admin(postgres):
    """A connection of the server's owner to a database of the test's own."""
    name = f"test_{uuid.uuid4().hex}"
    address = postgres.url.get_secret_value()
    with psycopg.connect(address, autocommit=True) as outside:
        outside.execute(f"CREATE DATABASE {name}")
        try:
            with psycopg.connect(address, dbname=name, autocommit=True) as connection:
                yield connection
        finally:
            outside.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def open_one(admin, tmp_path):
    """Opens a store in the database of ``admin``, as its owner or as another user."""
    opened = []

    def make(user="m1cep", password=None):
        info = admin.info
        url = f"postgresql://{user}:{password or info.password}@{info.host}:{info.port}/{info.dbname}"
        opened.append(open_store(SecretStr(url), tmp_path, "a-cluster", "g"))
        return opened[-1]

    yield make
    for store in opened:
        store.close()


@pytest.fixture
def store(open_one):
    return open_one()


@pytest.fixture
def server(postgres, open_folder):  # noqa: ARG001 - it skips where there is none
    """A server of the test's own, which finds its port again."""
    with EmbeddedPostgres(open_folder(), any_free_port(), durable=False) as server:
        yield server


@pytest.fixture
def impatient(monkeypatch):
    from streams.snapshots import postgres as module

    monkeypatch.setattr(module, "STATEMENT_TIMEOUT_S", 0.5)
    monkeypatch.setattr(module, "ANSWER_TIMEOUT_S", 1.0)


def open_on(server, folder):
    return open_store(SecretStr(server.url.get_secret_value() + "?connect_timeout=2"), folder, "a-cluster", "g")


def loaded(store):
    return [saved.data for saved in store.load(0)]


def activity(admin, what):
    """What the server says of the store's connections."""
    return admin.execute(
        f"SELECT {what} FROM pg_stat_activity WHERE application_name = 'm1cep' AND datname = current_database()"
    ).fetchall()


def test_saves_go_on_after_the_server_was_stopped_killed_and_started_again(server, tmp_path):
    store = open_on(server, tmp_path)
    generation = store.claim(0)
    store.save(0, generation, b"0")
    for n, number in enumerate((signal.SIGINT, signal.SIGKILL), 1):
        os.kill(server.process.pid, number)
        server.process.wait(20)
        with pytest.raises(StoreError, match="cannot be read or written") as caught:
            store.save(0, generation, b"lost")
        assert "\n" not in str(caught.value)
        server.stop()
        server.start()
        assert loaded(store)[0] == b"%d" % (n - 1)
        store.save(0, generation, b"%d" % n)
    assert loaded(store) == [b"2", b"1", b"0"]
    assert store.claim(0, generation) == generation


def test_a_connection_that_was_cut_meanwhile_is_not_noticed(store, admin):
    generation = store.claim(0)
    for n in range(3):
        assert activity(admin, "pg_terminate_backend(pid)") == [(True,)]
        store.save(0, generation, b"%d" % n)
    assert loaded(store) == [b"2", b"1", b"0"]


def test_a_save_that_waits_while_another_claims_is_superseded(open_one, admin, eventually):
    former = open_one()
    old, outcome = former.claim(0), []
    former.save(0, old, b"before")

    def save():
        try:
            former.save(0, old, b"zombie")
        except SupersededError as error:
            outcome.append(error)

    with admin.transaction():  # the other's claim, between its statement and its commit
        admin.execute("UPDATE m1cep.partition_owners_v1 SET generation = generation + 1")
        thread = threading.Thread(target=save)
        thread.start()
        eventually(lambda: activity(admin, "wait_event_type") == [("Lock",)])
        assert not outcome
    thread.join()
    assert len(outcome) == 1
    assert loaded(former) == [b"before"]


def test_a_claim_that_a_failover_lost_is_not_given_to_another(open_one, admin):
    former, owner = open_one(), open_one()
    before = former.claim(0)
    lost = former.claim(0)
    admin.execute("UPDATE m1cep.partition_owners_v1 SET generation = %s", [before])
    assert owner.claim(0) > lost
    with pytest.raises(SupersededError):
        former.save(0, lost, b"zombie")


@pytest.mark.parametrize("offset_s", [-3600, 3600])
def test_generations_grow_whatever_the_servers_clock_said_before(store, admin, offset_s):
    first = store.claim(0)
    admin.execute("UPDATE m1cep.partition_owners_v1 SET generation = generation + %s", [1000 * offset_s])
    second = store.claim(0, first)
    assert second > first + 1000 * max(offset_s, -1)
    assert store.claim(0, second) == second
    assert store.claim(0) > second


def test_a_paused_owner_holds_up_nobody(open_one, admin):
    paused = open_one()
    generation = paused.claim(0)
    paused.save(0, generation, b"x")
    next(paused.load(0))
    assert activity(admin, "state, (SELECT count(*) FROM pg_locks WHERE pg_locks.pid = pg_stat_activity.pid)") == [
        ("idle", 0)
    ]


def test_what_is_saved_is_on_the_disk_whatever_the_servers_default(open_one, admin):
    admin.execute("CREATE ROLE careless SUPERUSER LOGIN PASSWORD 'careless'")
    admin.execute("ALTER ROLE careless SET synchronous_commit = off")
    store = open_one("careless", "careless")
    assert store._rows("SHOW synchronous_commit", {}) == [("on",)]
    assert store._rows("SHOW statement_timeout", {}) == [("10s",)]


@pytest.mark.usefixtures("impatient")
def test_a_frozen_server_is_given_up_in_time(server, tmp_path):
    store = open_on(server, tmp_path)
    generation = store.claim(0)
    os.kill(server.process.pid, signal.SIGSTOP)  # takes no new connections
    backends = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children").read_text().split()
    for pid in map(int, backends):
        os.kill(pid, signal.SIGSTOP)
    said = []

    def save_twice():
        for _ in range(2):
            with pytest.raises(StoreError) as caught:
                store.save(0, generation, b"x")
            said.append(str(caught.value))

    thread = threading.Thread(target=save_twice, daemon=True)
    thread.start()
    try:
        thread.join(30)
        assert not thread.is_alive()
    finally:
        for pid in (server.process.pid, *map(int, backends)):
            os.kill(pid, signal.SIGCONT)
    assert "it did not answer within 1 s" in said[0]
    assert "timeout expired" in said[1]
    store.save(0, generation, b"y")
    assert loaded(store)[0] == b"y"


@pytest.mark.usefixtures("impatient")
def test_a_row_that_somebody_else_holds_is_given_up_in_time(store, admin):
    generation = store.claim(0)
    store.save(0, generation, b"before")
    with admin.transaction():
        admin.execute("LOCK TABLE m1cep.partition_owners_v1")
        with pytest.raises(StoreError, match="canceling statement due to statement timeout"):
            store.save(0, generation, b"x")
    assert loaded(store) == [b"before"]


@pytest.mark.parametrize("_attempt", range(5))
def test_workers_that_start_at_once_on_an_empty_database_make_the_tables_once(open_one, _attempt):
    stores = [open_one() for _ in range(4)]
    start, got = threading.Barrier(len(stores)), []

    def claim(store):
        start.wait()
        got.append(store.claim(0))

    threads = [threading.Thread(target=claim, args=(store,)) for store in stores]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(got)) == 4


def test_a_role_needs_no_more_than_the_tables_and_is_told_what_it_lacks(open_one, admin):
    open_one().claim(0)  # by one who may make the tables
    admin.execute("CREATE ROLE plain LOGIN PASSWORD 'plain'")
    store = open_one("plain", "plain")
    with pytest.raises(StoreError, match=r"permission denied for schema m1cep; see to the server and its permissions"):
        store.claim(0)
    admin.execute("GRANT USAGE ON SCHEMA m1cep TO plain")
    admin.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA m1cep TO plain")
    generation = store.claim(0)
    for n in range(KEPT + 1):
        store.save(0, generation, b"%d" % n)
    assert loaded(store) == [b"3", b"2", b"1"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda url: url.replace("postgresql://m1cep:", "postgresql://m1cep:x"), "password authentication failed"),
        (lambda url: url.rpartition("/")[0] + "/nowhere", 'database "nowhere" does not exist'),
        (lambda url: url.rpartition(":")[0] + ":1/postgres", "Connection refused"),
    ],
)
def test_a_server_that_does_not_let_us_in_is_named_without_the_password(postgres, tmp_path, change, said):
    url = change(postgres.url.get_secret_value())
    password = url.split(":")[2].split("@")[0]
    with pytest.raises(StoreError, match=said) as caught:
        open_store(SecretStr(url), tmp_path, "a-cluster", "g").claim(0)
    everything = "".join(traceback.format_exception(caught.value)) + repr(caught.value)
    assert password not in everything
    assert url.split("@")[1] in str(caught.value)
    assert "\n" not in str(caught.value)
