"""Postings: what is asked of the books, each under an id of its own.

A leg moves an amount from one account to another of the same asset (it debits the one, credits the other): so debits equal
credits by construction. The legs of a posting are booked together or not at all.

    how       its legs                                                             TigerBeetle's name
    POST      are booked                                                           (linked) transfers
    HOLD      one: sets its amount aside until ``expires_ms`` of event time        pending
    SETTLE    the first is booked out of the hold ``hold``, the rest beside it     post_pending_transfer
              and without such an open hold, all are booked by themselves
    RELEASE   none: ends the hold ``hold``, if it is open; one that comes later    void_pending_transfer
              finds itself ended
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from hashlib import blake2b
from typing import TYPE_CHECKING, NamedTuple

from m1cep.errors import LedgerError
from m1cep.ledger.accounts import MOST_UNITS, AccountKey
from m1cep.ledger.chart import check_name

if TYPE_CHECKING:
    from collections.abc import Iterable


class How(StrEnum):
    """What a posting does; see the module."""

    POST = "post"
    HOLD = "hold"
    SETTLE = "settle"
    RELEASE = "release"


class Leg(NamedTuple):
    """An amount on its way from one account to another.

    Attributes:
        units: of the accounts' asset, minor, above zero.
    """

    debit: AccountKey
    credit: AccountKey
    units: int


class Entry(NamedTuple):
    """One line of a journal as accountants write it.

    Attributes:
        units: minor; above zero a debit, below a credit.
    """

    account: AccountKey
    units: int


@dataclass(frozen=True, slots=True)
class Posting:
    """See the module.

    Attributes:
        id: given by whoever posts; said again with the same contents it counts once.
        kind: what it is about, such as fill or deposit.
        owner: whose it is: the client's account. All of it is kept where that one's books are.
        time_ms: when it happened, by the event (epoch).
        hold: id of the hold that it settles or releases.
        expires_ms: of a hold (epoch, by event time); 0: it does not.

    Raises:
        LedgerError: it cannot be meant.
    """

    id: str
    kind: str
    owner: str
    time_ms: int
    legs: tuple[Leg, ...]
    how: How = How.POST
    hold: str = ""
    expires_ms: int = 0

    def __post_init__(self) -> None:
        check_name(self.id, "id", 400)
        check_name(self.owner, "owner")
        if (self.how in {How.SETTLE, How.RELEASE}) != bool(self.hold):
            raise LedgerError(
                "bad_posting", f"{self.id}: a hold is named by what settles or releases it, and by nothing else"
            )
        if self.hold == self.id:
            raise LedgerError("bad_posting", f"{self.id}: names itself as the hold that it ends")
        if self.expires_ms and self.how is not How.HOLD:
            raise LedgerError("bad_posting", f"{self.id}: only a hold expires")
        expected = {How.HOLD: (1, 1), How.RELEASE: (0, 0)}.get(self.how, (1, 32))
        if not expected[0] <= len(self.legs) <= expected[1]:
            raise LedgerError(
                "bad_posting", f"{self.id}: expected {expected[0]} to {expected[1]} legs, got {len(self.legs)}"
            )
        for leg in self.legs:
            self._check(leg)

    def _check(self, leg: Leg) -> None:
        if leg.debit.asset != leg.credit.asset:
            raise LedgerError(
                "unbalanced", f"{self.id}: debits {leg.debit}, but credits {leg.credit}: not the same asset"
            )
        if leg.debit == leg.credit:
            raise LedgerError("bad_posting", f"{self.id}: from {leg.debit} to itself")
        if type(leg.units) is not int or not 0 < leg.units <= MOST_UNITS:
            raise LedgerError(
                "overflows_amount", f"{self.id}: expected 1 to {MOST_UNITS} minor units, got {leg.units!r:.60}"
            )

    def accounts(self) -> Iterable[AccountKey]:
        """Those that it moves something on."""
        for leg in self.legs:
            yield leg.debit
            yield leg.credit

    def digest(self) -> bytes:
        """16 bytes over all of it: equal if and only if the contents are."""
        digest = blake2b(digest_size=16, person=b"m1cep.posting")
        parts = [self.id, self.kind, self.owner, str(self.time_ms), self.how, self.hold, str(self.expires_ms)]
        for leg in self.legs:
            parts += (*leg.debit, *leg.credit, str(leg.units))
        for part in parts:
            raw = part.encode()
            digest.update(len(raw).to_bytes(4) + raw)
        return digest.digest()


def legs_of(entries: Iterable[Entry]) -> tuple[Leg, ...]:
    """The legs of a journal: of each asset, debits are matched with credits in their order.

    Raises:
        LedgerError: debits and credits of an asset are not equal.
    """
    debits: dict[str, list[tuple[AccountKey, int]]] = {}
    credits_: dict[str, list[tuple[AccountKey, int]]] = {}
    for account, units in entries:
        (debits if units > 0 else credits_).setdefault(account.asset, []).append((account, abs(units)))
    legs = []
    for asset in dict.fromkeys((*debits, *credits_)):
        due, owed = debits.get(asset, []), credits_.get(asset, [])
        total, other = sum(u for _, u in due), sum(u for _, u in owed)
        if total != other:
            raise LedgerError("unbalanced", f"debits of {asset} are {total} minor units, credits {other}")
        owed = owed[::-1]
        for account, units in due:
            left = units
            while left:
                to, room = owed.pop()
                moved = min(left, room)
                legs.append(Leg(account, to, moved))
                left -= moved
                if room > moved:
                    owed.append((to, room - moved))
    return tuple(legs)
