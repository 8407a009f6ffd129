"""A signer's copy of the audit log, and its part in signing heads of it.

The copy is where the log ends, not its entries: with the hash of the last entry everything before is fixed. A log that does not
go on from there was written anew, and nothing of it is signed any more until a person has looked.
"""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Any

import msgspec

from m1cep.custody.audit import Entry, Head, follow, origin, sequence_of
from m1cep.custody.frost.signing import Commitment, commit, sign
from m1cep.custody.heads.messages import (
    AskHead,
    AskHeadShare,
    HeadCommitment,
    HeadMissing,
    HeadShare,
    HeadUnable,
    encode,
)
from m1cep.custody.signer.nonces import NonceBox
from m1cep.errors import CustodyError, M1cepError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from m1cep.custody.frost.keys import KeyShare
    from m1cep.custody.frost.suite import Random
    from m1cep.custody.heads.messages import Answer, Asked

#: After so long a share that this signer gave must be in the log.
GRACE_MS = 60_000
_MOST_ENDS = 64
_MOST_OWED = 10_000


class _Given(msgspec.Struct):
    """A share of a release that this signer gave, and has not seen in the log.

    Attributes:
        digest: of the share, hexadecimal.
    """

    time_ms: int
    digest: str


class Copy(msgspec.Struct):
    """All that survives a restart; no secret is in it.

    Attributes:
        head: where the log ends; None: nothing has been heard of it.
        ends: hash and time of entries with which something ended that was heard, by number: heads that may be asked for.
        given: by request.
        broken: what is wrong with the log; empty: nothing.
    """

    head: Head | None = None
    ends: dict[int, tuple[str, int]] = {}
    given: dict[str, _Given] = {}
    broken: str = ""


class Witness:
    """One signer's.

    Args:
        name: of the log.
        number: of this signer; said_by: its name in the log.
        share: gives its share of the group's key; None: it has none.
        random: source of nonces.
        copy: to go on from.
    """

    def __init__(
        self,
        name: str,
        number: int,
        said_by: str,
        share: Callable[[], KeyShare | None],
        random: Random,
        copy: Copy | None = None,
    ) -> None:
        self._name, self._number, self._said_by, self._share, self._random = name, number, said_by, share, random
        self.copy = copy or Copy()
        self._nonces: NonceBox = NonceBox()
        self._going: tuple[AskHead, Head] | None = None
        self._answered: tuple[str, HeadShare] | None = None  # digest of the question, answer
        self._early: AskHead | None = None

    # -- the log

    def gave(self, request_id: str, share: bytes, now_ms: int) -> None:
        """This signer gives a share of a release, which the log must have before long."""
        given = self.copy.given
        given[request_id] = _Given(now_ms, sha256(share).hexdigest())
        while len(given) > _MOST_OWED:
            del given[next(iter(given))]

    def hear(self, lines: Sequence[bytes], now_ms: int) -> list[Answer]:
        """The next entries; those that are known already are passed over.

        Raises:
            CustodyError: they do not go on from the copy, or have words of this signer that it has not said.
        """
        for line in lines:
            self._take(line)
        head = self.copy.head
        if head is not None and lines:
            self.copy.ends[head.seq] = (head.hash, head.time_ms)
            while len(self.copy.ends) > _MOST_ENDS:
                del self.copy.ends[min(self.copy.ends)]
        early = self._early
        if early is not None and head is not None and early.seq <= head.seq:
            self._early = None
            return self._commit(early, now_ms)
        return []

    def _take(self, line: bytes) -> None:
        last = self.copy.head or Head(self._name, 0, origin(self._name), 0)
        found = follow(last, line)
        if isinstance(found, Entry):
            self._check_own_words(found)
            self.copy.head = Head(self._name, found.seq, found.hash, found.time_ms)
            return
        seq = sequence_of(line)
        if seq is not None and seq <= last.seq:
            known = self.copy.ends.get(seq)
            if known is None or f'"hash":"{known[0]}"'.encode() in line:
                return  # heard before
            self._break(f"entry {seq} came again with other contents")
        elif seq is not None and seq > last.seq + 1:
            raise CustodyError(f"entries {last.seq + 1} to {seq - 1} of the audit log have not come: waiting for them")
        self._break(found.reason)

    def _check_own_words(self, entry: Entry) -> None:
        """That what the log says this signer gave is what it gave."""
        if entry.kind != "heard" or entry.body.get("from") != self._said_by:
            return
        message = entry.body.get("message")
        if not isinstance(message, dict) or message.get("type") != "Share":
            return
        given = self.copy.given.pop(str(message.get("request_id")), None)
        if given is None:
            return
        try:
            share = msgspec.convert(message.get("share"), bytes)
        except msgspec.ValidationError:
            share = b""
        if sha256(share).hexdigest() != given.digest:
            self._break(f"entry {entry.seq} has a share in the name of {self._said_by} that it did not give")

    def _break(self, reason: str) -> None:
        self.copy.broken = self.copy.broken or reason
        raise CustodyError(f"the audit log is not the one that was heard before: {reason}")

    # -- its heads

    def asked(self, asked: Asked, now_ms: int) -> list[Answer]:
        """A question about a head; the answer, if it is for this signer and can be given now."""
        if asked.log != self._name:
            return []
        return self._commit(asked, now_ms) if isinstance(asked, AskHead) else self._give(asked)

    def _commit(self, asked: AskHead, now_ms: int) -> list[Answer]:
        if self._number not in asked.signers:
            return []
        if self._going is not None and asked.attempt <= self._going[0].attempt:
            return self._commit_again(asked)
        head = self.copy.head
        if not self.copy.broken and (head is None or asked.seq > head.seq):
            again, self._early = self._early == asked, asked  # its entries are on their way, or were lost
            after = head.seq if head is not None else 0
            return [HeadMissing(self._name, asked.attempt, self._number, after)] if again else []
        share = self._share()
        refusal = self._refusal(asked, share, now_ms)
        if refusal or share is None:
            return [self._unable(asked.attempt, refusal)]
        when_ms = self.copy.ends[asked.seq][1]
        nonces, commitment = commit(share, self._random)
        self._nonces.put(self._name, asked.attempt, nonces)
        # What is signed later is this head of the own copy, never what comes with the question.
        self._going = asked, Head(self._name, asked.seq, self.copy.ends[asked.seq][0], when_ms)
        self._said = HeadCommitment(self._name, asked.attempt, self._number, commitment.encode(share.public.suite))
        return [self._said]

    def _commit_again(self, asked: AskHead) -> list[Answer]:
        """The same question gets the same answer while it is worth something; what is over gets none."""
        assert self._going is not None  # whoever calls has looked
        if asked == self._going[0] and self._nonces.has(self._name, asked.attempt):
            return [self._said]
        return []

    def _refusal(self, asked: AskHead, share: KeyShare | None, now_ms: int) -> str:
        if self.copy.broken:
            return f"the audit log is not the one that was heard before: {self.copy.broken}"
        if share is None:
            return "holds no share of the audit log's key"
        public = share.public
        if asked.epoch != public.epoch:
            return f"expected epoch {public.epoch} of the key, got epoch {asked.epoch}"
        if len(set(asked.signers)) < max(len(asked.signers), public.threshold) or set(asked.signers) - set(
            public.shares
        ):
            return f"expected at least {public.threshold} different signers of the key, got {list(asked.signers)}"
        known = self.copy.ends.get(asked.seq)
        if known is None:
            return f"the hash of entry {asked.seq} is not at hand: ask for the newest head"
        if known[0] != asked.hash:
            return f"entry {asked.seq} of my copy of the audit log is another one"
        if overdue := [name for name, one in self.copy.given.items() if now_ms - one.time_ms > GRACE_MS]:
            return f"the audit log does not have the shares that I gave for {', '.join(sorted(overdue)[:5])}"
        return ""

    def _give(self, asked: AskHeadShare) -> list[Answer]:
        if self._number not in asked.commitments:
            return []
        question = sha256(encode(asked).encode()).hexdigest()
        if self._answered is not None and self._answered[0] == question:
            return [self._answered[1]]
        going, share = self._going, self._share()
        if going is None or going[0].attempt != asked.attempt or not self._nonces.has(self._name, asked.attempt):
            return [self._unable(asked.attempt, "there are no nonces for this attempt: it was given up")]
        if share is None or share.public.epoch != going[0].epoch:
            return [self._unable(asked.attempt, "the key has another epoch now")]
        mine = asked.commitments[self._number] == self._said.commitment
        if tuple(sorted(asked.commitments)) != going[0].signers or not mine:
            return [self._unable(asked.attempt, "expected the commitments of this attempt, mine among them")]
        nonces: Any = self._nonces.take(self._name, asked.attempt)
        suite = share.public.suite
        try:
            said = [Commitment.decode(suite, data) for _, data in sorted(asked.commitments.items())]
            if [one.identifier for one in said] != sorted(asked.commitments):
                raise CustodyError("a signer commits in another signer's name")
            made = sign(share, nonces, going[1].message(), said)
        except M1cepError as error:
            return [self._unable(asked.attempt, f"the commitments are refused: {error}")]
        answer = HeadShare(self._name, asked.attempt, self._number, made.encode(suite))
        self._answered = question, answer
        return [answer]

    def _unable(self, attempt: int, reason: str) -> HeadUnable:
        return HeadUnable(self._name, attempt, self._number, reason[:1_000])

    # -- to keep

    def snapshot(self) -> dict[str, Any]:
        """All but nonces, as plain values."""
        kept: dict[str, Any] = msgspec.to_builtins(self.copy, str_keys=True)
        return kept

    @staticmethod
    def copy_of(kept: Any) -> Copy:
        """What ``snapshot`` gave.

        Raises:
            CustodyError: this is none.
        """
        try:
            return msgspec.convert(kept, Copy, str_keys=True)
        except msgspec.ValidationError as error:
            raise CustodyError(f"expected a signer's copy of the audit log: {error}") from None
