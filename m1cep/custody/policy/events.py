"""What facts are made of. Every event has an id or is about a thing that has one, so that said twice it counts once."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, TypeAlias

import msgspec

# msgspec reads the annotations when it decodes, so these are needed while it runs.
from m1cep.custody.request import Amount, Millis, Name  # noqa: TC001
from m1cep.errors import CustodyError

MAX_BYTES = 16_384


class Severity(StrEnum):
    """How grave an alert is, as rules say it."""

    INFO = "info"
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"

    @property
    def rank(self) -> int:
        """Larger is graver."""
        return list(Severity).index(self)


class HoldAction(StrEnum):
    """What a rule or a person does to an account."""

    FREEZE = "freeze_account"
    HOLD = "hold_withdrawal"


class Credential(StrEnum):
    """Changes after which withdrawals cool off; the names are those of the accounts stream."""

    PASSWORD = "password_changed"  # noqa: S105 - a kind of event
    SECOND_FACTOR = "two_factor_changed"


class Spent(StrEnum):
    """Where an amount stands that was taken from a vault. The later word counts, in whichever order they came."""

    RESERVED = "reserved"  # a signature may come to be
    RETURNED = "returned"  # none will be on any chain
    RELEASED = "released"  # it is on the chain

    @property
    def rank(self) -> int:
        """Larger is later."""
        return list(Spent).index(self)


class _Event(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag=True):
    pass


class AlertRaised(_Event, frozen=True):
    """A rule matched, and the account is its key or in its row."""

    alert_id: Name
    rule: Name
    severity: Severity
    account: Name
    time_ms: Millis


class AlertClosed(_Event, frozen=True):
    """A person has dealt with it: for good, unless it is reopened later."""

    alert_id: Name
    by: Name
    time_ms: Millis


class AlertReopened(_Event, frozen=True):
    """It is not dealt with after all: it, and what it has brought upon the account, stand again until a later closing."""

    alert_id: Name
    time_ms: Millis


class Held(_Event, frozen=True):
    """An action on an account; stands until it is lifted.

    Attributes:
        action_id: of this action.
        alert_id: of the alert that it comes from; may be empty where a person did it.
    """

    action_id: Name
    action: HoldAction
    account: Name
    time_ms: Millis
    alert_id: str = ""


class Lifted(_Event, frozen=True):
    """An action is over: for good, unless its alert is reopened later."""

    action_id: Name
    by: Name
    time_ms: Millis


class CredentialChanged(_Event, frozen=True):
    """Password or second factor of an account is another one now."""

    event_id: Name
    account: Name
    credential: Credential
    time_ms: Millis


class DestinationListed(_Event, frozen=True):
    """An account's whitelist was changed.

    Attributes:
        listed: put on it, else taken off. Of changes to one destination the newest counts, of equally new ones the removal.
    """

    event_id: Name
    account: Name
    chain: Name
    destination: Name
    listed: bool
    time_ms: Millis


class Spending(_Event, frozen=True):
    """An amount taken from a vault by a request."""

    request_id: Name
    account: Name
    vault: Name
    chain: Name
    asset: Name
    amount: Amount
    spent: Spent
    time_ms: Millis


class VaultBalance(_Event, frozen=True):
    """What is in a vault by its chain, confirmed. Of several the newest counts; of equally new ones the smallest.

    Attributes:
        units: minor units, as text.
        time_ms: up to when releases are in it.
    """

    vault: Name
    chain: Name
    asset: Name
    units: str
    time_ms: Millis

    def __post_init__(self) -> None:
        if not (self.units == "0" or (self.units.isascii() and self.units.isdigit() and self.units[0] != "0")):
            raise ValueError(f"expected units as digits, got {self.units[:40]!r}")


class LockStands(_Event, frozen=True):
    """The other side of a cross-chain transfer is locked.

    Attributes:
        payee: who gets what is locked when the release has happened; empty: nobody is named.
    """

    request_id: Name
    vault: Name
    chain: Name
    asset: Name
    amount: Amount
    time_ms: Millis
    payee: Annotated[str, msgspec.Meta(max_length=128)] = ""


class LockReturned(_Event, frozen=True):
    """It was given back, for good."""

    request_id: Name
    time_ms: Millis


class LockSettled(_Event, frozen=True):
    """The release that it was for has happened: what is locked is the payee's."""

    request_id: Name
    time_ms: Millis


FactEvent: TypeAlias = (
    AlertRaised
    | AlertClosed
    | AlertReopened
    | Held
    | Lifted
    | CredentialChanged
    | DestinationListed
    | Spending
    | VaultBalance
    | LockStands
    | LockReturned
    | LockSettled
)

_decoder: msgspec.json.Decoder[FactEvent] = msgspec.json.Decoder(FactEvent)


def parse_fact(blob: bytes) -> FactEvent:
    """An event from JSON, told by its field ``type``.

    Raises:
        CustodyError: it is too long, not JSON, of no known type, or a field is missing, unknown or wrong.
    """
    if len(blob) > MAX_BYTES:
        raise CustodyError(f"expected an event of at most {MAX_BYTES} bytes, got {len(blob)}")
    try:
        return _decoder.decode(blob)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise CustodyError(f"expected an event about accounts or vaults: {error}") from None
