"""BIP341's tweak of a shared taproot key: what the chain sees is not the key that was generated, but one made of it.

Generate (and refresh, repair, recover) the internal key; tweak public keys and share with the same root when signing.
With the empty root, which is the default, the output key can be shown to have no script path (BIP341, "constructing
and spending taproot outputs", point 2): no signer can have slipped one in.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from m1cep.custody.frost.errors import EncodingError, FrostError
from m1cep.custody.frost.hidden import Secret
from m1cep.custody.frost.keys import KeyShare, PublicKeys
from m1cep.custody.frost.secp256k1 import TAPROOT, tagged_hash

if TYPE_CHECKING:
    from m1cep.custody.frost.suite import Scalar


def tap_tweak(public: PublicKeys, merkle_root: bytes = b"") -> Scalar:
    """The tweak of an internal key: a public scalar.

    Raises:
        EncodingError: the root is neither empty nor 32 bytes, or it gives no tweak (which no root does in practice).
        FrostError: the key is not of the taproot suite.
    """
    if public.suite is not TAPROOT:
        raise FrostError(f"only keys of suite {TAPROOT.name} are tweaked, not of {public.suite.name}")
    if len(merkle_root) not in (0, 32):
        raise EncodingError(f"a merkle root must be empty or 32 bytes, not {len(merkle_root)}")
    return TAPROOT.deserialize_scalar(tagged_hash(b"TapTweak", public.group[1:] + merkle_root))


def tweak_public(public: PublicKeys, merkle_root: bytes = b"") -> PublicKeys:
    """The public keys of the output key; ``output_key`` of them is what an address has.

    Raises:
        EncodingError, FrostError: as ``tap_tweak``.
    """
    shift = TAPROOT.base_mul(tap_tweak(public, merkle_root))
    flip = TAPROOT.even(public.group) != public.group
    minus = TAPROOT.scalar(-1)
    shares = {
        identifier: TAPROOT.add([TAPROOT.mul(share, minus) if flip else share, shift])
        for identifier, share in public.shares.items()
    }
    group = TAPROOT.add([TAPROOT.even(public.group), shift])
    return PublicKeys(TAPROOT, public.epoch, public.threshold, group, shares)


def tweak_share(share: KeyShare, merkle_root: bytes = b"") -> KeyShare:
    """A signer's share of the output key.

    Raises:
        EncodingError, FrostError: as ``tap_tweak``.
    """
    tweak, public = tap_tweak(share.public, merkle_root), share.public
    secret = share.secret.reveal()
    if TAPROOT.even(public.group) != public.group:
        secret = TAPROOT.scalar_negate(secret)
    return KeyShare(share.identifier, Secret(TAPROOT.scalar_add(secret, tweak)), tweak_public(public, merkle_root))


def output_key(public: PublicKeys) -> bytes:
    """The x coordinate of a group's key, 32 bytes: what BIP340 verifies with and a taproot address encodes."""
    return public.group[1:]
