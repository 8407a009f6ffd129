"""What coordinator and signers say to each other about heads of the audit log, and about reserves.

The letter around it proves who says it, and about which of the two.
"""

from __future__ import annotations

from typing import Annotated, TypeAlias

import msgspec
from nacl.exceptions import BadSignatureError
from nacl.signing import VerifyKey

# msgspec reads the annotations when it decodes, so these are needed while it runs.
from m1cep.custody.audit import Head  # noqa: TC001
from m1cep.custody.request import Digest, Name  # noqa: TC001
from m1cep.errors import CustodyError

MAX_BYTES = 65_536
#: Of a person's letter that goes along, in characters; as JSON in JSON each may become two.
MOST_LETTER = 24_576

Attempt: TypeAlias = Annotated[int, msgspec.Meta(ge=1, le=2**53 - 1)]
Epoch: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=2**31)]
Seq: TypeAlias = Annotated[int, msgspec.Meta(ge=1, le=2**53 - 1)]
SignerId: TypeAlias = Annotated[int, msgspec.Meta(ge=1, le=255)]
Small: TypeAlias = Annotated[bytes, msgspec.Meta(min_length=1, max_length=1_024)]


class _Message(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag=True):
    log: Name
    attempt: Attempt


class AskHead(_Message, frozen=True):
    """Round one: whose copy of the log ends so, or has ended so, commits to nonces.

    Attributes:
        seq, hash: of the entry that is to be the head.
        epoch: of the key.
        signers: who takes part, ascending.
    """

    seq: Seq
    hash: Digest
    epoch: Epoch
    signers: tuple[SignerId, ...]


class AskReserve(_Message, frozen=True):
    """Round one for a vault's key, under whose name it goes: commit to nonces for the challenge that a person's letter asks for.

    Attributes:
        epoch: of the vault's key.
        signers: who takes part, ascending.
        letter: of the person, as it was signed: every signer makes the challenge of it for itself.
    """

    epoch: Epoch
    signers: tuple[SignerId, ...]
    letter: Annotated[str, msgspec.Meta(max_length=MOST_LETTER)]


class HeadCommitment(_Message, frozen=True):
    """An answer to :class:`AskHead` or :class:`AskReserve`."""

    signer: SignerId
    commitment: Small


class AskHeadShare(_Message, frozen=True):
    """Round two: sign what the signer committed to in the first."""

    commitments: dict[SignerId, Small]


class HeadShare(_Message, frozen=True):
    """An answer to :class:`AskHeadShare`."""

    signer: SignerId
    share: Small


class HeadUnable(_Message, frozen=True):
    """The signer gives nothing in this attempt, and why."""

    signer: SignerId
    reason: Annotated[str, msgspec.Meta(max_length=1_000)]


class HeadMissing(_Message, frozen=True):
    """The signer was asked for a head that its copy of the log does not have yet.

    Attributes:
        after: the last entry that it has; 0: none.
    """

    signer: SignerId
    after: Annotated[int, msgspec.Meta(ge=0, le=2**53 - 1)]


class SignedHead(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A head that the group has signed; it proves itself, whoever brings it.

    Attributes:
        signature: Ed25519 over ``Head.message``, hexadecimal.
    """

    head: Head
    signature: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{128}\Z")]

    def is_by(self, group: bytes) -> bool:
        """Whether it is signed by the group with this public key (32 bytes)."""
        return is_head_signed(group, self.head.message(), bytes.fromhex(self.signature))


Asked: TypeAlias = AskHead | AskReserve | AskHeadShare
Answer: TypeAlias = HeadCommitment | HeadShare | HeadUnable | HeadMissing
Message: TypeAlias = Asked | Answer

_decoder: msgspec.json.Decoder[Message] = msgspec.json.Decoder(Message)
_signed: msgspec.json.Decoder[SignedHead] = msgspec.json.Decoder(SignedHead)


def encode(message: Message | SignedHead) -> str:
    """As JSON: equal messages give equal text."""
    return msgspec.json.encode(msgspec.to_builtins(message, str_keys=True), order="sorted").decode()


def decode(text: str) -> Message:
    """A message from JSON, told by its field ``type``.

    Raises:
        CustodyError: it is too long, not JSON, of no known type, or a field is missing, unknown or wrong.
    """
    _check_length(text)
    try:
        return _decoder.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise CustodyError(f"expected a message about a head of the audit log or a reserve: {error}") from None


def decode_signed(text: str) -> SignedHead:
    """A signed head from JSON; whether the signature holds is not looked at.

    Raises:
        CustodyError: it is none.
    """
    _check_length(text)
    try:
        return _signed.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise CustodyError(f"expected a signed head of the audit log: {error}") from None


def is_head_signed(group: bytes, message: bytes, signature: bytes) -> bool:
    """Whether a group's signature (64 bytes) is of this message."""
    try:
        VerifyKey(group).verify(message, signature)
    except (BadSignatureError, ValueError):
        return False
    return True


def _check_length(text: str) -> None:
    if len(text) > MAX_BYTES:
        raise CustodyError(f"expected a message about a head of at most {MAX_BYTES} characters, got {len(text)}")
