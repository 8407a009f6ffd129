"""The agent that writes intermediate results of accounts to the cache, beside the rules and off their way.

orders, fills, accounts, alerts, actions ──▶ Results ──(at most every ``WRITE_EVERY_S``, one pipeline)──▶ cache
alerts' states, one partition for all ──▶ Closings ──┘
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import structlog
from redis import RedisError

from streams import codec
from streams.agents.closings import Closings
from streams.agents.partition import Outcome, Timeless, fresh_records
from streams.cache.address import open_client
from streams.cache.results import Results, parts, write
from streams.errors import ServerError, ShellError

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Mapping

    from streams.agents.context import AgentContext
    from streams.agents.host import Host
    from streams.cache.results import Changes
    from streams.transport import Batch

_log = structlog.get_logger(__name__)

WRITE_EVERY_S = 0.1
_PART = 2_000
_AWAY_S = 1.0


class ResultsPartition(Timeless):
    """The results of one partition number, and the positions that they stand at."""

    def __init__(
        self,
        positions: Mapping[str, int],
        kinds: Mapping[str, str],
        state: bytes | None,
        closed: Container[str] = frozenset(),
    ) -> None:
        self.positions = dict(positions)
        self.results = Results(closed)
        self._kinds = kinds
        if state is not None:
            self.results.load(state)

    def take(self, batch: Batch) -> Outcome:
        """Take the batch's new records in; nothing is sent to Kafka."""
        position = self.positions[batch.topic]
        records = fresh_records(batch, position)
        kind = self._kinds[batch.topic]
        for record in records:
            self.results.hear(kind, record.value, record.timestamp or 0)
        if records:
            self.results.lapse(min((r.timestamp or 0) for r in records) - _SETTLE_MS)
        self.positions[batch.topic] = max(position, batch.next)
        return Outcome(events=len(records))

    def waiting(self) -> Mapping[str, int]:
        """What the cache has not taken: a topic is not read on while there is too much of it."""
        return dict.fromkeys(self.positions, self.results.unwritten)

    def snapshot(self) -> bytes:
        """As of the positions."""
        return self.results.state()


#: Topics are read side by side: fills may come so much behind the orders that they belong to, by the records' times.
_SETTLE_MS = 60_000


async def build(context: AgentContext) -> Host:
    """The host of the agent.

    Raises:
        ShellError: no cache is given, or a topic is missing.
    """
    options = context.options
    if options.cache_url is None:
        raise ShellError("the agent results writes to a cache, and none is given", "set M1CEP_CACHE_URL")
    kinds = {options.streams[name].topic: name for name in ("orders", "fills", "accounts")}
    kinds |= {codec.ALERTS: "alerts", codec.ACTIONS: "actions"}

    if not (await context.outbox.look([codec.ALERT_STATES])).partitions.get(codec.ALERT_STATES):
        raise ServerError(f"the broker has no topic {codec.ALERT_STATES}", "make it: m1cep topics create")
    closings = Closings()

    def open_partition(_: int, positions: Mapping[str, int], state: bytes | None) -> ResultsPartition:
        return ResultsPartition(positions, kinds, state, closings)

    host = await context.new_host("results", kinds, open_partition, {})
    known = asyncio.Event()

    def changed(alerts: Iterable[str]) -> None:
        for results in _results(host):
            results.restate(alerts)

    host.beside(closings.follow(options.client, changed, known.set))
    host.beside(_write_for_ever(host, open_client(options.cache_url), known))
    return host


def _results(host: Host) -> Iterable[Results]:
    return [partition.results for partition in host.partitions]  # type: ignore[attr-defined]  # they are ours


async def _write_for_ever(host: Host, client: Any, known: asyncio.Event) -> None:
    await known.wait()  # else accounts would be told as frozen by alerts that were closed long ago
    away = False
    while True:
        await asyncio.sleep(_AWAY_S if away else WRITE_EVERY_S)
        for results in _results(host):
            changes = results.take_changes()
            failed = await _written(client, results, changes)
            if bool(failed) is not away:
                away = bool(failed)
                _log.log(40 if away else 20, "results.cache", state="away" if away else "back", reason=failed)
            results.wrote(all_of_it=not failed)
            if failed:
                break


async def _written(client: Any, results: Results, changes: Changes) -> str:
    """Why it could not be written, or nothing."""
    for part in parts(changes, _PART):
        fields = {name: results.fields(name) for name in part.accounts}
        try:
            await asyncio.to_thread(write, client, part, fields)
        except (RedisError, OSError) as error:
            return str(error) or "it does not answer"
    return ""
