"""A ceremony as whoever looks on sees it: by what is said to everybody, and no secret."""

from __future__ import annotations

from typing import TYPE_CHECKING

from m1cep.custody.frost import ceremony as frost
from m1cep.custody.frost.envelope import TO_ALL, Inbox, Purpose
from m1cep.custody.frost.errors import EncodingError, MisbehaviourError
from streams.custody.rites import terms_of

if TYPE_CHECKING:
    from m1cep.custody.frost.ceremony import RoundOne
    from m1cep.custody.frost.envelope import Envelope
    from m1cep.custody.frost.keys import PublicKeys
    from streams.custody.rites import Start
    from streams.custody.roster import Roster

RESEND_MS, RESEND_MOST_MS = 2_000, 60_000


class Due:
    """When to say again what waits: at longer and longer intervals."""

    def __init__(self, now_ms: int) -> None:
        self.next_ms, self._wait_ms = now_ms + RESEND_MS, RESEND_MS

    def comes(self, now_ms: int) -> bool:
        """Whether it is time; then it is later that it is time again."""
        if now_ms < self.next_ms:
            return False
        self._wait_ms = min(2 * self._wait_ms, RESEND_MOST_MS)
        self.next_ms = now_ms + self._wait_ms
        return True


class Onlooker:
    """Follows a ceremony by what is said to everybody.

    Args:
        start: the terms.
        roster: who is who.
        number: of the signer; 0: no signer.

    Raises:
        CustodyError: the terms cannot be, or somebody is not in the roster.
    """

    def __init__(self, start: Start, roster: Roster, number: int = TO_ALL) -> None:
        self.start, self.number = start, number
        self.terms = terms_of(start, roster)
        name = bytes.fromhex(start.ceremony)
        self._inbox = Inbox(self.terms.suite, self.terms.roster, ceremony=name, epoch=self.terms.epoch, receiver=number)
        #: Every envelope to everybody, in the order in which they came.
        self.heard: list[bytes] = []

    def take(self, data: bytes) -> Envelope | None:
        """An envelope; None: it has come before.

        Raises:
            CustodyError: it is refused: forged, mixed up, or its sender says two different things.
        """
        envelope = self._inbox.take(data)
        if envelope is not None and envelope.receiver == TO_ALL:
            self.heard.append(data)
        return envelope

    def missing(self, purpose: Purpose) -> list[int]:
        """Who has not said this yet, and should."""
        wanted = {
            Purpose.ROUND_ONE: tuple(self.terms.roster),
            Purpose.SEALED_SHARE: self.terms.dealers,
            Purpose.CONFIRMATION: self.terms.receivers,
        }[purpose]
        return [one for one in wanted if one not in self._inbox.bodies(purpose)]

    def first_round(self) -> dict[int, RoundOne] | None:
        """What everybody said in the first round; None: not everybody has.

        Raises:
            CustodyError: somebody said what an honest signer does not say.
        """
        if self.missing(Purpose.ROUND_ONE):
            return None
        found = {}
        for sender, body in self._inbox.bodies(Purpose.ROUND_ONE).items():
            try:
                found[sender] = frost.RoundOne.decode(self.terms.suite, body)
            except EncodingError as error:
                raise MisbehaviourError(f"in the first round, {error}", [sender]) from None
        return found

    def confirmations(self) -> dict[int, bytes]:
        """What has come, by receiver."""
        return self._inbox.bodies(Purpose.CONFIRMATION)

    def result(self) -> PublicKeys | None:
        """The key that has come of it, when all who receive have confirmed the same; None: not yet.

        Raises:
            CustodyError: they have not confirmed the same, or the first round was none.
        """
        first = None if self.missing(Purpose.CONFIRMATION) else self.first_round()
        if first is None:
            return None
        frost.check_round_ones(self.terms, first)
        frost.check_confirmations(self.terms, frost.transcript(self.terms, first), self.confirmations())
        return frost.next_public_keys(self.terms, first)

    def waits_for(self) -> str:
        """In words, for people."""
        for purpose, what in (
            (Purpose.ROUND_ONE, "the first round"),
            (Purpose.SEALED_SHARE, "shares dealt"),
            (Purpose.CONFIRMATION, "confirmation"),
        ):
            if purpose is Purpose.SEALED_SHARE and self.number not in self.terms.receivers:
                continue
            if missing := self.missing(purpose):
                return f"{what} of signers {', '.join(map(str, missing))} did not come"
        return "nothing is missing"
