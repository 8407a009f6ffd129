"""Who says so: messages signed by their sender, bound to one ceremony or attempt, one epoch, one purpose.

The broker is not trusted: it may drop, repeat, reorder and mix up messages. What it cannot do is change one, or pass
off a message of another ceremony, epoch, purpose or sender.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING

from nacl.exceptions import BadSignatureError
from nacl.signing import SigningKey, VerifyKey

from m1cep.custody.frost.errors import (
    AuthenticityError,
    EncodingError,
    EpochError,
    MisbehaviourError,
    SignersError,
)
from m1cep.custody.frost.hidden import Hidden
from m1cep.custody.frost.suite import sized
from m1cep.custody.frost.wire import Kind, Reader, header, u16, u32

if TYPE_CHECKING:
    from collections.abc import Mapping

    from m1cep.custody.frost.hidden import Secret
    from m1cep.custody.frost.suite import Suite

TO_ALL = 0
CEREMONY_SIZE = 32
_DOMAIN = b"M1CEP FROST envelope v1\0"
_SIGNATURE_SIZE = 64


class Purpose(IntEnum):
    """What the body is. One number is never used for two things."""

    ROUND_ONE = 1
    SEALED_SHARE = 2
    CONFIRMATION = 3
    COMMITMENT = 4
    SIGNATURE_SHARE = 5
    BOX_KEY = 6
    REPAIR_SPLIT = 7
    REPAIR_PART = 8
    REPAIR_SUM = 9


class Identity(Hidden):
    """A signer's own Ed25519 key, by which others know it; it has nothing to do with the shared key.

    Attributes:
        identifier: of the signer.
        verify_key: 32 bytes, for the roster.
    """

    __slots__ = ("_key", "identifier", "verify_key")

    def __init__(self, identifier: int, seed: Secret) -> None:
        self._key = SigningKey(sized("the seed of an identity", seed.reveal(), 32))
        self.identifier = identifier
        self.verify_key = bytes(self._key.verify_key)

    def sign(self, data: bytes) -> bytes:
        """64 bytes. The data must begin with what no other use begins with."""
        return self._key.sign(data).signature


def is_signed(verify_key: bytes, data: bytes, signature: bytes) -> bool:
    """Whether the signature is this key's, of this data."""
    if len(signature) != _SIGNATURE_SIZE:
        return False
    try:
        VerifyKey(sized("a verify key", verify_key, 32)).verify(data, signature)
    except BadSignatureError:
        return False
    return True


@dataclass(frozen=True, slots=True)
class Envelope:
    """One message.

    Attributes:
        purpose: what the body is.
        ceremony: 32 bytes that name the ceremony, or the request and attempt, which nothing else ever has.
        epoch: of the key it is about.
        sender, receiver: identifiers; receiver 0 is everybody.
        body: the message.
    """

    purpose: Purpose
    ceremony: bytes
    epoch: int
    sender: int
    receiver: int
    body: bytes

    def seal(self, suite: Suite, identity: Identity) -> bytes:
        """The envelope, signed by its sender.

        Raises:
            SignersError: the identity is not the sender's.
            EncodingError: the ceremony is not 32 bytes.
        """
        if identity.identifier != self.sender:
            raise SignersError(f"signer {identity.identifier} cannot sign as signer {self.sender}")
        content = self._content(suite)
        return content + identity.sign(_DOMAIN + content)

    def _content(self, suite: Suite) -> bytes:
        ceremony = sized("a ceremony's name", self.ceremony, CEREMONY_SIZE)
        head = header(Kind.ENVELOPE, suite) + bytes([self.purpose]) + ceremony + u32(self.epoch)
        return head + u16(self.sender) + u16(self.receiver) + u32(len(self.body)) + self.body

    @classmethod
    def open(cls, suite: Suite, data: bytes, roster: Mapping[int, bytes]) -> Envelope:
        """The envelope, if its sender in the roster (identifier to verify key) has signed it.

        Raises:
            EncodingError: these bytes are no envelope.
            SignersError: the sender is not in the roster.
            AuthenticityError: the signature is not the sender's.
        """
        reader = Reader("the envelope", data)
        reader.header(Kind.ENVELOPE, suite)
        try:
            purpose = Purpose(reader.take(1)[0])
        except ValueError as error:
            raise EncodingError(f"the envelope has an unknown purpose: {error}") from None
        ceremony, epoch = reader.take(CEREMONY_SIZE), reader.u32()
        sender, receiver, body = reader.identifier(), reader.u16(), reader.take(reader.u32())
        signature = reader.take(_SIGNATURE_SIZE)
        reader.end()
        if sender not in roster:
            raise SignersError(f"signer {sender} is not in the roster, which has {', '.join(map(str, sorted(roster)))}")
        if not is_signed(roster[sender], _DOMAIN + data[:-_SIGNATURE_SIZE], signature):
            raise AuthenticityError(f"the envelope is not signed by signer {sender}")
        return cls(purpose, ceremony, epoch, sender, receiver, body)

    def check(self, *, ceremony: bytes, epoch: int, receiver: int) -> None:
        """Whether it is of this ceremony and epoch, and for this receiver or for everybody.

        Raises:
            EpochError: of another epoch.
            AuthenticityError: of another ceremony, or for somebody else.
        """
        if self.epoch != epoch:
            raise EpochError(f"the message of signer {self.sender}", expected=epoch, came=self.epoch)
        if self.ceremony != ceremony:
            raise AuthenticityError(
                f"the message of signer {self.sender} is of another ceremony; it may be a replay: drop it"
            )
        if self.receiver not in (TO_ALL, receiver):
            raise AuthenticityError(
                f"the message of signer {self.sender} is for signer {self.receiver}, not {receiver}"
            )


class Inbox:
    """The envelopes of one ceremony or attempt that have come for one signer: opened, checked, each taken once.

    Whoever says two different things under one purpose is named. Repetitions, which Kafka delivers, are nothing.
    """

    def __init__(
        self, suite: Suite, roster: Mapping[int, bytes], *, ceremony: bytes, epoch: int, receiver: int
    ) -> None:
        self._suite, self._roster = suite, roster
        self._ceremony, self._epoch, self._receiver = ceremony, epoch, receiver
        self._bodies: dict[Purpose, dict[int, bytes]] = {}

    def take(self, data: bytes) -> Envelope | None:
        """The envelope, or None where the same has come before.

        Raises:
            EncodingError, SignersError, AuthenticityError, EpochError: it is refused, as by ``Envelope``.
            MisbehaviourError: its sender has said something else before.
        """
        envelope = Envelope.open(self._suite, data, self._roster)
        envelope.check(ceremony=self._ceremony, epoch=self._epoch, receiver=self._receiver)
        bodies = self._bodies.setdefault(envelope.purpose, {})
        before = bodies.setdefault(envelope.sender, envelope.body)
        if before is envelope.body:
            return envelope
        if before != envelope.body:
            raise MisbehaviourError(f"two different messages of purpose {envelope.purpose.name}", [envelope.sender])
        return None

    def bodies(self, purpose: Purpose) -> dict[int, bytes]:
        """What has come of this purpose, by sender."""
        return dict(self._bodies.get(purpose, {}))
