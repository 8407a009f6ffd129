"""Ceremonies over Kafka: all that a signer takes part in. The coordinator's side is ``watch``.

A signer believes the coordinator only that there shall be a ceremony: who takes part and how many will sign is the roster's, what
the key is until now is its own keyfile's. What a signer has said it says again while it waits; a ceremony that it has not
confirmed ends with the process or when its time is over, and is repeated under another name. A share that it has confirmed waits
in the keyfile until all have confirmed, or another ceremony of the vault has ended first.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

import msgspec
import structlog

from m1cep.custody.frost.errors import MisbehaviourError
from m1cep.custody.request import shown_time
from m1cep.custody.requests.state import Quorum
from m1cep.errors import CustodyError
from streams.custody import rites
from streams.custody.ceremony import Part, Phase, Said
from streams.custody.mail import ROUNDS, signer_topic
from streams.custody.onlooker import Due
from streams.custody.repairing import Repairs
from streams.custody.rites import Enclosed, Failed, RepairStart, Start
from streams.custody.roster import COORDINATOR, signer_name

if TYPE_CHECKING:
    from collections.abc import Iterable

    from m1cep.custody.frost.suite import Random
    from streams.codec import Message
    from streams.custody.keyfile import Keyfile
    from streams.custody.mail import Letter, Pen
    from streams.custody.roster import Roster

_log = structlog.get_logger(__name__)

#: How long a ceremony is remembered after its time is over, by how it stands. A share that was confirmed waits longer.
KEEP_MS = 24 * 3_600_000
KEEP_CONFIRMED_MS = 30 * KEEP_MS
MOST_AT_ONCE = 16  # of one vault
MOST_EARLY = 64  # messages of one sender that came before the start of their ceremony


class _Kept(msgspec.Struct):
    """A ceremony in the snapshot; no secret is in it.

    Attributes:
        heard: envelopes to everybody.
    """

    start: Start
    phase: Phase
    reason: str
    heard: list[bytes]


class _Book(msgspec.Struct):
    ceremonies: list[_Kept]
    early: dict[str, list[tuple[str, bytes]]]


class Ceremonies:
    """Those of one signer.

    Args:
        roster: who is who.
        keyfile: of this signer.
        pen: its own.
        random: source of its secrets.
    """

    def __init__(self, roster: Roster, keyfile: Keyfile, pen: Pen, random: Random = secrets.token_bytes) -> None:
        self._roster, self._keyfile, self._pen, self._random = roster, keyfile, pen, random
        self._signers = frozenset(signer_name(number) for number in roster.signers)
        self._parts: dict[str, Part] = {}
        self._due: dict[str, Due] = {}
        self._early: dict[str, list[tuple[str, bytes]]] = {}  # by sender: ceremony, envelope
        self._changed: dict[str, Quorum] = {}
        self._repairs = Repairs(roster, keyfile, random, self._changed)

    def hear(self, letter: Letter, now_ms: int) -> list[Message]:
        """A letter about a ceremony; what is to be said.

        Raises:
            CustodyError: it is refused.
        """
        match rites.decode(letter.body):
            case Start() as start:
                if letter.sender != COORDINATOR:
                    raise CustodyError(f"{letter.sender} cannot start a ceremony: the coordinator does")
                return self._start(start, now_ms)
            case RepairStart() as start:
                if letter.sender != COORDINATOR:
                    raise CustodyError(f"{letter.sender} cannot start a repair: the coordinator does")
                early = [data for waiting in self._early.values() for name, data in waiting if name == start.ceremony]
                return self._say(start.vault, self._repairs.start(start, early, now_ms))
            case Enclosed() as words:
                if letter.sender not in self._signers:
                    raise CustodyError(f"{letter.sender} has no part in ceremonies")
                repaired = self._repairs.vault_of(words.ceremony)
                if repaired:
                    return self._say(repaired, self._repairs.take(words.ceremony, words.envelope, now_ms))
                return self._enclosed(letter.sender, words, now_ms)
            case _:
                return []  # another signer goes no further: for the coordinator

    def tick(self, now_ms: int) -> list[Message]:
        """The time; what is to be said again."""
        said: list[Message] = []
        self._repairs.tick(now_ms)
        for name, part in list(self._parts.items()):
            keep_ms = KEEP_CONFIRMED_MS if part.phase is Phase.CONFIRMED else KEEP_MS
            if now_ms >= part.start.expires_ms + keep_ms:
                del self._parts[name], self._due[name]
                self._keyfile.drop_waiting(name)
            elif part.phase is Phase.TALKING and part.takes_part and now_ms >= part.start.expires_ms:
                said += self._fail(part, f"not finished in time: {part.waits_for()}")
            elif part.phase in {Phase.TALKING, Phase.CONFIRMED} and self._due[name].comes(now_ms):
                said += self._mail(part, part.again())
        return said

    def changed(self) -> dict[str, Quorum]:
        """Vaults with another key, or epoch of it, since this was asked last."""
        changed = dict(self._changed)
        self._changed.clear()
        return changed

    def phases(self) -> dict[str, tuple[str, Phase, str]]:
        """Vault, phase and reason of a failure, by ceremony; to look at."""
        return {name: (one.start.vault, one.phase, one.reason) for name, one in self._parts.items()}

    # -- what is heard

    def _start(self, start: Start, now_ms: int) -> list[Message]:
        known = self._parts.get(start.ceremony)
        if known is not None:
            if known.start != start:
                raise CustodyError("the name of a ceremony came again with other terms")
            if known.phase is Phase.FAILED:
                return [self._write(known.start.vault, Said(0, Failed(start.ceremony, known.reason)))]
            return self._mail(known, known.again())
        if now_ms >= start.expires_ms:
            return []  # of the past: read again
        try:
            self._check_load(start, now_ms)
            rites.check_start(start, self._roster)
            part = Part(start, self._roster, self._keyfile)
            part.check_key()
            if not part.takes_part and start.vault not in self._keyfile.held:
                return []  # nothing to do with it
            part.begin(self._random)
        except CustodyError as error:
            _log.warning("ceremony.refused", ceremony=start.ceremony, vault=start.vault, reason=str(error))
            return [self._write(start.vault, Said(0, Failed(start.ceremony, str(error)[:1_000])))]
        self._parts[start.ceremony], self._due[start.ceremony] = part, Due(now_ms)
        _log.info("ceremony.begun", ceremony=start.ceremony, vault=start.vault)
        said = self._mail(part, part.again())
        for sender, waiting in self._early.items():
            for envelope in [data for name, data in waiting if name == start.ceremony]:
                said += self._take(part, sender, envelope, now_ms)
            self._early[sender] = [one for one in waiting if one[0] != start.ceremony]
        return said + self._advance(part, now_ms)

    def _check_load(self, start: Start, now_ms: int) -> None:
        """What is begun is remembered until its time is over, so there is a limit to both."""
        if start.expires_ms > now_ms + KEEP_MS:
            raise CustodyError(f"a ceremony takes a day at most, this one has until {shown_time(start.expires_ms)}")
        under_way = [one for one in self._parts.values() if one.phase not in {Phase.DONE, Phase.FAILED}]
        if sum(one.start.vault == start.vault for one in under_way) >= MOST_AT_ONCE:
            raise CustodyError(f"{MOST_AT_ONCE} ceremonies of vault {start.vault} have not ended yet")

    def _enclosed(self, sender: str, words: Enclosed, now_ms: int) -> list[Message]:
        part = self._parts.get(words.ceremony)
        if part is None:
            early = self._early.setdefault(sender, [])
            early.append((words.ceremony, words.envelope))
            del early[:-MOST_EARLY]
            return []
        if part.phase is Phase.DONE and words.waits and sender != self._pen.sender:
            return self._mail(part, part.again())  # it misses a confirmation, and this one may be it
        return self._take(part, sender, words.envelope, now_ms)

    def _take(self, part: Part, sender: str, envelope: bytes, now_ms: int) -> list[Message]:
        try:
            taken = part.take(envelope)
        except CustodyError as error:
            _log.warning("ceremony.refused", ceremony=part.start.ceremony, sender=sender, reason=str(error))
            lied = isinstance(error, MisbehaviourError) and part.phase is Phase.TALKING and part.takes_part
            return self._fail(part, str(error)) if lied else []
        return [] if taken is None else self._advance(part, now_ms)

    def _advance(self, part: Part, now_ms: int) -> list[Message]:
        if part.phase in {Phase.DONE, Phase.FAILED}:
            return []
        try:
            said, done = part.advance(self._random, now_ms)
        except CustodyError as error:
            return self._fail(part, str(error))
        if done:
            self._note(part)
        return self._mail(part, said)

    def _note(self, part: Part) -> None:
        """Signing goes on with what came of it."""
        terms = part.terms
        self._changed[part.start.vault] = Quorum(terms.receivers, terms.threshold, terms.epoch)
        _log.info("ceremony.done", ceremony=part.start.ceremony, vault=part.start.vault, epoch=terms.epoch)

    def _fail(self, part: Part, reason: str) -> list[Message]:
        part.fail(reason)
        _log.warning("ceremony.failed", ceremony=part.start.ceremony, vault=part.start.vault, reason=part.reason)
        return [self._write(part.start.vault, Said(0, Failed(part.start.ceremony, part.reason)))]

    # -- what is said

    def _mail(self, part: Part, said: Iterable[Said]) -> list[Message]:
        return self._say(part.start.vault, said)

    def _say(self, vault: str, said: Iterable[Said]) -> list[Message]:
        return [self._write(vault, one) for one in said]

    def _write(self, vault: str, said: Said) -> Message:
        topic = signer_topic(said.receiver) if said.receiver else ROUNDS
        return self._pen.write(topic, vault, rites.ABOUT, rites.encode(said.words))

    # -- to keep

    def snapshot(self) -> bytes:
        """All but secrets."""
        kept = [_Kept(one.start, one.phase, one.reason, one.heard) for one in self._parts.values()]
        return msgspec.msgpack.encode(_Book(kept, self._early))

    def restore(self, kept: bytes, now_ms: int) -> list[Message]:
        """As it was; ceremonies whose secrets were in memory fail. What is to be said after a restart.

        Raises:
            CustodyError: this is no snapshot.
        """
        try:
            book = msgspec.msgpack.decode(kept, type=_Book)
        except msgspec.MsgspecError as error:
            raise CustodyError(f"expected a snapshot of ceremonies: {error}") from None
        self._early = book.early
        said: list[Message] = []
        for one in book.ceremonies:
            try:
                part = Part(one.start, self._roster, self._keyfile)
            except CustodyError as error:  # the roster has lost somebody meanwhile
                _log.warning("ceremony.dropped", ceremony=one.start.ceremony, reason=str(error))
                continue
            part.phase, part.reason = one.phase, one.reason
            for envelope in one.heard:
                try:
                    part.take(envelope)
                except CustodyError as error:  # of a signer that has another key of its own since
                    _log.warning("ceremony.word_dropped", ceremony=one.start.ceremony, reason=str(error))
            part.resume()
            self._parts[one.start.ceremony], self._due[one.start.ceremony] = part, Due(now_ms)
            if part.phase is Phase.FAILED and one.phase is not Phase.FAILED:
                said += self._fail(part, part.reason)
            elif part.phase is Phase.CONFIRMED:
                said += self._mail(part, part.again())
                said += self._advance(part, now_ms)
        return said
