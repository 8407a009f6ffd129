"""The coordinator's audit log, and its heads: who signs them, and when.

    entry ──▶ journal (disk) ──▶ m1cep.custody.audit.v1 ──▶ every signer follows it
                   └── head ──▶ signed by the coordinator, and by the signers' own group key (``m1cep.custody.heads``)

A head is signed some seconds after a request has ended, else every minute if there is something new.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from m1cep.custody.audit import Head
from m1cep.custody.heads import Gathering, SignedHead
from m1cep.custody.heads.messages import Answer as HeadAnswer
from m1cep.custody.heads.messages import HeadMissing, decode, encode
from m1cep.errors import CustodyError
from streams.custody.journal import NAME
from streams.custody.mail import LOG, RELEASES, ROUNDS
from streams.custody.roster import signer_name

if TYPE_CHECKING:
    from m1cep.custody.frost.keys import PublicKeys
    from streams.codec import Message
    from streams.custody.journal import Journal
    from streams.custody.mail import Letter, Pen

HEAD_EVERY_MS = 60_000
AFTER_END_MS = 5_000  # so many requests that end at about the same time share a head that the group signs
PUBLISH_EVERY_MS = 1_000
_MOST_BYTES = 128 * 1024  # of entries in one letter
#: A signer that lacks entries gets so much of them at a time, and the more rarely the longer it gets no further with them.
MOST_RESENT_BYTES = 1024 * 1024
RESEND_MS, RESEND_MOST_MS = 10_000, 3_600_000


class Kept(msgspec.Struct):
    """What survives a restart.

    Attributes:
        entries: of the log.
        published: entries that have certainly reached the topic.
        attempt: the newest of all signings of heads.
        signed: the newest head that the group has signed.
    """

    entries: int = 0
    published: int = 0
    attempt: int = 0
    signed: SignedHead | None = None


class _Resent(NamedTuple):
    """When a signer got entries again, after which, and how long it waits for more."""

    at_ms: int
    after: int
    wait_ms: int


class AuditDesk:
    """Writes the log, sends it to the signers, has heads signed.

    Args:
        journal: the file.
        pen: the coordinator's.
        by_group: the signers have a key for heads, or will have.
    """

    def __init__(self, journal: Journal, pen: Pen, *, by_group: bool) -> None:
        self._journal, self._pen, self._by_group = journal, pen, by_group
        self._public: PublicKeys | None = None
        self._kept = Kept()
        self._sent_to = journal.head.seq  # entries up to here are on their way; who lacks some of before says so
        self._unsent: list[bytes] = []
        self._sent_ms = 0
        self._resent: dict[int, _Resent] = {}
        self._own_ms = self._own_seq = self._group_ms = 0
        self._own_due = self._group_due = False
        self._gathering: Gathering | None = None

    def note(self, kind: str, body: dict[str, Any], now_ms: int) -> None:
        """The next entry."""
        line = self._journal.append(kind, body, now_ms)
        if self._by_group:
            self._unsent.append(line)

    def ended(self) -> None:
        """Something has ended that a head should be signed for before long."""
        self._own_due = self._group_due = True

    def set_public(self, public: PublicKeys) -> None:
        """The signers have a key for heads, or another epoch of it."""
        self._public, self._gathering, self._group_due = public, None, True

    @property
    def signed(self) -> SignedHead | None:
        """The newest head that the group has signed."""
        return self._kept.signed

    def hear(self, letter: Letter, now_ms: int) -> None:
        """A signer's letter about a head.

        Raises:
            CustodyError: it is refused.
        """
        answer = decode(letter.body)
        if not isinstance(answer, HeadAnswer):
            raise CustodyError(f"{letter.sender} is nobody from whom a {type(answer).__name__} is expected")
        if letter.sender != signer_name(answer.signer):
            raise CustodyError(f"{letter.sender} speaks in the name of signer {answer.signer}")
        if isinstance(answer, HeadMissing):
            self._send_again(answer, now_ms)
        elif self._gathering is not None:
            self._gathering.hear(answer, now_ms)

    def tick(self, now_ms: int) -> list[Message]:
        """Entries to be published, questions to signers, heads that are signed."""
        said = self._own_head(now_ms)
        if not self._by_group:
            return said
        self._look(now_ms, said)
        head = self._journal.head
        known = self._kept.signed.head.seq if self._kept.signed else 0
        since_ms = now_ms - self._group_ms
        due = since_ms >= HEAD_EVERY_MS or (self._group_due and since_ms >= AFTER_END_MS)
        if self._public is not None and self._gathering is None and due and head.seq > known:
            said += self._publish(now_ms)
            first = max(now_ms, self._kept.attempt + 1)
            self._gathering = Gathering(head, self._public, first_attempt=first, now_ms=now_ms)
            self._group_ms, self._group_due = now_ms, False
        elif now_ms - self._sent_ms >= PUBLISH_EVERY_MS:
            said += self._publish(now_ms)
        if self._gathering is not None:
            asked = self._gathering.ask(now_ms)
            self._kept.attempt = max([self._kept.attempt, *(one.attempt for one in asked)])
            said += [self._pen.write(ROUNDS, NAME, "head", encode(one)) for one in asked]
        return said

    def _look(self, now_ms: int, said: list[Message]) -> None:
        """What has come of the head that is being signed."""
        going = self._gathering
        if going is None:
            return
        if going.signed is not None:
            self._kept.signed, self._gathering = going.signed, None
            said.append(self._pen.write(RELEASES, NAME, "head", encode(going.signed)))
        elif going.over:
            self._gathering = None
            reasons = {str(signer): why for signer, why in sorted(going.reasons.items())}
            self.note("head-not-signed", {"seq": going.head.seq, "signers": reasons}, now_ms)

    def _own_head(self, now_ms: int) -> list[Message]:
        head = self._journal.head
        if head.seq <= self._own_seq or not (self._own_due or now_ms - self._own_ms >= HEAD_EVERY_MS):
            return []
        self._own_due, self._own_ms, self._own_seq = False, now_ms, head.seq
        return [self._pen.write(RELEASES, head.log, "audit", msgspec.json.encode(head).decode())]

    def _publish(self, now_ms: int) -> list[Message]:
        lines, self._unsent, self._sent_ms = self._unsent, [], now_ms
        self._sent_to = self._journal.head.seq
        said, part, size = [], list[bytes](), 0
        for line in [*lines, b""]:
            if part and (size + len(line) > _MOST_BYTES or not line):
                said.append(self._pen.write(LOG, NAME, "log", b"\n".join(part).decode()))
                part, size = [], 0
            part.append(line)
            size += len(line)
        return said

    def _send_again(self, missing: HeadMissing, now_ms: int) -> None:
        before = self._resent.get(missing.signer)
        if before is not None and now_ms - before.at_ms < before.wait_ms:
            return
        further = before is None or missing.after > before.after
        wait_ms = RESEND_MS if before is None or further else min(2 * before.wait_ms, RESEND_MOST_MS)
        self._resent[missing.signer] = _Resent(now_ms, missing.after, wait_ms)
        self._journal.flush()
        lines: list[bytes] = []
        size = 0
        for line in self._journal.lines_after(missing.after):
            size += len(line)
            if lines and size > MOST_RESENT_BYTES:
                lines += self._unsent  # what is new is for everybody
                break
            lines.append(line)
        self._unsent, self._sent_ms = lines, 0

    def flush(self) -> None:
        """All entries are on the disk."""
        self._journal.flush()

    # -- to keep

    def snapshot(self) -> Any:
        """Plain values. The log is on the disk when this returns, and what is sent after it is sent again after a crash."""
        self._journal.flush()
        kept = self._kept
        certain, kept.published, kept.entries = kept.published, self._sent_to, self._journal.head.seq
        plain: Any = msgspec.to_builtins(msgspec.structs.replace(kept, published=certain))
        return plain

    def load(self, kept: Any) -> None:
        """As it was.

        Raises:
            CustodyError: this is no snapshot of it, or the log is shorter than it was.
        """
        try:
            found = msgspec.convert(kept, Kept)
        except msgspec.ValidationError as error:
            raise CustodyError(f"expected the state of the audit log: {error}") from None
        if self._journal.head.seq < found.entries:
            raise CustodyError(
                f"the audit log ends at entry {self._journal.head.seq}, it had {found.entries}: put it back"
            )
        self._kept = found
        if self._by_group:
            self._unsent, self._sent_ms = self._journal.lines_after(found.published), 0


def parse_head(text: str) -> Head:
    """A head from a letter of the coordinator.

    Raises:
        CustodyError: it is none.
    """
    try:
        return msgspec.json.decode(text, type=Head)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise CustodyError(f"expected a head of the audit log: {error}") from None
