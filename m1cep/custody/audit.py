"""The audit log: each entry bears the hash of the one before, so that nothing can be changed, left out or put between unseen.

Whoever may write the file may write all of it anew: heads that the group key has signed, kept elsewhere, are what it is held
against.
An entry is one line of canonical JSON: ``body, hash, kind, prev, seq, time_ms``; ``hash`` is over the others.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from m1cep.custody.canonical import canonical, digest, tagged
from m1cep.custody.request import Digest, Millis, Name  # noqa: TC001 - msgspec reads the annotations
from m1cep.errors import CustodyError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One thing that happened.

    Attributes:
        seq: from 1, without gaps.
        time_ms: when, by the writer; never before the entry before.
        kind: such as ``state`` or ``vote``.
        body: what; no secrets.
        prev: hash of the entry before; of the first one, that of the log's name.
        hash: of all of this.
    """

    seq: int
    time_ms: Millis
    kind: Name
    body: dict[str, Any]
    prev: Digest
    hash: Digest

    def line(self) -> bytes:
        """As it is kept, without the line's end."""
        return canonical(msgspec.to_builtins(self))


class Head(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How far the log went at a moment; to be signed, and kept by others."""

    log: Name
    seq: int
    hash: Digest
    time_ms: Millis

    def message(self) -> bytes:
        """What is signed."""
        return tagged("audit-head", msgspec.to_builtins(self))


@dataclass(frozen=True, slots=True)
class Break:
    """Where a log is broken.

    Attributes:
        seq: of the first entry that cannot be trusted; of a line that cannot be read, its place from 1.
        reason: what was expected there and what came.
    """

    seq: int
    reason: str


class AuditLog:
    """The writer of a log: knows its end, and keeps no entries.

        log = AuditLog("vault-7")
        entry = log.append("state", {"request": "w-1", "state": "signing"}, now_ms)

    Args:
        name: of the log; no entry of another log fits in.
        head: to go on from; default: it is empty.
    """

    def __init__(self, name: str, head: Head | None = None) -> None:
        if head is not None and head.log != name:
            raise CustodyError(f"expected a head of log {name!r}, got one of {head.log!r}")
        self._head = head or Head(name, 0, origin(name), 0)

    @property
    def head(self) -> Head:
        """Where it stands."""
        return self._head

    def append(self, kind: str, body: dict[str, Any], time_ms: int) -> Entry:
        """The next entry, to be written before anything else is done. A clock that went back counts as one that stood still.

        Raises:
            CustodyError: the body has no canonical form, or the kind is no name.
        """
        last = self._head
        content = {
            "seq": last.seq + 1,
            "time_ms": max(time_ms, last.time_ms),
            "kind": kind,
            "body": body,
            "prev": last.hash,
        }
        try:
            entry = msgspec.convert({**content, "hash": digest("audit-entry", content)}, Entry)
        except msgspec.ValidationError as error:
            raise CustodyError(f"expected an entry of the audit log: {error}") from None
        self._head = Head(last.log, entry.seq, entry.hash, entry.time_ms)
        return entry


def verify(
    name: str,
    lines: Iterable[bytes],
    heads: Iterable[tuple[Head, bytes]] = (),
    check: Callable[[bytes, bytes], bool] | None = None,
) -> Head | Break:
    """Read a log from its beginning and hold it against signed heads.

    Args:
        name: of the log.
        lines: without ends of lines.
        heads: with their signatures.
        check: whether a signature (second) over a message (first) is the group key's; needed when there are heads.

    Returns:
        Where the log ends, or the first place where it is broken.
    """
    at: dict[int, str] = {}
    for head, signature in heads:
        if check is None or not check(head.message(), signature):
            return Break(
                head.seq, f"expected a head signed by the group key at entry {head.seq}, got another signature"
            )
        if head.log != name:
            return Break(head.seq, f"expected heads of log {name!r}, got one of {head.log!r}")
        if at.setdefault(head.seq, head.hash) != head.hash:
            return Break(head.seq, f"two signed heads name different entries {head.seq}")
    last = Head(name, 0, origin(name), 0)
    for line in lines:
        found = follow(last, line)
        if isinstance(found, Break):
            return found
        if at.pop(found.seq, found.hash) != found.hash:
            return Break(found.seq, f"entry {found.seq} is not the one whose head was signed")
        last = Head(name, found.seq, found.hash, found.time_ms)
    if missing := [seq for seq in at if seq > last.seq]:
        return Break(last.seq + 1, f"the log ends at entry {last.seq}, and a signed head names entry {max(missing)}")
    return last


def follow(last: Head, line: bytes) -> Entry | Break:
    """The entry of a line, if it is the one after ``last``; else what is wrong with it."""
    seq = last.seq + 1
    try:
        entry = msgspec.json.decode(line, type=Entry)
        content = json.loads(line)
        del content["hash"]
        is_canonical = entry.line() == line
        expected = digest("audit-entry", content)
    except (msgspec.DecodeError, UnicodeDecodeError, CustodyError, RecursionError, ValueError) as error:
        return Break(seq, f"expected entry {seq}, got what cannot be read: {error}")
    if entry.seq != seq:
        return Break(seq, f"expected entry {seq}, got entry {entry.seq}")
    if entry.prev != last.hash:
        return Break(seq, f"entry {seq} does not follow entry {last.seq}: expected prev {last.hash}, got {entry.prev}")
    if entry.hash != expected or not is_canonical:
        return Break(seq, f"entry {seq} was changed: its contents have the hash {expected}, it says {entry.hash}")
    if entry.time_ms < last.time_ms:
        return Break(seq, f"entry {seq} is of {entry.time_ms} ms, before the entry before it ({last.time_ms} ms)")
    return entry


def sequence_of(line: bytes) -> int | None:
    """The number that an entry says it has, unproven; None: it is no entry."""
    try:
        return msgspec.json.decode(line, type=Entry).seq
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def origin(name: str) -> str:
    """What the first entry of a log of this name follows, in the place of a hash."""
    return digest("audit-log", name)
