"""The coordinator's part in signing with a shared key: asks, puts shares together, goes on without who is missing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from m1cep.custody.frost.signing import Commitment, SignatureShare, aggregate, verify_signature_share
from m1cep.custody.heads.messages import AskHead, AskHeadShare, HeadCommitment, HeadShare, HeadUnable, SignedHead
from m1cep.errors import M1cepError

if TYPE_CHECKING:
    from collections.abc import Callable

    from m1cep.custody.audit import Head
    from m1cep.custody.frost.keys import PublicKeys
    from m1cep.custody.heads.messages import Answer, Asked

ROUND_MS = 10_000  # for an answer to each of the two rounds
RESEND_MS = 2_000
MOST_ATTEMPTS = 8  # for one message; of heads, the next is tried then


class Signing:
    """The signing of one message, which every signer makes for itself.

    Args:
        name: of what is signed, as in all messages about it.
        message: as it must come out.
        public: the key that signs.
        ask: gives the question of round one, of an attempt and those who take part.
        first_attempt: a number greater than that of any attempt before.
        now_ms: epoch.
    """

    def __init__(
        self,
        name: str,
        message: bytes,
        public: PublicKeys,
        ask: Callable[[int, tuple[int, ...]], Asked],
        *,
        first_attempt: int,
        now_ms: int,
    ) -> None:
        self._name, self._message, self._public, self._ask = name, message, public, ask
        self._attempt = first_attempt - 1
        self._last_attempt = self._attempt + MOST_ATTEMPTS
        self._late: dict[int, int] = {}
        #: Signers that gave nothing or something wrong, and why: for the log.
        self.reasons: dict[int, str] = {}
        #: As the suite writes it, at the end.
        self.signature: bytes | None = None
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
        if self.signature is not None or self.over:
            return []
        if now_ms - self._since_ms >= ROUND_MS:
            heard = self._shares if self._committed else self._commitments
            self._again([one for one in self._signers if one not in heard], "has not answered in time", now_ms)
        if now_ms < self._next_ms or self._attempt > self._last_attempt:
            return []
        self._next_ms = now_ms + RESEND_MS
        if self._committed:
            return [AskHeadShare(self._name, self._attempt, dict(sorted(self._commitments.items())))]
        return [self._ask(self._attempt, self._signers)]

    def hear(self, answer: Answer, now_ms: int) -> None:
        """What a signer says; of another attempt it is nothing."""
        of_this = (answer.log, answer.attempt) == (self._name, self._attempt) and answer.signer in self._signers
        if self.signature is not None or self.over or not of_this:
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
        public, message = self._public, self._message
        said = [Commitment.decode(public.suite, data) for _, data in sorted(self._commitments.items())]
        try:
            share = SignatureShare.decode(public.suite, answer.share)
            fits = share.identifier == answer.signer and verify_signature_share(public, share, message, said)
        except M1cepError:
            fits = False
        if not fits:
            self._again([answer.signer], "its share is not for this message", now_ms)
            return
        self._shares[answer.signer] = share
        if len(self._shares) == len(self._signers):
            self.signature = aggregate(public, message, said, list(self._shares.values()))

    def _again(self, signers: list[int], reason: str, now_ms: int) -> None:
        for one in signers:
            self._late[one] = self._late.get(one, 0) + 1
            self.reasons[one] = reason
        self._begin(now_ms)


class Gathering(Signing):
    """The signing of one head.

        gathering = Gathering(head, public, first_attempt=now_ms, now_ms=now_ms)
        messages = gathering.ask(now_ms)       # often
        gathering.hear(answer, now_ms)
        gathering.signed                        # at the end, unless ``over``

    Args:
        head: to be signed; its entries were sent to the signers.
        public: the group's key.
        first_attempt, now_ms: as of :class:`Signing`.
    """

    def __init__(self, head: Head, public: PublicKeys, *, first_attempt: int, now_ms: int) -> None:
        def ask(attempt: int, signers: tuple[int, ...]) -> Asked:
            return AskHead(head.log, attempt, head.seq, head.hash, public.epoch, signers)

        self.head = head
        super().__init__(head.log, head.message(), public, ask, first_attempt=first_attempt, now_ms=now_ms)

    @property
    def signed(self) -> SignedHead | None:
        """The head with its signature, when it is there."""
        return None if self.signature is None else SignedHead(self.head, self.signature.hex())
