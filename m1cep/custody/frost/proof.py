"""Proofs of possession: that a participant knows the secret behind its commitment, so that it cannot be made of others'.

A Schnorr proof as in the FROST paper (Komlo and Goldberg 2020, figure 1), with its context; with an empty context it is
that of the Zcash Foundation's suites.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from m1cep.custody.frost.errors import EncodingError

if TYPE_CHECKING:
    from m1cep.custody.frost.hidden import Secret
    from m1cep.custody.frost.suite import Element, Random, Scalar, Suite


def _challenge(suite: Suite, identifier: int, key: Element, nonce_commitment: Element, context: bytes) -> Scalar:
    return suite.hdkg(suite.scalar(identifier) + key + nonce_commitment + context)


def prove_possession(suite: Suite, identifier: int, secret: Secret, context: bytes, random: Random) -> bytes:
    """The proof, encoded as a signature of the suite."""
    nonce = suite.random_scalar(random)
    commitment = suite.base_mul(nonce)
    if (even := suite.even(commitment)) != commitment:
        nonce = suite.scalar_negate(nonce)
    challenge = _challenge(suite, identifier, suite.base_mul(secret.reveal()), even, context)
    return suite.encode_signature(even, suite.scalar_add(nonce, suite.scalar_mul(secret.reveal(), challenge)))


def verify_possession(suite: Suite, identifier: int, key: Element, context: bytes, proof: bytes) -> bool:
    """Whether the participant knows the secret behind ``key``."""
    try:
        commitment, response = suite.decode_signature(proof)
        challenge = _challenge(suite, identifier, key, commitment, context)
        return suite.base_mul(response) == suite.add([commitment, suite.mul(key, challenge)])
    except EncodingError:
        return False
