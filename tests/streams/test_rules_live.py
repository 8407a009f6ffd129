"""Rules of a running worker: deployed, tried out, failing, switched off and brought back, while events flow."""

import json
import threading
import time

import pytest
from streams_harness import BIG, ORDERS, order
from typer.testing import CliRunner

from m1cep import compile_rule
from streams.cli.rules import app
from streams.config import load_settings
from streams.errors import ShellError
from streams.files import load_streams
from streams.rules import decide, desk

pytestmark = pytest.mark.broker

ODD = "/*\nid: {id}\n*/\nSELECT account, event_id FROM orders WHERE qty = {qty}"
#: There is nothing to skip to where B is missing.
FAILS = """/*
id: fails
*/
SELECT * FROM orders MATCH_RECOGNIZE (
  PARTITION BY account ORDER BY ts MEASURES A.event_id AS e AFTER MATCH SKIP TO FIRST B
  PATTERN (A B? C) DEFINE A AS qty = 3, B AS qty > 1000000, C AS qty = 5)"""


class Flow(threading.Thread):
    """Sends orders at a steady pace until it is told to stop: one in three is big."""

    def __init__(self, kafka):
        super().__init__(daemon=True)
        self._kafka, self._over = kafka, threading.Event()
        self.sent, self.sent_ms = [], []

    def run(self):
        n = 0
        while not self._over.wait(0.25):
            for _ in range(10):
                event = order(n, account=f"acc-{n % 7}", qty=(101.0, 3.0, 5.0)[n % 3])
                self._kafka.producer.send(ORDERS, json.dumps(event).encode(), key=event["account"].encode())
                self.sent.append(event)
                self.sent_ms.append(time.time_ns() // 1_000_000)
                n += 1

    def stop(self):
        self._over.set()
        self.join()
        self._kafka.producer.flush()


@pytest.fixture
def rules_command(kafka, tmp_path, monkeypatch):
    """Runs ``m1cep rules ...`` in this process, and gives its exit code, its JSON, and what it says of a failure."""
    monkeypatch.setenv("M1CEP_BROKER", kafka.address)
    monkeypatch.setenv("M1CEP_HOME", str(tmp_path / "home"))

    def run(*arguments, text=None):
        if text is not None:
            file = tmp_path / "deployed.sql"
            file.write_text(text)
            arguments = (*arguments, str(file))
        if arguments[0] in {"deploy", "disable", "enable", "rollback"}:
            arguments = (*arguments, "--timeout", "120")
        done = CliRunner().invoke(app, [*arguments, "--json"])
        code = getattr(done.exception, "exit_code", done.exit_code)
        return code, [json.loads(line) for line in done.stdout.splitlines()], str(done.exception)

    return run


def test_rules_come_and_go_while_events_flow_and_no_other_rule_misses_or_repeats_an_event(
    kafka, rule, worker, rules_command, eventually
):
    running = worker(kafka, rule(BIG, "big"))
    flow = Flow(kafka)
    flow.start()
    try:
        for told in (
            rules_command("deploy", text=ODD.format(id="odd", qty=3)),
            rules_command("deploy", "--shadow", text=ODD.format(id="tried", qty=5)),
        ):
            assert (told[0], told[1][0]["missing"]) == (0, []), told
            assert len(told[1][0]["in_force_after_ms"]) == 1
        rules_command("deploy", text=FAILS)
        eventually(lambda: running.stats["alerts_by_rule"].get("m1cep-rule-quarantined"), 60)
        code, [off], _ = rules_command("disable", "odd")
        assert (code, off["missing"]) == (0, [])
        time.sleep(0.5)  # some events without it
    finally:
        flow.stop()
    eventually(lambda: running.stats["events"] == len(flow.sent), 60)
    eventually(lambda: running.stats["unacknowledged"] == 0)

    failed = next(a for a in kafka.alerts() if a["rule"] == "m1cep-rule-quarantined")
    assert failed["row"]["rule"] == "fails"
    assert failed["severity"] == "high"
    assert "line" in failed["row"]["reason"]
    by_rule = {}
    for alert in kafka.alerts():
        by_rule.setdefault(alert["rule"], []).extend(alert["events"][:1])
    assert sorted(by_rule["big"]) == sorted(e["event_id"] for e in flow.sent if e["qty"] > 100)
    with_3 = [e["event_id"] for e in flow.sent if e["qty"] == 3]
    odd = by_rule["odd"]
    assert len(odd) == len(set(odd))
    assert set(odd) < set(with_3)
    assert with_3[-1] not in odd  # it was off by then
    shadowed = [json.loads(r.value)["events"][0] for r in kafka.read("m1cep.shadow-alerts.v1")]
    assert shadowed
    assert set(shadowed) < {e["event_id"] for e in flow.sent if e["qty"] == 5}
    assert "tried" not in by_rule

    code, table, _ = rules_command("list")
    stands = {row["id"]: row["mode"] for row in table}
    assert code == 0
    assert [stands[name] for name in ("big", "odd", "tried", "fails")] == [
        "active",
        "disabled",
        "shadow",
        "quarantined",
    ]
    assert running.end()[0] == 0


def test_who_starts_later_has_what_was_deployed_and_what_failed_stays_out(
    kafka, rule, worker, rules_command, eventually
):
    running = worker(kafka, rule(BIG, "big"))
    assert rules_command("deploy", text=FAILS)[0] == 0
    kafka.send(ORDERS, order(0, qty=3.0), order(1, qty=5.0), partition=0)
    eventually(lambda: [a for a in kafka.alerts() if a["rule"] == "m1cep-rule-quarantined"])
    told = len(kafka.alerts())
    assert rules_command("disable", "big")[0] == 0
    assert running.end()[0] == 0

    running = worker(kafka, rule(BIG, "big"))
    kafka.send(ORDERS, order(3, qty=3.0), order(4, qty=5.0), order(6, qty=101.0), partition=0)
    eventually(lambda: running.stats["events"] == 3)
    assert len(kafka.alerts()) == told
    code, told, err = rules_command("deploy", text="/*\nid: big\n*/\nSELECT account FROM orders WHERE nothing > 1")
    assert (code, told) == (1, [])
    assert "^" in err  # a caret under what is wrong
    code, told, err = rules_command("deploy", text=ODD.format(id="x", qty="3").replace("orders", "fills"))
    assert (code, told) == (2, [])
    assert "m1cep.fills.v1" in err
    assert running.end()[0] == 0


@pytest.mark.embedded_only("rebalances on it take longest; those of Kafka are in tests/faults/test_group.py")
def test_a_rule_deployed_while_workers_join_and_leave_is_in_force_in_every_partition_from_the_moment_that_is_said(
    kafka, rule, worker, eventually
):
    """Also in partitions that stay where they are while the group rebalances: they take nothing meanwhile."""
    folder, settings = rule(BIG, "big"), load_settings(broker=kafka.address)
    flow, begins_ms = Flow(kafka), {}

    def deploy():
        name = f"odd-{len(begins_ms)}"
        record = desk.write_rule(settings, odd(3, None, "ann", name), None)
        found = desk.wait_until_in_force(settings, record, "m1cep", 120)
        assert (found.missing, found.quarantined) == ((), {})
        begins_ms[name] = record.time_ms + max(found.after_ms.values())

    def deploy_while_it_rebalances(running, until):
        eventually(lambda: running.stats["state"] == "rebalancing" or until(), 60)
        deploy()
        eventually(until, 60)

    first = worker(kafka, folder)
    flow.start()
    try:
        second = worker(kafka, folder, wait=False)
        deploy_while_it_rebalances(first, lambda: second.ready() and len(second.stats["assigned"]) == 2)
        first.process.terminate()
        deploy_while_it_rebalances(second, lambda: len(second.stats["assigned"]) == 4)
        assert first.end()[0] == 0
        deploy()
        time.sleep(0.5)  # some events after it
    finally:
        flow.stop()

    due = {
        name: {e["event_id"] for e, at_ms in zip(flow.sent, flow.sent_ms, strict=True) if e["qty"] == 3 and at_ms > ms}
        for name, ms in begins_ms.items()
    }
    assert all(due.values())
    due["big"] = {e["event_id"] for e in flow.sent if e["qty"] > 100}
    eventually(lambda: due["odd-2"] | due["big"] <= {e for alert in kafka.alerts() for e in alert["events"]}, 60)
    found, contents = {}, {}
    for alert in kafka.alerts():
        found.setdefault(alert["rule"], set()).update(alert["events"])
        assert contents.setdefault(alert["id"], alert) == alert
    assert found["big"] == due["big"]
    missing = {name: sorted(events - found[name]) for name, events in due.items()}
    assert not any(missing.values()), "events after the moment in which the rule was said to be in force"
    assert second.end()[0] == 0


def odd(qty, previous, by, name="odd"):
    compiled = compile_rule(ODD.format(id=name, qty=qty), load_streams())
    return decide.deployed(compiled, previous, decide.Who(by, 1000), shadow=False, approval=False)


def test_of_two_who_decide_about_a_rule_at_once_the_second_is_refused_or_has_the_first_in_its_history(
    kafka, monkeypatch
):
    settings = load_settings(broker=kafka.address)
    first = desk.write_rule(settings, odd(1, None, "ann"), None)
    with pytest.raises(ShellError, match=r"ann made version .* active; nothing was written; look at it"):
        desk.write_rule(settings, odd(2, None, "bob"), None)
    assert desk.read_rules(settings).records == {"odd": first}

    send = desk._send
    theirs = odd(3, first, "eve")

    def send_behind_theirs(settings, record):
        monkeypatch.setattr(desk, "_send", send)
        send(settings, theirs)
        return send(settings, record)

    monkeypatch.setattr(desk, "_send", send_behind_theirs)
    written = desk.write_rule(settings, odd(2, first, "bob"), first)
    now = desk.read_rules(settings).records["odd"]
    assert now == written
    assert [(one.by, one.version) for one in (now, *now.before)] == [
        ("bob", odd(2, None, "bob").version),
        ("eve", theirs.version),
        ("ann", first.version),
    ]


def test_a_rule_on_streams_of_ones_own_is_compared_with_the_workers_file(rules_command, rule, tmp_path):
    streams = tmp_path / "streams.sql"
    streams.write_text("""CREATE TABLE pay (event_id STRING NOT NULL, qty DOUBLE, ts TIMESTAMP(3), WATERMARK FOR ts AS ts)
                          PARTITIONED BY (event_id) WITH ('topic' = 'pay.v1')""")
    text = "/*\nid: paid\n*/\nSELECT qty FROM pay WHERE qty > {}"
    own = ("--rules", str(rule(text.format(1), "paid")), "--streams", str(streams))
    code, [told], why = rules_command("diff", *own, "paid", text=text.format(2))
    assert code == 0, why
    assert [line for line in told["diff"][2:] if line[0] in "+-"] == [
        f"{s}SELECT qty FROM pay WHERE qty > {n}" for s, n in ("-1", "+2")
    ]
