"""What FROST refuses, one tree. No error text ever carries a secret: only names, sizes, epochs and identifiers.

FrostError
├── EncodingError      bytes that are not what they should be: size, kind, non-canonical, identity, zero
├── AuthenticityError  a message that is not of its sender, or not of this ceremony
├── SignersError       too few, unknown or repeated signers; a threshold that cannot be
├── EpochError         a share or message of another epoch of the key
├── NonceError         a nonce pair that has signed before, or one that is not the one committed to
├── SharesError        a key share or a set of them that does not fit its public keys
└── MisbehaviourError  somebody sent what an honest signer cannot send: who
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from m1cep.errors import CustodyError

if TYPE_CHECKING:
    from collections.abc import Iterable


class FrostError(CustodyError):
    """Base of what the threshold signatures refuse."""


class EncodingError(FrostError):
    """Bytes that were refused; the message says what was expected and what came, never the bytes."""


class AuthenticityError(FrostError):
    """A message that is not signed by whom it names, or is of another ceremony: forged, mixed up or replayed."""


class SignersError(FrostError):
    """The set of signers cannot be: too few, repeated, unknown."""


class EpochError(FrostError):
    """Something of another epoch of the key.

    Attributes:
        expected, came: the epochs.
    """

    def __init__(self, what: str, *, expected: int, came: int) -> None:
        self.expected, self.came = expected, came
        remedy = "it is out of date: drop it" if came < expected else "this signer is behind: complete the ceremony"
        super().__init__(f"{what} is of epoch {came}, expected epoch {expected}; {remedy}")


class NonceError(FrostError):
    """A nonce pair may sign once; signing again would give the key share away. Take fresh nonces."""


class SharesError(FrostError):
    """A key share, or shares together, do not fit the public keys; nothing was made of them."""


class MisbehaviourError(FrostError):
    """Somebody sent what an honest signer cannot send.

    Attributes:
        culprits: identifiers, ascending; exclude them and begin again with fresh nonces (or a fresh ceremony).
    """

    def __init__(self, what: str, culprits: Iterable[int]) -> None:
        self.culprits = tuple(sorted(culprits))
        names = ", ".join(map(str, self.culprits))
        super().__init__(f"{what}: signer {names}; exclude and repeat with fresh nonces")
