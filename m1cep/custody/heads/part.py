"""One signer's part in signing something with a shared key: two rounds, one attempt at a time, each pair of nonces once."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Any

from m1cep.custody.frost.signing import Commitment, commit, sign
from m1cep.custody.heads.messages import HeadCommitment, HeadShare, HeadUnable, encode
from m1cep.custody.signer.nonces import NonceBox
from m1cep.errors import CustodyError, M1cepError

if TYPE_CHECKING:
    from m1cep.custody.frost.keys import KeyShare
    from m1cep.custody.frost.suite import Random
    from m1cep.custody.heads.messages import Answer, AskHead, AskHeadShare, AskReserve


class Part:
    """Whoever uses it decides what is signed; the message is fixed with the commitment and comes with no question.

    Args:
        name: of what is signed: of a log, of a vault.
        number: of this signer.
        random: source of nonces.
    """

    def __init__(self, name: str, number: int, random: Random) -> None:
        self._name, self._number, self._random = name, number, random
        self._nonces: NonceBox = NonceBox()
        self._going: tuple[AskHead | AskReserve, bytes] | None = None
        self._answered: tuple[str, HeadShare] | None = None  # digest of the question, answer

    def again(self, asked: AskHead | AskReserve) -> list[Answer] | None:
        """The same question gets the same answer while it is worth something, what is over none; None: it is a new attempt."""
        if self._going is None or asked.attempt > self._going[0].attempt:
            return None
        if asked == self._going[0] and self._nonces.has(self._name, asked.attempt):
            return [self._said]
        return []

    def not_of_key(self, asked: AskHead | AskReserve, share: KeyShare) -> str:
        """Why the key cannot sign with those who are asked; empty: it can."""
        public = share.public
        if asked.epoch != public.epoch:
            return f"expected epoch {public.epoch} of the key, got epoch {asked.epoch}"
        if len(set(asked.signers)) < max(len(asked.signers), public.threshold) or set(asked.signers) - set(
            public.shares
        ):
            return f"expected at least {public.threshold} different signers of the key, got {list(asked.signers)}"
        return ""

    def commit(self, asked: AskHead | AskReserve, share: KeyShare, message: bytes) -> HeadCommitment:
        """Nonces for a new attempt; with them this message is signed and no other."""
        nonces, commitment = commit(share, self._random)
        self._nonces.put(self._name, asked.attempt, nonces)
        self._going = asked, message
        self._said = HeadCommitment(self._name, asked.attempt, self._number, commitment.encode(share.public.suite))
        return self._said

    def give(self, asked: AskHeadShare, share: KeyShare | None) -> list[Answer]:
        """The share of the signature, once; said again to the same question."""
        if self._number not in asked.commitments:
            return []
        question = sha256(encode(asked).encode()).hexdigest()
        if self._answered is not None and self._answered[0] == question:
            return [self._answered[1]]
        going = self._going
        if going is None or going[0].attempt != asked.attempt or not self._nonces.has(self._name, asked.attempt):
            return [self.unable(asked.attempt, "there are no nonces for this attempt: it was given up")]
        if share is None or share.public.epoch != going[0].epoch:
            return [self.unable(asked.attempt, "the key has another epoch now")]
        mine = asked.commitments[self._number] == self._said.commitment
        if tuple(sorted(asked.commitments)) != going[0].signers or not mine:
            return [self.unable(asked.attempt, "expected the commitments of this attempt, mine among them")]
        nonces: Any = self._nonces.take(self._name, asked.attempt)
        suite = share.public.suite
        try:
            said = [Commitment.decode(suite, data) for _, data in sorted(asked.commitments.items())]
            if [one.identifier for one in said] != sorted(asked.commitments):
                raise CustodyError("a signer commits in another signer's name")
            made = sign(share, nonces, going[1], said)
        except M1cepError as error:
            return [self.unable(asked.attempt, f"the commitments are refused: {error}")]
        answer = HeadShare(self._name, asked.attempt, self._number, made.encode(suite))
        self._answered = question, answer
        return [answer]

    def unable(self, attempt: int, reason: str) -> HeadUnable:
        """Nothing is given, and why."""
        return HeadUnable(self._name, attempt, self._number, reason[:1_000])
