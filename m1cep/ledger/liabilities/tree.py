"""The summation tree over the leaves of an asset: its root, its total, and the way from each leaf to them."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING

from m1cep.errors import LedgerError
from m1cep.ledger.liabilities.verify_balance import AMOUNT_BYTES, NODE_TAG, SUM_BYTES, leaf_prefix

if TYPE_CHECKING:
    from m1cep.ledger.liabilities.chunks import Sheet


class Tree:
    """Hashes and sums, level by level from the leaves up.

    Raises:
        LedgerError: the number of leaves is no power of two, or they are not each there once in the order of their commitments.
    """

    def __init__(self, sheet: Sheet) -> None:
        count = len(sheet.amounts)
        if count == 0 or count & (count - 1):
            raise LedgerError("bad_leaves", f"expected a power of two of leaves, got {count}")
        if any(a >= b for a, b in zip(sheet.commitments, sheet.commitments[1:], strict=False)):
            raise LedgerError("bad_leaves", f"{sheet.asset}: a leaf is there twice, or they are out of order")
        prefix = leaf_prefix(sheet.epoch_ms, sheet.asset)
        # A level is a list of hash and sum, as the node above hashes them. Half a million digests: no calls that are not needed.
        filler = b"\0" * (SUM_BYTES - AMOUNT_BYTES)
        encoded = [amount.to_bytes(AMOUNT_BYTES, "big") for amount in sheet.amounts]
        level = [
            sha256(prefix + amount + one).digest() + filler + amount
            for amount, one in zip(encoded, sheet.commitments, strict=True)
        ]
        self._levels = [level]
        while len(level) > 1:
            level = [_node(left, right) for left, right in zip(level[::2], level[1::2], strict=True)]
            self._levels.append(level)

    @property
    def root(self) -> bytes:
        """The hash that stands for all leaves."""
        return self._levels[-1][0][:32]

    @property
    def total(self) -> int:
        """What they add up to, in minor units."""
        return int.from_bytes(self._levels[-1][0][32:], "big")

    @property
    def leaves(self) -> int:
        """How many there are."""
        return len(self._levels[0])

    def path(self, index: int) -> list[tuple[bytes, int]]:
        """Hash and sum of what stands beside the way from a leaf to the root, from below."""
        beside = [level[(index >> n) ^ 1] for n, level in enumerate(self._levels[:-1])]
        return [(node[:32], int.from_bytes(node[32:], "big")) for node in beside]


def _node(left: bytes, right: bytes) -> bytes:
    """Hash and sum of a node; 2^32 leaves of 96 bits do not overflow it."""
    total = int.from_bytes(left[32:], "big") + int.from_bytes(right[32:], "big")
    return sha256(NODE_TAG + left + right).digest() + total.to_bytes(SUM_BYTES, "big")
