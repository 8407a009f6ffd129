"""What a signer says of requests: by its own policy, facts and clock."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from m1cep.custody.policy import Verdict, decide, settle
from m1cep.custody.policy.events import Spending, Spent
from m1cep.custody.request import check_request
from m1cep.custody.requests.messages import Propose, Status, Tick, Vote, Word
from m1cep.custody.signer.state import Known
from m1cep.errors import CustodyError, M1cepError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from m1cep.custody.policy import Approval, Facts, Policy
    from m1cep.custody.policy.events import FactEvent
    from m1cep.custody.requests.state import Quorum
    from m1cep.custody.signer.nonces import NonceBox
    from m1cep.custody.signer.state import Memory, Secrets

KEEP_MS = 3_600_000  # how long a request is remembered after it has expired
LOOK_MS = 1_000  # how often what waits is looked at again when only time passes
MAX_APPROVALS = 50
_WORDS = {
    Verdict.ALLOW: Word.ACCEPT,
    Verdict.APPROVE: Word.WAIT,
    Verdict.WAIT: Word.WAIT,
    Verdict.REJECT: Word.REJECT,
}


class Votes:
    """The requests that a signer has heard of, and its votes on them."""

    def __init__(
        self,
        number: int,
        quorums: Mapping[str, Quorum],
        policy: Policy,
        secrets: Secrets,
        nonces: NonceBox,
        facts: Facts,
        memory: Memory,
    ) -> None:
        self.number, self.policy, self.facts, self.memory = number, policy, facts, memory
        self._quorums, self._secrets, self._nonces = quorums, secrets, nonces

    def propose(self, event: Propose) -> list[Vote]:
        """A request, perhaps not for the first time; the vote, said again if it is the same."""
        request, digest = event.request, event.request.digest()
        known = self.memory.known.get(request.id)
        if known is not None and known.digest != digest:
            return [self._word(request.id, digest, 1, Word.REJECT, "id", "the id was used with other contents")]
        if known is None:
            try:
                check_request(request)
            except CustodyError as error:
                return [self._word(request.id, digest, 1, Word.REJECT, "request", str(error))]
            known = self.memory.known[request.id] = Known(request, digest)
        epoch = self._quorums[request.vault].epoch
        if not known.closed and event.epoch != epoch:
            self._say(known, Word.WAIT, "epoch", f"expected epoch {epoch} of the key, got epoch {event.epoch}")
        else:
            self._hear_people(known, event)
        assert known.vote is not None  # whatever is known was voted on
        return [known.vote]

    def _hear_people(self, known: Known, event: Propose) -> None:
        words = [word for word in event.approvals if word not in known.approvals and self._is_by_whom_it_says(word)]
        known.approvals += words[: MAX_APPROVALS - len(known.approvals)]
        self.vote(known, anew=bool(words))

    def vote(self, known: Known, *, anew: bool = False) -> list[Vote]:
        """Decide again; the vote, if it is another one than before or ``anew``."""
        if known.closed:
            return []
        decision = decide(self.policy, known.request, self.facts, self.memory.now_ms)
        decision = settle(self.policy, decision, known.request, known.approvals, self._secrets.verify)
        return self._say(known, _WORDS[decision.verdict], decision.rule, decision.reason, anew=anew)

    def _say(self, known: Known, word: Word, rule: str, reason: str, *, anew: bool = False) -> list[Vote]:
        before = known.vote
        same = before is not None and (before.word, before.rule, before.policy) == (word, rule, self.policy.hash)
        if same and not anew:
            return []
        number = before.number + 1 if before is not None else 1
        known.vote = self._word(known.request.id, known.digest, number, word, rule, reason)
        if word is Word.ACCEPT and (commitment := self._prepare(known)):
            known.vote = msgspec.structs.replace(known.vote, commitment=commitment)
        if word is Word.ACCEPT:
            self._spent(known, Spent.RESERVED)
        elif word is Word.REJECT:
            self.close(known, f"{rule}: {reason}")
        return [known.vote]

    def _prepare(self, known: Known) -> bytes:
        """A commitment for the first attempt, to nonces that are kept in memory until it comes; empty: none now."""
        if known.attempt:
            return b""
        if not self._nonces.has(known.request.id, 0):
            vault = known.request.vault
            try:
                nonces, known.prepared = self._secrets.prepare(vault, self._quorums[vault].epoch)
            except M1cepError:  # its share is of another epoch, or gone: the attempt will say so
                return b""
            self._nonces.put(known.request.id, 0, nonces)
        return known.prepared

    def _is_by_whom_it_says(self, word: Approval) -> bool:
        """Others are not kept: they would take the place of those that count."""
        key = self.policy.people.get(word.approver)
        return key is not None and self._secrets.verify(key, word.message(), word.signature)

    def _word(self, request_id: str, digest: str, number: int, word: Word, rule: str, reason: str) -> Vote:
        return Vote(request_id, digest, self.number, word, number, rule, reason[:1_000], self.policy.hash)

    # -- what changes them

    def look_again(self, event: FactEvent) -> list[Vote]:
        """Votes that a fact changes."""
        about = {getattr(event, field, None) for field in ("account", "vault", "request_id")}
        everybody = about == {None}  # the end of an alert or of a hold names no account
        return [
            vote
            for known in self._open()
            if everybody or about & {known.request.account, known.request.vault, known.request.id}
            for vote in self.vote(known)
        ]

    def set_policy(self, policy: Policy) -> list[Vote]:
        """Votes by another policy."""
        self.policy = policy
        return [vote for known in self._open() for vote in self.vote(known)]

    def ended(self, event: Status) -> None:
        """The coordinator says that a request has ended: so it has for us, whatever the reason."""
        known = self.memory.known.get(event.request_id)
        if known is not None and event.digest == known.digest and event.state.ended and not known.closed:
            self.close(known, f"the coordinator says {event.state.value}: {event.reason}")

    def pass_time(self, event: Tick) -> list[Vote]:
        """What waits may be due, what was accepted may expire, what has expired long since is forgotten."""
        memory = self.memory
        if event.time_ms <= memory.now_ms:
            return []
        memory.now_ms = event.time_ms
        look = memory.now_ms >= memory.looked_ms + LOOK_MS
        memory.looked_ms = memory.now_ms if look else memory.looked_ms
        votes: list[Vote] = []
        for request_id, known in list(memory.known.items()):
            if memory.now_ms >= known.request.expires_ms + KEEP_MS:
                if not known.closed:  # away for all that time
                    self.close(known, "it has expired")
                del memory.known[request_id]  # if it comes again, it has expired
            elif memory.now_ms >= known.request.expires_ms or (look and known.waits):
                votes += self.vote(known)
        return votes

    def close(self, known: Known, reason: str) -> None:
        """Nothing is signed for it any more. What was reserved is free, unless a share of ours is out."""
        known.closed = reason[:1_000]
        self._nonces.drop(known.request.id)
        if not known.pinned:
            self._spent(known, Spent.RETURNED)

    def _open(self) -> list[Known]:
        return [known for known in self.memory.known.values() if not known.closed]

    def _spent(self, known: Known, spent: Spent) -> None:
        one = known.request
        self.facts.apply(
            Spending(one.id, one.account, one.vault, one.chain, one.asset, one.amount, spent, self.memory.now_ms)
        )
