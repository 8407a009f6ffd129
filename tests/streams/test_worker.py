"""``m1cep worker`` as a process on a real broker: what comes out, and what outlives its end."""

import json
import signal

import pytest
from streams_harness import ALERTS, BIG, DEAD, LATE, MARKET, ORDERS, START_MS, THREE, order

pytestmark = [pytest.mark.broker, pytest.mark.both_brokers]


def test_alerts_leave_with_key_and_headers_and_the_last_positions_are_committed_at_sigterm(
    kafka, rule, worker, eventually
):
    running = worker(kafka, rule("SELECT symbol, price FROM market WHERE qty > 100"))
    trade = {"action": "trade", "side": "bid", "price": 2.5}
    events = [
        {"event_id": f"m{n}", "symbol": f"S{n % 7}", "qty": 101.0 if n % 10 == 0 else 1.0, "ts": START_MS + n, **trade}
        for n in range(200)
    ]
    kafka.send(MARKET, *events, key="symbol")
    eventually(lambda: running.stats["events"] == 200)
    code, err = running.end()  # long before the next regular commit
    assert code == 0, err
    records = kafka.read(ALERTS)
    assert sorted(json.loads(r.value)["events"][0] for r in records) == sorted(f"m{n}" for n in range(0, 200, 10))
    for record in records:
        alert, headers = json.loads(record.value), dict(record.headers)
        assert set(alert) == {"id", "rule", "severity", "key", "row", "event_time", "events"}
        assert record.key == "|".join(map(str, alert["key"].values())).encode()
        assert headers["ce_id"] == alert["id"].encode()
        assert headers["ce_specversion"] == b"1.0"
        assert headers["ce_type"] == b"m1cep.alert.v1"
        assert headers["ce_source"] == b"/m1cep/risk"
        assert headers["content-type"] == b"application/json"
        assert headers["ce_time"].startswith(b"2023-11-14T22:13:20.")
    assert sum(offset or 0 for offset in kafka.committed(MARKET).values()) == 200
    assert running.stats["alerts_by_rule"] == {"big": 20}
    assert running.stats["state"] == "stopped"


def test_what_waits_for_its_turn_and_open_patterns_outlive_a_stop(kafka, rule, worker, eventually):
    """Orders may be 200 ms late, so the newest wait; A{3} has seen two of three. Nothing is read twice."""
    rules = rule(BIG)
    rule(THREE, "three")
    first = worker(kafka, rules, "--idle-timeout-ms", 60_000)
    kafka.send(ORDERS, *(order(n, ts=START_MS + n * 10, qty=101.0) for n in range(100)), partition=0)
    eventually(lambda: first.stats["events"] == 100)
    assert first.end()[0] == 0
    seen = {a["events"][0] for a in kafka.alerts() if a["rule"] == "big"}
    assert seen == {f"o{n}" for n in range(80)}  # at 990 ms, less 200: 790 is the last that may go
    assert kafka.committed()[0] == 100
    again = worker(kafka, rules, "--idle-timeout-ms", 60_000)
    kafka.send(ORDERS, order(100, ts=START_MS + 2000), partition=0)
    eventually(lambda: again.stats["alerts_by_rule"] == {"big": 20, "three": 7})
    assert again.stats["events"] == 1
    assert again.end()[0] == 0
    alerts = kafka.alerts()
    assert len({a["id"] for a in alerts}) == len(alerts) == 133
    threes = [a["row"] for a in alerts if a["rule"] == "three"]
    assert [(r["first_id"], r["last_id"]) for r in threes] == [(f"o{n}", f"o{n + 2}") for n in range(0, 99, 3)]


@pytest.mark.embedded_only("it is about PostgreSQL")
def test_open_patterns_outlive_a_kill_in_postgresql_and_its_password_is_nowhere(
    kafka, rule, worker, eventually, postgres, tmp_path
):
    url, state_dir = postgres.url.get_secret_value(), tmp_path / "unused"
    setting = {"M1CEP_STATE_URL": url, "M1CEP_STATE_DIR": str(state_dir)}
    rules = rule(THREE, "three")
    first = worker(kafka, rules, **setting)
    kafka.send(ORDERS, order(0, qty=101.0), order(1, qty=101.0), partition=0)
    eventually(lambda: first.stats["committed"].get(f"{ORDERS}/0") == 2)
    _, said = first.end(signal.SIGKILL)
    assert url.split(":")[2].split("@")[0] not in said
    again = worker(kafka, rules, **setting)
    kafka.send(ORDERS, order(2, qty=101.0), order(3), partition=0)
    eventually(lambda: again.stats["alerts"] == 1)
    assert again.stats["events"] == 2  # the first two were not read again
    assert again.end()[0] == 0
    assert [(a["row"]["first_id"], a["row"]["last_id"]) for a in kafka.alerts()] == [("o0", "o2")]
    assert not list(state_dir.rglob("*.snapshot"))


def test_each_bad_record_becomes_a_dead_letter_and_its_neighbours_are_processed(kafka, rule, worker, eventually):
    bad = {
        "text": b"not json at all",
        "array": b"[1, 2]",
        "nan": b'{"event_id": "x", "qty": NaN}',
        "missing": json.dumps({k: v for k, v in order(1).items() if k != "account"}).encode(),
        "type": json.dumps(order(2, qty="many")).encode(),
        "digits": json.dumps(order(3)).encode().replace(str(START_MS + 3000).encode(), b"1" * 40),
        "utf8": b'{"event_id": "\xff\xfe"}',
        "deep": b"[" * 5000,
        "null": None,
        "long": json.dumps(order(4, symbol="x" * 2_000_000)).encode(),
    }
    for n, raw in enumerate(bad.values()):
        kafka.send(ORDERS, order(100 + 2 * n, qty=101.0), partition=0)
        kafka.send(ORDERS, raw, partition=0)
        kafka.send(ORDERS, order(101 + 2 * n, qty=101.0), partition=0)
    running = worker(kafka, rule(BIG))
    eventually(lambda: running.stats["dead_letters"] >= len(bad) and running.stats["alerts"] >= 2 * len(bad), 20)
    code, err = running.end()
    assert code == 0, err
    assert sorted(a["events"][0] for a in kafka.alerts()) == [f"o{100 + n}" for n in range(2 * len(bad))]
    letters = {json.loads(r.value)["offset"]: (json.loads(r.value), dict(r.headers)) for r in kafka.read(DEAD)}
    assert sorted(letters) == [3 * n + 1 for n in range(len(bad))]
    for n, (name, raw) in enumerate(bad.items()):
        letter, headers = letters[3 * n + 1]
        assert letter["topic"] == ORDERS, name
        assert letter["partition"] == 0, name
        assert letter["reason"], name
        assert letter["timestamp"] > 1_700_000_000_000, name
        assert letter["length"] == len(raw or b""), name
        assert headers["ce_id"] == f"{ORDERS}/0/{3 * n + 1}".encode(), name
    assert letters[1][0]["raw"] == "not json at all"
    assert letters[10][0]["column"] == "account"
    assert letters[19][0]["encoding"] == "base64"
    long, _ = letters[28]
    assert len(long["raw"]) == 65536
    assert long["note"] == f"cut after 65536 of {len(bad['long'])} bytes"
    assert sum(offset or 0 for offset in kafka.committed().values()) == 3 * len(bad)


def test_events_behind_the_watermark_go_to_the_late_topic(kafka, rule, worker, eventually):
    running = worker(kafka, rule(BIG))
    kafka.send(ORDERS, order(1, ts=START_MS + 10_000), order(2, ts=START_MS + 9_000, qty=101.0), partition=0)
    eventually(lambda: running.stats["late"] == 1)
    assert running.end()[0] == 0
    (record,) = kafka.read(LATE)
    late = json.loads(record.value)
    assert (late["topic"], late["partition"], late["offset"], late["stream"]) == (ORDERS, 0, 1, "orders")
    assert late["event_time"] == START_MS + 9_000
    assert late["watermark"] == START_MS + 9_800
    assert late["reason"]
    assert json.loads(late["raw"])["event_id"] == "o2"
    assert kafka.alerts() == []


def test_a_silent_topic_does_not_hold_back_the_others(kafka, rule, worker, eventually):
    # The view reads orders, fills and accounts; only orders has events.
    running = worker(kafka, rule("SELECT account, qty FROM events WHERE kind = 'order' AND qty > 100"))
    kafka.send(ORDERS, order(1, qty=101.0))
    eventually(lambda: running.stats["alerts"] == 1)
    assert running.end()[0] == 0


def test_killed_in_the_middle_it_misses_nothing_and_repeats_only_with_the_same_id(kafka, rule, worker, eventually):
    rules = rule(BIG)
    for part in range(4):
        kafka.send(ORDERS, *(order(n, account=f"acc-{n % 50}", qty=101.0) for n in range(part * 500, part * 500 + 500)))
        running = worker(kafka, rules)
        eventually(lambda: running.stats["alerts"] > 0)  # noqa: B023 - it is awaited here
        running.process.kill()
        running.process.wait()
    running = worker(kafka, rules)
    eventually(lambda: running.stats["lag_total"] == 0 and sum(running.stats["committed"].values()) == 2000, 20)
    everything = {f"o{n}" for n in range(2000)}  # the last of each partition waits until the others are seen to be idle
    eventually(lambda: {a["events"][0] for a in kafka.alerts()} >= everything, 20)
    assert running.end()[0] == 0
    alerts = kafka.alerts()
    assert {a["events"][0] for a in alerts} == everything
    assert len({a["id"] for a in alerts}) == 2000


def test_a_second_worker_takes_half_with_its_state_and_gives_it_back(kafka, rule, worker, eventually):
    rules = rule(THREE, "three")
    accounts = [f"acc-{n}" for n in range(40)]

    def round_of(number):
        kafka.send(ORDERS, *(order(number + n, account=a, qty=101.0) for n, a in enumerate(accounts)))

    first = worker(kafka, rules)
    round_of(0)
    eventually(lambda: first.stats["events"] == 40)
    second = worker(kafka, rules)
    eventually(lambda: first.stats["ready"] and len(first.stats["assigned"]) == len(second.stats["assigned"]) == 2, 30)
    round_of(100)
    eventually(lambda: first.stats["events"] + second.stats["events"] == 80)
    assert second.end()[0] == 0
    eventually(lambda: first.stats["ready"] and len(first.stats["assigned"]) == 4, 30)
    round_of(200)
    eventually(lambda: {a["key"]["account"] for a in kafka.alerts()} == set(accounts), 20)
    assert first.end()[0] == 0
    alerts = kafka.alerts()
    assert [(a["row"]["first_id"], a["row"]["last_id"]) for a in sorted(alerts, key=lambda a: a["event_time"])] == [
        (f"o{n}", f"o{200 + n}") for n in range(40)
    ]
    assert sum(offset or 0 for offset in kafka.committed().values()) == 120
