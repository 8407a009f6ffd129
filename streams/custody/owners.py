"""Vaults that are Safes: every signer is an owner with an ECDSA key of its own, and m of their signatures release.

There is no shared key and no ceremony: the owners' addresses are in the roster, and the vault's address follows from them. An
owner's key follows from the signer's own key and the vault's name, so the keyfile keeps it; who leaves takes no secret along
that the others would have to change, but the Safe's owners stay: another roster means another vault.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING

from coincurve import PrivateKey

from m1cep.custody.chains.evm.safe import address_of, safe_key, signer
from m1cep.custody.frost import several
from m1cep.errors import CustodyError, M1cepError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from m1cep.custody.frost.hidden import Secret
    from streams.custody.roster import Vault

_DOMAIN = b"M1CEP owner of a Safe v1\0"
_SIZE = 65
#: What an owner says in the round of commitments: ECDSA needs none.
NOTHING = several.join([b"owner"])


@dataclass(frozen=True, slots=True)
class OwnerKeys:
    """What is public of such a vault; read as ``PublicKeys`` is.

    Attributes:
        threshold: how many owners sign.
        shares: each owner's address, by number.
        group: what the address follows from (``safe_key``).
        epoch: always 0.
    """

    threshold: int
    shares: Mapping[int, str]
    group: bytes
    epoch: int = 0

    def encode(self) -> bytes:
        """For the audit log."""
        return self.group


def owner_keys(vault: Vault) -> OwnerKeys:
    """Of a vault of the roster.

    Raises:
        CustodyError: its owners cannot be.
    """
    owners = {number: vault.owners[number] for number in sorted(vault.signers)}
    return OwnerKeys(vault.threshold, owners, safe_key(list(owners.values()), vault.threshold))


def owner_key(seed: Secret, vault: str) -> PrivateKey:
    """A signer's key as owner of a vault, from the seed of its own key."""
    return PrivateKey(sha256(_DOMAIN + seed.reveal() + vault.encode()).digest())


def owner_address(seed: Secret, vault: str) -> str:
    """For the roster."""
    return address_of(owner_key(seed, vault).public_key.format(compressed=False))


def sign_as_owner(seed: Secret, vault: str, messages: Sequence[bytes]) -> bytes:
    """An owner's signatures of the digests, in one byte string. The same digest gives the same bytes (RFC 6979)."""
    made = [owner_key(seed, vault).sign_recoverable(message, hasher=None) for message in messages]
    return several.join([one[:64] + bytes([27 + one[64]]) for one in made])


def signed_by(keys: OwnerKeys, number: int, messages: Sequence[bytes], share: bytes) -> bool:
    """Whether an owner has signed each of the digests."""
    try:
        parts = several.split("an owner's signature", share, len(messages))
        return all(signer(part, one) == keys.shares.get(number) for part, one in zip(parts, messages, strict=True))
    except M1cepError:
        return False


def together(shares: Mapping[int, bytes]) -> bytes:
    """Owners' signatures of one digest, one after the other."""
    return b"".join(several.split("an owner's signature", share, 1)[0] for share in shares.values())


def apart(signature: bytes) -> list[bytes]:
    """What ``together`` gave, for ``SafeChain.attach``.

    Raises:
        CustodyError: it is not that.
    """
    if not signature or len(signature) % _SIZE:
        raise CustodyError(f"expected owners' signatures of {_SIZE} bytes each, got {len(signature)} bytes")
    return [signature[at : at + _SIZE] for at in range(0, len(signature), _SIZE)]
