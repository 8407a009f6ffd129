"""Requests as people type them."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import msgspec

from m1cep.custody.request import MAX_PAYOUTS, PAYOUT, Kind, Lock, Request
from streams.custody.asks import check_release
from streams.custody.derive import chain_of
from streams.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Container

    from streams.custody.roster import Roster

_PAYOUT_MS = 3_600_000


def make_request(  # noqa: PLR0913, PLR0917 - the options of the command
    roster: Roster,
    vault: str,
    to: str,
    amount: str,
    requester: str,
    request_id: str,
    expires_s: int,
    not_before_s: int,
    escrow: bool,
    locked: tuple[str, str],
    memo: str,
) -> Request:
    """A request of what a person typed.

    Args:
        roster: says whose the vault is, and on which chain.
        vault: where from.
        to: address.
        amount: of the vault's asset, such as 0.015.
        requester: the person's name.
        request_id: given by the person.
        expires_s: seconds from now.
        not_before_s: the same; 0: no time lock.
        escrow: wait for alerts to be closed.
        locked: VAULT:AMOUNT that is locked on the other side, and who gets it; both may be empty.
        memo: for those who approve.

    Raises:
        UsageError: what was typed does not go together.
        CustodyError: an address, an amount, a vault that cannot be.
    """
    if vault not in roster.vaults:
        raise UsageError(f"there is no vault {vault!r}", f"there are: {', '.join(sorted(roster.vaults)) or 'none'}")
    lock, payee = locked
    if payee and not lock:
        raise UsageError("--payee is of a --lock: whom it is paid to")
    if lock and (escrow or not_before_s):
        raise UsageError("--lock is of a cross-chain transfer, which has no --not-before and is no --escrow")
    if escrow and not not_before_s:
        raise UsageError("an --escrow needs --not-before: the time that it waits at least")
    kind = Kind.CROSS_CHAIN if lock else Kind.ESCROW if escrow else Kind.TIME_LOCK if not_before_s else Kind.TRANSFER
    chain = chain_of(roster.vaults[vault].chain)
    now_ms = time.time_ns() // 1_000_000
    fields: dict[str, Any] = {
        "id": request_id,
        "kind": kind.value,
        "requester": requester,
        "account": roster.vaults[vault].account,
        "vault": vault,
        "chain": chain.name,
        "asset": chain.asset.symbol,
        "destination": chain.destination(to),
        "amount": str(chain.asset.parse(amount)),
        "requested_ms": now_ms,
        "expires_ms": now_ms + expires_s * 1_000,
        "not_before_ms": now_ms + not_before_s * 1_000 if not_before_s else 0,
        "memo": memo,
    }
    if lock:
        side, _, amount_there = lock.rpartition(":")
        if side not in roster.vaults:
            raise UsageError(f"--lock expects VAULT:AMOUNT of a vault in the roster, got {lock!r}")
        other = chain_of(roster.vaults[side].chain)
        to = other.destination(payee) if payee else ""
        fields["lock"] = Lock(
            side,
            other.name,
            other.asset.symbol,
            str(other.asset.parse(amount_there)),
            other.destination(payee) if payee else "",
        )
    try:
        made = msgspec.convert(fields, Request)
    except msgspec.ValidationError as error:
        raise UsageError(f"this is no request: {error}") from None
    check_release(roster.vaults, made)
    return made


def make_payout(roster: Roster, request: Request, requester: str, known: Container[str]) -> Request:
    """The next payout of the lock of a request.

    Args:
        roster: says whose the lock's vault is.
        request: the cross-chain transfer.
        requester: who asks.
        known: ids of requests that there are.

    Raises:
        UsageError: it has no lock with a payee.
    """
    lock = request.lock
    if lock is None or not lock.payee:
        raise UsageError(f"request {request.id} has no lock with a payee")
    free = (n for n in range(1, MAX_PAYOUTS + 1) if f"{request.id}{PAYOUT}{n}" not in known)
    now_ms = time.time_ns() // 1_000_000
    about = (roster.vaults[lock.vault].account, lock.vault, lock.chain, lock.asset, lock.payee, lock.amount)
    name = f"{request.id}{PAYOUT}{next(free, MAX_PAYOUTS)}"
    return Request(name, Kind.PAYOUT, requester, *about, now_ms, now_ms + _PAYOUT_MS)
