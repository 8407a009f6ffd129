"""The terms of a ceremony: what all participants have agreed on before its first message."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from m1cep.custody.frost.envelope import CEREMONY_SIZE
from m1cep.custody.frost.errors import SignersError
from m1cep.custody.frost.keys import check_threshold
from m1cep.custody.frost.sharing import derive_interpolating_value, distinct
from m1cep.custody.frost.suite import sized
from m1cep.custody.frost.wire import u16, u32

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from m1cep.custody.frost.keys import PublicKeys
    from m1cep.custody.frost.suite import Scalar, Suite

_TERMS = b"M1CEP FROST ceremony terms v1\0"


@dataclass(frozen=True, slots=True)
class Terms:
    """What all participants have agreed on beforehand. Made by ``new_key``, ``refresh`` and ``reshare``.

    Attributes:
        suite: of the key.
        ceremony: 32 bytes that no other ceremony ever has.
        epoch: that comes of it.
        threshold: that comes of it.
        dealers, receivers: identifiers, ascending.
        roster: identifier of every participant to its verify key.
        previous: the key's public keys until now; None for a new key.
    """

    suite: Suite
    ceremony: bytes
    epoch: int
    threshold: int
    dealers: tuple[int, ...]
    receivers: tuple[int, ...]
    roster: Mapping[int, bytes]
    previous: PublicKeys | None

    def __post_init__(self) -> None:
        sized("a ceremony's name", self.ceremony, CEREMONY_SIZE)
        check_threshold(self.threshold, len(self.receivers))
        participants = distinct(set(self.dealers) | set(self.receivers), "participants")
        if participants != tuple(sorted(self.roster)):
            raise SignersError(f"the roster has signers {sorted(self.roster)}, the ceremony has {list(participants)}")
        for identifier in participants:
            sized(f"the verify key of signer {identifier}", self.roster[identifier], 32)
        object.__setattr__(self, "roster", MappingProxyType({one: self.roster[one] for one in participants}))

    def digest(self) -> bytes:
        """Of all of it: proofs and confirmations are of these terms and no others."""
        fields = [self.suite.name.encode(), self.ceremony, u16(self.threshold)]
        for group in (self.dealers, self.receivers, tuple(self.roster)):
            fields += (u16(len(group)), *map(u16, group))
        fields += self.roster.values()
        fields.append(self.previous.encode() if self.previous else b"")  # which has the epoch
        return hashlib.sha256(_TERMS + b"".join(u32(len(field)) + field for field in fields)).digest()

    def weights(self) -> dict[int, Scalar]:
        """By what each dealer's secret is multiplied."""
        if self.previous is None:
            return dict.fromkeys(self.dealers, self.suite.scalar(1))
        return {one: derive_interpolating_value(self.suite, self.dealers, one) for one in self.dealers}


def new_key(suite: Suite, ceremony: bytes, threshold: int, roster: Mapping[int, bytes]) -> Terms:
    """A new key, shared by all of the roster.

    Raises:
        SignersError: a threshold or signers that cannot be.
        EncodingError: a name or verify key of the wrong size.
    """
    members = distinct(roster)
    return Terms(suite, ceremony, 0, threshold, members, members, roster, None)


def reshare(
    previous: PublicKeys,
    ceremony: bytes,
    threshold: int,
    receivers: Iterable[int],
    dealers: Iterable[int],
    roster: Mapping[int, bytes],
) -> Terms:
    """The same key for other members, or another threshold. A signer keeps its identifier.

    The roster has dealers and receivers.

    Raises:
        SignersError: too few dealers or unknown ones; a threshold or signers that cannot be.
        EncodingError: a name or verify key of the wrong size.
    """
    dealing = distinct(dealers, "dealers")
    if unknown := [one for one in dealing if one not in previous.shares]:
        raise SignersError(
            f"signers {unknown} hold no share to deal; holders are {', '.join(map(str, previous.shares))}"
        )
    if len(dealing) < previous.threshold:
        raise SignersError(f"{len(dealing)} dealers are too few; this key needs {previous.threshold}")
    to = distinct(receivers, "receivers")
    return Terms(previous.suite, ceremony, previous.epoch + 1, threshold, dealing, to, roster, previous)


def refresh(previous: PublicKeys, ceremony: bytes, dealers: Iterable[int], roster: Mapping[int, bytes]) -> Terms:
    """The same key, members and threshold, with new shares: what was stolen of the old ones is worth nothing.

    Raises:
        SignersError, EncodingError: as ``reshare``.
    """
    return reshare(previous, ceremony, previous.threshold, previous.shares, dealers, roster)
