"""A lost share restored by other signers over Kafka: a signer's part, as helper or as the one whose share is lost.

    everybody ── box key ──▶ helpers ── split, parts for each other ──▶ helpers ── sums ──▶ loser

Nobody learns the share but the loser (``m1cep.custody.frost.repair``). All of it is in memory: who restarts in the middle ends
the repair, and it is asked for again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from m1cep.custody.frost.envelope import TO_ALL, Envelope, Inbox, Purpose
from m1cep.custody.frost.errors import EncodingError, MisbehaviourError
from m1cep.custody.frost.keys import PublicKeys
from m1cep.custody.frost.repair import Repair, Split, add_parts, combine, split
from m1cep.custody.frost.sealing import BoxKey
from m1cep.custody.requests.state import Quorum
from m1cep.errors import CustodyError
from streams.custody import rites
from streams.custody.ceremony import Said
from streams.custody.rites import Enclosed, Failed, RepairDone

if TYPE_CHECKING:
    from collections.abc import Iterable

    from m1cep.custody.frost.hidden import Secret
    from m1cep.custody.frost.suite import Random
    from streams.custody.keyfile import Keyfile
    from streams.custody.rites import RepairStart
    from streams.custody.roster import Roster

_log = structlog.get_logger(__name__)

MOST_AT_ONCE = 8
MOST_MS = 24 * 3_600_000


class RepairPart:
    """One signer's part in one repair.

    Args:
        start: the terms.
        roster: who is who.
        keyfile: of this signer.
        random: source of its secrets.

    Raises:
        CustodyError: the terms cannot be, or are not for what this signer holds.
    """

    def __init__(self, start: RepairStart, roster: Roster, keyfile: Keyfile, random: Random) -> None:
        self.start, self.number = start, keyfile.number
        self._keyfile, self._random = keyfile, random
        if rites.repair_name(start) != start.ceremony:
            raise CustodyError("the name of the repair is not that of its terms")
        suite = rites.suite_for(roster, start.vault)
        self.repair = Repair(PublicKeys.decode(suite, start.public), start.helpers, start.lost)
        members = {
            number: roster.signers[number] for number in (*start.helpers, start.lost) if number in roster.signers
        }
        if len(members) <= len(start.helpers) or start.lost not in roster.shared(start.vault).signers:
            raise CustodyError(f"the roster lacks helpers, or has no signer {start.lost} for vault {start.vault}")
        self._suite, self._helpers = suite, start.helpers
        self._check_share()
        name = bytes.fromhex(start.ceremony)
        self._inbox = Inbox(suite, members, ceremony=name, epoch=self.repair.public.epoch, receiver=self.number)
        self._box = BoxKey(random)
        self._said: list[Said] = []
        self._steps: set[str] = set()
        #: This signer has its share again.
        self.done = False
        self._seal(Purpose.BOX_KEY, TO_ALL, self._box.public)

    def _check_share(self) -> None:
        vault, public = self.start.vault, self.repair.public
        held = self._keyfile.held.get(vault)
        if self.number in self._helpers:
            if held is None or held.share.public != public:
                raise CustodyError(
                    f"signer {self.number} holds no share of vault {vault} of epoch {public.epoch} of this key"
                )
        elif held is not None and held.share.public.group != public.group:
            raise CustodyError(f"the repair is of another key of vault {vault} than mine")
        elif held is not None and held.share.public.epoch >= public.epoch:
            raise CustodyError(f"signer {self.number} holds its share of vault {vault}: there is nothing to repair")

    def take(self, data: bytes) -> None:
        """An envelope.

        Raises:
            CustodyError: it is refused.
        """
        self._inbox.take(data)

    def advance(self, now_ms: int) -> list[Said]:
        """Go as far as what has come allows; what is new to be said.

        Raises:
            CustodyError: somebody has sent what does not fit: who.
        """
        before = len(self._said)
        boxes = self._inbox.bodies(Purpose.BOX_KEY)
        if set(boxes) != {*self._helpers, self.start.lost}:
            return []
        if self.number in self._helpers:
            self._help(boxes)
        elif not self.done:
            self._collect(boxes, now_ms)
        return self._said[before:]

    def again(self) -> list[Said]:
        """All that this signer has said, once more."""
        return list(self._said)

    def _help(self, boxes: dict[int, bytes]) -> None:
        if "split" not in self._steps:
            self._steps.add("split")
            published, parts = split(self.repair, self._keyfile.held[self.start.vault].share, self._random)
            self._seal(Purpose.REPAIR_SPLIT, TO_ALL, published.encode(self._suite))
            for helper, part in parts.items():
                self._seal(Purpose.REPAIR_PART, helper, self._box.seal(boxes[helper], part, self._random))
        splits, parts_in = self._splits(), self._inbox.bodies(Purpose.REPAIR_PART)
        if "sum" in self._steps or set(splits) != set(self._helpers) or set(parts_in) != set(self._helpers):
            return
        self._steps.add("sum")
        whole = add_parts(self.repair, self.number, splits, self._opened(boxes, parts_in))
        lost = self.start.lost
        self._seal(Purpose.REPAIR_SUM, lost, self._box.seal(boxes[lost], whole, self._random))

    def _collect(self, boxes: dict[int, bytes], now_ms: int) -> None:
        splits, sums = self._splits(), self._inbox.bodies(Purpose.REPAIR_SUM)
        if set(splits) != set(self._helpers) or set(sums) != set(self._helpers):
            return
        share = combine(self.repair, splits, self._opened(boxes, sums))
        self._keyfile.restore(self.start.vault, share, now_ms)
        self.done = True
        self._said.append(Said(TO_ALL, RepairDone(self.start.ceremony)))

    def _splits(self) -> dict[int, Split]:
        found = {}
        for sender, body in self._inbox.bodies(Purpose.REPAIR_SPLIT).items():
            try:
                found[sender] = Split.decode(self._suite, body)
            except EncodingError as error:
                raise MisbehaviourError(f"in the repair, {error}", [sender]) from None
        return found

    def _opened(self, boxes: dict[int, bytes], sealed: dict[int, bytes]) -> dict[int, Secret]:
        found = {}
        for sender, data in sealed.items():
            try:
                found[sender] = self._box.open(self._suite, boxes[sender], data)
            except CustodyError as error:
                raise MisbehaviourError(f"in the repair, {error}", [sender]) from None
        return found

    def _seal(self, purpose: Purpose, receiver: int, body: bytes) -> None:
        name, epoch = bytes.fromhex(self.start.ceremony), self.repair.public.epoch
        envelope = Envelope(purpose, name, epoch, self.number, receiver, body).seal(
            self._suite, self._keyfile.identity()
        )
        if receiver in {TO_ALL, self.number}:
            self._inbox.take(envelope)
        if receiver != self.number:
            self._said.append(Said(receiver, Enclosed(self.start.ceremony, envelope)))


class Repairs:
    """Those of one signer.

    Args:
        roster: who is who.
        keyfile: of this signer.
        random: source of its secrets.
        changed: is told of keys that this signer holds a share of again.
    """

    def __init__(self, roster: Roster, keyfile: Keyfile, random: Random, changed: dict[str, Quorum]) -> None:
        self._roster, self._keyfile, self._random, self._changed = roster, keyfile, random, changed
        self._parts: dict[str, RepairPart] = {}
        self._failed: dict[str, tuple[str, str, int]] = {}  # vault, reason, until when it is remembered

    def vault_of(self, ceremony: str) -> str:
        """Which a repair is of; empty: it is none that is known."""
        if ceremony in self._failed:
            return self._failed[ceremony][0]
        part = self._parts.get(ceremony)
        return part.start.vault if part else ""

    def start(self, start: RepairStart, early: Iterable[bytes], now_ms: int) -> list[Said]:
        """The terms, perhaps not for the first time; what is to be said."""
        name = start.ceremony
        if name in self._failed:
            return [Said(TO_ALL, Failed(name, self._failed[name][1]))]
        known = self._parts.get(name)
        if known is not None:
            return known.again() if known.start == start else []
        if now_ms >= start.expires_ms or self._keyfile.number not in {*start.helpers, start.lost}:
            return []
        try:
            self._check_load(start, now_ms)
            part = self._parts[name] = RepairPart(start, self._roster, self._keyfile, self._random)
        except CustodyError as error:
            return self._fail(start, str(error))
        _log.info("repair.begun", ceremony=name, vault=start.vault, lost=start.lost)
        said = part.again()
        for envelope in early:
            said += self.take(name, envelope, now_ms)
        return said

    def _check_load(self, start: RepairStart, now_ms: int) -> None:
        if start.expires_ms > now_ms + MOST_MS or len(self._parts) >= MOST_AT_ONCE:
            raise CustodyError(f"a repair takes a day at most, and a signer has part in {MOST_AT_ONCE} at once")

    def take(self, name: str, envelope: bytes, now_ms: int) -> list[Said]:
        """An envelope of a repair that is known; what is to be said."""
        part = self._parts.get(name)
        if part is None or part.done:
            return []
        return self._taken(part, envelope, now_ms)

    def _taken(self, part: RepairPart, envelope: bytes, now_ms: int) -> list[Said]:
        name = part.start.ceremony
        try:
            part.take(envelope)
        except MisbehaviourError as error:
            return self._fail(part.start, str(error))
        except CustodyError as error:  # of whom is not certain
            _log.warning("repair.refused", ceremony=name, reason=str(error))
            return []
        try:
            said = part.advance(now_ms)
        except CustodyError as error:
            return self._fail(part.start, str(error))
        if part.done:
            public = part.repair.public
            self._changed[part.start.vault] = Quorum(tuple(public.shares), public.threshold, public.epoch)
            _log.info("repair.done", ceremony=name, vault=part.start.vault)
        return said

    def tick(self, now_ms: int) -> None:
        """The time: what is over is forgotten."""
        self._parts = {name: one for name, one in self._parts.items() if now_ms < one.start.expires_ms}
        self._failed = {name: one for name, one in self._failed.items() if now_ms < one[2]}

    def _fail(self, start: RepairStart, reason: str) -> list[Said]:
        _log.warning("repair.failed", ceremony=start.ceremony, vault=start.vault, reason=reason)
        self._parts.pop(start.ceremony, None)
        self._failed[start.ceremony] = (start.vault, reason[:1_000], start.expires_ms)
        return [Said(TO_ALL, Failed(start.ceremony, reason[:1_000]))]
