"""The files of examples/ as a stranger runs them, beside a worker."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from schemaworld import check
from streams_harness import ALERTS, BIG, DEAD, ORDERS

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture
def example(tmp_path):
    """Starts a file of examples/ with its output in a file; what still runs at the end is killed."""
    started = []

    def start(name, *arguments):
        out = tmp_path / f"{name}.out"
        with out.open("wb") as file:
            process = subprocess.Popen([sys.executable, EXAMPLES / name, *arguments], stdout=file, stderr=file)
        started.append(process)
        return process, out

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
        process.wait()


@pytest.mark.broker
def test_orders_lead_to_an_alert_that_is_told_once_and_a_bad_one_to_a_dead_letter(
    kafka, worker, rule, example, eventually
):
    worker(kafka, rule(BIG))
    _, alerts = example("follow_alerts.py", kafka.address)
    _, letters = example("read_dead_letters.py", kafka.address)
    producing, said = example("produce_orders.py", kafka.address)
    assert producing.wait(120) == 0, said.read_text()
    assert "4 orders" in said.read_text()
    kafka.send(ORDERS, b'{"event_id": "bad", "account": "acc-1", "qty": "many"}')

    first = eventually(lambda: kafka.read(ALERTS), 30)[0]
    other = (first.partition + 1) % 4
    again = kafka.producer.send(ALERTS, value=first.value, key=first.key, headers=list(first.headers), partition=other)
    again.get(30)
    after = {**dict(first.headers), "ce_id": b"another"}
    kafka.producer.send(ALERTS, value=first.value, key=first.key, headers=list(after.items()), partition=other).get(30)

    lines = eventually(lambda: (found := alerts.read_text().splitlines())[1:] and found, 60)
    assert len(lines) == 2, "the alert and the other one; the repetition between them is not told"
    assert lines[0].split()[1] == "big"
    text = eventually(lambda: (found := letters.read_text()).count("\n") > 1 and found, 60)
    letter = json.loads(kafka.read(DEAD)[0].value)
    assert f"{ORDERS}[{letter['partition']}]@{letter['offset']} " in text
    assert "many" in text
    for topic in (ORDERS, ALERTS, DEAD, "m1cep.status.v1"):
        values = [record.value for record in kafka.read(topic) if record.value is not None]
        assert values
        for value in values:
            if b"many" not in value or topic != ORDERS:
                check(topic, value)
