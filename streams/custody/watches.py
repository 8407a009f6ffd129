"""The ceremonies that the coordinator has started: one of a vault at a time, each until it has ended and its time is over."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import msgspec

from m1cep.custody.frost.suite import draw
from m1cep.errors import CustodyError
from streams.custody.asks import AskCeremony, CeremonyStands
from streams.custody.repairwatch import RepairWatch, new_repair
from streams.custody.rites import OtherRosterError
from streams.custody.watch import CeremonyWatch, new_key, same_key

if TYPE_CHECKING:
    from m1cep.custody.frost.keys import PublicKeys
    from m1cep.custody.frost.suite import Random
    from streams.codec import Message
    from streams.custody.mail import Letter, Pen
    from streams.custody.roster import Roster

CEREMONY_MS = 120_000
_NAME_BYTES = 32


class Progress(NamedTuple):
    """What a look at the ceremonies gave.

    Attributes:
        messages: to be sent.
        stands: where ceremonies stand that stood elsewhere before.
        keys: vault and public keys of those that have come to an end.
    """

    messages: list[Message]
    stands: list[CeremonyStands]
    keys: list[tuple[str, PublicKeys]]


class _Kept(msgspec.Struct):
    ask: AskCeremony
    watch: bytes
    stands: CeremonyStands


class Watches:
    """Ceremonies by the id of who asked for them.

    Args:
        roster: who is who.
        pen: the coordinator's.
        random: gives their names.
    """

    def __init__(self, roster: Roster, pen: Pen, random: Random) -> None:
        self._roster, self._pen, self._random = roster, pen, random
        self._going: dict[str, tuple[AskCeremony, CeremonyWatch | RepairWatch]] = {}
        self._stands: dict[str, CeremonyStands] = {}
        self._given_up: list[CeremonyStands] = []

    def begin(self, ask: AskCeremony, previous: PublicKeys | None, now_ms: int) -> None:
        """Start a ceremony with the next look.

        Args:
            ask: which, of what vault.
            previous: the vault's key until now.
            now_ms: epoch.

        Raises:
            CustodyError: it cannot be, says why.
        """
        vault = self._roster.shared(ask.vault)
        for other, watch in self._going.values():
            if other.vault == ask.vault and not watch.ended:
                raise CustodyError(f"a {other.kind} of vault {ask.vault} is under way: wait for its end")
        name, until_ms = draw(self._random, _NAME_BYTES).hex(), now_ms + CEREMONY_MS
        if ask.kind == "repair":
            if previous is None:
                raise CustodyError(f"vault {ask.vault} has no key yet; make one: m1cep custody keygen {ask.vault}")
            terms = new_repair(self._roster, ask.vault, previous, ask.signer, ask.helpers, name, until_ms)
            self._going[ask.id] = ask, RepairWatch(terms, self._roster)
            return
        if ask.kind == "keygen":
            if previous is not None:
                raise CustodyError(
                    f"vault {ask.vault} has a key: another one would leave behind what is there; refresh it"
                )
            start = new_key(self._roster, ask.vault, name, until_ms)
        elif previous is None:
            raise CustodyError(f"vault {ask.vault} has no key yet; make one: m1cep custody keygen {ask.vault}")
        else:
            same = (tuple(sorted(vault.signers)), vault.threshold) == (tuple(previous.shares), previous.threshold)
            if same != (ask.kind == "refresh"):
                named, right = ("the same", "refresh") if same else ("other", "reshare")
                raise CustodyError(f"the roster names {named} signers for vault {ask.vault}: m1cep custody {right}")
            start = same_key(self._roster, ask.vault, previous, name, until_ms)
        self._going[ask.id] = ask, CeremonyWatch(start, self._roster)

    def hear(self, letter: Letter) -> None:
        """A signer's letter about a ceremony.

        Raises:
            CustodyError: it is refused.
        """
        for _, watch in self._going.values():
            watch.hear(letter)

    def look(self, now_ms: int) -> Progress:
        """The time, and what has changed."""
        found = Progress([], self._given_up, [])
        self._given_up = []
        for name, (ask, watch) in list(self._going.items()):
            found.messages.extend(watch.tick(now_ms, self._pen))
            stands = _stands(ask, watch)
            if self._stands.get(name) != stands:
                self._stands[name] = stands
                found.stands.append(stands)
            done = watch.public is not None or (isinstance(watch, RepairWatch) and watch.done)
            if watch.public is not None:
                found.keys.append((ask.vault, watch.public))
            if done or now_ms >= watch.start.expires_ms + CEREMONY_MS:
                del self._going[name], self._stands[name]
        return found

    def snapshot(self) -> bytes:
        """All of it."""
        kept = [
            _Kept(ask, watch.snapshot(), self._stands.get(name) or _stands(ask, watch))
            for name, (ask, watch) in self._going.items()
        ]
        return msgspec.msgpack.encode(kept)

    def load(self, kept: bytes) -> None:
        """As it was; a ceremony with which the roster does not agree any more has failed.

        Raises:
            CustodyError: this is no snapshot of ceremonies.
        """
        for one in msgspec.msgpack.decode(kept, type=list[_Kept]):
            kind: type[RepairWatch | CeremonyWatch] = RepairWatch if one.ask.kind == "repair" else CeremonyWatch
            try:
                watch = kind.restore(one.watch, self._roster)
            except OtherRosterError as error:
                if one.stands.state == "going":
                    reason = f"the roster is another one since: {error}"[:1_000]
                    self._given_up.append(msgspec.structs.replace(one.stands, state="failed", reason=reason))
                continue
            self._going[one.ask.id] = one.ask, watch
            self._stands[one.ask.id] = one.stands


def _stands(ask: AskCeremony, watch: CeremonyWatch | RepairWatch) -> CeremonyStands:
    if isinstance(watch, RepairWatch) and watch.done:
        return CeremonyStands(ask.id, ask.kind, ask.vault, "done", f"signer {ask.signer} has its share again")
    if watch.public is not None:
        signers = f"{watch.public.threshold} of signers {', '.join(map(str, watch.public.shares))}"
        return CeremonyStands(ask.id, ask.kind, ask.vault, "done", f"epoch {watch.public.epoch}, {signers}")
    if watch.failed:
        return CeremonyStands(ask.id, ask.kind, ask.vault, "failed", watch.failed[:1_000])
    return CeremonyStands(ask.id, ask.kind, ask.vault, "going", watch.waits_for[:1_000])
