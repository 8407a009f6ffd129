"""FROST(secp256k1, SHA-256), RFC 9591 section 6.5, and its taproot form whose signatures are BIP340's; on libsecp256k1.

Arithmetic on secrets goes through coincurve's PrivateKey (libsecp256k1's seckey functions, constant-time; coincurve
compares ranges with Python integers on the way). ``mul`` takes a variable time and is for public values only.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from coincurve import PrivateKey, PublicKey, PublicKeyXOnly

from m1cep.custody.frost.errors import EncodingError
from m1cep.custody.frost.suite import draw, sized

if TYPE_CHECKING:
    from collections.abc import Sequence

    from m1cep.custody.frost.suite import Element, Random, Scalar

_ZERO = bytes(32)
_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
_MINUS_ONE = (_ORDER - 1).to_bytes(32, "big")
_TWO_TO_256 = (2**256 % _ORDER).to_bytes(32, "big")


def expand_message_xmd(message: bytes, tag: bytes, size: int) -> bytes:
    """RFC 9380, section 5.3.1, with SHA-256; the tag has at most 255 bytes."""
    tag += bytes([len(tag)])
    first = hashlib.sha256(bytes(64) + message + size.to_bytes(2, "big") + b"\0" + tag).digest()
    block = hashlib.sha256(first + b"\x01" + tag).digest()
    blocks = [block]
    while sum(map(len, blocks)) < size:
        mixed = bytes(a ^ b for a, b in zip(first, block, strict=True))
        block = hashlib.sha256(mixed + bytes([len(blocks) + 1]) + tag).digest()
        blocks.append(block)
    return b"".join(blocks)[:size]


def tagged_hash(tag: bytes, message: bytes) -> bytes:
    """BIP340's tagged hash."""
    prefix = hashlib.sha256(tag).digest()
    return hashlib.sha256(prefix + prefix + message).digest()


class Secp256k1:
    """Signatures as in RFC 9591: an encoded point (33 bytes) and a scalar."""

    name = "FROST-secp256k1-SHA256-v1"
    code = 2
    order = _ORDER
    element_size = 33

    def scalar(self, number: int) -> Scalar:
        """As Suite."""
        return (number % _ORDER).to_bytes(32, "big")

    def random_scalar(self, random: Random) -> Scalar:
        """As Suite; draws until in range, which the first draw is but for 2^-128."""
        while True:
            try:
                return self.deserialize_scalar(draw(random, 32))
            except EncodingError:
                continue

    def deserialize_scalar(self, data: bytes) -> Scalar:
        """As Suite."""
        sized("a secp256k1 scalar", data, 32)
        try:
            PublicKey.from_valid_secret(data)  # its range check is libsecp256k1's own
        except ValueError:
            raise EncodingError("a secp256k1 scalar must not be zero and be less than the group's order") from None
        return data

    def scalar_add(self, left: Scalar, right: Scalar) -> Scalar:
        """As Suite."""
        if _ZERO in (left, right):
            return right if left == _ZERO else left
        try:
            return PrivateKey(left).add(right).secret
        except ValueError:  # of two scalars in range only a sum of zero is refused
            return _ZERO

    def scalar_mul(self, left: Scalar, right: Scalar) -> Scalar:
        """As Suite."""
        return _ZERO if _ZERO in (left, right) else PrivateKey(left).multiply(right).secret

    def scalar_negate(self, scalar: Scalar) -> Scalar:
        """As Suite."""
        return self.scalar_mul(scalar, _MINUS_ONE)

    def _reduce(self, wide: bytes) -> Scalar:
        """48 bytes modulo the order, by the library: H3 makes nonces of them, and Python's ``%`` is not constant-time."""
        high, low = bytes(16) + wide[:16], wide[16:]
        if low >= _ORDER.to_bytes(32, "big"):  # once in 2^128
            low = self.scalar(int.from_bytes(low, "big"))
        return self.scalar_add(self.scalar_mul(high, _TWO_TO_256), low)

    def deserialize_element(self, data: bytes) -> Element:
        """As Suite; compressed SEC 1, in which the identity has no form of this size."""
        sized("a secp256k1 point", data, 33)
        try:
            PublicKey(data)
        except ValueError:
            what = "must not be the identity element" if data == bytes(33) else "must be compressed and on the curve"
            raise EncodingError(f"a secp256k1 point {what}") from None
        return data

    def base_mul(self, scalar: Scalar) -> Element:
        """As Suite."""
        try:
            return PublicKey.from_valid_secret(scalar).format()
        except ValueError:
            raise EncodingError("the generator times zero is the identity element") from None

    def mul(self, element: Element, scalar: Scalar) -> Element:
        """As Suite."""
        try:
            return PublicKey(element).multiply(scalar).format()
        except ValueError:
            raise EncodingError("a product would be the identity element, or a point is invalid") from None

    def add(self, elements: Sequence[Element]) -> Element:
        """As Suite."""
        try:
            return PublicKey.combine_keys([PublicKey(element) for element in elements]).format()
        except ValueError:
            raise EncodingError("a sum of points is the identity element, or a point is invalid") from None

    def even(self, element: Element) -> Element:
        """As Suite."""
        return element

    def _hash_to_scalar(self, tag: bytes, message: bytes) -> Scalar:
        return self._reduce(expand_message_xmd(message, self.name.encode() + tag, 48))

    def h1(self, message: bytes) -> Scalar:
        """As Suite."""
        return self._hash_to_scalar(b"rho", message)

    def h3(self, message: bytes) -> Scalar:
        """As Suite."""
        return self._hash_to_scalar(b"nonce", message)

    def h4(self, message: bytes) -> bytes:
        """As Suite."""
        return hashlib.sha256(self.name.encode() + b"msg" + message).digest()

    def h5(self, message: bytes) -> bytes:
        """As Suite."""
        return hashlib.sha256(self.name.encode() + b"com" + message).digest()

    def hdkg(self, message: bytes) -> Scalar:
        """As Suite."""
        return self._hash_to_scalar(b"dkg", message)

    def challenge(self, group_commitment: Element, group_public_key: Element, message: bytes) -> Scalar:
        """As Suite."""
        return self._hash_to_scalar(b"chal", group_commitment + group_public_key + message)

    def encode_signature(self, group_commitment: Element, response: Scalar) -> bytes:
        """As Suite."""
        return group_commitment + response

    def decode_signature(self, data: bytes) -> tuple[Element, Scalar]:
        """As Suite."""
        sized("a secp256k1 signature", data, 65)
        return self.deserialize_element(data[:33]), self.deserialize_scalar(data[33:])

    def verify(self, group_public_key: Element, message: bytes, signature: bytes) -> bool:
        """As Suite; the prime-order verification of RFC 9591, section 4.6 and appendix B, since no library has it."""
        try:
            commitment, response = self.decode_signature(signature)
            challenge = self.challenge(commitment, self.deserialize_element(group_public_key), message)
            return self.base_mul(response) == self.add([commitment, self.mul(group_public_key, challenge)])
        except EncodingError:
            return False


class Taproot(Secp256k1):
    """Signatures are BIP340's: any taproot node takes them.

    The hashes for binding factors and nonces follow the Zcash Foundation's ``frost-secp256k1-tr``; no RFC has them.
    """

    name = "FROST-secp256k1-SHA256-TR-v1"
    code = 3

    def even(self, element: Element) -> Element:
        """As Suite."""
        return b"\x02" + element[1:]

    def challenge(self, group_commitment: Element, group_public_key: Element, message: bytes) -> Scalar:
        """BIP340's: of x coordinates only."""
        digest = tagged_hash(b"BIP0340/challenge", group_commitment[1:] + group_public_key[1:] + message)
        return self.scalar(int.from_bytes(digest, "big"))

    def encode_signature(self, group_commitment: Element, response: Scalar) -> bytes:
        """As Suite; the commitment must be the even one."""
        return group_commitment[1:] + response

    def decode_signature(self, data: bytes) -> tuple[Element, Scalar]:
        """As Suite."""
        sized("a BIP340 signature", data, 64)
        return self.deserialize_element(b"\x02" + data[:32]), self.deserialize_scalar(data[32:])

    def verify(self, group_public_key: Element, message: bytes, signature: bytes) -> bool:
        """As Suite, by libsecp256k1; of the key, 33 bytes, only x counts."""
        if len(signature) != 64 or len(group_public_key) != 33:
            return False
        try:
            return PublicKeyXOnly(group_public_key[1:]).verify(signature, message)
        except ValueError:
            return False


SECP256K1 = Secp256k1()
TAPROOT = Taproot()
