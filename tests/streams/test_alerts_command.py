"""``m1cep alerts`` on a real broker: what is listed, who may bring an alert to which state, what custody gets of it."""

import json

import pytest
from streams_harness import ALERTS
from typer.testing import CliRunner

from m1cep.alert_states import parse_state
from m1cep.custody.policy.closings import closing_message
from streams.cli import app
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
    told = dict(line.split(maxsplit=1) for line in run("show", "a1").splitlines() if " " in line.strip())
    assert (told["event_time"], told["state"]) == ("1970-01-01T00:00:00.001Z", "closed")
    assert told["received"].startswith("20"), "a time, as people read it"
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


@pytest.mark.embedded_only("it is about the commands; its way over Kafka is in test_kafka_security")
def test_many_alerts_are_closed_at_once_with_a_reason_and_a_signature_each(kafka, tmp_path):
    for number in range(600):
        kafka.send(ALERTS, json.dumps(alert(f"n{number}", rule="noisy")).encode())
    for one in (alert("a1"), alert("a2", "low", rule="noisy"), alert("a3", account="bea", rule="noisy")):
        kafka.send(ALERTS, json.dumps(one).encode())
    key = tmp_path / "bob.key"
    CliRunner().invoke(app, ["custody", "key", str(key)])

    def close(*arguments, **more):
        done = CliRunner().invoke(
            app, ["alerts", "close", *map(str, arguments)], env={"M1CEP_BROKER": kafka.address}, **more
        )
        assert done.exit_code == 0, done.exception
        return done.stdout

    noisy = ("--rule", "noisy", "--severity", "high", "--account", "ann")
    assert "no such alerts" in close(*noisy, "--before", "1 h", "--reason", "none is so old")
    planned = [
        json.loads(line)["alert"] for line in close(*noisy, "--before", "0 s", "--dry-run", "--json").splitlines()
    ]
    assert sorted(planned) == sorted(f"n{number}" for number in range(600))
    assert kafka.read(STATES) == []

    close("n7", "--note", "alone, unsigned")
    done = close(*noisy, "--before", "0 s", "--reason", "too low a threshold", "--as", "bob", "--key", key, "--json")
    records = [parse_state(line.encode()) for line in done.splitlines()]
    assert sorted(one.alert for one in records) == sorted(planned)
    assert {(one.state.value, one.rule, one.note, one.signed[0].by) for one in records} == {
        ("closed", "noisy", "too low a threshold", "bob")
    }
    assert len(kafka.read(STATES)) == 1 + 600
    assert "no such alerts" in close(*noisy, "--before", "0 s", "--reason", "again", "--as", "bob", "--key", key)

    ids = 'a1\n{"alert": "long-gone", "rule": "r"}\nn7\n'
    refused = CliRunner().invoke(
        app, ["alerts", "close", "-", "--reason", "r"], env={"M1CEP_BROKER": kafka.address}, input=ids
    )
    assert "no alert 'long-gone'" in str(refused.exception)
    assert "2 alerts are closed by" in close("-", "--gone", "--reason", "old", input=ids)
    assert {parse_state(one.value).alert for one in kafka.read(STATES)[1 + 600 :]} == {"a1", "long-gone"}
