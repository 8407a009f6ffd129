"""The coordinator's part in signing a head of the audit log: asks, puts shares together, goes on without who is missing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from m1cep.custody.frost.signing import Commitment, SignatureShare, aggregate, verify_signature_share
from m1cep.custody.heads.messages import AskHead, AskHeadShare, HeadCommitment, HeadShare, HeadUnable, SignedHead
from m1cep.errors import M1cepError

if TYPE_CHECKING:
    from m1cep.custody.audit import Head
    from m1cep.custody.frost.keys import PublicKeys
    from m1cep.custody.heads.messages import Answer, Asked

ROUND_MS = 10_000  # for an answer to each of the two rounds
RESEND_MS = 2_000
MOST_ATTEMPTS = 8  # for one head; then the next head is tried


class Gathering:
    """The signing of one head.

        gathering = Gathering(head, public, first_attempt=now_ms, now_ms=now_ms)
        messages = gathering.ask(now_ms)       # often
        gathering.hear(answer, now_ms)
        gathering.signed                        # at the end, unless ``over``

    Args:
        head: to be signed; its entries were sent to the signers.
        public: the group's key.
        first_attempt: a number greater than that of any attempt before.
        now_ms: epoch.
    """

    def __init__(self, head: Head, public: PublicKeys, *, first_attempt: int, now_ms: int) -> None:
        self.head, self._public = head, public
        self._attempt = first_attempt - 1
        self._last_attempt = self._attempt + MOST_ATTEMPTS
        self._late: dict[int, int] = {}
        #: Signers that gave nothing or something wrong, and why: for the log.
        self.reasons: dict[int, str] = {}
        self.signed: SignedHead | None = None
        self.over = False
        self._begin(now_ms)

    def _begin(self, now_ms: int) -> None:
        self._attempt += 1
        self.over = self._attempt > self._last_attempt
        able = sorted(self._public.shares, key=lambda one: (self._late.get(one, 0), (one + self._attempt) % 256))
        self._signers = tuple(sorted(able[: self._public.threshold]))
        self._commitments: dict[int, bytes] = {}
        self._shares: dict[int, SignatureShare] = {}
        self._since_ms, self._next_ms = now_ms, now_ms

    def ask(self, now_ms: int) -> list[Asked]:
        """What is to be asked (again) now."""
        if self.signed is not None or self.over:
            return []
        if now_ms - self._since_ms >= ROUND_MS:
            heard = self._shares if self._committed else self._commitments
            self._again([one for one in self._signers if one not in heard], "has not answered in time", now_ms)
        if now_ms < self._next_ms or self._attempt > self._last_attempt:
            return []
        self._next_ms = now_ms + RESEND_MS
        head = self.head
        if self._committed:
            return [AskHeadShare(head.log, self._attempt, dict(sorted(self._commitments.items())))]
        return [AskHead(head.log, self._attempt, head.seq, head.hash, self._public.epoch, self._signers)]

    def hear(self, answer: Answer, now_ms: int) -> None:
        """What a signer says; of another attempt it is nothing."""
        head = self.head
        of_this = (answer.log, answer.attempt) == (head.log, self._attempt) and answer.signer in self._signers
        if self.signed is not None or self.over or not of_this:
            return
        match answer:
            case HeadUnable():
                self._again([answer.signer], answer.reason, now_ms)
            case HeadCommitment():
                self._commitment(answer, now_ms)
            case HeadShare() if self._committed:
                self._share(answer, now_ms)
            case _:
                return

    @property
    def _committed(self) -> bool:
        return len(self._commitments) == len(self._signers)

    def _commitment(self, answer: HeadCommitment, now_ms: int) -> None:
        if answer.signer in self._commitments:
            return
        try:
            made = Commitment.decode(self._public.suite, answer.commitment)
            fits = (made.identifier, made.epoch) == (answer.signer, self._public.epoch)
        except M1cepError:
            fits = False
        if not fits:
            self._again([answer.signer], "its commitment cannot be one", now_ms)
            return
        self._commitments[answer.signer] = answer.commitment
        if self._committed:
            self._since_ms = self._next_ms = now_ms

    def _share(self, answer: HeadShare, now_ms: int) -> None:
        public, message = self._public, self.head.message()
        said = [Commitment.decode(public.suite, data) for _, data in sorted(self._commitments.items())]
        try:
            share = SignatureShare.decode(public.suite, answer.share)
            fits = share.identifier == answer.signer and verify_signature_share(public, share, message, said)
        except M1cepError:
            fits = False
        if not fits:
            self._again([answer.signer], "its share is not for this head", now_ms)
            return
        self._shares[answer.signer] = share
        if len(self._shares) == len(self._signers):
            signature = aggregate(public, message, said, list(self._shares.values()))
            self.signed = SignedHead(self.head, signature.hex())

    def _again(self, signers: list[int], reason: str, now_ms: int) -> None:
        for one in signers:
            self._late[one] = self._late.get(one, 0) + 1
            self.reasons[one] = reason
        self._begin(now_ms)
