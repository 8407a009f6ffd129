"""What the coordinator remembers. Plain values, so that a snapshot is this and nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

import msgspec

from m1cep.custody.policy.approvals import Approval  # noqa: TC001 - msgspec reads the annotations
from m1cep.custody.request import Request  # noqa: TC001
from m1cep.custody.requests.messages import MAX_ATTEMPT, MAX_SIGNERS, State, Status, Vote, Word
from m1cep.errors import CustodyError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from m1cep.custody.requests.messages import Said


@dataclass(frozen=True, slots=True)
class Quorum:
    """Who signs for a vault.

    Attributes:
        signers: their numbers.
        threshold: how many of them are needed.
        epoch: of the key; grows with every refresh and change of signers.
    """

    signers: tuple[int, ...]
    threshold: int
    epoch: int = 0

    def __post_init__(self) -> None:
        if len(set(self.signers)) != len(self.signers) or not all(1 <= s <= MAX_SIGNERS for s in self.signers):
            raise CustodyError(f"expected different signers from 1 to {MAX_SIGNERS}, got {self.signers}")
        if not 1 <= self.threshold <= len(self.signers):
            raise CustodyError(
                f"expected a threshold from 1 to the number of signers {len(self.signers)}, got {self.threshold}"
            )


@dataclass(frozen=True, slots=True)
class Timing:
    """How long the coordinator waits, in milliseconds.

    Attributes:
        resend_ms: until what has no answer is said again; twice as long each time, up to resend_most_ms.
        round_ms: until those who have not answered in a round are left out of the next attempt.
        attempts: most that are made.
        confirm_ms: for the chain to take, and again to confirm what is signed; after it the request ends unresolved.
        keep_ms: how long what has ended is remembered after it has expired.
    """

    resend_ms: int = 2_000
    resend_most_ms: int = 300_000
    round_ms: int = 10_000
    attempts: int = 20
    confirm_ms: int = 6 * 3_600_000
    keep_ms: int = 3_600_000

    def __post_init__(self) -> None:
        if not 1 <= self.attempts <= MAX_ATTEMPT:
            raise CustodyError(f"expected 1 to {MAX_ATTEMPT} attempts, got {self.attempts}")


class Group(Protocol):
    """The group's cryptography, without a secret: the machine hands byte strings through.

    A transaction may have several messages to sign (one an input); then commitment, share and signature are those of all of them.
    """

    def commitment_is_valid(self, request: Request, epoch: int, plan: bytes, signer: int, commitment: bytes) -> bool:
        """Whether it can be this signer's: right length, points of the group, not the identity, its number."""

    def prepared(self, request: Request, epoch: int, plan: bytes, signer: int, commitment: bytes) -> bytes | None:
        """What of the commitment of a signer's vote serves this transaction; None: it does not."""

    def share_is_valid(
        self, request: Request, epoch: int, plan: bytes, commitments: Mapping[int, bytes], signer: int, share: bytes
    ) -> bool:
        """Whether it is this signer's share for the transaction of request and plan."""

    def aggregate(
        self, request: Request, epoch: int, plan: bytes, commitments: Mapping[int, bytes], shares: Mapping[int, bytes]
    ) -> bytes:
        """The signature of valid shares."""


class LockState(StrEnum):
    """The other side of a cross-chain transfer, as far as the coordinator knows."""

    NONE = "none"  # nothing to lock
    ASKED = "asked"
    STANDS = "stands"
    RETURNING = "returning"
    RETURNED = "returned"
    SETTLING = "settling"
    SETTLED = "settled"

    @property
    def over(self) -> bool:
        """Nothing has to be said of it any more."""
        return self in {LockState.NONE, LockState.RETURNED, LockState.SETTLED}


class Round(msgspec.Struct):
    """An attempt under way.

    Attributes:
        signers: who takes part, ascending.
        epoch: of their key; when the vault's key has another, the attempt comes to nothing.
        since_ms: begin of the present round of the two.
        at_once: there was no first round, the commitments came with the votes.
        shares: those that are valid.
    """

    signers: tuple[int, ...]
    epoch: int
    since_ms: int
    commitments: dict[int, bytes] = {}
    shares: dict[int, bytes] = {}
    at_once: bool = False

    @property
    def committed(self) -> bool:
        """The first round is over."""
        return len(self.commitments) == len(self.signers)

    @property
    def silent(self) -> list[int]:
        """Who has not answered in the present round."""
        return [s for s in self.signers if s not in (self.shares if self.committed else self.commitments)]


class Case(msgspec.Struct):
    """A request under way, or ended.

    Attributes:
        since_ms: begin of its state.
        votes: the newest of each signer.
        approvals: of people, to be handed on.
        attempt: the newest, from 1; 0: none yet.
        round: of the present attempt; None: between attempts.
        late: how often a signer did not answer in time or was unable.
        excluded: who misbehaved, and how.
        exposed: shares were asked for, so a signature may come to be without us.
        unresolved: it has ended, and may be on the chain all the same.
        sent_ms: when what waits for an answer was last said; resends: how often since something has changed.
    """

    request: Request
    digest: str
    since_ms: int
    state: State = State.REQUESTED
    reason: str = ""
    votes: dict[int, Vote] = {}
    approvals: list[Approval] = []
    plan: bytes | None = None
    attempt: int = 0
    round: Round | None = None
    late: dict[int, int] = {}
    excluded: dict[int, str] = {}
    exposed: bool = False
    unresolved: bool = False
    signature: bytes = b""
    txid: str = ""
    lock: LockState = LockState.NONE
    sent_ms: int = 0
    resends: int = 0

    def voted(self, word: Word) -> list[int]:
        """Who said so."""
        return [signer for signer, vote in self.votes.items() if vote.word is word]

    def status(self, now_ms: int) -> Status:
        """Where it stands, in a message."""
        return Status(
            self.request.id,
            self.digest,
            self.state,
            self.attempt,
            self.reason,
            now_ms,
            self.unresolved,
            dict(self.excluded),
        )


class Book(msgspec.Struct):
    """All of a coordinator."""

    now_ms: int = 0
    cases: dict[str, Case] = {}


@dataclass(frozen=True, slots=True)
class Desk:
    """What the coordinator works with on one event: its surroundings, the time, and what it says.

    Attributes:
        said: in order.
    """

    quorums: Mapping[str, Quorum]
    group: Group
    timing: Timing
    now_ms: int
    said: list[Said]

    def quorum(self, case: Case) -> Quorum:
        """Who signs for the request's vault."""
        return self.quorums[case.request.vault]

    def enter(self, case: Case, state: State, reason: str) -> None:
        """The request is in another state; everybody hears it."""
        case.state, case.reason, case.since_ms = state, reason, self.now_ms
        self.touch(case)
        self.said.append(case.status(self.now_ms))

    def touch(self, case: Case) -> None:
        """Something has changed: say what waits for an answer at short intervals again."""
        case.sent_ms, case.resends = self.now_ms, 0
