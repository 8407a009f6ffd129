"""What people see of the books."""

import pytest

from streams.cli import ledger
from streams.ledger import reports


@pytest.mark.parametrize("owner", ["a[red]b", "a[/b]"])
def test_names_of_accounts_are_text_and_no_markup(monkeypatch, capsys, owner):
    row = {"kind": "client", "owner": owner, "asset": "BTC", "balance": "1", "held": "0"}
    monkeypatch.setattr(ledger, "_readers", lambda _max_age_s: [])
    monkeypatch.setattr(reports, "balances", lambda *_, **__: [row])
    ledger.balances()
    assert owner in capsys.readouterr().out
