"""The dashboard on a real broker: from an order to a browser, its events, its state, a dashboard that was away."""

import json
import urllib.request

import pytest
from streams_harness import BIG, ORDERS, START_MS, order

from streams.embedded.ports import any_free_port

pytestmark = pytest.mark.broker

STATES = "m1cep.alert-states.v1"


def ask(url, body=None, **headers):
    request = urllib.request.Request(url, None if body is None else json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=40) as answer:
        return json.load(answer)


def next_alert(answer):
    """The next alert of a stream of events, and its position."""
    position = None
    for line in answer:
        name, _, rest = line.decode().rstrip("\n").partition(": ")
        if name == "id":
            position = rest
        elif name == "data":
            return json.loads(rest), position
    raise AssertionError("the stream has ended")


def test_an_alert_reaches_a_browser_with_its_events_and_one_that_was_away_gets_what_it_missed(
    kafka, worker, rule, start_m1cep, eventually
):
    port = any_free_port()
    base = f"http://127.0.0.1:{port}"

    def start():
        process = start_m1cep(
            "worker", "--agents", "dashboard", "--rules", rule(BIG), "--web-port", port, "--log-level", "warning",
            M1CEP_BROKER=kafka.address,
        )  # fmt: skip

        def reads():
            assert process.poll() is None, process.communicate()[1]
            try:
                return ask(f"{base}/readyz")["ready"]
            except OSError:
                return False

        eventually(reads, 40)
        return process

    def browse(**headers):
        return urllib.request.urlopen(urllib.request.Request(f"{base}/events", headers=headers), timeout=60)

    kafka.send(ORDERS, order(1))  # the topics know their leaders
    engine = worker(kafka, rule(BIG))
    dashboard = start()
    account = "<b>acc</b>"
    with browse() as stream:
        kafka.send(ORDERS, order(2, qty=500, account=account), order(3, ts=START_MS + 60_000, account=account))
        alert, position = next_alert(stream)
    assert (alert["key"], alert["events"]) == ({"account": account}, ["o2"])

    detail = ask(f"{base}/api/alerts/{alert['id']}")
    assert [(one["event_id"], one["stream"], one["row"]["qty"]) for one in detail["events"]] == [
        ("o2", "orders", 500.0)
    ]
    assert detail["missing"] == []
    assert "qty > 100" in detail["rule"]["sql"]

    said = ask(f"{base}/api/alerts/{alert['id']}/state", {"state": "acknowledged", "note": "mine"}, **{"X-M1CEP": "1"})
    (record,) = kafka.read(STATES)
    assert (record.key.decode(), json.loads(record.value)) == (alert["id"], said)

    dashboard.kill()
    dashboard.wait()
    kafka.send(ORDERS, order(4, qty=600, ts=START_MS + 120_000), order(5, ts=START_MS + 180_000))
    eventually(lambda: len(kafka.alerts()) == 2, 20)
    start()
    with browse(**{"Last-Event-ID": position}) as stream:
        assert next_alert(stream)[0]["events"] == ["o4"]
    listed = [(one["alert"]["events"], one["state"]) for one in ask(f"{base}/api/alerts")["alerts"]]
    assert listed == [(["o4"], "open"), (["o2"], "acknowledged")]
    eventually(lambda: ["risk"] in [one["agents"] for one in ask(f"{base}/api/overview")["workers"]], 20)
    assert engine.end()[0] == 0
