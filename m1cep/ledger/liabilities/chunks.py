"""Balances to the leaves of an asset: in pieces, each named by a commitment, in an order that says nothing, filled up with zeros.

Everything random is drawn from a secret, by HMAC: the same secret, epoch and balances give the same leaves, so nothing but the
secret has to be kept, and an auditor who is shown it can make them again.
"""

from __future__ import annotations

import hmac
from bisect import bisect_left
from dataclasses import dataclass
from hashlib import sha256
from itertools import pairwise
from typing import TYPE_CHECKING

from m1cep.errors import LedgerError
from m1cep.ledger.liabilities.verify_balance import AMOUNT_BYTES, LEAF_FILE_BYTES, chunk_salt, commitment

if TYPE_CHECKING:
    from collections.abc import Iterable

MOST_AMOUNT = (1 << 8 * AMOUNT_BYTES) - 1  # of one leaf
MOST_BALANCE = MOST_AMOUNT << 16  # which is some hundred thousand leaves
LEAST_CHUNKS, MOST_CHUNKS = 2, 3  # of one balance that fits into a leaf; in one piece it could be recognized
LEAST_LEAVES = 16
MOST_USER_BYTES = 800  # as long as the ledger's longest: 200 characters
_SECRET_BYTES = 32


class Secret:
    """What salts, pieces and filling are drawn from. Who has it can tell whose every leaf is.

    Raises:
        LedgerError: it has not 32 bytes.
    """

    __slots__ = ("_key",)

    def __init__(self, key: bytes) -> None:
        if len(key) != _SECRET_BYTES:
            raise LedgerError("bad_secret", f"expected a secret of {_SECRET_BYTES} bytes, got {len(key)}")
        self._key = key

    def __repr__(self) -> str:
        return "Secret(...)"

    def __reduce__(self) -> str:
        raise TypeError("a secret is not pickled")

    def salt(self, user: str, epoch_ms: int) -> bytes:
        """A customer's own salt of one epoch: it goes into their proof, and opens no other epoch and no other customer."""
        return hmac.digest(self._key, b"salt\0" + user.encode() + b"\0" + epoch_ms.to_bytes(8, "big"), "sha256")

    def filling(self, epoch_ms: int, asset: str, number: int) -> bytes:
        """The commitment of an empty leaf, which looks like any other."""
        words = b"filling\0" + epoch_ms.to_bytes(8, "big") + asset.encode() + b"\0" + number.to_bytes(8, "big")
        return hmac.digest(self._key, words, "sha256")


@dataclass(frozen=True)
class Sheet:
    """The leaves of one asset at one moment, in the order of their commitments; as many as a power of two.

    Attributes:
        epoch_ms: the moment, in ms since 1970.
        asset: its code.
        amounts: in minor units, by leaf.
        commitments: 32 bytes each, ascending.
    """

    epoch_ms: int
    asset: str
    amounts: list[int]
    commitments: list[bytes]

    def find(self, commitment_: bytes) -> int | None:
        """The index of a leaf; None when there is none."""
        index = bisect_left(self.commitments, commitment_)
        there = index < len(self.commitments) and self.commitments[index] == commitment_
        return index if there else None

    def encode(self) -> bytes:
        """For publication: of each leaf the amount (96 bits) and the commitment."""
        pairs = zip(self.amounts, self.commitments, strict=True)
        return b"".join([amount.to_bytes(AMOUNT_BYTES, "big") + one for amount, one in pairs])

    @classmethod
    def decode(cls, epoch_ms: int, asset: str, data: bytes) -> Sheet:
        """What was published. It may be wrong: its tree tells.

        Raises:
            LedgerError: it is no whole number of leaves, or none.
        """
        if not data or len(data) % LEAF_FILE_BYTES:
            raise LedgerError("bad_leaves", f"expected leaves of {LEAF_FILE_BYTES} bytes, got {len(data)} bytes")
        places = range(0, len(data), LEAF_FILE_BYTES)
        amounts = [int.from_bytes(data[at : at + AMOUNT_BYTES], "big") for at in places]
        return cls(epoch_ms, asset, amounts, [data[at + AMOUNT_BYTES : at + LEAF_FILE_BYTES] for at in places])


def make_sheet(secret: Secret, epoch_ms: int, asset: str, balances: Iterable[tuple[str, int]]) -> Sheet:
    """The leaves of what is owed in one asset.

    Args:
        secret: for salts, pieces and filling.
        epoch_ms: the moment that the balances are of, in ms since 1970.
        asset: its code.
        balances: customer and minor units; customers once each.

    Raises:
        LedgerError: a balance below zero or absurdly large, a customer who is there twice or has no usable name.
    """
    leaves: list[tuple[bytes, int]] = []
    seen: set[str] = set()
    for user, units in balances:
        if user in seen:
            raise LedgerError("customer_twice", f"{asset}: the customer {user[:80]!r} has two balances")
        seen.add(user)
        _check_balance(user, units, asset)
        salt = secret.salt(user, epoch_ms)
        for number, amount in enumerate(pieces(salt, asset, units)):
            leaves.append((commitment(chunk_salt(salt, asset, number), user), amount))
    whole = max(
        LEAST_LEAVES, 1 << len(leaves).bit_length()
    )  # more than there are: that there is no filling would say how many
    leaves.extend((secret.filling(epoch_ms, asset, number), 0) for number in range(whole - len(leaves)))
    leaves.sort()  # commitments are as good as dice to those without the secret
    return Sheet(epoch_ms, asset, [amount for _, amount in leaves], [one for one, _ in leaves])


def pieces(salt: bytes, asset: str, units: int) -> list[int]:
    """A balance in two or three pieces, cut where the salt says; of one that no leaf holds, each of some equal parts is."""
    dice = hmac.digest(salt, b"pieces\0" + asset.encode(), "sha256")
    parts = -(-units // MOST_AMOUNT) or 1
    cuts = []
    for part in range(parts):
        low, high = units * part // parts, units * (part + 1) // parts
        cuts.append(low)
        for number in range(LEAST_CHUNKS - 1 + dice[part % len(dice)] % (MOST_CHUNKS - LEAST_CHUNKS + 1)):
            place = sha256(dice + (MOST_CHUNKS * part + number).to_bytes(4, "big")).digest()
            cuts.append(low + int.from_bytes(place, "big") % (high - low + 1))
    cuts.append(units)
    cuts.sort()
    return [high - low for low, high in pairwise(cuts)]


def _check_balance(user: str, units: int, asset: str) -> None:
    if not 0 <= units <= MOST_BALANCE:
        code = "negative_balance" if units < 0 else "overflow"
        raise LedgerError(code, f"{asset}: expected a balance from 0 to {MOST_BALANCE}, got {units} of {user[:80]!r}")
    if not user or not user.isprintable() or len(user.encode()) > MOST_USER_BYTES:
        raise LedgerError(
            "bad_customer",
            f"expected a name of printable characters, at most {MOST_USER_BYTES} bytes, got {user[:80]!r}",
        )
