"""Records of the other topics as facts: alerts, actions, events of accounts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from m1cep.custody.policy.events import AlertRaised, Credential, CredentialChanged, DestinationListed, Held, HoldAction
from m1cep.errors import CustodyError

if TYPE_CHECKING:
    from collections.abc import Mapping

_Event = TypeVar("_Event")


def of_alert(alert: Mapping[str, Any], time_ms: int) -> AlertRaised | None:
    """A record of ``m1cep.alerts.v1``; None when neither its key nor its row names an account.

    Args:
        alert: the JSON object.
        time_ms: its event time, in milliseconds whatever the unit of its stream.

    Raises:
        CustodyError: this is no alert, or its account is no name that a request could have.
    """
    account = _of(alert, "key").get("account") or _of(alert, "row").get("account")
    if account is None:
        return None
    fields = {"alert_id": alert.get("id"), "rule": alert.get("rule"), "severity": alert.get("severity")}
    return _event(AlertRaised, "an alert", {**fields, "account": account, "time_ms": time_ms})


def of_action(action: Mapping[str, Any]) -> Held | None:
    """A record of ``m1cep.actions.v1``; None when it does not hold an account. Its id is that of its alert.

    Raises:
        CustodyError: this is no action, or its account is no name that a request could have.
    """
    if action.get("action") not in list(HoldAction) or action.get("account") is None:
        return None
    fields = {"action": action.get("action"), "account": action.get("account"), "time_ms": action.get("event_time_ms")}
    return _event(Held, "an action", {**fields, "action_id": action.get("id"), "alert_id": action.get("id")})


def of_account(row: Mapping[str, Any], chains: Mapping[str, str]) -> CredentialChanged | DestinationListed | None:
    """A record of ``m1cep.accounts.v1`` with ``ts`` in milliseconds; None when no condition of a policy asks for it.

    Args:
        row: the JSON object.
        chains: by asset. An address that was listed for another asset, or for none, is listed on no chain.

    Raises:
        CustodyError: this is no event of an account, or a name in it is none that a request could have.
    """
    kind = row.get("kind")
    fields = {"event_id": row.get("event_id"), "account": row.get("account"), "time_ms": row.get("ts")}
    if kind in list(Credential):
        return _event(CredentialChanged, "an event of an account", {**fields, "credential": kind})
    chain = chains.get(str(row.get("asset")))
    if kind != "address_whitelisted" or chain is None:
        return None
    more = {"chain": chain, "destination": row.get("address"), "listed": True}
    return _event(DestinationListed, "an event of an account", {**fields, **more})


def _of(record: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    part = record.get(name)
    if not isinstance(part, dict):
        raise CustodyError(f"expected an alert with an object {name!r}, got {type(part).__name__}")
    return part


def _event(kind: type[_Event], thing: str, fields: dict[str, Any]) -> _Event:
    try:
        return msgspec.convert({"type": kind.__name__, **fields}, kind)
    except msgspec.ValidationError as error:
        raise CustodyError(f"expected {thing}: {error}") from None
