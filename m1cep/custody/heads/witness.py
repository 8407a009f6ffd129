"""A signer's copy of the audit log, and its part in signing heads of it.

The copy is where the log ends, not its entries: with the hash of the last entry everything before is fixed. A log that does not
go on from there was written anew, and nothing of it is signed any more until a person has looked.
"""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Any

import msgspec

from m1cep.custody.audit import Entry, Head, follow, origin, sequence_of
from m1cep.custody.heads.messages import AskHead, AskHeadShare, HeadMissing
from m1cep.custody.heads.part import Part
from m1cep.errors import CustodyError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from m1cep.custody.frost.keys import KeyShare
    from m1cep.custody.frost.suite import Random
    from m1cep.custody.heads.messages import Answer, Asked

#: After so long a share that this signer gave must be in the log.
GRACE_MS = 60_000
_MOST_ENDS = 64
_MOST_OWED = 10_000
_MOST_THERE = 200


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
        given: by request; one of several attempts gives several.
        there: digests of those that the log has, by request, of the last requests.
        broken: what is wrong with the log; empty: nothing.
    """

    head: Head | None = None
    ends: dict[int, tuple[str, int]] = {}
    given: dict[str, list[_Given]] = {}
    there: dict[str, list[str]] = {}
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
        self._name, self._number, self._said_by, self._share = name, number, said_by, share
        self.copy = copy or Copy()
        self._part = Part(name, number, random)
        self._early: AskHead | None = None

    # -- the log

    def gave(self, request_id: str, share: bytes, now_ms: int) -> None:
        """This signer gives a share of a release, which the log must have before long."""
        given = self.copy.given
        given.setdefault(request_id, []).append(_Given(now_ms, sha256(share).hexdigest()))
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
        request_id = str(message.get("request_id"))
        owed, there = self.copy.given.get(request_id, []), self.copy.there.get(request_id, [])
        try:
            share = msgspec.convert(message.get("share"), bytes)
        except msgspec.ValidationError:
            share = b""
        digest = sha256(share).hexdigest()
        found = next((one for one in owed if one.digest == digest), None)
        if found is not None:
            self._is_there(request_id, found)
        elif owed and digest not in there:  # of a request of long ago nothing is known any more
            self._break(f"entry {entry.seq} has a share in the name of {self._said_by} that it did not give")

    def _is_there(self, request_id: str, found: _Given) -> None:
        given, there = self.copy.given, self.copy.there
        given[request_id].remove(found)
        if not given[request_id]:
            del given[request_id]
        there.setdefault(request_id, []).append(found.digest)
        while len(there) > _MOST_THERE:
            del there[next(iter(there))]

    def _break(self, reason: str) -> None:
        self.copy.broken = self.copy.broken or reason
        raise CustodyError(f"the audit log is not the one that was heard before: {reason}")

    # -- its heads

    def asked(self, asked: Asked, now_ms: int) -> list[Answer]:
        """A question about a head; the answer, if it is for this signer and can be given now."""
        if asked.log != self._name:
            return []
        if isinstance(asked, AskHead):
            return self._commit(asked, now_ms)
        return self._part.give(asked, self._share()) if isinstance(asked, AskHeadShare) else []

    def _commit(self, asked: AskHead, now_ms: int) -> list[Answer]:
        if self._number not in asked.signers:
            return []
        again = self._part.again(asked)
        if again is not None:
            return again
        head = self.copy.head
        if not self.copy.broken and (head is None or asked.seq > head.seq):
            waited, self._early = self._early == asked, asked  # its entries are on their way, or were lost
            after = head.seq if head is not None else 0
            return [HeadMissing(self._name, asked.attempt, self._number, after)] if waited else []
        share = self._share()
        refusal = self._refusal(asked, share, now_ms)
        if refusal or share is None:
            return [self._part.unable(asked.attempt, refusal)]
        # What is signed later is this head of the own copy, never what comes with the question.
        hash_, time_ms = self.copy.ends[asked.seq]
        return [self._part.commit(asked, share, Head(self._name, asked.seq, hash_, time_ms).message())]

    def _refusal(self, asked: AskHead, share: KeyShare | None, now_ms: int) -> str:
        if self.copy.broken:
            return f"the audit log is not the one that was heard before: {self.copy.broken}"
        if share is None:
            return "holds no share of the audit log's key"
        if reason := self._part.not_of_key(asked, share):
            return reason
        known = self.copy.ends.get(asked.seq)
        if known is None:
            return f"the hash of entry {asked.seq} is not at hand: ask for the newest head"
        if known[0] != asked.hash:
            return f"entry {asked.seq} of my copy of the audit log is another one"
        if overdue := [name for name, owed in self.copy.given.items() if now_ms - owed[0].time_ms > GRACE_MS]:
            return f"the audit log does not have the shares that I gave for {', '.join(sorted(overdue)[:5])}"
        return ""

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
