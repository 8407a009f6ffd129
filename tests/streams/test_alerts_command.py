"""``m1cep alerts`` on a real broker: what is listed, who may bring an alert to which state, what custody gets of it."""

import json

import pytest
from streams_harness import ALERTS

from m1cep.alert_states import parse_state
from m1cep.custody.policy.closings import closing_message
from streams.custody.secrets import verify_person

pytestmark = pytest.mark.broker

STATES = "m1cep.alert-states.v1"


def alert(name, severity="high", account="ann", rule="spoofing"):
    about = {"id": name, "rule": rule, "severity": severity, "key": {"account": account}}
    return about | {"row": {"n": 1}, "event_time": 1, "events": ["e1"]}


@pytest.mark.embedded_only("it is about the commands; its way over Kafka is in test_kafka_security")
def test_alerts_are_listed_taken_on_closed_with_a_signature_and_reopened(kafka, m1cep, tmp_path):
    evil = "b\x1b[31mob"
    for one in (
        alert("a1"),
        alert("a1"),
        alert("a2", "low"),
        alert("a3", "critical", evil),
        alert("a4", rule="layering"),
    ):
        kafka.send(ALERTS, json.dumps(one).encode())
    kafka.send(ALERTS, b"{")

    def run(*arguments, code=0):
        done = m1cep("alerts", *arguments, M1CEP_BROKER=kafka.address)
        assert done.returncode == code, (done.stdout, done.stderr)
        return done.stdout if code == 0 else done.stderr

    def listed(*arguments):
        return {
            (one["alert"]["id"], one["state"])
            for one in map(json.loads, run("list", "--json", *arguments).splitlines())
        }

    assert listed() == {("a1", "open"), ("a2", "open"), ("a3", "open"), ("a4", "open")}
    assert listed("--severity", "high", "--account", "ann", "--rule", "spoofing") == {("a1", "open")}
    shown = run("list")
    assert "\x1b" not in shown
    assert "b\\u001b[31mob" in shown

    run("ack", "a1", "a2", "--by", "carol", "--note", "mine")
    assert "already by carol" in run("ack", "a1", "a4", code=1)
    assert listed("--state", "acknowledged") == {("a1", "acknowledged"), ("a2", "acknowledged")}, "all of them or none"
    assert "no alert 'a9'" in run("close", "a9", code=1)

    key = tmp_path / "bob.key"
    made = m1cep("custody", "key", key)
    run("close", "a1", "--as", "bob", "--key", key)
    assert listed() == {("a2", "acknowledged"), ("a3", "open"), ("a4", "open")}
    said = json.loads(run("show", "a1", "--json"))
    assert (said["state"], said["by"], said["signed"], said["alert"]["events"]) == ("closed", "bob", ["bob"], ["e1"])
    run("close", "a2", "--by", "dora")
    run("close", "a2", "--as", "bob", "--key", key)  # signs what another one has closed
    run("reopen", "a1", "--note", "it was none")
    assert listed("--state", "open") == {("a1", "open"), ("a3", "open"), ("a4", "open")}

    records = [parse_state(one.value) for one in kafka.read(STATES)]
    assert [(r.alert, r.state.value) for r in records if r.alert == "a1"] == [
        ("a1", "acknowledged"),
        ("a1", "closed"),
        ("a1", "open"),
    ]
    last = [one for one in records if one.alert == "a2"][-1]
    (signed,) = last.signed
    assert verify_person(made.stdout.strip(), closing_message("a2", signed), signed.signature)
