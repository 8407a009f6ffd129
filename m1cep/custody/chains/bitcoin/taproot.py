"""Taproot by the key path: the output key of a vault (BIP 341).

A vault's group key P is the internal key. The output key is Q = P + t·G with t = H_TapTweak(x(P)), P taken with even y: an output
that provably has no script path, so that nobody who took part in the key generation can have hidden one. Signers sign
with the share that ``frost.taproot.tweak_share`` makes of theirs.
"""

from __future__ import annotations

from m1cep.custody.chains.errors import TransferRefusedError
from m1cep.custody.frost import TAPROOT
from m1cep.custody.frost.errors import EncodingError
from m1cep.custody.frost.secp256k1 import tagged_hash


def output_key(group_key: bytes) -> bytes:
    """Q's x coordinate, 32 bytes: what the vault's outputs are locked to and its signatures verify under.

    Args:
        group_key: P, compressed.

    Raises:
        TransferRefusedError: no compressed point of secp256k1.
    """
    try:
        internal = TAPROOT.even(TAPROOT.deserialize_element(group_key))
        shift = TAPROOT.base_mul(tagged_hash(b"TapTweak", internal[1:]))
        return TAPROOT.add([internal, shift])[1:]
    except EncodingError as error:
        raise TransferRefusedError(f"no key of a Bitcoin vault: {error}") from None


def verify(signature: bytes, message: bytes, key: bytes) -> bool:
    """BIP 340, under an x-only key."""
    return TAPROOT.verify(b"\x02" + key, message, signature)
