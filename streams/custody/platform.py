"""The platform's own topics as facts of a signer: alerts, actions, accounts. No letters: whoever may write there is heard."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import orjson

from m1cep.custody.policy.records import of_account, of_action, of_alert
from m1cep.errors import CustodyError
from streams import codec
from streams.custody.derive import chain_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from m1cep.custody.policy.events import FactEvent
    from streams.custody.roster import Roster
    from streams.transport import Record

ACCOUNTS = "m1cep.accounts.v1"
PLATFORM = frozenset({codec.ALERTS, codec.ACTIONS, ACCOUNTS})


def platform_fact(topic: str, record: Record, listed_chains: Mapping[str, str]) -> FactEvent | None:
    """What a record says; None: nothing that a policy asks for.

    Args:
        topic: one of ``PLATFORM``.
        record: of it.
        listed_chains: see :func:`chains_by_asset`.

    Raises:
        CustodyError: it is none of what belongs there.
    """
    try:
        row = orjson.loads(record.value or b"")
    except orjson.JSONDecodeError:
        row = None
    if not isinstance(row, dict):
        raise CustodyError("expected a JSON object")
    if topic == codec.ALERTS:
        return of_alert(row, _alert_time_ms(record))
    return of_action(row) if topic == codec.ACTIONS else of_account(row, listed_chains)


def chains_by_asset(roster: Roster) -> dict[str, str]:
    """For whitelists, which name an asset: of one that is on several chains nobody knows which is meant."""
    found: dict[str, set[str]] = {}
    for vault in roster.vaults.values():
        found.setdefault(chain_of(vault.chain).asset.symbol, set()).add(vault.chain)
    return {asset: next(iter(chains)) for asset, chains in found.items() if len(chains) == 1}


def _alert_time_ms(record: Record) -> int:
    """The alert's event time, from its header; the record's where there is none."""
    for name, value in record.headers or ():
        if name == "ce_time":
            try:
                return int(datetime.fromisoformat(value.decode()).timestamp() * 1_000)
            except (ValueError, UnicodeDecodeError, OverflowError):
                break
    return record.timestamp or 0
