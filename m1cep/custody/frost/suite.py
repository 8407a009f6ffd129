"""What a cipher suite is (RFC 9591, section 6): a group of prime order, its encodings, its hashes.

Scalars and elements are kept in their canonical encoding everywhere (``bytes``): what is equal is equal bytes, and
arithmetic on secrets stays inside libsodium and libsecp256k1. ``int`` is used for what is public: identifiers and
interpolation.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from m1cep.custody.frost.errors import EncodingError

Scalar = bytes
Element = bytes
Random = Callable[[int], bytes]
"""Gives that many random bytes; ``secrets.token_bytes`` in production, a fixed stream in tests."""


def draw(random: Random, size: int) -> bytes:
    """Random bytes, with their number checked: a short read must not become a weak key.

    Raises:
        EncodingError: the source gave another number of bytes.
    """
    data = random(size)
    if len(data) != size:
        raise EncodingError(f"the source of randomness gave {len(data)} bytes, {size} were asked for")
    return data


def sized(what: str, data: bytes, size: int) -> bytes:
    """The bytes, if they are that many.

    Raises:
        EncodingError: they are not, or they are no bytes.
    """
    if not isinstance(data, bytes):
        raise EncodingError(f"{what} must be bytes, not {type(data).__name__}")
    if len(data) != size:
        raise EncodingError(f"{what} must be {size} bytes, not {len(data)}")
    return data


class Suite(Protocol):
    """One cipher suite. Instances are constants: ``ED25519``, ``SECP256K1``, ``TAPROOT``."""

    @property
    def name(self) -> str:
        """RFC 9591's contextString."""

    @property
    def code(self) -> int:
        """One byte that names the suite in our encodings."""

    @property
    def order(self) -> int:
        """Of the group."""

    @property
    def element_size(self) -> int:
        """Of an encoded element, in bytes. A scalar has 32 in every suite."""

    # scalars
    def scalar(self, number: int) -> Scalar:
        """A public number modulo the order."""

    def random_scalar(self, random: Random) -> Scalar:
        """A uniform scalar that is not zero."""

    def deserialize_scalar(self, data: bytes) -> Scalar:
        """Checked: right size, canonical, not zero. Raises EncodingError."""

    def scalar_add(self, left: Scalar, right: Scalar) -> Scalar: ...

    def scalar_mul(self, left: Scalar, right: Scalar) -> Scalar: ...

    def scalar_negate(self, scalar: Scalar) -> Scalar: ...

    # elements
    def deserialize_element(self, data: bytes) -> Element:
        """Checked: right size, canonical, on the curve, of prime order, not the identity. Raises EncodingError."""

    def base_mul(self, scalar: Scalar) -> Element:
        """The generator times a scalar that may be secret. Raises EncodingError for zero."""

    def mul(self, element: Element, scalar: Scalar) -> Element:
        """An element times a scalar that must be public: libsecp256k1 takes a variable time for it."""

    def add(self, elements: Sequence[Element]) -> Element:
        """The sum of one element or more. Raises EncodingError when it is the identity."""

    def even(self, element: Element) -> Element:
        """Of an element and its negation the one that verifiers take: BIP340's with even y; elsewhere itself."""

    # hashes
    def h1(self, message: bytes) -> Scalar:
        """For binding factors."""

    def h3(self, message: bytes) -> Scalar:
        """For nonces."""

    def h4(self, message: bytes) -> bytes:
        """Of the message to be signed."""

    def h5(self, message: bytes) -> bytes:
        """Of the list of commitments."""

    def hdkg(self, message: bytes) -> Scalar:
        """For proofs of possession; not in the RFC, as in the Zcash Foundation's suites."""

    def challenge(self, group_commitment: Element, group_public_key: Element, message: bytes) -> Scalar:
        """H2 of what the chain's verifier hashes (section 4.6; BIP340)."""

    # signatures
    def encode_signature(self, group_commitment: Element, response: Scalar) -> bytes:
        """RFC 9591, appendix A; BIP340 for taproot."""

    def decode_signature(self, data: bytes) -> tuple[Element, Scalar]:
        """The opposite, checked. Raises EncodingError."""

    def verify(self, group_public_key: Element, message: bytes, signature: bytes) -> bool:
        """As a verifier who knows nothing of FROST; False too when the signature is malformed."""
