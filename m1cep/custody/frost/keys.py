"""Keys that are shared: the public keys that everybody knows, and one signer's share.

Every key has an epoch, from 0; each refresh or change of members begins the next, and shares of two epochs do not fit.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from m1cep.custody.frost.errors import EncodingError, SharesError, SignersError
from m1cep.custody.frost.hidden import Hidden, Secret
from m1cep.custody.frost.sharing import derive_interpolating_value, distinct
from m1cep.custody.frost.wire import MAX_SIGNERS, Kind, Reader, header, u16, u32

if TYPE_CHECKING:
    from collections.abc import Mapping

    from m1cep.custody.frost.suite import Element, Suite


def check_threshold(threshold: int, members: int) -> None:
    """Raises SignersError unless at least two, and at most all, must sign together, and they are not too many."""
    if members > MAX_SIGNERS:
        raise SignersError(f"at most {MAX_SIGNERS} signers share a key, not {members}")
    if not 2 <= threshold <= members:
        raise SignersError(f"the threshold must be 2 to {members}, the number of signers, not {threshold}")


@dataclass(frozen=True, slots=True)
class PublicKeys:
    """What everybody knows of a shared key.

    Attributes:
        suite: of the key.
        epoch: of its sharing, from 0.
        threshold: how many must sign.
        group: the public key that the chain sees. Of taproot keys only its x coordinate counts.
        shares: identifier of each signer to the public key of its share, ascending.
    """

    suite: Suite
    epoch: int
    threshold: int
    group: Element
    shares: Mapping[int, Element]

    def __post_init__(self) -> None:
        check_threshold(self.threshold, len(self.shares))
        ordered = {identifier: self.shares[identifier] for identifier in distinct(self.shares)}
        object.__setattr__(self, "shares", MappingProxyType(ordered))

    def check(self) -> None:
        """Whether all shares are on one polynomial of the right degree, and the group's key too.

        Raises:
            SharesError: they are not.
        """
        members = list(self.shares)
        first = members[: self.threshold]
        expected = {0: self.group} | {member: self.shares[member] for member in members[self.threshold :]}
        for at, element in expected.items():
            try:
                parts = (
                    self.suite.mul(self.shares[member], derive_interpolating_value(self.suite, first, member, at=at))
                    for member in first
                )
                fits = self.suite.add(list(parts)) == element
            except EncodingError:
                fits = False
            if not fits:
                raise SharesError(
                    f"the public keys do not belong together: {f'signer {at}' if at else 'the group'}'s is wrong"
                )

    def encode(self) -> bytes:
        """One encoding."""
        fields = [header(Kind.PUBLIC_KEYS, self.suite), u32(self.epoch), u16(self.threshold), self.group]
        fields.append(u16(len(self.shares)))
        for identifier, element in self.shares.items():
            fields += (u16(identifier), element)
        return b"".join(fields)

    @classmethod
    def decode(cls, suite: Suite, data: bytes) -> PublicKeys:
        """From ``encode``.

        Raises:
            EncodingError: it is not of that form.
            SignersError, SharesError: these keys cannot be.
        """
        reader = Reader("the public keys", data)
        keys = cls.read(suite, reader)
        reader.end()
        return keys

    @classmethod
    def read(cls, suite: Suite, reader: Reader) -> PublicKeys:
        """As ``decode``, of a part of something longer."""
        reader.header(Kind.PUBLIC_KEYS, suite)
        epoch, threshold, group = reader.u32(), reader.u16(), reader.element(suite)
        pairs = [(reader.identifier(), reader.element(suite)) for _ in range(reader.count())]
        if [identifier for identifier, _ in pairs] != sorted({identifier for identifier, _ in pairs}):
            raise EncodingError("the public keys must name their signers ascending, each once")
        keys = cls(suite, epoch, threshold, group, dict(pairs))
        keys.check()
        return keys


@dataclass(frozen=True, slots=True, repr=False)
class KeyShare(Hidden):
    """One signer's share of a key.

    Attributes:
        identifier: of the signer.
        secret: the share, a scalar.
        public: of the key.
    """

    identifier: int
    secret: Secret
    public: PublicKeys

    def check(self) -> None:
        """Whether the secret is the one whose public key everybody knows.

        A wrong passphrase, or words of another backup, give another secret in silence; this finds out.

        Raises:
            SignersError: the key has no such signer.
            SharesError: the secret is another one.
        """
        known = self.public.shares.get(self.identifier)
        if known is None:
            raise SignersError(
                f"the key has no signer {self.identifier}; it has {', '.join(map(str, self.public.shares))}"
            )
        if self.public.suite.base_mul(self.secret.reveal()) != known:
            raise SharesError(f"the secret is not that of signer {self.identifier}, epoch {self.public.epoch}")

    def encode(self) -> bytes:
        """One encoding. It holds the secret: for encrypted storage only."""
        head = header(Kind.KEY_SHARE, self.public.suite)
        return head + u16(self.identifier) + self.secret.reveal() + self.public.encode()

    @classmethod
    def decode(cls, suite: Suite, data: bytes) -> KeyShare:
        """From ``encode``, checked.

        Raises:
            EncodingError: it is not of that form.
            SignersError, SharesError: this share cannot be.
        """
        reader = Reader("the key share", data)
        reader.header(Kind.KEY_SHARE, suite)
        share = cls(reader.identifier(), Secret(reader.scalar(suite)), PublicKeys.read(suite, reader))
        reader.end()
        share.check()
        return share
