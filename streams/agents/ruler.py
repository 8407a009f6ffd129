"""Rules of the risk agent: which are in force, told to the partitions between two batches, and what is known of each.

    the topic says more ──▶ compiled in a thread ──▶ between two batches: every partition goes on with the rules that now hold

Nothing is saved for it: whoever goes on after a crash reads the topic to its end before it takes up a snapshot, and so never runs
rules older than those of the snapshot. A rule that was deployed since the snapshot then begins where the snapshot stands, a
second or so earlier than it did before.
"""

from __future__ import annotations

import asyncio
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING, cast

import structlog
from aiokafka.errors import KafkaError

from streams.agents.stats import RuleStats
from streams.cache.library import wanted_by
from streams.rules.book import fitting

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from collections.abc import Set as AbstractSet

    from m1cep import Rule
    from streams.agents.host import Host
    from streams.agents.partition import Outcome, Partition
    from streams.agents.risk import RiskPartition
    from streams.agents.stats import AgentStats
    from streams.cache.content import Content
    from streams.cache.library import Library
    from streams.rules.book import Book, Standing
    from streams.rules.follow import Follower

_log = structlog.get_logger(__name__)

_RETRY_S = 1.0


class Ruler:
    """The rules in force in the risk agent of a worker.

    Args:
        book: what is to run.
        library: lists and parameters.
        topics: that the worker reads.
        adapt: makes of a rule the one that runs: over the lanes that the worker reads.

    Attributes:
        standings: of every rule, by id; those that run are adapted.
        revision: another number after each change.
    """

    def __init__(self, book: Book, library: Library, topics: AbstractSet[str], adapt: Callable[[Rule], Rule]) -> None:
        self._book = book
        self._library = library
        self._topics = topics
        self._adapt = adapt
        self._seen: int | None = None  # revision of the book
        self._content: Content | None = None  # of the library, by which rules were found fitting or not
        self._found: dict[str, Standing] = {}  # as the book has them, and quarantined where they do not fit here
        self._lacking = False  # whether one does not, which may have what it lacks later
        self._since_ms: dict[str, int] = {}
        self._new: set[str] = set()  # ids of what changed and is not yet in force
        self._looking = threading.Lock()
        self.standings: dict[str, Standing] = {}
        self.revision = 0
        self.look()

    def look(self) -> None:
        """Take over what the book says now. From any thread."""
        with self._looking:
            if self._is_behind():
                self._seen = self._book.revision
                self._take_over()

    def _is_behind(self) -> bool:
        """Whether the book says something else, or there are other lists and parameters than those that a rule has lacked."""
        return self._seen != self._book.revision or (self._lacking and self._library.now is not self._content)

    def _take_over(self) -> None:
        self._library.want(wanted_by(self._book.rules))
        self._content = self._library.now  # the cache may bring what is wanted later than we can wait
        standings = self._book.standings
        found = {name: fitting(s, self._topics, self._content) for name, s in standings.items()}
        self._lacking = any(found[name] is not standing for name, standing in standings.items())
        if found == self._found:
            return
        changed = {name for name, standing in found.items() if self._found.get(name) != standing}
        self.standings = {
            name: self._adapted(standing) if name in changed else self.standings[name]
            for name, standing in found.items()
        }
        for name in sorted(changed):
            if found[name].reason:
                _log.error("rule.quarantined", rule=name, version=found[name].version, reason=found[name].reason)
        self._new |= changed
        self._found = found
        self.revision += 1

    def _adapted(self, standing: Standing) -> Standing:
        return (
            standing
            if standing.rule is None or not standing.runs
            else replace(standing, rule=self._adapt(standing.rule))
        )

    async def follow(self, host: Host, follower: Follower) -> None:
        """Keep the partitions of ``host`` to what the topic says, for ever."""
        while True:
            try:
                await follower.wait()
            except KafkaError as error:  # the worker itself watches the broker
                _log.warning("rules.not_read", reason=repr(error))
                await asyncio.sleep(_RETRY_S)
                continue
            if self._is_behind():
                await asyncio.to_thread(self.look)  # the library may ask the cache
            await host.each(self._switch)
            if any(cast("RiskPartition", one).rules_revision != self.revision for one in host.partitions):
                continue  # the group rebalances: what stays with us goes on with the rules after that
            if self._new:
                _log.info("rules.in_force", position=follower.position, changed=sorted(self._new))
            self.tell(host.stats, host.partitions)

    def _switch(self, partition: Partition) -> Outcome | None:
        risk = cast("RiskPartition", partition)
        if risk.rules_revision == self.revision:
            return None
        return risk.switch(self.standings, self.revision, self._library.now)

    def tell(self, stats: AgentStats, partitions: Sequence[Partition]) -> None:
        """Let others know how every rule stands, once it is so in all partitions."""
        now_ms = time.time_ns() // 1_000_000
        self._since_ms |= dict.fromkeys(self._new, now_ms)
        self._new = set()
        risks = cast("Sequence[RiskPartition]", partitions)
        for name in stats.rules.keys() - self.standings.keys():
            del stats.rules[name]
        for name, standing in self.standings.items():
            told = stats.rules.get(name)
            if told is None or told.version != standing.version:
                severity = standing.rule.severity if standing.rule else ""
                told = stats.rules[name] = RuleStats(name, standing.version, severity)
            failed = [
                f"partition {r.number}: {r.quarantine.failed[name].reason}"
                for r in risks
                if r.quarantine.holds(standing)
            ]
            told.mode = "quarantined" if failed else standing.mode
            told.reason = "; ".join(failed) or standing.reason
            told.origin, told.stamp_ms, told.since_ms = standing.origin, standing.stamp_ms, self._since_ms[name]
