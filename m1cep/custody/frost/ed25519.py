"""FROST(Ed25519, SHA-512), RFC 9591 section 6.1, on libsodium: all arithmetic on scalars and elements is constant-time."""

from __future__ import annotations

import hashlib
from hmac import compare_digest
from typing import TYPE_CHECKING

import nacl.bindings as sodium
from nacl.exceptions import BadSignatureError, CryptoError
from nacl.signing import VerifyKey

from m1cep.custody.frost.errors import EncodingError
from m1cep.custody.frost.suite import draw, sized

if TYPE_CHECKING:
    from collections.abc import Sequence

    from m1cep.custody.frost.suite import Element, Random, Scalar

_ZERO = bytes(32)
_IDENTITY = b"\x01" + bytes(31)


class Ed25519:
    """Signatures are those of RFC 8032: any Ed25519 verifier takes them."""

    name = "FROST-ED25519-SHA512-v1"
    code = 1
    order = 2**252 + 27742317777372353535851937790883648493
    element_size = 32

    def scalar(self, number: int) -> Scalar:
        """As Suite."""
        return (number % self.order).to_bytes(32, "little")

    def random_scalar(self, random: Random) -> Scalar:
        """As Suite; 64 bytes reduced, as libsodium does it."""
        while (scalar := sodium.crypto_core_ed25519_scalar_reduce(draw(random, 64))) == _ZERO:
            pass
        return scalar

    def deserialize_scalar(self, data: bytes) -> Scalar:
        """As Suite."""
        sized("an Ed25519 scalar", data, 32)
        if not compare_digest(sodium.crypto_core_ed25519_scalar_reduce(data + bytes(32)), data):
            raise EncodingError("an Ed25519 scalar must be less than the group's order")
        if compare_digest(data, _ZERO):
            raise EncodingError("an Ed25519 scalar must not be zero")
        return data

    def scalar_add(self, left: Scalar, right: Scalar) -> Scalar:
        """As Suite."""
        return sodium.crypto_core_ed25519_scalar_add(left, right)

    def scalar_mul(self, left: Scalar, right: Scalar) -> Scalar:
        """As Suite."""
        return sodium.crypto_core_ed25519_scalar_mul(left, right)

    def scalar_negate(self, scalar: Scalar) -> Scalar:
        """As Suite."""
        return sodium.crypto_core_ed25519_scalar_negate(scalar)

    def deserialize_element(self, data: bytes) -> Element:
        """As Suite."""
        sized("an Ed25519 point", data, 32)
        if data == _IDENTITY:
            raise EncodingError("an Ed25519 point must not be the identity element")
        if not sodium.crypto_core_ed25519_is_valid_point(data):
            raise EncodingError("an Ed25519 point must be canonical, on the curve and in the prime-order subgroup")
        return data

    def base_mul(self, scalar: Scalar) -> Element:
        """As Suite."""
        try:
            return sodium.crypto_scalarmult_ed25519_base_noclamp(scalar)
        except CryptoError:
            raise EncodingError("the generator times zero is the identity element") from None

    def mul(self, element: Element, scalar: Scalar) -> Element:
        """As Suite."""
        try:
            return sodium.crypto_scalarmult_ed25519_noclamp(scalar, element)
        except CryptoError:
            raise EncodingError("a product would be the identity element, or a point is invalid") from None

    def add(self, elements: Sequence[Element]) -> Element:
        """As Suite."""
        total = elements[0]
        for element in elements[1:]:
            total = sodium.crypto_core_ed25519_add(total, element)
        if total == _IDENTITY:
            raise EncodingError("a sum of points is the identity element")
        return total

    def even(self, element: Element) -> Element:
        """As Suite."""
        return element

    def _hash(self, tag: bytes, message: bytes) -> bytes:
        return hashlib.sha512(self.name.encode() + tag + message).digest()

    def h1(self, message: bytes) -> Scalar:
        """As Suite."""
        return sodium.crypto_core_ed25519_scalar_reduce(self._hash(b"rho", message))

    def h3(self, message: bytes) -> Scalar:
        """As Suite."""
        return sodium.crypto_core_ed25519_scalar_reduce(self._hash(b"nonce", message))

    def h4(self, message: bytes) -> bytes:
        """As Suite."""
        return self._hash(b"msg", message)

    def h5(self, message: bytes) -> bytes:
        """As Suite."""
        return self._hash(b"com", message)

    def hdkg(self, message: bytes) -> Scalar:
        """As Suite."""
        return sodium.crypto_core_ed25519_scalar_reduce(self._hash(b"dkg", message))

    def challenge(self, group_commitment: Element, group_public_key: Element, message: bytes) -> Scalar:
        """As Suite; H2 has no tag here, so that it is RFC 8032's hash."""
        digest = hashlib.sha512(group_commitment + group_public_key + message).digest()
        return sodium.crypto_core_ed25519_scalar_reduce(digest)

    def encode_signature(self, group_commitment: Element, response: Scalar) -> bytes:
        """As Suite."""
        return group_commitment + response

    def decode_signature(self, data: bytes) -> tuple[Element, Scalar]:
        """As Suite."""
        sized("an Ed25519 signature", data, 64)
        return self.deserialize_element(data[:32]), self.deserialize_scalar(data[32:])

    def verify(self, group_public_key: Element, message: bytes, signature: bytes) -> bool:
        """As Suite, by libsodium."""
        if len(signature) != 64 or len(group_public_key) != 32:
            return False
        try:
            VerifyKey(group_public_key).verify(message, signature)
        except BadSignatureError:
            return False
        return True


ED25519 = Ed25519()
