"""Accounts: whose, of what asset, and which side of them may not fall below zero.

    kind        owner        grows by   below zero       holds
    client      an account   credit     never, unless    what a client may trade with: we owe it
    vault       a vault      debit      the chart says   what lies in a vault of custody, by its chain
    omnibus     platform     debit      may              what the platform holds for all clients' trading accounts
    clearing    platform     either     may              the other side of every fill; of a closed market zero
    fees        platform     credit     may              trading fees, less rebates

The accounts of the platform may be below zero because the order of events of different clients means nothing: a withdrawal
of one may be booked before the deposit of another that paid for it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from functools import lru_cache
from hashlib import blake2b
from typing import NamedTuple
from uuid import UUID

from m1cep.errors import LedgerError

#: Of one transfer, in minor units: what a leaf of the liabilities may hold.
MOST_UNITS = 2**96 - 1
#: Of all debits or all credits of an account.
MOST_TOTAL = 2**127 - 1
PLATFORM = "platform"


class Kind(StrEnum):
    """What an account is for."""

    CLIENT = "client"
    VAULT = "vault"
    OMNIBUS = "omnibus"
    CLEARING = "clearing"
    FEES = "fees"


class Side(StrEnum):
    """By which an account grows, where the other one may not exceed it."""

    CREDIT = "credit"
    DEBIT = "debit"
    EITHER = "either"


SIDES = {Kind.CLIENT: Side.CREDIT, Kind.VAULT: Side.DEBIT}


class AccountKey(NamedTuple):
    """Which account.

    Attributes:
        owner: the client's account or the vault; ``platform`` of the others.
        asset: code in the chart, such as ``USD``, or ``bitcoin:main/BTC`` for what is on a chain.
    """

    kind: Kind
    owner: str
    asset: str

    def __str__(self) -> str:
        return f"{self.kind}/{self.owner}/{self.asset}"

    @property
    def id(self) -> UUID:
        """128 bits, the same wherever and whenever: the account's name in a database."""
        return _account_id(self)


@lru_cache(maxsize=1 << 16)
def _account_id(key: AccountKey) -> UUID:
    digest = blake2b(digest_size=16, person=b"m1cep.account")
    for part in key:
        raw = part.encode()
        digest.update(len(raw).to_bytes(4) + raw)
    return UUID(bytes=digest.digest())


@dataclass(frozen=True, slots=True)
class Account:
    """Totals of an account, in minor units; they only grow, but for those of what is pending.

    Attributes:
        overdraft: it may be below zero.
    """

    overdraft: bool = False
    debits_pending: int = 0
    debits_posted: int = 0
    credits_pending: int = 0
    credits_posted: int = 0

    def balance(self, side: Side) -> int:
        """What is posted, as whoever owns it would say: of a client or of fees what came less what went."""
        return (self.credits_posted - self.debits_posted) * (1 if side is Side.CREDIT else -1)

    def plus(self, *, debit: int = 0, credit: int = 0, debit_pending: int = 0, credit_pending: int = 0) -> Account:
        """The account after a transfer, unchecked."""
        return replace(
            self,
            debits_pending=self.debits_pending + debit_pending,
            debits_posted=self.debits_posted + debit,
            credits_pending=self.credits_pending + credit_pending,
            credits_posted=self.credits_posted + credit,
        )

    def check(self, key: AccountKey) -> None:
        """Whether an account may stand like this; what is pending on the way out counts as gone, on the way in as not there.

        Raises:
            LedgerError: overflow, or below zero.
        """
        for name in ("debits_posted", "credits_posted", "debits_pending", "credits_pending"):
            if getattr(self, name) > MOST_TOTAL:
                raise LedgerError(f"overflows_{name}", f"{key} would have more than {MOST_TOTAL} minor units there")
        side = SIDES.get(key.kind, Side.EITHER)
        if self.overdraft or side is Side.EITHER:
            return
        if side is Side.CREDIT and (short := self.debits_posted + self.debits_pending - self.credits_posted) > 0:
            raise LedgerError("exceeds_credits", f"{key} lacks {short} minor units")
        if side is Side.DEBIT and (short := self.credits_posted + self.credits_pending - self.debits_posted) > 0:
            raise LedgerError("exceeds_debits", f"{key} lacks {short} minor units")
