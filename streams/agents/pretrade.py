"""The pre-trade agent: feeds the book from the topics and answers over gRPC, in a process of its own."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog

from m1cep import FixedLookups
from m1cep.pretrade import Book, Checker
from m1cep.pretrade.records import KINDS
from streams import codec
from streams.agents.around import AroundSolo, first_to_end
from streams.errors import UsageError
from streams.snapshots import StoreError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from m1cep import Lookups
    from streams.agents.context import AgentContext
    from streams.agents.solo import Solo
    from streams.rpc.freshness import Fault, Lease
    from streams.rpc.limits import LimitsFile
    from streams.rpc.server import RiskServer

_log = structlog.get_logger(__name__)

NAME = "pretrade"
#: The state of a hundred thousand accounts takes a moment to save, in which nothing is answered.
_SAVE_EVERY_S = 30.0
#: Taken in at once: answers wait meanwhile.
_MOST_RECORDS = 100
#: Of each partition of the market at the first start: prices before are of no use.
_MARKET_TAIL = 10_000
_HEALTH_EVERY_S = 0.05
#: How often to ask whether another process has taken over, and for how long the answer counts.
_CONFIRM_EVERY_S = 0.5
_LEASE_MS = 2_000
_GRACE_S = 1.0


class Pretrade(AroundSolo):
    """What the worker runs: the feed and the server. The server answers from the start, saying that it is not ready.

    Args:
        feed: reads the topics.
        server: answers.
        lease: told for how long answers may be given.
    """

    name = NAME

    def __init__(self, feed: Solo, server: RiskServer, lease: Lease) -> None:
        super().__init__(feed)
        self._server, self._lease = server, lease

    async def run(self) -> None:
        """Until cancelled.

        Raises:
            UsageError: the port is taken.
            ShellError: the state cannot be used.
            SupersededError: another process has taken over.
        """
        await self._server.start()
        _log.info("rpc.listening", port=self._server.port)
        await first_to_end((self._tell_health(), self._feed.run(), keep_lease(self._feed.confirm, self._lease)))

    async def _tell_health(self) -> None:
        while True:
            await self._server.tell_health()
            await asyncio.sleep(_HEALTH_EVERY_S)

    def unready(self) -> str | None:
        """Why orders are not answered now; None: they are."""
        fault = self._server.service.fault()
        return None if fault is None else fault.reason

    async def close(self) -> None:
        """Answer what is under way, and save."""
        await self._server.stop(_GRACE_S)
        await self._feed.close()

    async def stop(self) -> None:
        """Let go of the broker; after a failure also of the clients."""
        await self._server.stop(0)
        await self._feed.stop()


async def keep_lease(confirm: Callable[[], Awaitable[bool]], lease: Lease) -> None:
    """Ask for ever whether the state still is ours.

    Raises:
        SupersededError: it is not.
    """
    from streams.rpc.service import now_ms

    while True:
        asked_ms = now_ms()
        try:
            if await confirm():
                lease.confirmed(asked_ms)
        except StoreError as error:  # answers end with the lease, and begin again when the store is back
            _log.warning("pretrade.not_confirmed", reason=str(error))
        await asyncio.sleep(_CONFIRM_EVERY_S)


async def build(context: AgentContext) -> Pretrade:
    """The agent.

    Raises:
        UsageError: the limits cannot be read, or name a list that there is not; a stream is not declared.
        ServerError: a topic is missing.
    """
    from streams.rpc.feed import Feed
    from streams.rpc.freshness import Freshness, Lease
    from streams.rpc.limits import load_limits
    from streams.rpc.server import RiskServer
    from streams.rpc.service import RiskService

    options, stats = context.options, context.stats
    file, rules = load_limits(options.limits)
    lookups = options.lookups or FixedLookups()
    _check_lookups(file, lookups)
    topics = _topics(context, [kind for kind in KINDS if kind != "market" or file.feed.market])
    book = Book(rules)
    freshness, lease = Freshness(file.feed.max_age_ms, rules.quiet_ms), Lease(_LEASE_MS)
    feed = Feed(book, topics, freshness, stats)
    service = RiskService(Checker(rules, book, lookups), freshness, _trouble(file, lookups, lease), stats.answers)
    tail = {topic: _MARKET_TAIL for topic, kind in topics.items() if kind == "market"}
    solo = await context.new_solo(
        NAME, feed, topics, looked=feed.looked, save_every_s=_SAVE_EVERY_S, most_records=_MOST_RECORDS, tail=tail
    )
    return Pretrade(solo, RiskServer(service, options.rpc_port), lease)


def _topics(context: AgentContext, kinds: Sequence[str]) -> dict[str, str]:
    streams = context.options.streams
    found = {codec.ALERTS: "alerts", codec.ALERT_STATES: "states", codec.ACTIONS: "actions"}
    for kind in kinds:
        if kind in found.values():
            continue
        if kind not in streams or streams[kind].is_view:
            raise UsageError(
                f"the agent {NAME} reads the stream {kind}, which is not declared", "see rules/streams.sql"
            )
        found[streams[kind].topic] = kind
    return found


def _check_lookups(file: LimitsFile, lookups: Lookups) -> None:
    """A list or parameter that is not there is a mistake in the file, most of the time."""
    for name in (*file.lists.refuse_accounts, *file.lists.refuse_symbols, file.lists.allow_symbols):
        if name and lookups.members(name) is None:
            raise UsageError(
                f"the limits name the list {name!r}, which there is not", "make it, or take it out of [lists]"
            )
    for name in file.parameters.values():
        if lookups.parameter(name) is None:
            raise UsageError(f"the limits name the parameter {name!r}, which there is not", "make it, or take it out")


def _trouble(file: LimitsFile, lookups: Lookups, lease: Lease) -> Callable[[], Fault | None]:
    from streams.rpc.freshness import Fault, Kind
    from streams.rpc.service import now_ms

    lists = file.lists
    used = bool(lists.refuse_accounts or lists.refuse_symbols or lists.allow_symbols or file.parameters)
    if not used or lists.when_away == "last_known":
        return lambda: lease.fault(now_ms())
    away = Fault(Kind.DOWN, "the cache that lists and parameters come from is away")
    return lambda: lease.fault(now_ms()) or (None if lookups.current else away)
