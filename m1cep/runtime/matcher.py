"""Row patterns on a stream: the keys, their life, and time. How a pattern moves is in ``threads`` and ``groups``.

A key has a Partition while a match is open in it, or while PREV may look at its rows. Keys that are not touched for a while
are packed into a few bytes each; those whose time has run out are dropped.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from heapq import heapify, heappop, heappush
from itertools import compress, starmap
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import msgspec

from m1cep.model.pack import pack, unpack
from m1cep.runtime.partition import NEVER, Partition
from m1cep.runtime.report import Reporter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, KeysView

    from m1cep.codegen.module import Module
    from m1cep.plan.constants import Constants
    from m1cep.plan.plans import MatchPlan
    from m1cep.plan.program import Program
    from m1cep.runtime.batch import Batch
    from m1cep.runtime.outcome import Hit
    from m1cep.runtime.suppress import Suppressor

P = TypeVar("P", bound=Partition)
SPARE = 1_000  # partitions that are kept to be used again
_RARE = 4  # of so many rows of a batch one or none is looked at: worth finding them first
_MANY = 10_000  # keys in memory before those that are not touched are packed


@dataclass(frozen=True)
class Setup:
    """What a matcher is made from.

    Attributes:
        plan: of the rule.
        program: its pattern.
        module: its generated functions.
        row_type: the class of its rows.
        time_attr: attribute of event time on rows.
        suppressor: decides which matches are reported.
        max_open: attempts kept per key, where attempts are followed one by one and WITHIN does not bound them.
        max_rows: rows kept per key, where WITHIN does not bound them. Beyond either the oldest attempt is dropped and counted.
        begins: constants of which a row must have one to begin a match.
        demands: constants of which every row of the rule has one.
    """

    plan: MatchPlan
    program: Program
    module: Module
    row_type: type[msgspec.Struct]
    time_attr: str
    suppressor: Suppressor
    max_open: int
    max_rows: int
    begins: Constants
    demands: Constants


class PatternMatcher(ABC, Generic[P]):
    """Runs one row pattern (one rule) over all its keys."""

    def __init__(self, setup: Setup) -> None:
        plan, program, module, suppressor = setup.plan, setup.program, setup.module, setup.suppressor
        self._plan = plan
        self._program = program
        self._scan = module["scan"]
        self._key_of: Callable[[Any], Any] = module["key"]
        # Under this name rules with the same key share a batch's keys; the space keeps it apart from a column's.
        self._key_name = "key " + " ".join(column.attr for column in plan.key)
        self._every_row: bool = module["EVERY_ROW"]
        self._begins_with: Callable[[Iterable[tuple[int, Any]]], bool] | None = module.namespace.get("begins_with")
        self._behind: int = module["BEHIND"]
        self._ahead: int = module["AHEAD"]
        self._within = plan.within
        self._past_last = plan.skip == "PAST LAST ROW"
        self._time_of: Callable[[Any], int] = attrgetter(setup.time_attr)
        self._suppressor = suppressor
        self._max_open = setup.max_open
        self._max_rows = setup.max_rows
        self._begins = setup.begins
        self._demands = setup.demands
        self._reporter = Reporter(module, plan, program, setup.time_attr, suppressor)
        kept = module.namespace.get("Kept", setup.row_type)
        self._kept = None if kept is setup.row_type else kept
        self._columns = attrgetter(*kept.__struct_fields__)
        self._pack_rows = msgspec.msgpack.Encoder().encode
        self._unpack_rows = msgspec.msgpack.Decoder(list[kept]).decode  # type: ignore[valid-type]  # made at run time
        # Rows that PREV looks at, the partition's first row and the number of matches outlive every match.
        self._lasting = bool(self._behind or self._ahead or program.has_anchors or module["NUMBERED"])
        self._live: dict[Any, P] = {}
        self._cold: dict[Any, bytes] = {}
        self._wakes: list[tuple[int, int, Any]] = []  # (event time, position, key), a heap
        self._swept = -NEVER
        self._many = _MANY
        self._dropped = 0
        self._spare: list[P] = []  # partitions to use again: most matches are given up after a row or two

    # what a kind of matcher does

    @abstractmethod
    def new_partition(self) -> P:
        """A key without attempts."""

    @abstractmethod
    def _run(self, rows: Iterable[tuple[int, Any]], out: list[Hit]) -> None:
        """Have the generated scan take in (position, row) of rows."""

    @abstractmethod
    def _expire(self, p: P, key: Any, time: int, out: list[Hit]) -> None:
        """Decide what can no longer go on at ``time``."""

    @abstractmethod
    def _close(self, p: P, key: Any, out: list[Hit]) -> None:
        """End of the partition."""

    @abstractmethod
    def _oldest(self, p: P) -> int | None:
        """Number of the first row of the oldest open attempt."""

    @abstractmethod
    def _idle(self, p: P) -> bool:
        """Whether no attempt is open, and no row waits."""

    @abstractmethod
    def _waits(self, p: P) -> bool:
        """Whether time alone can bring a match about, or let one go that is found."""

    @abstractmethod
    def _open(self, p: P) -> int:
        """Open attempts."""

    def _reset(self, p: P) -> None:
        """Make a partition without open attempts as good as new."""

    @abstractmethod
    def _save(self, p: P) -> Any:
        """What the pattern remembers, as plain values."""

    @abstractmethod
    def _restore(self, p: P, saved: Any) -> None:
        """The reverse."""

    # the operator

    def feed(self, batch: Batch, out: list[Hit], *, alone: bool = True) -> None:
        """Take rows in, in event-time order; ``alone`` says that an index of the batch would serve this rule only."""
        if len(self._live) > self._many:
            self._pack_idle()
        self._run(batch.all() if alone else self._rows(batch), out)

    def _rows(self, batch: Batch) -> Any:
        """The rows that this rule must see: those of keys with a row that may begin a match, and of keys in memory."""
        demanded = batch.candidates(self._demands)
        rows = batch.all() if demanded is None else demanded
        if self._every_row or (demanded is not None and len(demanded) * _RARE <= len(batch.rows)):
            return rows
        beginning = batch.candidates(self._begins, _RARE)
        open_keys = [keys for keys in self._open_keys() if keys]
        if beginning is None:
            nothing = not open_keys and self._begins_with is not None and not self._begins_with(batch.all())
            return [] if nothing else rows
        if not (beginning or open_keys):
            return beginning
        by_row = batch.values(self._key_name, self._key_of)
        present = set(by_row)
        wanted = {self._key_of(row) for _, row in beginning}.union(*(present & keys for keys in open_keys))
        if 2 * len(wanted) > len(present):
            return rows
        return list(compress(batch.all(), map(wanted.__contains__, by_row)))

    def _open_keys(self) -> list[KeysView[Any]]:
        """Keys of which something is remembered."""
        return [self._live.keys(), self._cold.keys()]

    def enter(self, key: Any) -> P:
        """The partition of a key that is not live."""
        known = key in self._cold
        p = self._thaw(self._cold.pop(key)) if known else self._spare.pop() if self._spare else self.new_partition()
        self._live[key] = p
        return p

    def _leave(self, p: P, key: Any) -> None:
        """Drop or shorten a partition after a row: called when no attempt is open."""
        if not self._lasting:
            del self._live[key]
            if len(self._spare) < SPARE:
                p.log.clear()
                p.ats.clear()
                p.base = p.taken = p.matches = p.covered = p.slim = p.touched = 0
                p.armed = NEVER
                self._reset(p)
                self._spare.append(p)
            return
        surplus = p.taken - p.base - self._behind
        if surplus > 0:
            p.cut(surplus)

    def _slim(self, p: P) -> None:
        """Cut rows down to the columns that are needed: worth it for those that stay."""
        if self._kept is not None:
            first = max(p.slim - p.base, 0)
            p.log[first:] = self._cut_down(p.log[first:])
            p.slim = p.base + len(p.log)

    def _cut_down(self, rows: list[Any]) -> list[Any]:
        """Rows with the columns that are needed alone. An event's id and its time are two at least."""
        return rows if self._kept is None else list(starmap(self._kept, map(self._columns, rows)))

    def _arm(self, p: P, key: Any, watermark: int = -NEVER) -> None:
        """Wake the partition when its oldest attempt runs out of time. One that is due already waits for a row or the end."""
        oldest = self._oldest(p)
        if oldest is None or self._within is None:
            return
        j = oldest - p.base
        deadline = self._time_of(p.log[j]) + self._within
        if watermark < deadline < p.armed:
            p.armed = deadline
            heappush(self._wakes, (deadline, p.ats[j], key))
            if len(self._wakes) > 2 * len(self._live) + 1_000:  # most are of matches that were decided long ago
                live = self._live
                self._wakes = [w for w in self._wakes if w[2] in live and live[w[2]].armed == w[0]]
                heapify(self._wakes)

    def advance(self, watermark: int, out: list[Hit]) -> None:
        """Decide what can only be decided by time, and drop what ran out of it."""
        if self._within is not None:
            self._wake(watermark, self._within, out)
        self._suppressor.forget(watermark)

    def _wake(self, watermark: int, within: int, out: list[Hit]) -> None:
        again = []
        while self._wakes and self._wakes[0][0] <= watermark:
            key = heappop(self._wakes)[2]
            p = self._live.get(key)
            if p is not None:
                p.armed = NEVER
                self._expire(p, key, watermark, out)
                if self._waits(p):
                    again.append((p, key))
                elif self._idle(p):
                    self._leave(p, key)
        for p, key in again:
            self._arm(p, key, watermark)
        if watermark - self._swept >= within:
            self._sweep(watermark, within, out)

    def _sweep(self, watermark: int, within: int, out: list[Hit]) -> None:
        """Drop attempts whose time ran out and keys that have no other. Once a span of WITHIN: cheap per event."""
        self._swept = watermark
        for key, p in list(self._live.items()):
            self._expire(p, key, watermark, out)
            if self._idle(p):
                self._leave(p, key)
        ended = [
            k for k, blob in self._cold.items() if int.from_bytes(blob[:8], "big", signed=True) + within <= watermark
        ]
        for key in ended:
            blob = self._cold.pop(key)
            if self._lasting:
                p = self._live[key] = self._thaw(blob)
                self._expire(p, key, watermark, out)
                if self._idle(p):
                    self._leave(p, key)
                    self._cold[key] = self._freeze(self._live.pop(key))
        if ended:
            self._cold = dict(self._cold)  # as large as it must be: deleting does not give memory back
        if not self._live:
            self._live = {}

    def finish(self, out: list[Hit]) -> None:
        """End of every partition: what is complete is reported, the rest is dropped."""
        for key, blob in self._cold.items():
            self._live[key] = self._thaw(blob)
        for key, p in self._live.items():
            self._close(p, key, out)
        self._live.clear()
        self._cold.clear()
        self._wakes.clear()

    def counters(self) -> dict[str, int]:
        """Open attempts, keys in memory, attempts dropped at max_open or max_rows, matches suppressed."""
        return {
            "open": sum(self._open(p) for p in self._live.values()) + len(self._cold),
            "keys": len(self._live) + len(self._cold),
            "dropped": self._dropped,
            "suppressed": self._suppressor.suppressed,
        }

    # keys as bytes

    def _pack_idle(self) -> None:
        """Pack keys that were not touched since the last time, unless time alone may bring them a match."""
        idle = [
            k
            for k, p in self._live.items()
            if p.touched == p.base + len(p.log) and p.armed == NEVER and not self._waits(p)
        ]
        for key in idle:  # no row since the last time
            self._cold[key] = self._freeze(self._live.pop(key))
        for p in self._live.values():
            p.touched = p.base + len(p.log)
        self._many = len(self._live) + max(_MANY, len(self._live) // 4)

    def _freeze(self, p: P) -> bytes:
        """A partition as bytes; the first eight are the event time of its newest row, or NEVER where nothing is open."""
        newest = NEVER if self._idle(p) else self._time_of(p.log[-1])
        rows = self._pack_rows(self._cut_down(p.log))
        saved = self._save(p)
        facts = [p.base, p.taken, p.matches, p.covered, p.ats, rows, saved]
        return newest.to_bytes(8, "big", signed=True) + pack(facts)

    def _thaw(self, blob: bytes) -> P:
        p = self.new_partition()
        p.base, p.taken, p.matches, p.covered, p.ats, rows, saved = unpack(blob[8:])
        p.log = self._unpack_rows(rows)
        self._restore(p, saved)
        return p

    def state(self) -> Any:
        """Every key as bytes, and the suppressor."""
        keys = [[k, self._freeze(p)] for k, p in self._live.items()] + [[k, blob] for k, blob in self._cold.items()]
        return {"keys": keys, "dropped": self._dropped, "swept": self._swept, "quiet": self._suppressor.state()}

    def load(self, state: Any) -> None:
        """The reverse. Keys stay packed until a row comes, or until their time is near."""
        for key, blob in state["keys"]:
            key = tuple(key) if isinstance(key, list) else key  # noqa: PLW2901 - as it was before it was packed
            p = self._thaw(blob)
            if self._waits(p):
                self._live[key] = p
                self._arm(p, key)
            else:
                self._cold[key] = blob
        self._dropped, self._swept = state["dropped"], state["swept"]
        self._suppressor.load(state["quiet"])
