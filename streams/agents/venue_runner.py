"""The network side of the venue agent: carries out errands, looks for fills and the price, and hands over what came of it.

What is heard becomes state between two batches only, together with the messages that follow (``Runner.step``): a snapshot never
knows more than what was written.
"""

from __future__ import annotations

import asyncio
import time
from functools import partial
from typing import TYPE_CHECKING

import structlog

from m1cep.errors import EngineError, GridError
from streams.agents.partition import Outcome
from streams.agents.venue import VenuePartition
from streams.errors import UsageError
from streams.gateways import GatewayError, Unreachable, carry_out
from streams.grid.log import COMMANDS, GRID_LOG

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from typing import Any

    from m1cep.grid.orders import Market, Report
    from streams.agents.context import AgentContext
    from streams.agents.host import Host
    from streams.agents.venue import Errand
    from streams.gateways import VenueGateway
    from streams.gateways.access import VenueAccess

    #: A gateway to a symbol.
    Connect = Callable[[str], Awaitable[VenueGateway]]

_log = structlog.get_logger(__name__)

_LOOK_EVERY_S = 0.02
_POLL_S = 1.0
_AT_ONCE = 8  # errands
#: A venue that has not answered a request for so long is lost for now.
_PATIENCE_S = 15.0


class Runner:
    """Works for one partition for as long as that is ours.

    Args:
        partition: whose errands.
        connect: makes a gateway to a symbol.
        poll_s: how often to look for fills and the price.
    """

    def __init__(self, partition: VenuePartition, connect: Connect, poll_s: float = _POLL_S) -> None:
        self._partition = partition
        self._connect = connect
        self._poll_s = poll_s
        self._gateways: dict[str, asyncio.Task[VenueGateway]] = {}
        self._carrying: dict[str, asyncio.Task[None]] = {}  # by errand
        self._watching: dict[str, asyncio.Task[None]] = {}  # by symbol
        self._answers: dict[str, bool] = {}  # whether the venue does; by symbol, where it is known
        self._findings: list[Callable[[Outcome], None]] = []

    def step(self) -> Outcome | None:
        """Take in what was found and begin what is due. Between two batches.

        Returns:
            What follows; None: nothing that is worth a snapshot.

        Raises:
            Exception: whatever a task ended with that is not the venue's doing.
        """
        for task in (*self._carrying.values(), *self._watching.values()):
            if task.done():
                task.result()
        outcome, left = Outcome(), self._partition.left
        for found in self._findings:
            found(outcome)
        self._findings.clear()
        changed = outcome.messages or self._partition.left < left
        self._carrying = {name: task for name, task in self._carrying.items() if not task.done()}
        for errand in self._partition.due(self._carrying, _AT_ONCE - len(self._carrying)):
            self._carrying[errand.id] = asyncio.create_task(self._carry(errand))
        for symbol in self._partition.books.keys() - self._watching.keys():
            self._watching[symbol] = asyncio.create_task(self._watch(symbol))
        return outcome if changed else None

    async def close(self) -> None:
        """Stop everything; what is under way is done again by whoever has the partition next."""
        tasks = [*self._carrying.values(), *self._watching.values(), *self._gateways.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for opened in self._gateways.values():
            if not opened.cancelled() and opened.exception() is None:
                await opened.result().close()

    async def _carry(self, errand: Errand) -> None:
        market: Market | None = None
        reports: Sequence[Report] = ()
        try:
            if self._answers.get(errand.symbol) is not False:  # else what the grids ask meanwhile would pile up
                gateway = await self._gateway(errand.symbol)
                market = gateway.market
                reports = self._partition.refusal(errand, market) or await carry_out(gateway, errand.command)
        except GatewayError as error:  # nobody knows, or nothing has happened: the grid asks
            command = type(errand.command).__name__
            _log.warning("venue.unanswered", grid=errand.grid, command=command, errand=errand.id, reason=str(error))
        self._findings.append(partial(self._partition.finish, errand, reports, market))

    async def _watch(self, symbol: str) -> None:
        """Look for fills and the price, again and again."""
        said: dict[str, str] = {}
        while True:
            for look in (self._look_for_fills, self._look_for_price):
                try:
                    await look(symbol)
                except Unreachable as error:
                    self._lost(symbol, error)
                except GatewayError as error:  # it answers, but what it says is of no use
                    if said.get(look.__name__) != str(error):
                        _log.error("venue.of_no_use", symbol=symbol, reason=str(error))
                    said[look.__name__] = str(error)
                else:
                    self._found(symbol)
            await asyncio.sleep(self._poll_s)

    async def _look_for_fills(self, symbol: str) -> None:
        gateway = await self._gateway(symbol)
        asked_ms = _now_ms()
        fills = await gateway.fills(self._partition.books[symbol].since_ms)
        self._findings.append(partial(self._partition.traded, fills, gateway.market, asked_ms))

    async def _look_for_price(self, symbol: str) -> None:
        gateway = await self._gateway(symbol)
        if price := await gateway.price():
            self._findings.append(partial(self._partition.priced, *price, gateway.market))

    def _lost(self, symbol: str, error: GatewayError) -> None:
        if self._answers.get(symbol) is not False:
            _log.warning("venue.lost", symbol=symbol, reason=str(error))
            self._findings.append(partial(self._partition.lost, symbol, str(error), _now_ms()))
        self._answers[symbol] = False

    def _found(self, symbol: str) -> None:
        if not self._answers.get(symbol):
            _log.info("venue.connected", symbol=symbol)
            self._findings.append(partial(self._partition.reconnected, symbol, _now_ms()))
        self._answers[symbol] = True

    async def _gateway(self, symbol: str) -> VenueGateway:
        """That of the symbol, the same for all who ask; one that could not be made is tried again."""
        opened = self._gateways.get(symbol)
        if opened is None or (opened.done() and (opened.cancelled() or opened.exception())):
            opened = self._gateways[symbol] = asyncio.ensure_future(self._connect(symbol))
        return await asyncio.shield(opened)


async def work(host: Host, connect: Connect) -> None:
    """Run for every partition that the host has, until cancelled."""
    runners: dict[VenuePartition, Runner] = {}

    def step(partition: Any) -> Outcome | None:
        if partition not in runners:
            runners[partition] = Runner(partition, connect)
        return runners[partition].step()

    try:
        while True:
            await asyncio.sleep(_LOOK_EVERY_S)
            for gone in runners.keys() - set(host.partitions):
                await runners.pop(gone).close()
            await host.each(step)
    finally:
        await asyncio.gather(*(runner.close() for runner in runners.values()))


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _connect_to(access: VenueAccess) -> Connect:
    try:
        from streams.gateways.ccxt_gateway import CcxtGateway
    except ModuleNotFoundError as error:
        raise UsageError(
            f"the extra ccxt is needed, {error.name} is not installed", "pip install 'm1cep[ccxt]'"
        ) from None

    async def connect(symbol: str) -> CcxtGateway:
        gateway = await CcxtGateway.connect(
            access.name,
            symbol.replace("-", "/"),
            access.config(),
            sandbox=access.sandbox,
            url=access.url,
            settle_s=access.settle_s,
            patience_s=_PATIENCE_S,
            follows=True,  # whoever had the partition before may have sent requests until now
        )
        if gateway.market.symbol != symbol:
            await gateway.close()
            raise GatewayError(f"expected the symbol {gateway.market.symbol}, got {symbol}")
        return gateway

    return connect


async def build(context: AgentContext) -> Host:
    """The host of the venue agent, attached to an app that is not started yet.

    Raises:
        UsageError: no venue is configured, or ccxt is missing.
    """
    access = context.options.venue
    if access is None:
        raise UsageError("the agent venue needs a venue", "set M1CEP_VENUE and its key: docs/grid-venue.md")
    connect = _connect_to(access)
    fills = context.options.streams["fills"].topic
    partitions = (await context.outbox.look([GRID_LOG])).partitions.get(GRID_LOG, 0)

    def open_partition(number: int, positions: Mapping[str, int], state: bytes | None) -> VenuePartition:
        at = positions[COMMANDS]
        whose = {"venue": access.name, "account": access.account}
        try:
            return VenuePartition(number, at, **whose, fills=fills, partitions=partitions, state=state)
        except GridError as error:
            raise EngineError(str(error)) from error  # this snapshot cannot go on

    host = await context.new_host("venue", [COMMANDS], open_partition, {}, outputs=[GRID_LOG, fills])
    host.beside(work(host, connect))
    return host
