"""The documents: statement (published), a customer's proof, reserves (published). JSON objects; amounts are text.

What signs is handed in as a function of 32 bytes: the key of a group of custody signers, or one of our own.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Any, Literal

from m1cep.errors import LedgerError
from m1cep.ledger.liabilities.verify_balance import (
    FORMAT,
    PROOF_FORMAT,
    RESERVES_FORMAT,
    challenge_digest,
    chunk_salt,
    commitment,
    statement_digest,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from m1cep.ledger.liabilities.chunks import Secret, Sheet
    from m1cep.ledger.liabilities.tree import Tree

Scheme = Literal["ed25519", "bip340"]


@dataclass(frozen=True)
class Signer:
    """A key and what signs with it.

    Attributes:
        scheme: of its signatures.
        public_key: 32 bytes.
        sign: 32 bytes to a signature of 64.
    """

    scheme: Scheme
    public_key: bytes
    sign: Callable[[bytes], bytes]


@dataclass(frozen=True)
class Holding:
    """What lies at an address.

    Attributes:
        chain, asset, address: where, and of what; ``bitcoin:...`` and ``solana:...`` addresses are checked against the key.
        units: in minor units.
        height: of the chain, at which anybody can look.
        signer: the address's key.
    """

    chain: str
    asset: str
    address: str
    units: int
    height: int
    signer: Signer


def statement_of(
    epoch_ms: int, trees: Mapping[str, Tree], decimals: Mapping[str, int], previous: bytes | None
) -> dict[str, Any]:
    """What is signed: for each asset the total, the root and the number of leaves.

    Args:
        epoch_ms: the moment that the balances are of.
        trees: by asset.
        decimals: of each asset.
        previous: digest of the statement before this one; None: this is the first.
    """
    return {
        "format": FORMAT,
        "epoch_ms": epoch_ms,
        "previous": previous.hex() if previous else "",
        "assets": {
            asset: {
                "decimals": decimals[asset],
                "total": str(tree.total),
                "leaves": tree.leaves,
                "root": tree.root.hex(),
            }
            for asset, tree in trees.items()
        },
    }


def signed_document(statement: Mapping[str, Any], signer: Signer) -> dict[str, Any]:
    """The statement with its signature, for publication."""
    value = signer.sign(statement_digest(statement))
    return {"statement": statement, "signature": _signature(signer, value)}


def customer_proof(
    secret: Secret, user: str, signed: Mapping[str, Any], sheets: Mapping[str, Sheet], trees: Mapping[str, Tree]
) -> dict[str, Any]:
    """What a customer gets: their salt, and the way from each of their pieces to the root, in every asset that they have.

    Raises:
        LedgerError: there is nothing of this customer.
    """
    epoch_ms = signed["statement"]["epoch_ms"]
    salt = secret.salt(user, epoch_ms)
    assets = {}
    for asset, sheet in sheets.items():
        if indexes := list(_leaves_of(sheet, salt, user)):
            chunks = [_chunk(sheet.amounts[index], index, trees[asset]) for index in indexes]
            assets[asset] = {"balance": str(sum(sheet.amounts[index] for index in indexes)), "chunks": chunks}
    if not assets:
        raise LedgerError("unknown_customer", f"there is no balance of {user[:80]!r} in the statement of {epoch_ms} ms")
    return {"format": PROOF_FORMAT, "user": user, "salt": salt.hex(), "assets": assets, "signed": signed}


def reserves_document(statement: Mapping[str, Any], holdings: Iterable[Holding]) -> dict[str, Any]:
    """What lies at which addresses, each with its key's signature for this statement, for publication."""
    digest, epoch_ms = statement_digest(statement), statement["epoch_ms"]
    places = []
    for place in holdings:
        challenge = challenge_digest(digest, epoch_ms, place.chain, place.asset, place.address)
        value = place.signer.sign(challenge)
        places.append(
            {
                "chain": place.chain,
                "asset": place.asset,
                "address": place.address,
                "units": str(place.units),
                "height": place.height,
                "scheme": place.signer.scheme,
                "public_key": place.signer.public_key.hex(),
                "signature": value.hex(),
            }
        )
    return {"format": RESERVES_FORMAT, "statement": digest.hex(), "reserves": places}


def _leaves_of(sheet: Sheet, salt: bytes, user: str) -> Iterator[int]:
    """Indexes of a customer's pieces, in the order of their numbers."""
    for number in count():
        index = sheet.find(commitment(chunk_salt(salt, sheet.asset, number), user))
        if index is None:
            return
        yield index


def _chunk(amount: int, index: int, tree: Tree) -> dict[str, Any]:
    path = [[hash_.hex(), str(total)] for hash_, total in tree.path(index)]
    return {"index": index, "amount": str(amount), "path": path}


def _signature(signer: Signer, value: bytes) -> dict[str, str]:
    return {"scheme": signer.scheme, "public_key": signer.public_key.hex(), "value": value.hex()}
