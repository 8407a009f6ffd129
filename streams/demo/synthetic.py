"""A trading platform's account flow, SYNTHETIC: made up from a seed, the same every time, with attacks at known times.

    flow = SyntheticFlow(seed=7, start_ms=1_777_689_381_000, duration_ms=1_800_000)
    for stream, event in flow:              # by event time; stream is orders, fills or accounts
        ...
    flow.planted                            # the attacks in it, what an engine should find

A few hundred accounts place, fill and cancel orders, log in, fail to, change settings, move money. Without attacks
(``attacks=False``) the everyday events are the very same ones.
"""

from __future__ import annotations

import heapq
import random
from typing import TYPE_CHECKING, Any

from streams.demo.access import Access
from streams.demo.attacks import ACCOUNTS_NEEDED, Attacks, Planted
from streams.demo.damage import bad_records as damaged_records
from streams.demo.margin import margin_updates
from streams.demo.population import populate
from streams.demo.trading import EVENTS_PER_ACT, Trading

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_Rare = tuple[int, str, Any]  # event time in ms, stream, event or the bytes of a damaged record

STREAMS = ("orders", "fills", "accounts")
SHORTEST_MS = 60_000
EVENTS_PER_ACCOUNT = 60  # a minute, at most: above it everybody would cancel more than the near-misses allow


class SyntheticFlow:
    """The flow over a span of event time. Iterating over it again gives the same events.

    Args:
        seed: of everything.
        start_ms: event time of the beginning, epoch ms.
        duration_ms: of event time; at least SHORTEST_MS.
        accounts: how many there are.
        events_per_minute: about so many everyday events a minute of event time.
        attacks: whether the attacks are in it.
        attacks_per_family: how many of each of the four families.
        bad_records: how many damaged records are in it, as bytes instead of a dict.
        margin_every_s: of each account a report on its margin so often, beside the everyday events; None: there are none.

    Attributes:
        planted: the attacks in it, by time; empty without attacks.

    Raises:
        ValueError: too short, or too few accounts for the attacks or for so many events.
    """

    def __init__(  # noqa: PLR0913 - each is a property of the flow, and has a default
        self,
        seed: int,
        start_ms: int,
        duration_ms: int,
        *,
        accounts: int = 300,
        events_per_minute: int = 10_000,
        attacks: bool = True,
        attacks_per_family: int = 3,
        bad_records: int = 0,
        margin_every_s: float | None = None,
    ) -> None:
        if duration_ms < SHORTEST_MS:
            raise ValueError(f"expected a flow of at least {SHORTEST_MS} ms, got {duration_ms}")
        if not 0 < events_per_minute <= accounts * EVENTS_PER_ACCOUNT:
            most = accounts * EVENTS_PER_ACCOUNT
            raise ValueError(f"expected 1 to {most} events a minute for {accounts} accounts, got {events_per_minute}")
        self.seed = seed
        self.start_ms = start_ms
        self.end_ms = start_ms + duration_ms
        self._accounts = accounts
        self._acts_per_s = events_per_minute / 60 / EVENTS_PER_ACT
        self._attacks = attacks
        self._per_family = attacks_per_family
        self._bad_records = bad_records
        self._margin_every_s = margin_every_s
        self.planted: tuple[Planted, ...] = self._make()[0]

    def __iter__(self) -> Iterator[tuple[str, dict[str, Any] | bytes]]:
        """Stream and event (bytes: a damaged record), by event time."""
        _, trading, rare = self._make()
        last = (self.end_ms + 1, "", b"")
        at, stream, what = next(rare, last)
        for ts, its_stream, event in trading:
            while at < ts:
                yield stream, what
                at, stream, what = next(rare, last)
            yield its_stream, event
        while at <= self.end_ms:
            yield stream, what
            at, stream, what = next(rare, last)

    def _make(
        self,
    ) -> tuple[
        tuple[Planted, ...],
        Iterator[tuple[int, str, dict[str, Any]]],
        Iterator[_Rare],
    ]:
        """The attacks, the orders and fills, and everything that is rarer; each with a source of chance of its own."""
        start, end = self.start_ms, self.end_ms
        people = populate(self._chance("people"), self._accounts, self._per_family * sum(ACCOUNTS_NEEDED.values()))
        plan = Attacks(self._chance("attacks"), people.reserved, people.makers, start, end - start, self._per_family)
        planted, attack_events = plan.plan() if self._attacks else ([], [])
        trading = Trading(self._chance("trading"), people, start, end, self._acts_per_s)
        access = Access(self._chance("access"), people, start, end)
        bad = damaged_records(self._chance("damage"), start, end, self._bad_records)
        parts: list[Iterable[_Rare]] = [access.events(), attack_events, bad]
        if self._margin_every_s is not None:
            parts.append(margin_updates(self._chance("margin"), people, start, end, round(self._margin_every_s * 1000)))
        return tuple(planted), trading.events(), heapq.merge(*parts, key=lambda timed: timed[0])

    def _chance(self, part: str) -> random.Random:
        return random.Random(f"m1cep synthetic {self.seed} {part}")  # noqa: S311 - repeatable on purpose
