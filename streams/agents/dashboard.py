"""The dashboard agent: reads along, and answers browsers. Best as a worker of its own: then nobody's browser slows the engine."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from aiohttp import web
from aiokafka.errors import KafkaError

from streams import codec
from streams.agents.acks import acknowledged
from streams.agents.around import first_to_end
from streams.alerts.desk import state_message
from streams.errors import ServerError
from streams.files import read_text, rule_files
from streams.web.dashboard.board import Board, BoardOptions
from streams.web.dashboard.contributing import Contributing
from streams.web.dashboard.feed import Feed
from streams.web.dashboard.pages import Pages

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from faust.types import TP

    from m1cep import Rule
    from m1cep.alert_states import AlertState
    from streams.agents.context import AgentContext, WorkerOptions
    from streams.agents.outbox import Outbox
    from streams.agents.stats import AgentStats
    from streams.custody.roster import Roster

NAME = "dashboard"
_SOURCE = "/m1cep/dashboard"


class Dashboard:
    """What the worker runs.

    Args:
        context: of the agent.
        board: what is shown.
        counts: partitions of the topics that exist.
    """

    name = NAME

    def __init__(self, context: AgentContext, board: Board, counts: Mapping[str, int]) -> None:
        client = context.options.client
        self.stats: AgentStats = context.stats
        self.failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._outbox: Outbox = context.outbox
        self._board, self._counts = board, counts
        self._feed = Feed(client, board.sources(), board.alerts_begin, self._caught_up)
        self._pages = Pages(board, Contributing(client), self._write)

    @property
    def topics(self) -> Collection[str]:
        """What it reads."""
        return self._counts.keys()

    def routes(self) -> Iterable[web.AbstractRouteDef]:
        """Its pages."""
        return self._pages.routes()

    async def run(self) -> None:
        """Until cancelled.

        Raises:
            KafkaError: the broker refuses something.
        """
        await first_to_end((self._feed.run(self._counts), self._board.run()))

    def _caught_up(self) -> None:
        self._board.caught_up()
        self.stats.state = "ready"

    async def _write(self, record: AlertState) -> None:
        """Write an alert's state; it is there when this returns."""
        if codec.ALERT_STATES not in self._counts:
            raise web.HTTPServiceUnavailable(
                reason=f"the broker has no topic {codec.ALERT_STATES}: m1cep topics create"
            )
        try:
            await acknowledged([await self._outbox.send(state_message(record, _SOURCE))])
        except KafkaError as error:
            raise web.HTTPServiceUnavailable(reason=f"the broker did not take it: {type(error).__name__}") from error

    def trouble(self) -> BaseException | None:
        """Nothing beside what ``run`` raises."""
        return None

    def positions(self) -> Mapping[TP, int]:
        """None that anybody could wait for: it is a viewer."""
        return {}

    def measure(self) -> None:
        """Bring the counters up to date."""
        self.stats.records = self._feed.records

    async def close(self) -> None:
        """Let the browsers go; there is nothing to save."""
        self.abandon()

    def abandon(self) -> None:
        """The same."""
        self.stats.state = "stopping"
        self._board.hub.close()

    async def stop(self) -> None:
        """Let go of the broker."""
        await self._feed.stop()


async def build(context: AgentContext) -> Dashboard:
    """The agent.

    Raises:
        ServerError: the broker has no topic of alerts.
        UsageError: custody's roster cannot be read.
    """
    options = context.options
    board = Board(
        BoardOptions(
            rules=await asyncio.to_thread(_with_origin, options.rules),
            streams=options.streams,
            roster=_roster(options),
            statements=options.statements,
        )
    )
    wanted = [source.topic for source in board.sources()]
    counts = (await context.outbox.look(wanted)).partitions
    if codec.ALERTS not in counts:
        raise ServerError(
            f"the broker at {options.broker} has no topic {codec.ALERTS}", "make the topics: m1cep topics create"
        )
    return Dashboard(context, board, counts)


def _with_origin(rules: Iterable[Rule]) -> list[tuple[Rule, str]]:
    packaged = {read_text(file) for file, _ in rule_files(None)}
    return [(rule, "packaged" if rule.text in packaged else "file") for rule in rules]


def _roster(options: WorkerOptions) -> Roster | None:
    if options.custody is None:
        return None
    from streams.custody.roster import load_roster

    return load_roster(options.custody.roster)
