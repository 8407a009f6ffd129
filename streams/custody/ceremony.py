"""A signer's own part in one ceremony."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from m1cep.custody.frost import ceremony as frost
from m1cep.custody.frost.envelope import TO_ALL, Envelope, Purpose
from m1cep.errors import CustodyError
from streams.custody.onlooker import Onlooker
from streams.custody.rites import Enclosed

if TYPE_CHECKING:
    from m1cep.custody.frost.ceremony import Dealing
    from m1cep.custody.frost.envelope import Identity
    from m1cep.custody.frost.keys import KeyShare
    from m1cep.custody.frost.suite import Random
    from streams.custody.keyfile import Keyfile
    from streams.custody.rites import Start, Words
    from streams.custody.roster import Roster


class Phase(StrEnum):
    """Where a ceremony stands for one signer."""

    TALKING = "talking"  # its secrets are in memory only: a restart ends it
    DEALT = "dealt"  # of one that deals and receives nothing: the others confirm
    CONFIRMED = "confirmed"  # the share is stored; waits for the others' confirmations
    DONE = "done"
    FAILED = "failed"


class Said(NamedTuple):
    """Words, and for whom.

    Attributes:
        receiver: a signer's number, or 0: everybody.
        words: what is said.
    """

    receiver: int
    words: Words


class Part(Onlooker):
    """A signer's own part. Secrets are in memory and, once there is a share to confirm, in the keyfile.

    Args:
        start: the terms.
        roster: who is who.
        keyfile: of this signer.

    Raises:
        CustodyError: as :class:`Onlooker`.
    """

    def __init__(self, start: Start, roster: Roster, keyfile: Keyfile) -> None:
        super().__init__(start, roster, keyfile.number)
        self._keyfile = keyfile
        self._identity: Identity = keyfile.identity()
        self._dealing: Dealing | None = None
        self._sealed: dict[int, bytes] = {}  # what this signer dealt, by receiver
        self.phase, self.reason = Phase.TALKING, ""

    @property
    def takes_part(self) -> bool:
        """Else it looks on, to delete its old share."""
        return self.number in self.terms.roster

    def begin(self, random: Random) -> None:
        """The first round.

        Raises:
            CustodyError: this signer holds another share than the terms say, or none.
        """
        if self.takes_part:
            share = self._old_share()
            self._dealing, said = frost.round_one(self.terms, self.number, random, share)
            self._seal(Purpose.ROUND_ONE, TO_ALL, said.encode(self.terms.suite))

    def check_key(self) -> None:
        """That what the terms say of the key is what this signer knows of it.

        Raises:
            CustodyError: it is not.
        """
        held, vault = self._keyfile.held.get(self.start.vault), self.start.vault
        if held is None:
            if self.number in self.terms.dealers and self.terms.previous is not None:
                raise CustodyError(f"signer {self.number} holds no share of vault {vault} to deal")
        elif self.terms.previous is None:
            raise CustodyError(f"vault {vault} has a key already: refresh it, or choose another vault")
        elif self.terms.previous != held.share.public:
            mine, previous = held.share.public, self.terms.previous
            if mine.group == previous.group and mine.epoch < previous.epoch and self.number not in self.terms.dealers:
                return  # this signer has missed one: it gets a share again
            here, came = mine.epoch, previous.epoch
            raise CustodyError(
                f"the ceremony is about another key of vault {vault} (epoch {came}) than mine (epoch {here})"
            )

    def advance(self, random: Random, now_ms: int) -> tuple[list[Said], bool]:
        """Go as far as what has come allows; what is to be said now, and whether all is done.

        Raises:
            CustodyError: it cannot go on; who is to blame is named where that is known.
        """
        said: list[Said] = []
        if self.phase is Phase.TALKING and self.takes_part:
            said += self._talk(random)
        if self.phase is Phase.CONFIRMED:
            self._activate(now_ms)
        elif (self.phase is Phase.DEALT or not self.takes_part) and self.result() is not None:
            if self._keyfile.held.get(self.start.vault):
                self._keyfile.give_up(self.start.vault)
            self.phase = Phase.DONE
        return said, self.phase is Phase.DONE

    def _talk(self, random: Random) -> list[Said]:
        first = self.first_round()
        if first is None or self._dealing is None:
            return []
        said: list[Said] = []
        if not self._sealed and self.number in self.terms.dealers:
            sealed = frost.round_two(self.terms, self._dealing, first, random)
            for receiver, body in sealed.items():
                self._sealed[receiver] = self._seal(Purpose.SEALED_SHARE, receiver, body)
            said += self._dealt()
        if self.number not in self.terms.receivers:
            self.phase, self._dealing = Phase.DEALT, None
        elif not self.missing(Purpose.SEALED_SHARE):
            pending = frost.finish(self.terms, self._dealing, first, self._inbox.bodies(Purpose.SEALED_SHARE))
            self._keyfile.keep_waiting(self.start.ceremony, self.start.vault, pending)
            said += self.confirm()
        return said

    def confirm(self) -> list[Said]:
        """Say that the share is stored; it is."""
        waiting = self._keyfile.waiting[self.start.ceremony].pending
        body = frost.confirm(self._identity, waiting.transcript)
        data = self._seal(Purpose.CONFIRMATION, TO_ALL, body)
        self.phase, self._dealing = Phase.CONFIRMED, None
        return [Said(TO_ALL, self._enclosed(data))]

    def _activate(self, now_ms: int) -> None:
        waiting = self._keyfile.waiting.get(self.start.ceremony)
        if waiting is None:
            raise CustodyError("another ceremony of this vault has ended before")
        if not self.missing(Purpose.CONFIRMATION):
            share = waiting.pending.activate(self.terms, self.confirmations())
            held = self._keyfile.held.get(self.start.vault)
            since_ms = held.since_ms if held else now_ms if self.terms.previous else 0
            self._keyfile.activate(self.start.ceremony, share, since_ms)
            self.phase = Phase.DONE

    def fail(self, reason: str) -> None:
        """It comes to nothing."""
        self.phase, self.reason, self._dealing = Phase.FAILED, reason[:1_000], None

    def resume(self) -> None:
        """After a restart: by what the keyfile has."""
        held = self._keyfile.held.get(self.start.vault)
        if held is not None and held.ceremony == self.start.ceremony:
            self.phase = Phase.DONE
        elif self.phase in {Phase.TALKING, Phase.CONFIRMED} and self.takes_part:
            if self.start.ceremony in self._keyfile.waiting:
                self.confirm()
            elif self.phase is Phase.TALKING:
                self.fail("restarted in the middle: what it had dealt is gone; repeat under another name")

    def again(self) -> list[Said]:
        """All that this signer has said, once more."""
        said = [Said(TO_ALL, self._enclosed(one)) for one in self._own()]
        return said + (self._dealt() if self.phase in {Phase.TALKING, Phase.DEALT, Phase.CONFIRMED} else [])

    def _own(self) -> list[bytes]:
        mine = []
        for purpose in (Purpose.ROUND_ONE, Purpose.CONFIRMATION):
            body = self._inbox.bodies(purpose).get(self.number)
            if body is not None:
                mine.append(self._envelope(purpose, TO_ALL, body))
        return mine

    def _dealt(self) -> list[Said]:
        return [
            Said(receiver, self._enclosed(data)) for receiver, data in self._sealed.items() if receiver != self.number
        ]

    def _enclosed(self, data: bytes) -> Enclosed:
        waits = self.phase in {Phase.TALKING, Phase.CONFIRMED}
        return Enclosed(self.start.ceremony, data, waits=waits)

    def _envelope(self, purpose: Purpose, receiver: int, body: bytes) -> bytes:
        name = bytes.fromhex(self.start.ceremony)
        made = Envelope(purpose, name, self.terms.epoch, self.number, receiver, body)
        return made.seal(self.terms.suite, self._identity)

    def _seal(self, purpose: Purpose, receiver: int, body: bytes) -> bytes:
        """An envelope; what is for everybody, or for this signer itself, is taken in at once."""
        data = self._envelope(purpose, receiver, body)
        if receiver in {TO_ALL, self.number}:
            self.take(data)
        return data

    def _old_share(self) -> KeyShare | None:
        held = self._keyfile.held.get(self.start.vault)
        return None if held is None else held.share
