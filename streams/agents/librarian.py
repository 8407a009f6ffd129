"""Lists and parameters of the risk agent: which are in force when, and what is told when they cannot be asked for.

    the library changes ──▶ between two batches: partitions judge by the new content ──▶ snapshot saved ──▶ next batch

A snapshot names the versions by which its partition judged. Whoever goes on from it after a crash judges by the same ones what
was judged by them before, and takes over what is in force now when it has read all that there was, or after ``_HELD_S``.
"""

from __future__ import annotations

import asyncio
import time
from functools import partial
from typing import TYPE_CHECKING, Any

import structlog
from prometheus_client import Counter, Gauge

from m1cep import Alert
from m1cep.model.alert import AlertIds
from streams import codec
from streams.cache.content import Content, Pinned

if TYPE_CHECKING:
    from collections.abc import Mapping

    from streams.agents.context import AgentContext
    from streams.agents.host import Host
    from streams.cache.library import Library

_log = structlog.get_logger(__name__)

CURRENT = Gauge(
    "m1cep_lookups_current", "1 while lists and parameters are known to be those in force, 0 while the cache is away."
)
CHANGES = Counter("m1cep_lookups_changes", "Changes of lists and parameters that partitions took over.")
REFUSED = Counter("m1cep_lookups_refused", "Changes of lists and parameters that rules cannot read.")

_SOURCE = "/m1cep/cache"
_LOOK_EVERY_S = 0.25
_TIMES_PAUSE = 9  # as for snapshots: changes take at most a tenth of the worker's time
#: A worker saves every second, so what had been judged before a crash is done with long before.
_HELD_S = 10.0


def as_before(library: Library, versions: Mapping[str, str], current: bool) -> Pinned:
    """What a partition judged by when it was saved."""
    content, lost = library.find(versions, current=current)
    if lost:
        _log.warning("lookups.version_lost", lost={label: versions[label] for label in lost}, now=content.versions())
    return Pinned(content)


async def follow_library(host: Host, library: Library, context: AgentContext) -> None:
    """Let the partitions of the risk agent judge by what is in force, for ever."""
    await _Librarian(host, library, context).run()


class _Librarian:
    def __init__(self, host: Host, library: Library, context: AgentContext) -> None:
        self._host = host
        self._library = library
        self._context = context
        self._stats = host.stats
        self._changed = asyncio.Event()
        self._away_since_ms: int | None = None
        self._refused: dict[str, str] = {}

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        self._library.on_change(lambda: _call_soon(loop, self._changed))
        while True:
            content = self._library.now
            self._changed.clear()
            await self._tell_of_the_cache(content)
            started_s = loop.time()
            if any(self._due(partition, content) for partition in self._host.partitions):
                changed = await self._host.change(partial(self._change, content))
                self._stats.lookups_changes += changed
                CHANGES.inc(changed)
                await self._tell_of_refusals()
            self._stats.lookups, self._stats.lookups_current = content.versions(), content.current
            CURRENT.set(content.current)
            await asyncio.sleep((loop.time() - started_s) * _TIMES_PAUSE)
            try:
                await asyncio.wait_for(self._changed.wait(), _LOOK_EVERY_S)
            except TimeoutError:
                continue

    def _due(self, partition: Any, content: Content) -> bool:
        return partition.offered is not content

    def _change(self, content: Content, partition: Any, caught_up: bool) -> bool:
        """Offer a partition the content, unless it is repeating what was judged by another before."""
        if not self._due(partition, content):
            return False
        repeating = partition.held_until_s is not None and not caught_up and _now_s() < partition.held_until_s
        if repeating and not content.same_as(partition.judges_by):
            return False
        partition.held_until_s = None
        changed: bool = partition.adopt(content)
        return changed

    # -- alerts ------------------------------------------------------------------------------------------------------

    async def _tell_of_the_cache(self, content: Content) -> None:
        if not content.current and self._away_since_ms is None:
            self._away_since_ms = _now_ms()
            await self._alert(
                "cache-away", "high", self._away_since_ms, self._about_rules() | {"versions": content.versions()}
            )
        elif content.current and self._away_since_ms is not None:
            since_ms, self._away_since_ms = self._away_since_ms, None
            row = {"away_ms": _now_ms() - since_ms, "versions": content.versions()}
            await self._alert("cache-back", "info", since_ms, row)

    def _about_rules(self) -> dict[str, Any]:
        """Which rules go on as they declare, by what they declare."""
        found: dict[str, list[str]] = {"last_known": [], "fail_closed": []}
        for rule in self._context.options.rules:
            if rule.needs.bindings:
                found["fail_closed" if rule.needs.on_missing == "fail_closed" else "last_known"].append(rule.id)
        return found

    async def _tell_of_refusals(self) -> None:
        """A change that rules cannot read is told once."""
        refused: dict[str, str] = {}
        for partition in self._host.partitions:
            refused |= partition.refused  # type: ignore[attr-defined]  # they are those of the risk agent
        for label, reason in refused.items():
            if self._refused.get(label) != reason:
                _log.error("lookups.refused", label=label, reason=reason)
                self._stats.lookups_refused += 1
                REFUSED.inc()
                await self._alert("lookup-refused", "high", _now_ms(), {"what": label, "reason": reason})
        self._refused = refused

    async def _alert(self, rule: str, severity: str, since_ms: int, row: dict[str, Any]) -> None:
        key = {"cache": getattr(self._library, "address", "")}
        parts = [self._context.options.group, str(since_ms), *map(str, self._stats.assigned)]
        alert = Alert(AlertIds(rule, "1").of(key, parts), rule, severity, key, row, since_ms, [])
        await self._context.outbox.send(codec.alert_message(alert, since_ms, _SOURCE))


def held_until_s() -> float:
    """Until when a partition that goes on from a snapshot may hold on to what it judged by (the loop's clock)."""
    return _now_s() + _HELD_S


def _now_s() -> float:
    return time.monotonic()


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _call_soon(loop: asyncio.AbstractEventLoop, event: asyncio.Event) -> None:
    if not loop.is_closed():  # the library's thread may end after the worker's loop
        loop.call_soon_threadsafe(event.set)
