"""What binds every signer's nonces to the message and to everybody's nonces (RFC 9591, sections 4.3 to 4.5)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from m1cep.custody.frost.sharing import distinct

if TYPE_CHECKING:
    from collections.abc import Sequence

    from m1cep.custody.frost.signing import Commitment
    from m1cep.custody.frost.suite import Element, Scalar, Suite


def participants_from_commitment_list(commitments: Sequence[Commitment]) -> tuple[int, ...]:
    """Section 4.3: who signs, ascending. Raises SignersError when one comes twice."""
    return distinct(commitment.identifier for commitment in commitments)


def encode_group_commitment_list(suite: Suite, commitments: Sequence[Commitment]) -> bytes:
    """Section 4.3: what is hashed of the commitments, which must be ascending."""
    return b"".join(suite.scalar(one.identifier) + one.hiding + one.binding for one in commitments)


def binding_factor_inputs(
    suite: Suite, group_public_key: Element, commitments: Sequence[Commitment], message: bytes
) -> dict[int, bytes]:
    """Section 4.4: what each signer's binding factor is the hash of."""
    listed = suite.h5(encode_group_commitment_list(suite, commitments))
    prefix = group_public_key + suite.h4(message) + listed
    return {one.identifier: prefix + suite.scalar(one.identifier) for one in commitments}


def compute_binding_factors(
    suite: Suite, group_public_key: Element, commitments: Sequence[Commitment], message: bytes
) -> dict[int, Scalar]:
    """Section 4.4: each signer's binding factor, which ties its nonces to the message and to everybody's nonces."""
    inputs = binding_factor_inputs(suite, group_public_key, commitments, message)
    return {identifier: suite.h1(data) for identifier, data in inputs.items()}


def compute_group_commitment(suite: Suite, commitments: Sequence[Commitment], factors: dict[int, Scalar]) -> Element:
    """Section 4.5: the signature's R.

    Raises:
        EncodingError: it is the identity element.
    """
    hiding = (one.hiding for one in commitments)
    binding = (suite.mul(one.binding, factors[one.identifier]) for one in commitments)
    return suite.add([*hiding, *binding])
