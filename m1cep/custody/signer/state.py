"""What a signer remembers, and what it is given. Nonces are elsewhere, and are not remembered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import msgspec

# msgspec reads the annotations when it restores, so these are needed while it runs.
from m1cep.custody.policy.approvals import Approval  # noqa: TC001
from m1cep.custody.request import Request  # noqa: TC001
from m1cep.custody.requests.messages import Vote, Word

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class Secrets(Protocol):
    """What a signer's process holds and knows. It draws the randomness, and asks the chain's rules; the machine only calls it."""

    def derive(self, request: Request, plan: bytes) -> Sequence[bytes]:
        """The messages to sign, one or more: made by this signer from the request and the plan, whose every part it has checked.

        Raises:
            M1cepError: the plan is not one for this request.
        """

    def commit(self, vault: str, epoch: int, count: int) -> tuple[Any, bytes]:
        """Fresh nonces for so many messages, and the commitment to them."""

    def prepare(self, vault: str, epoch: int) -> tuple[Any, bytes]:
        """As ``commit``, before it is known how many there will be: for as many as is usual.

        Raises:
            M1cepError: there is no share of this epoch.
        """

    def part(self, commitment: bytes, count: int) -> bytes:
        """What of a commitment is for so many messages, fewer than it was made for or as many.

        Raises:
            M1cepError: it was made for fewer.
        """

    def sign(
        self, vault: str, epoch: int, nonces: Any, messages: Sequence[bytes], commitments: Mapping[int, bytes]
    ) -> bytes:
        """The shares, in one byte string. Of nonces for more messages the first are used.

        Raises:
            M1cepError: a commitment cannot be one.
        """

    def verify(self, public_key: str, message: bytes, signature: str) -> bool:
        """Whether a person's signature (hexadecimal) over a message is by the key (hexadecimal)."""


class Known(msgspec.Struct):
    """A request as a signer knows it.

    Attributes:
        digest: of the contents under which the id was first heard; others are refused.
        vote: the newest.
        closed: why nothing is signed for it any more; empty: it may be.
        prepared: the commitment of the newest vote; empty: it has none.
        attempt: the newest that was heard of; 0: none.
        signers: who takes part in it.
        plan: what its transaction is made of.
        transaction: digest of the messages that this signer made of request and plan when it committed.
        commitment: what was committed to in it; worth nothing when the nonces are gone.
        asked: digest of the question that the share answers.
        share: the answer, to be given again to the same question; empty: none was given in this attempt.
        pinned: digest of the messages of the one transaction that is ever signed for this request; empty: none yet.
    """

    request: Request
    digest: str
    approvals: list[Approval] = []
    vote: Vote | None = None
    closed: str = ""
    prepared: bytes = b""
    attempt: int = 0
    signers: tuple[int, ...] = ()
    plan: bytes = b""
    transaction: str = ""
    commitment: bytes = b""
    asked: str = ""
    share: bytes = b""
    pinned: str = ""

    @property
    def waits(self) -> bool:
        """Its time, people or facts are missing."""
        return not self.closed and self.vote is not None and self.vote.word is Word.WAIT


class Memory(msgspec.Struct):
    """All that survives a restart, beside the facts.

    Attributes:
        looked_ms: when what waits was last looked at.
    """

    now_ms: int = 0
    looked_ms: int = 0
    known: dict[str, Known] = {}
