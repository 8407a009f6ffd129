"""The coordinator's side of a repair: its start, and what came of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from m1cep.custody.frost.repair import Repair
from m1cep.errors import CustodyError
from streams.custody import rites
from streams.custody.mail import ROUNDS
from streams.custody.onlooker import Due
from streams.custody.rites import Failed, RepairDone, RepairStart
from streams.custody.roster import signer_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from m1cep.custody.frost.keys import PublicKeys
    from streams.codec import Message
    from streams.custody.mail import Letter, Pen
    from streams.custody.roster import Roster


class _Kept(msgspec.Struct):
    start: RepairStart
    failed: str
    done: bool


class RepairWatch:
    """One repair; used as ``CeremonyWatch`` is.

    Args:
        start: see :func:`new_repair`.
        roster: who is who.
    """

    public: PublicKeys | None = None  # a repair changes no key

    def __init__(self, start: RepairStart, roster: Roster) -> None:
        rites.suite_for(roster, start.vault)
        self.start = start
        self._due: Due | None = None
        #: Why nothing came of it.
        self.failed = ""
        self.done = False

    @property
    def ended(self) -> bool:
        """The share is restored, or there is a reason."""
        return self.done or bool(self.failed)

    @property
    def waits_for(self) -> str:
        """In words, to show the progress."""
        helpers = ", ".join(map(str, self.start.helpers))
        return "" if self.ended else f"signer {self.start.lost} has not got its share from signers {helpers} yet"

    def hear(self, letter: Letter) -> None:
        """A letter about a ceremony; those of others are nothing.

        Raises:
            CustodyError: it is refused.
        """
        words = rites.decode(letter.body)
        if words.ceremony != self.start.ceremony:
            return
        if isinstance(words, RepairDone) and letter.sender == signer_name(self.start.lost):
            self.done, self.failed = True, ""
        members = {signer_name(number) for number in (*self.start.helpers, self.start.lost)}
        if isinstance(words, Failed) and letter.sender in members and not self.done:
            self.failed = self.failed or f"{letter.sender}: {words.reason}"

    def tick(self, now_ms: int, pen: Pen) -> list[Message]:
        """The time; the start, to be sent (again)."""
        if self.ended:
            return []
        if now_ms >= self.start.expires_ms:
            self.failed = f"not finished in time: {self.waits_for}"
            return []
        if self._due is not None and not self._due.comes(now_ms):
            return []
        self._due = self._due or Due(now_ms)
        return [pen.write(ROUNDS, self.start.vault, rites.ABOUT, rites.encode(self.start))]

    def snapshot(self) -> bytes:
        """All of it, to be kept."""
        return msgspec.msgpack.encode(_Kept(self.start, self.failed, self.done))

    @classmethod
    def restore(cls, kept: bytes, roster: Roster) -> RepairWatch:
        """As it was.

        Raises:
            CustodyError: this is no snapshot of one.
            OtherRosterError: the roster has lost the vault.
        """
        try:
            found = msgspec.msgpack.decode(kept, type=_Kept)
        except msgspec.MsgspecError as error:
            raise CustodyError(f"expected a snapshot of a repair: {error}") from None
        try:
            watch = cls(found.start, roster)
        except CustodyError as error:
            raise rites.OtherRosterError(str(error)) from None
        watch.failed, watch.done = found.failed, found.done
        return watch


def new_repair(
    roster: Roster, vault: str, public: PublicKeys, lost: int, helpers: Sequence[int], salt: str, expires_ms: int
) -> RepairStart:
    """The start of a repair.

    Args:
        roster: who is who.
        vault: which key.
        public: its public keys.
        lost: whose share is lost.
        helpers: who helps; empty: the first of its holders.
        salt: 64 hexadecimal digits, at random.
        expires_ms: until when it must be finished.

    Raises:
        CustodyError: too few can help, or the loser holds no share of this key.
    """
    able = [one for one in public.shares if one != lost and one in roster.signers]
    chosen = tuple(sorted(helpers or able[: public.threshold]))
    Repair(public, chosen, lost)
    start = RepairStart("0" * 64, vault, lost, chosen, expires_ms, public.encode(), salt)
    return msgspec.structs.replace(start, ceremony=rites.repair_name(start))
