"""What the coordinator raises as alerts: what was on a chain and is not there any more."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from m1cep.custody.canonical import digest
from m1cep.errors import CustodyError
from m1cep.model.alert import Alert
from streams import codec

if TYPE_CHECKING:
    from streams.custody.roster import Vault
    from streams.custody.transfers import Undone

RULE = "custody-reorganisation"
_SOURCE = "/m1cep/custody/coordinator"
_MOST_AGAIN = 20


class Alarms:
    """Alerts, the newest of which are said again after a restart: consumers know them by their ids."""

    def __init__(self) -> None:
        self._newest: list[Alert] = []

    def undone(self, one: Undone, vault: Vault, short: int, now_ms: int) -> codec.Message:
        """A deposit or release was undone by a reorganisation.

        Args:
            one: what.
            vault: of the roster.
            short: by how much less is in the vault than is owed from it, in minor units.
            now_ms: epoch.
        """
        row = {
            "account": vault.account,
            "vault": one.vault,
            "chain": vault.chain,
            "undone": one.what,
            "reference": one.reference,
            "amount": str(one.units),
            "request": one.request_id or None,
            "short": str(short),
        }
        # With a release the money may go another way; what is short is money that others were promised.
        grave = one.what == "release" or short > 0
        name = digest("alert", {**row, "time_ms": now_ms})[:32]
        severity = "critical" if grave else "high"
        alert = Alert(name, RULE, severity, {"account": vault.account}, row, now_ms, [one.reference])
        self._newest = [*self._newest, alert][-_MOST_AGAIN:]
        return _message(alert)

    def again(self) -> list[codec.Message]:
        """Those that may not have been sent before a crash."""
        return [_message(one) for one in self._newest]

    def snapshot(self) -> Any:
        """Plain values."""
        return msgspec.to_builtins(self._newest)

    def load(self, kept: Any) -> None:
        """As it was.

        Raises:
            CustodyError: this is no snapshot of it.
        """
        try:
            self._newest = msgspec.convert(kept, list[Alert])
        except msgspec.ValidationError as error:
            raise CustodyError(f"expected alerts: {error}") from None


def _message(alert: Alert) -> codec.Message:
    return codec.alert_message(alert, alert.event_time, _SOURCE)
