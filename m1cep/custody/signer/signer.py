"""The whole: what is heard in, answers out."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Any

import msgspec

from m1cep.custody.canonical import digest
from m1cep.custody.policy import Facts
from m1cep.custody.requests.messages import (
    AskCommitment,
    AskShare,
    Commitment,
    Propose,
    Share,
    Status,
    Tick,
    Unable,
    Vote,
    Word,
    encode,
)
from m1cep.custody.signer.nonces import NonceBox
from m1cep.custody.signer.state import Memory
from m1cep.custody.signer.votes import Votes
from m1cep.errors import CustodyError, M1cepError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import TypeAlias

    from m1cep.custody.policy import Policy
    from m1cep.custody.policy.events import FactEvent
    from m1cep.custody.requests.state import Quorum
    from m1cep.custody.signer.state import Known, Secrets

    Answer: TypeAlias = Vote | Commitment | Share | Unable

VERSION = 1


class Signer:
    """One of those who hold a share. It believes nobody: it decides for itself, and signs only what it derived itself.

    Keep the snapshot before sending what an event gave: then a share that others have seen is always remembered. Nonces are not
    in it; an attempt that was under way is given up after a restart.

    Args:
        number: of this signer.
        quorums: by vault, those for which it holds a share.
        policy: its own copy.
        secrets: its share and what it does with it.
        facts: what it knows so far.
    """

    def __init__(
        self,
        number: int,
        quorums: Mapping[str, Quorum],
        policy: Policy,
        secrets: Secrets,
        facts: Facts | None = None,
    ) -> None:
        self.number = number
        self._quorums, self._secrets, self._nonces = dict(quorums), secrets, NonceBox()
        self._votes = Votes(number, self._quorums, policy, secrets, self._nonces, facts or Facts(), Memory())

    def handle(self, event: Tick | Propose | AskCommitment | AskShare | Status | FactEvent) -> list[Answer]:
        """Take an event in; what is to be answered now."""
        match event:
            case Tick():
                return [*self._votes.pass_time(event)]
            case Propose():
                return [*self._votes.propose(event)] if event.request.vault in self._quorums else []
            case AskCommitment() | AskShare():
                return self._asked(event)
            case Status():
                self._votes.ended(event)
                return []
            case _:
                self._votes.facts.apply(event)
                return [*self._votes.look_again(event)]

    def set_policy(self, policy: Policy) -> list[Answer]:
        """Go on with another policy (see ``change_policy``)."""
        return [*self._votes.set_policy(policy)]

    def set_quorum(self, vault: str, quorum: Quorum) -> None:
        """Go on with another epoch of a vault's key; attempts under way are given up."""
        self._quorums[vault] = quorum
        for known in self._votes.memory.known.values():
            if known.request.vault == vault:
                self._nonces.drop(known.request.id)

    # -- attempts

    def _asked(self, event: AskCommitment | AskShare) -> list[Answer]:
        """What must be true of any question about an attempt."""
        known = self.known(event.request_id)
        if known is None or event.attempt < known.attempt:  # not heard of yet, or over
            return []
        quorum = self._quorums[known.request.vault]
        if event.digest != known.digest:
            return [self._unable(known, event.attempt, "the id was used with other contents")]
        if event.epoch != quorum.epoch:
            reason = f"expected epoch {quorum.epoch} of the key, got epoch {event.epoch}"
            return [self._unable(known, event.attempt, reason)]
        if isinstance(event, AskCommitment):
            return self._commit(known, quorum, event)
        if event.plan is not None and event.attempt != known.attempt:
            return self._share_at_once(known, quorum, event, event.plan)
        return self._share(known, quorum, event)

    def _commit(self, known: Known, quorum: Quorum, event: AskCommitment) -> list[Answer]:
        if event.attempt == known.attempt:
            return self._commit_again(known, event)
        refusal, messages, transaction = self._look(known, quorum, event.attempt, event.signers, event.plan)
        if refusal:
            return refusal
        nonces, commitment = self._secrets.commit(known.request.vault, quorum.epoch, len(messages))
        self._nonces.put(known.request.id, event.attempt, nonces)
        _begin(known, event.attempt, event.signers, event.plan, transaction, commitment)
        return [Commitment(known.request.id, self.number, event.attempt, commitment)]

    def _commit_again(self, known: Known, event: AskCommitment) -> list[Answer]:
        """The same question gets the same answer, as long as it is worth something."""
        if (event.signers, event.plan) != (known.signers, known.plan):
            return [self._unable(known, event.attempt, "this attempt has begun with other signers or another plan")]
        if known.share or self._nonces.has(known.request.id, event.attempt):
            return [Commitment(known.request.id, self.number, event.attempt, known.commitment)]
        return [self._unable(known, event.attempt, "this attempt was given up")]

    def _share(self, known: Known, quorum: Quorum, event: AskShare) -> list[Answer]:
        request_id, attempt = known.request.id, event.attempt
        if known.share and attempt == known.attempt:
            if _asked(event) == known.asked:
                return [Share(request_id, self.number, attempt, known.share)]
            return [self._unable(known, attempt, "a share was given in this attempt for other commitments")]
        if not self._nonces.has(request_id, attempt):
            return [self._unable(known, attempt, "there are no nonces for this attempt: it was given up")]
        if tuple(sorted(event.commitments)) != known.signers or event.commitments[self.number] != known.commitment:
            return [self._unable(known, attempt, "expected the commitments of this attempt, mine among them")]
        refusal = self._refusal(known, attempt)
        if refusal:
            return refusal
        try:
            messages, transaction = self._derive(known, known.plan)
        except M1cepError as error:
            return [self._unable(known, attempt, f"the plan is refused: {error}")]
        if transaction != known.transaction or known.pinned not in {"", transaction}:
            return [self._unable(known, attempt, "the plan means another transaction now")]
        nonces = self._nonces.take(request_id, attempt)
        return self._give(known, quorum, event, nonces, messages)

    def _share_at_once(self, known: Known, quorum: Quorum, event: AskShare, plan: bytes) -> list[Answer]:
        """Both rounds in one, as the commitment came with the vote: what is checked in either is checked here."""
        request_id, attempt = known.request.id, event.attempt
        if not self._nonces.has(request_id, 0):
            return [self._unable(known, attempt, "there are no nonces of the vote: they were given up")]
        signers = tuple(sorted(event.commitments))
        refusal, messages, transaction = self._look(known, quorum, attempt, signers, plan)
        if refusal:
            return refusal
        try:
            mine = self._secrets.part(known.prepared, len(messages))
        except M1cepError as error:
            return [self._unable(known, attempt, f"the vote's commitment is not enough: {error}")]
        if event.commitments[self.number] != mine:
            return [self._unable(known, attempt, "expected the commitment of the vote")]
        nonces = self._nonces.take(request_id, 0)
        _begin(known, attempt, signers, plan, transaction, mine)
        return self._give(known, quorum, event, nonces, messages)

    def _give(
        self, known: Known, quorum: Quorum, event: AskShare, nonces: Any, messages: Sequence[bytes]
    ) -> list[Answer]:
        """The share, of nonces that nobody has any more."""
        try:
            commitments = dict(sorted(event.commitments.items()))
            share = self._secrets.sign(known.request.vault, quorum.epoch, nonces, messages, commitments)
        except M1cepError as error:
            return [self._unable(known, event.attempt, f"the commitments are refused: {error}")]
        known.pinned, known.asked, known.share = known.transaction, _asked(event), share
        return [Share(known.request.id, self.number, event.attempt, share)]

    def _look(
        self, known: Known, quorum: Quorum, attempt: int, signers: Sequence[int], plan: bytes
    ) -> tuple[list[Answer], Sequence[bytes], str]:
        """Why an attempt is not begun; else what is signed in it, and the digest of that."""
        refusal: list[Answer] = []
        messages: Sequence[bytes] = ()
        transaction = ""
        if self.number not in signers or not set(signers) <= set(quorum.signers) or len(set(signers)) != len(signers):
            refusal.append(self._unable(known, attempt, f"expected different signers of the vault, got {signers}"))
        elif len(signers) < quorum.threshold:
            refusal.append(self._unable(known, attempt, f"expected {quorum.threshold} signers, got {len(signers)}"))
        elif not (refusal := self._refusal(known, attempt)):
            try:
                messages, transaction = self._derive(known, plan)
            except M1cepError as error:
                refusal.append(self._unable(known, attempt, f"the plan is refused: {error}"))
            else:
                if known.pinned not in {"", transaction}:
                    refusal.append(self._unable(known, attempt, "another transaction was signed under this id"))
        return refusal, messages, transaction

    def _derive(self, known: Known, plan: bytes) -> tuple[Sequence[bytes], str]:
        """What this signer would sign, and the digest that tells it from any other transaction."""
        messages = self._secrets.derive(known.request, plan)
        return messages, digest("transaction", [message.hex() for message in messages])

    def _refusal(self, known: Known, attempt: int) -> list[Answer]:
        """Why nothing is signed now, by policy, facts and time; empty: nothing is in the way."""
        said = self._votes.vote(known)
        if known.closed:
            return [*said, self._unable(known, attempt, known.closed)]
        if known.vote is None or known.vote.word is not Word.ACCEPT:
            reason = known.vote.reason if known.vote else ""
            return [*said, self._unable(known, attempt, reason)]
        return []

    def _unable(self, known: Known, attempt: int, reason: str) -> Unable:
        return Unable(known.request.id, self.number, attempt, reason[:1_000])

    def forget(self, before_ms: int) -> None:
        """Let go of old facts (see ``Facts.forget``)."""
        self._votes.facts.forget(before_ms)

    # -- to look at

    @property
    def facts(self) -> Facts:
        """What it knows; to look at, not to change."""
        return self._votes.facts

    def known(self, request_id: str) -> Known | None:
        """A request as it knows it; to look at, not to change."""
        return self._votes.memory.known.get(request_id)

    # -- to keep

    def snapshot(self) -> dict[str, Any]:
        """All but nonces and policy as plain values, fit for JSON or msgpack. No secret is in it."""
        memory = msgspec.to_builtins(self._votes.memory, str_keys=True)
        return {"version": VERSION, "number": self.number, "memory": memory, "facts": self._votes.facts.snapshot()}

    @classmethod
    def restore(cls, kept: dict[str, Any], quorums: Mapping[str, Quorum], policy: Policy, secrets: Secrets) -> Signer:
        """As it was, without nonces: attempts under way are given up.

        Raises:
            CustodyError: this is no snapshot of a signer, or one of another version, or has requests of unknown vaults.
        """
        if kept.get("version") != VERSION:
            raise CustodyError(
                f"expected a signer's snapshot of version {VERSION}, got version {kept.get('version')!r}"
            )
        try:
            memory = msgspec.convert(kept["memory"], Memory, str_keys=True)
            number = msgspec.convert(kept["number"], int)
            facts = Facts.restore(kept["facts"])
        except (KeyError, AttributeError, msgspec.ValidationError) as error:
            raise CustodyError(f"expected a signer's snapshot: {error}") from None
        if unknown := {known.request.vault for known in memory.known.values()} - set(quorums):
            raise CustodyError(f"the snapshot has requests of vaults that are not there: {', '.join(sorted(unknown))}")
        signer = cls(number, quorums, policy, secrets, facts)
        signer._votes.memory = memory
        return signer


def _begin(
    known: Known, attempt: int, signers: Sequence[int], plan: bytes, transaction: str, commitment: bytes
) -> None:
    known.attempt, known.signers, known.plan = attempt, tuple(signers), plan
    known.transaction, known.commitment = transaction, commitment
    known.asked, known.share = "", b""


def _asked(event: AskShare) -> str:
    return sha256(encode(event)).hexdigest()
