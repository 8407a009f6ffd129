"""The coordinator's side of a ceremony: its start, a watch over it, and what came of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from m1cep.custody.frost.errors import MisbehaviourError
from m1cep.errors import CustodyError
from streams.custody import rites
from streams.custody.mail import ROUNDS
from streams.custody.onlooker import Due, Onlooker
from streams.custody.rites import Enclosed, Failed, Start
from streams.custody.roster import signer_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from m1cep.custody.frost.keys import PublicKeys
    from streams.codec import Message
    from streams.custody.mail import Letter, Pen
    from streams.custody.roster import Roster


class _Kept(msgspec.Struct):
    """A watch in the snapshot.

    Attributes:
        heard: envelopes to everybody.
    """

    start: Start
    failed: str
    heard: list[bytes]


class CeremonyWatch:
    """The coordinator's side of one ceremony: starts it, looks on, and says what came of it.

        watch = CeremonyWatch(new_key(roster, "alice-btc", secrets.token_hex(32), now_ms + 60_000), roster)
        messages = watch.tick(now_ms, pen)       # often; the first time it starts the ceremony
        watch.hear(letter)                       # every letter about a ceremony
        watch.public, watch.failed               # one of them, at the end

    Keep it until its time is over even when it has failed: the failure is one signer's word, and all may yet confirm.

    Args:
        start: see :func:`new_key`, :func:`same_key`.
        roster: who is who.

    Raises:
        CustodyError: the terms are not the roster's, or cannot be.
    """

    def __init__(self, start: Start, roster: Roster) -> None:
        rites.check_start(start, roster)
        self.start, self._roster = start, roster
        self._looks = Onlooker(start, roster)
        self._due: Due | None = None
        #: The key, when all have confirmed it.
        self.public: PublicKeys | None = None
        #: Why nothing came of it; who is named in it.
        self.failed = ""

    @property
    def ended(self) -> bool:
        """There is a key or a reason."""
        return self.public is not None or bool(self.failed)

    @property
    def waits_for(self) -> str:
        """In words, to show the progress."""
        return "" if self.ended else self._looks.waits_for()

    def hear(self, letter: Letter) -> None:
        """A letter about a ceremony; those of others are nothing.

        Raises:
            CustodyError: it is refused.
        """
        words = rites.decode(letter.body)
        if words.ceremony != self.start.ceremony or self.public is not None:
            return
        members = {signer_name(number) for number in (*self._looks.terms.roster, *self._former())}
        if isinstance(words, Failed) and letter.sender in members:
            self.failed = self.failed or f"{letter.sender}: {words.reason}"
        elif isinstance(words, Enclosed):
            self._enclosed(words)

    def _enclosed(self, words: Enclosed) -> None:
        try:
            self._looks.take(words.envelope)
        except MisbehaviourError as error:
            self.failed = self.failed or str(error)
            return
        try:
            self.public = self._looks.result()
        except CustodyError as error:
            self.failed = self.failed or str(error)

    def tick(self, now_ms: int, pen: Pen) -> list[Message]:
        """The time; the start, to be sent (again)."""
        if self.ended:
            return []
        if now_ms >= self.start.expires_ms:
            self.failed = f"not finished in time: {self._looks.waits_for()}"
            return []
        if self._due is not None and not self._due.comes(now_ms):
            return []
        self._due = self._due or Due(now_ms)
        return [pen.write(ROUNDS, self.start.vault, rites.ABOUT, rites.encode(self.start))]

    def snapshot(self) -> bytes:
        """All of it, to be kept."""
        return msgspec.msgpack.encode(_Kept(self.start, self.failed, self._looks.heard))

    @classmethod
    def restore(cls, kept: bytes, roster: Roster) -> CeremonyWatch:
        """As it was.

        Raises:
            CustodyError: this is no snapshot of one.
            OtherRosterError: the roster is not what it was.
        """
        try:
            found = msgspec.msgpack.decode(kept, type=_Kept)
        except msgspec.MsgspecError as error:
            raise CustodyError(f"expected a snapshot of a ceremony: {error}") from None
        try:
            watch = cls(found.start, roster)
            watch.failed = found.failed
            for envelope in found.heard:
                watch._enclosed(Enclosed(found.start.ceremony, envelope))
        except CustodyError as error:
            raise rites.OtherRosterError(str(error)) from None
        return watch

    def _former(self) -> Sequence[int]:
        previous = self._looks.terms.previous
        return () if previous is None else tuple(previous.shares)


def new_key(roster: Roster, vault: str, name: str, expires_ms: int) -> Start:
    """The start of a ceremony for a vault's first key.

    Args:
        roster: says who shares it, and how many will sign.
        vault: of the roster.
        name: 64 hexadecimal digits, at random; never the same again.
        expires_ms: until when it must be finished.

    Raises:
        CustodyError: there is no such vault.
    """
    members = _members(roster, vault)
    return Start(name, vault, roster.shared(vault).threshold, members, members, expires_ms)


def same_key(
    roster: Roster, vault: str, previous: PublicKeys, name: str, expires_ms: int, dealers: Sequence[int] = ()
) -> Start:
    """The start of a ceremony for new shares of a vault's key: for the same signers, or those whom the roster has now.

    Args:
        roster: says who will share it, and how many will sign.
        vault: of the roster.
        previous: the key until now.
        name: as for :func:`new_key`.
        expires_ms: the same.
        dealers: who deals; at least as many as sign now. Default: those who stay, and others as far as they are needed.

    Raises:
        CustodyError: there is no such vault.
    """
    members = _members(roster, vault)
    if not dealers:
        known = [one for one in previous.shares if one in roster.signers]
        dealers = sorted(known, key=lambda one: (one not in members, one))[: previous.threshold]
    threshold = roster.shared(vault).threshold
    return Start(name, vault, threshold, members, tuple(sorted(dealers)), expires_ms, previous.encode())


def _members(roster: Roster, vault: str) -> tuple[int, ...]:
    rites.suite_for(roster, vault)
    return tuple(sorted(roster.shared(vault).signers))
