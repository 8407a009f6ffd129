"""The coordinator's part in showing reserves (``streams.custody.reserving``): people's asks, and vaults' keys that sign."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from m1cep.custody.heads import Signing
from m1cep.custody.heads.messages import MOST_LETTER, Answer, AskReserve, decode, encode
from m1cep.errors import CustodyError
from m1cep.ledger.liabilities.verify_balance import SAFE
from streams.custody import asks
from streams.custody.derive import signing_public
from streams.custody.mail import RELEASES, ROUNDS
from streams.custody.owners import OwnerKeys, apart
from streams.custody.ownersigning import OwnersSigning
from streams.custody.reserving import ABOUT, ReserveAsk, asked_by, challenge_of
from streams.custody.roster import AUDIT, signer_name

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from m1cep.custody.frost.keys import PublicKeys
    from m1cep.custody.policy import Policy
    from streams.codec import Message
    from streams.custody.mail import Letter, Pen
    from streams.custody.reserving import Challenge
    from streams.custody.roster import Vault

_MOST_ANSWERED = 1_000  # ids that are remembered


class _UnderWay(msgspec.Struct, frozen=True):
    """An ask, and the letter that it came in, for the signers."""

    ask: ReserveAsk
    letter: str


class Kept(msgspec.Struct):
    """What the coordinator remembers over restarts.

    Attributes:
        attempt: the newest of all.
        under_way: by vault.
        answered: by id.
    """

    attempt: int = 0
    under_way: dict[str, _UnderWay] = {}
    answered: dict[str, asks.Answered | asks.Stands] = {}


class ReserveDesk:
    """The coordinator's part: one reserve of a vault at a time.

    Args:
        vaults: of the roster.
        pen: the coordinator's.
        note: writes into the audit log.
    """

    def __init__(self, vaults: Mapping[str, Vault], pen: Pen, note: Callable[[str, dict[str, Any]], None]) -> None:
        self._vaults, self._pen, self._note = vaults, pen, note
        self._kept = Kept()
        self._going: dict[str, tuple[Challenge, PublicKeys | OwnerKeys, Signing | OwnersSigning]] = {}

    def ask(
        self, sender: str, sealed: str, policy: Policy, publics: Mapping[str, PublicKeys | OwnerKeys]
    ) -> list[Message]:
        """A person's letter, opened and sealed.

        Raises:
            CustodyError: it is nobody's who may ask.
        """
        ask, kept = asked_by(sealed, policy), self._kept
        known, going = kept.answered.get(ask.id), kept.under_way.get(ask.vault)
        if known is not None:
            return [self._say(ask.vault, known)]
        if going is not None and going.ask == ask:
            return []
        self._note("heard", {"from": sender, "message": msgspec.to_builtins(ask)})
        if going is not None:
            reason = f"vault {ask.vault} signs for another ask: ask again in a minute"
            return [self._answer(ask, asks.Answered(ask.id, False, reason))]
        try:
            _check_length(sealed)
            self._check(ask, publics.get(ask.vault))
        except CustodyError as error:
            return [self._answer(ask, asks.Answered(ask.id, False, str(error)[:1_000]))]
        kept.under_way[ask.vault] = _UnderWay(ask, sealed)
        return []

    def _check(
        self, ask: ReserveAsk, public: PublicKeys | OwnerKeys | None
    ) -> tuple[PublicKeys | OwnerKeys, Challenge]:
        """The key or the owners that sign, and what."""
        if ask.vault not in self._vaults and ask.vault != AUDIT:
            raise CustodyError(f"there is no vault {ask.vault}; there are {', '.join(sorted(self._vaults)) or 'none'}")
        if public is None:
            raise CustodyError(f"vault {ask.vault} has no key yet: generate one (m1cep custody keygen)")
        return public, challenge_of(self._vaults, public, ask)

    def hear(self, letter: Letter, now_ms: int) -> None:
        """A signer's letter.

        Raises:
            CustodyError: it is refused.
        """
        answer = decode(letter.body)
        if not isinstance(answer, Answer):
            raise CustodyError(f"{letter.sender} is nobody from whom a {type(answer).__name__} is expected")
        if letter.sender != signer_name(answer.signer):
            raise CustodyError(f"{letter.sender} speaks in the name of signer {answer.signer}")
        going = self._going.get(answer.log)
        if going is not None:
            going[2].hear(answer, now_ms)

    def tick(self, publics: Mapping[str, PublicKeys | OwnerKeys], now_ms: int) -> list[Message]:
        """Questions to signers, and what has come of them."""
        said: list[Message] = []
        for vault, one in list(self._kept.under_way.items()):
            try:
                signing, answer = self._proceed(one, publics.get(vault), now_ms)
            except CustodyError as error:  # the roster is another one since
                signing, answer = None, asks.Answered(one.ask.id, False, str(error)[:1_000])
            if answer is not None:
                said.append(self._answer(one.ask, answer))
                del self._kept.under_way[vault]
                self._going.pop(vault, None)
            elif signing is not None:
                asked = signing.ask(now_ms)
                self._kept.attempt = max([self._kept.attempt, *(each.attempt for each in asked)])
                said += [self._pen.write(ROUNDS, vault, ABOUT, encode(each)) for each in asked]
        return said

    def _proceed(
        self, one: _UnderWay, public: PublicKeys | OwnerKeys | None, now_ms: int
    ) -> tuple[Signing | OwnersSigning | None, asks.Answered | asks.Stands | None]:
        """The signing that is going, begun where there is none of this key's epoch; its answer at the end."""
        ask = one.ask
        going = self._going.get(ask.vault)
        if going is None or going[1] != public:
            going = self._going[ask.vault] = self._begin(one, *self._check(ask, public), now_ms)
        challenge, _, signing = going
        if signing.signature is not None:
            return None, _stands(ask, challenge, signing.signature)
        if signing.over:
            reasons = "; ".join(f"signer {signer}: {why}" for signer, why in sorted(signing.reasons.items()))
            return None, asks.Answered(ask.id, False, f"too few signers signed: {reasons}"[:1_000])
        return signing, None

    def _begin(
        self, one: _UnderWay, public: PublicKeys | OwnerKeys, challenge: Challenge, now_ms: int
    ) -> tuple[Challenge, PublicKeys | OwnerKeys, Signing | OwnersSigning]:
        def question(attempt: int, signers: tuple[int, ...]) -> AskReserve:
            return AskReserve(one.ask.vault, attempt, public.epoch, signers, one.letter)

        first, about = max(now_ms, self._kept.attempt + 1), (one.ask.vault, challenge.message)
        if isinstance(public, OwnerKeys):
            return challenge, public, OwnersSigning(*about, public, question, attempt=first, now_ms=now_ms)
        signing = Signing(*about, signing_public(public), question, first_attempt=first, now_ms=now_ms)
        return challenge, public, signing

    def _answer(self, ask: ReserveAsk, answer: asks.Answered | asks.Stands) -> Message:
        answered = self._kept.answered
        answered[ask.id] = answer
        while len(answered) > _MOST_ANSWERED:
            del answered[next(iter(answered))]
        self._note("reserve", msgspec.to_builtins(answer))
        return self._say(ask.vault, answer)

    def _say(self, vault: str, answer: asks.Answered | asks.Stands) -> Message:
        return self._pen.write(RELEASES, vault, "desk", asks.encode(answer))

    # -- to keep

    def snapshot(self) -> Any:
        """Plain values."""
        return msgspec.to_builtins(self._kept)

    def load(self, kept: Any) -> None:
        """As it was; what was under way begins anew, as another attempt.

        Raises:
            CustodyError: this is no snapshot of it.
        """
        try:
            self._kept = msgspec.convert(kept, Kept) if kept is not None else Kept()
        except msgspec.ValidationError as error:
            raise CustodyError(f"expected the state of reserves: {error}") from None


def _stands(ask: ReserveAsk, challenge: Challenge, signature: bytes) -> asks.Stands:
    about, of = (ask.id, ask.vault, challenge.chain, ask.asset, challenge.address), (ask.statement, ask.epoch_ms)
    if challenge.scheme != SAFE:
        return asks.ReserveStands(*about, challenge.scheme, challenge.key.hex(), signature.hex(), *of)
    owners = [challenge.key[at : at + 20] for at in range(1, len(challenge.key), 20)]
    signed = tuple(one.hex() for one in apart(signature))
    return asks.SafeStands(*about, challenge.key[0], tuple(f"0x{one.hex()}" for one in owners), signed, *of)


def _check_length(sealed: str) -> None:
    if len(sealed) > MOST_LETTER:
        raise CustodyError(f"the letter has {len(sealed)} characters, signers take {MOST_LETTER}")
