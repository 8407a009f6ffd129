"""Our encodings: a byte for the kind, one for the suite, then fixed fields and counted lists. One encoding a value.

RFC 9591 says only what is hashed; how messages travel is ours. Whatever bytes come in, a parser gives a value that
encodes to the same bytes, or raises EncodingError.
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING

from m1cep.custody.frost.errors import EncodingError

if TYPE_CHECKING:
    from m1cep.custody.frost.suite import Element, Scalar, Suite

MAX_IDENTIFIER = 2**16 - 1
MAX_SIGNERS = 255  # bounds the work that a message can cause


class Kind(IntEnum):
    """First byte of every encoding."""

    COMMITMENT = 1
    SIGNATURE_SHARE = 2
    PUBLIC_KEYS = 3
    KEY_SHARE = 4
    ROUND_ONE = 5
    REPAIR_SPLIT = 6
    ENVELOPE = 7
    PENDING = 8


def header(kind: Kind, suite: Suite) -> bytes:
    """The first two bytes."""
    return bytes((kind, suite.code))


def u16(number: int) -> bytes:
    """Identifiers and counts."""
    return number.to_bytes(2, "big")


def u32(number: int) -> bytes:
    """Epochs."""
    return number.to_bytes(4, "big")


class Reader:
    """Takes fields from the front; every method raises EncodingError where the bytes do not allow it."""

    def __init__(self, what: str, data: bytes) -> None:
        if not isinstance(data, bytes):
            raise EncodingError(f"{what} must be bytes, not {type(data).__name__}")
        self.what, self._data, self._at = what, data, 0

    def take(self, size: int) -> bytes:
        """That many bytes."""
        end = self._at + size
        if end > len(self._data):
            raise EncodingError(f"{self.what} ends after {len(self._data)} bytes, at least {end} are needed")
        self._at, begin = end, self._at
        return self._data[begin:end]

    def header(self, kind: Kind, suite: Suite) -> None:
        """Kind and suite, which must be these."""
        came = self.take(2)
        if came[0] != kind:
            raise EncodingError(
                f"{self.what} must begin with {int(kind)}, not {came[0]}: this is another kind of message"
            )
        if came[1] != suite.code:
            raise EncodingError(f"{self.what} must be of suite {suite.name} ({suite.code}), not of suite {came[1]}")

    def u16(self) -> int:
        """A number, or the size of something."""
        return int.from_bytes(self.take(2), "big")

    def count(self) -> int:
        """How many signers' fields follow."""
        if (number := self.u16()) > MAX_SIGNERS:
            raise EncodingError(f"{self.what} is of {number} signers; at most {MAX_SIGNERS} share a key")
        return number

    def u32(self) -> int:
        """An epoch."""
        return int.from_bytes(self.take(4), "big")

    def identifier(self) -> int:
        """Of a signer; zero, which would be the key itself, is refused."""
        if (number := self.u16()) == 0:
            raise EncodingError(f"{self.what} names signer 0; identifiers are 1 to {MAX_IDENTIFIER}")
        return number

    def element(self, suite: Suite) -> Element:
        """A checked element."""
        return suite.deserialize_element(self.take(suite.element_size))

    def scalar(self, suite: Suite) -> Scalar:
        """A checked scalar."""
        return suite.deserialize_scalar(self.take(32))

    def rest(self) -> bytes:
        """All that is left."""
        return self.take(len(self._data) - self._at)

    def end(self) -> None:
        """Nothing may be left."""
        if left := len(self._data) - self._at:
            raise EncodingError(f"{self.what} has {left} bytes too many")
