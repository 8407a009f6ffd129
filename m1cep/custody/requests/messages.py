"""What coordinator, signers, chains and people say to each other about requests.

Who says it is for the envelope to prove: the shell takes a message in only if the envelope is signed by the signer, the
coordinator or the person that the message names. Byte strings (commitments, shares, plans, signatures) are opaque here.

Longer than other modules: one vocabulary, in one place.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, TypeAlias

import msgspec

# msgspec reads the annotations when it decodes, so these are needed while it runs.
from m1cep.custody.policy.approvals import Approval  # noqa: TC001
from m1cep.custody.request import Digest, Millis, Name, Request, check_request
from m1cep.errors import CustodyError

MAX_BYTES = 262_144
MAX_SIGNERS = 255
MAX_ATTEMPT = 1_000

SignerId: TypeAlias = Annotated[int, msgspec.Meta(ge=1, le=MAX_SIGNERS)]
Attempt: TypeAlias = Annotated[int, msgspec.Meta(ge=1, le=MAX_ATTEMPT)]
Epoch: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=2**31)]
Opaque: TypeAlias = Annotated[bytes, msgspec.Meta(max_length=65_536)]
Small: TypeAlias = Annotated[bytes, msgspec.Meta(min_length=1, max_length=16_384)]
Reason: TypeAlias = Annotated[str, msgspec.Meta(max_length=1_000)]


class State(StrEnum):
    """Where a request stands."""

    REQUESTED = "requested"  # until the lock of a cross-chain transfer stands; the others pass at once
    APPROVING = "approving"  # until enough signers would sign
    SIGNING = "signing"
    SIGNED = "signed"  # until the chain's software has taken it
    BROADCAST = "broadcast"  # until it has its confirmations
    CONFIRMED = "confirmed"
    REJECTED = "rejected"
    EXPIRED = "expired"
    CANCELLED = "cancelled"

    @property
    def ended(self) -> bool:
        """Nothing more is done for it."""
        return self in {State.CONFIRMED, State.REJECTED, State.EXPIRED, State.CANCELLED}


class Word(StrEnum):
    """What a signer says of a request."""

    ACCEPT = "accept"
    WAIT = "wait"  # for its time, for people, for a fact
    REJECT = "reject"  # for good


class _Message(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag=True):
    pass


class Tick(_Message, frozen=True):
    """The time, from whoever keeps a clock. There is no other; one that goes back is ignored."""

    time_ms: Millis


# -- from those who ask, and from people


class Submit(_Message, frozen=True):
    """A request. Said twice it counts once."""

    request: Request


class Approved(_Message, frozen=True):
    """A person's word, for or against. Signers check it; the coordinator only hands it on."""

    approval: Approval


class Cancel(_Message, frozen=True):
    """Whoever asked does not want it any more."""

    request_id: Name
    by: Name


# -- from the coordinator to the signers


class Propose(_Message, frozen=True):
    """A request, and what people said of it so far: vote.

    Attributes:
        epoch: of the vault's key.
    """

    request: Request
    epoch: Epoch
    approvals: tuple[Approval, ...] = ()


class AskCommitment(_Message, frozen=True):
    """The first round of an attempt: commit to nonces.

    Attributes:
        plan: what the transaction is made of besides the request (inputs, fee, nonce of the chain): for every signer to check.
        signers: who takes part, ascending.
    """

    request_id: Name
    digest: Digest
    epoch: Epoch
    attempt: Attempt
    plan: Opaque
    signers: tuple[SignerId, ...]


class AskShare(_Message, frozen=True, omit_defaults=True):
    """The second round: sign the transaction of the first.

    Attributes:
        commitments: of all who take part.
        plan: as in :class:`AskCommitment`, of an attempt that has no first round, because the commitments came with the votes.
    """

    request_id: Name
    digest: Digest
    epoch: Epoch
    attempt: Attempt
    commitments: dict[SignerId, Small]
    plan: Opaque | None = None


# -- from a signer to the coordinator


class Vote(_Message, frozen=True, omit_defaults=True):
    """What a signer says of a request; of several the highest number counts, and a rejection is for good.

    Attributes:
        digest: of the contents that it is about.
        number: counts the signer's votes on this request, from 1.
        rule: of the policy, or a guard; policy: its hash.
        commitment: to nonces for the first attempt, so that it needs no round of its own; empty: ask for one.
    """

    request_id: Name
    digest: Digest
    signer: SignerId
    word: Word
    number: Annotated[int, msgspec.Meta(ge=1, le=2**53 - 1)]
    rule: Name
    reason: Reason
    policy: Digest
    commitment: Annotated[bytes, msgspec.Meta(max_length=16_384)] = b""


class Commitment(_Message, frozen=True):
    """An answer to :class:`AskCommitment`."""

    request_id: Name
    signer: SignerId
    attempt: Attempt
    commitment: Small


class Share(_Message, frozen=True):
    """An answer to :class:`AskShare`."""

    request_id: Name
    signer: SignerId
    attempt: Attempt
    share: Small


class Unable(_Message, frozen=True):
    """The signer gives nothing in this attempt, and why; it may in another."""

    request_id: Name
    signer: SignerId
    attempt: Attempt
    reason: Reason


# -- between the coordinator and the chain's software


class MakePlan(_Message, frozen=True):
    """Choose what the transaction is made of."""

    request: Request


class Planned(_Message, frozen=True):
    """The plan; the first one stays, for every attempt."""

    request_id: Name
    plan: Opaque


class Broadcast(_Message, frozen=True):
    """Give the signed transaction to the chain; again does nothing."""

    request: Request
    plan: Opaque
    signature: Small


class Seen(_Message, frozen=True):
    """The chain's software has taken the transaction."""

    request_id: Name
    txid: Name


class Confirmed(_Message, frozen=True):
    """The transaction has the confirmations that its chain asks for."""

    request_id: Name
    txid: Name


class Void(_Message, frozen=True):
    """No transaction of this plan can come onto the chain any more: nonce or inputs are spent otherwise, the deadline is over."""

    request_id: Name
    reason: Reason


# -- between the coordinator and the books on the other side of a cross-chain transfer


class PlaceLock(_Message, frozen=True):
    """Lock the request's ``lock``; again does nothing."""

    request: Request


class LockPlaced(_Message, frozen=True):
    """It stands."""

    request_id: Name


class ReturnLock(_Message, frozen=True):
    """Give the lock back, and place it no more; again does nothing."""

    request: Request


class SettleLock(_Message, frozen=True):
    """The other side was released: the lock is used up; again does nothing."""

    request: Request


class LockDone(_Message, frozen=True):
    """It was returned or settled."""

    request_id: Name


# -- from the coordinator to everybody


class Status(_Message, frozen=True):
    """Where a request stands: said with every change, and to whoever asks again. All of them belong into the audit log.

    Attributes:
        reason: of the change.
        unresolved: it has ended here, but shares were asked for, so a signature may exist: keep the amount reserved until the
            chain says :class:`Confirmed` or :class:`Void`.
        excluded: signers that misbehaved, and how.
    """

    request_id: Name
    digest: Digest
    state: State
    attempt: int
    reason: str
    time_ms: Millis
    unresolved: bool = False
    excluded: dict[SignerId, str] = {}


class Refused(_Message, frozen=True):
    """Something was asked for that is not done; nothing has changed."""

    request_id: Name
    reason: str


Heard: TypeAlias = (
    Tick
    | Submit
    | Approved
    | Cancel
    | Vote
    | Commitment
    | Share
    | Unable
    | Planned
    | Seen
    | Confirmed
    | Void
    | LockPlaced
    | LockDone
)
Said: TypeAlias = (
    Propose | AskCommitment | AskShare | MakePlan | Broadcast | PlaceLock | ReturnLock | SettleLock | Status | Refused
)
Message: TypeAlias = Heard | Said

_decoder: msgspec.json.Decoder[Message] = msgspec.json.Decoder(Message)
_encoder = msgspec.json.Encoder(order="sorted")


def encode(message: Message) -> bytes:
    """A message as JSON: equal messages give equal bytes."""
    return _encoder.encode(msgspec.to_builtins(message, str_keys=True))


def decode(blob: bytes) -> Message:
    """A message from JSON, told by its field ``type``.

    Raises:
        CustodyError: it is too long, not JSON, of no known type, a field is missing, unknown or wrong, or a request's fields do
            not fit each other.
    """
    if len(blob) > MAX_BYTES:
        raise CustodyError(f"expected a message of at most {MAX_BYTES} bytes, got {len(blob)}")
    try:
        message = _decoder.decode(blob)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise CustodyError(f"expected a message about a request: {error}") from None
    if isinstance(message, Submit | Propose | MakePlan | Broadcast | PlaceLock | ReturnLock | SettleLock):
        check_request(message.request)
    return message
