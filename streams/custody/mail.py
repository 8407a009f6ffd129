"""Who says what: every message between the parties of custody is signed by its sender, and opened only where the signature holds.

The broker is not trusted. A message may come twice, late or not at all: what it says is made so that this does no harm (a request
has its digest, an attempt its number, a ceremony its name, a fact its id).

    {"from": "signer-2", "about": "request", "body": "...", "signature": "<128 hexadecimal digits>"}

The body is text: JSON of what the message is, or base64 of a ceremony's own envelope. ``about`` says which, and is signed too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import msgspec
from nacl.exceptions import BadSignatureError
from nacl.signing import SigningKey, VerifyKey

from m1cep.custody.canonical import tagged
from m1cep.errors import CustodyError
from streams import codec

if TYPE_CHECKING:
    from collections.abc import Mapping

    from m1cep.custody.frost.hidden import Secret

REQUESTS = "m1cep.custody.requests.v1"
ROUNDS = "m1cep.custody.rounds.v1"
RELEASES = "m1cep.custody.releases.v1"
STANDING = "m1cep.custody.standing.v1"
LOG = "m1cep.custody.audit.v1"
_MOST_BYTES = 512 * 1024


def signer_topic(number: int) -> str:
    """What is for one signer alone."""
    return f"m1cep.custody.signer-{number}.v1"


class Letter(NamedTuple):
    """A message whose sender is known.

    Attributes:
        sender: its name in the roster, or a person's in the policy.
        about: ``request`` (m1cep.custody.requests.messages), ``ceremony``, ``fact`` (m1cep.custody.policy.events), ``desk``
            (``streams.custody.asks``), ``log`` (entries of the audit log, a line each), ``audit`` (a head of it), ``head``
            (m1cep.custody.heads.messages), ``policy`` (``streams.custody.policies``), ``standing`` (``streams.custody.board``),
            ``reserve`` (``streams.custody.reserving``).
        body: what it says.
    """

    sender: str
    about: str
    body: str


class _Sealed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    sender: str = msgspec.field(name="from")
    about: str
    body: str
    signature: str


class Pen:
    """Signs in one party's name.

    Args:
        sender: the party's name.
        seed: 32 bytes of its Ed25519 key.
    """

    __slots__ = ("_key", "sender")

    def __init__(self, sender: str, seed: Secret) -> None:
        self.sender = sender
        self._key = SigningKey(seed.reveal())

    @property
    def verify_key(self) -> bytes:
        """32 bytes, for the roster."""
        return bytes(self._key.verify_key)

    def sign(self, message: bytes) -> bytes:
        """64 bytes, for what is signed by itself, such as a person's word on a request; it begins with what it is for."""
        return bytes(self._key.sign(message).signature)

    def write(self, topic: str, key: str, about: str, body: str) -> codec.Message:
        """A signed message for a topic.

        Args:
            topic: where it goes.
            key: of the record: the vault, request or ceremony that it is about.
            about: see :class:`Letter`.
            body: what it says.
        """
        signature = self._key.sign(_signed(self.sender, about, body)).signature.hex()
        value = msgspec.json.encode(_Sealed(self.sender, about, body, signature))
        headers = codec.headers(signature[:32], f"m1cep.custody.{about}.v1", f"/m1cep/custody/{self.sender}", None)
        return codec.Message(topic, key.encode(), value, headers)


class _Outside(msgspec.Struct):
    sender: str = msgspec.field(name="from")
    about: str


def outside(value: bytes | None) -> tuple[str, str] | None:
    """Sender and ``about`` as they stand on a letter, unproven: to leave unopened what would not be read. None: no letter."""
    try:
        found = msgspec.json.decode(value or b"", type=_Outside)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return found.sender, found.about


def open_letter(value: bytes | None, keys: Mapping[str, bytes]) -> Letter:
    """The letter in a record.

    Args:
        value: of the record.
        keys: of everybody who may write here, by name.

    Raises:
        CustodyError: it is no letter, of nobody who is known, or not signed by whom it names.
    """
    if value is None or len(value) > _MOST_BYTES:
        raise CustodyError(f"expected a signed message of at most {_MOST_BYTES} bytes, got {len(value or b'')}")
    try:
        sealed = msgspec.json.decode(value, type=_Sealed)
        signature = bytes.fromhex(sealed.signature)
    except (msgspec.DecodeError, UnicodeDecodeError, ValueError, RecursionError) as error:
        raise CustodyError(f"expected a signed message: {error}") from None
    key = keys.get(sealed.sender)
    if key is None:
        raise CustodyError(f"a message of {sealed.sender!r:.60}, who is not known here")
    try:
        VerifyKey(key).verify(_signed(sealed.sender, sealed.about, sealed.body), signature)
    except (BadSignatureError, ValueError):
        raise CustodyError(f"a message in the name of {sealed.sender} that is not signed by its key") from None
    return Letter(sealed.sender, sealed.about, sealed.body)


def _signed(sender: str, about: str, body: str) -> bytes:
    return tagged("letter", {"from": sender, "about": about, "body": body})
