"""What is asked for: the one form that coordinator, signers and people digest, approve and sign."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, TypeAlias

import msgspec

from m1cep.custody.canonical import digest
from m1cep.errors import CustodyError

#: Minor units (satoshi, lamport, wei) as digits: exact for every reader of JSON, and written in one way only.
Amount: TypeAlias = Annotated[str, msgspec.Meta(pattern=r"^[1-9][0-9]{0,77}\Z")]
#: Names of things; no white space or control characters, so that what a person approves is what they see.
Name: TypeAlias = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.:@/+-]{0,127}\Z")]
Millis: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=2**53 - 1)]
Digest: TypeAlias = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}\Z")]

MAX_BYTES = 16_384
#: A payout's id is that of the request whose lock it pays out, this, and a number from 1: a lock is paid out once.
PAYOUT = "+payout-"
MAX_PAYOUTS = 99


_PAYOUT_ID = re.compile(r".\+payout-[1-9][0-9]?\Z")


class Kind(StrEnum):
    """What a request is about."""

    TRANSFER = "transfer"  # now
    TIME_LOCK = "time_lock"  # when its time has come
    ESCROW = "escrow"  # when its time has come and no alert is open on the account
    CROSS_CHAIN = "cross_chain"  # when the other side is locked
    PAYOUT = "payout"  # of a lock, when the release that it was for has happened


class Lock(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The other side of a cross-chain transfer: what is locked there until the request's own side is released, or has ended.

    Attributes:
        vault, chain, asset: where the lock is.
        amount: minor units of that asset.
        payee: address on that chain that gets what is locked once the release has happened; empty: it stays locked.
    """

    vault: Name
    chain: Name
    asset: Name
    amount: Amount
    payee: Annotated[str, msgspec.Meta(pattern=r"^([A-Za-z0-9][A-Za-z0-9_.:@/+-]{0,127})?\Z")] = ""


class Request(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A release of an asset from a vault.

    Attributes:
        id: given by whoever asks; said twice it counts once, and with other contents it is refused.
        requester: the person or service that asks; never one of those who approve.
        account: whose asset it is.
        vault, chain, asset: where it is released.
        destination: address on that chain.
        amount: minor units, as text of digits.
        requested_ms, expires_ms: epoch; after ``expires_ms`` nobody signs.
        not_before_ms: of a time lock or escrow: when its time has come.
        lock: of a cross-chain transfer.
        memo: shown to approvers.
    """

    id: Name
    kind: Kind
    requester: Name
    account: Name
    vault: Name
    chain: Name
    asset: Name
    destination: Name
    amount: Amount
    requested_ms: Millis
    expires_ms: Millis
    not_before_ms: Millis = 0
    lock: Lock | None = None
    memo: Annotated[str, msgspec.Meta(max_length=280)] = ""

    @property
    def units(self) -> int:
        """The amount in minor units."""
        return int(self.amount)

    @property
    def pays_out(self) -> str:
        """Of a payout: the request whose lock it pays out."""
        return self.id.rpartition(PAYOUT)[0]

    def digest(self) -> str:
        """64 hexadecimal digits over all of it: equal if and only if the contents are."""
        return digest("request", msgspec.to_builtins(self))


def shown_time(time_ms: int) -> str:
    """A time as people read it: RFC 3339, UTC, with milliseconds; one that no calendar has, as it is."""
    try:
        shown = datetime.fromtimestamp(time_ms // 1_000, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    except (ValueError, OverflowError, OSError):
        return f"{time_ms} ms"
    return f"{shown}.{time_ms % 1_000:03}Z"


def parse_request(blob: bytes) -> Request:
    """A request from JSON.

    Raises:
        CustodyError: it is too long, not JSON, lacks a field, has one too many, or one does not fit the others.
    """
    if len(blob) > MAX_BYTES:
        raise CustodyError(f"expected a request of at most {MAX_BYTES} bytes, got {len(blob)}")
    try:
        request = msgspec.json.decode(blob, type=Request)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise CustodyError(f"expected a request: {error}") from None
    check_request(request)
    return request


def check_request(request: Request) -> None:
    """That the fields fit each other.

    Raises:
        CustodyError: says which do not.
    """
    if request.expires_ms <= request.requested_ms:
        raise CustodyError(
            f"request {request.id}: expected expires_ms after requested_ms {shown_time(request.requested_ms)}, "
            f"got {shown_time(request.expires_ms)}"
        )
    timed = request.kind in {Kind.TIME_LOCK, Kind.ESCROW}
    if timed and not request.requested_ms < request.not_before_ms < request.expires_ms:
        raise CustodyError(
            f"request {request.id}: expected not_before_ms of a {request.kind} between requested_ms and expires_ms "
            f"({shown_time(request.requested_ms)} to {shown_time(request.expires_ms)}), got {shown_time(request.not_before_ms)}"
        )
    if not timed and request.not_before_ms:
        raise CustodyError(
            f"request {request.id}: a {request.kind} has no not_before_ms; ask for a {Kind.TIME_LOCK} or {Kind.ESCROW}"
        )
    if (request.kind is Kind.CROSS_CHAIN) != (request.lock is not None):
        raise CustodyError(f"request {request.id}: expected a lock in a {Kind.CROSS_CHAIN}, and in no other kind")
    if (request.kind is Kind.PAYOUT) != bool(_PAYOUT_ID.search(request.id)):
        raise CustodyError(
            f"request {request.id}: the id of a {Kind.PAYOUT}, and of nothing else, ends with {PAYOUT} and a number from 1 to "
            f"{MAX_PAYOUTS}"
        )
    if request.lock is not None and request.lock.payee and len(request.id) > 110:
        raise CustodyError(
            f"request {request.id}: expected an id of at most 110 characters, for its payout has a longer one"
        )
    if any(ord(c) < 32 or 0xD800 <= ord(c) < 0xE000 or not c.isprintable() for c in request.memo):
        raise CustodyError(f"request {request.id}: expected a memo of printable text on one line")
