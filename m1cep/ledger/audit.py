"""Whether books are right: looked at from their history alone, the slow and obvious way."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from m1cep.ledger.accounts import Account
from m1cep.ledger.books import Mode

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from m1cep.ledger.accounts import AccountKey
    from m1cep.ledger.books import Transfer


def replayed(history: Iterable[Transfer], overdraft: Mapping[AccountKey, bool]) -> dict[AccountKey, Account]:
    """What the balances must be after a history."""
    found: dict[AccountKey, Account] = {}
    for _, _, mode, debit, credit, units, freed in history:
        posted = units if mode in {Mode.POSTED, Mode.SETTLED} else 0
        pending = {Mode.PENDING: units, Mode.POSTED: 0, Mode.SETTLED: -freed}.get(mode, -units)
        one = found.get(debit) or Account(overdraft.get(debit, False))
        found[debit] = one.plus(debit=posted, debit_pending=pending)
        one = found.get(credit) or Account(overdraft.get(credit, False))
        found[credit] = one.plus(credit=posted, credit_pending=pending)
    return found


def faults(accounts: Mapping[AccountKey, Account], history: Iterable[Transfer]) -> list[str]:
    """What is wrong with books, in words; empty: debits equal credits in every asset, and all balances equal the history."""
    said = []
    sums: Counter[str] = Counter()
    for key, one in accounts.items():
        sums[key.asset] += one.debits_posted - one.credits_posted
        sums[f"{key.asset} (pending)"] += one.debits_pending - one.credits_pending
    said += [f"{name}: debits exceed credits by {units}" for name, units in sorted(sums.items()) if units]
    expected = replayed(history, {key: one.overdraft for key, one in accounts.items()})
    for key in sorted(expected.keys() | accounts.keys()):
        if accounts.get(key) != expected.get(key):
            said.append(f"{key}: the books say {accounts.get(key)}, the history {expected.get(key)}")
    return said
