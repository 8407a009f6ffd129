"""The platform's own topics as facts of a signer: alerts, their states, actions, accounts.

No letters: whoever may write there is heard, but for the closing of an alert, which people sign.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import orjson

from m1cep.alert_states import State, parse_state
from m1cep.custody.policy.closings import closed_ms
from m1cep.custody.policy.events import AlertClosed, AlertReopened, Lifted
from m1cep.custody.policy.records import of_account, of_action, of_alert
from m1cep.errors import AlertStateError, CustodyError
from streams import codec
from streams.custody.derive import chain_of
from streams.custody.secrets import verify_person

if TYPE_CHECKING:
    from collections.abc import Mapping

    from m1cep.custody.policy import Policy
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


def facts_of_state(record: Record, policy: Policy, now_ms: int) -> list[FactEvent]:
    """What a record of an alert's state says. Whoever may write there can reopen an alert; to close it takes signatures.

    Args:
        record: of ``m1cep.alert-states.v1``.
        policy: says whose.
        now_ms: epoch, this signer's clock: nothing is reopened in the future, where no closing could be later.

    Raises:
        CustodyError: it is no such record, or one of a closing that does not count here.
    """
    try:
        said = parse_state(record.value)
    except AlertStateError as error:
        raise CustodyError(str(error)) from None
    if said.state is not State.CLOSED:
        return [AlertReopened(said.alert, min(said.time_ms, now_ms))]
    since_ms = closed_ms(policy, said, now_ms, verify_person)
    return [AlertClosed(said.alert, said.by, since_ms), Lifted(said.alert, said.by, since_ms)]


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
