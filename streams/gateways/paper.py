"""The paper exchange of this process behind the gateway's calls."""

from __future__ import annotations

from typing import TYPE_CHECKING

from m1cep.grid.orders import (
    AskFills,
    AskOpenOrders,
    AskOrder,
    Cancel,
    CancelAll,
    Fill,
    OpenOrders,
    OrderState,
    Place,
    Rejected,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from m1cep.grid.orders import Command, Market, PlaceMarket, Report
    from m1cep.grid.paper import Exchange


class PaperGateway:
    """One client of a paper exchange.

    Args:
        exchange: shared with other clients and the real flow.
        owner: this client's name there.
        now_ms: the time that trades are given.
    """

    def __init__(self, exchange: Exchange, owner: str, now_ms: Callable[[], int]) -> None:
        self._exchange = exchange
        self._owner = owner
        self._now_ms = now_ms

    async def close(self) -> None:
        """It has none."""

    @property
    def market(self) -> Market:
        """The exchange's."""
        return self._exchange.market

    async def place(self, order: Place | PlaceMarket, *, fresh: bool = False) -> list[Report]:  # noqa: ARG002 - it always knows
        """See VenueGateway."""
        late = isinstance(order, Place) and 0 < order.expires_ms < self._now_ms()
        if late and not self._exchange.knows(self._owner, order.order_id):
            return [Rejected(order.order_id, "expired")]
        return [report for report in self._told(order) if not isinstance(report, Fill)]

    async def cancel(self, order_id: str) -> list[Report]:
        """See VenueGateway."""
        return self._told(Cancel(order_id))

    async def cancel_all(self) -> list[Report]:
        """See VenueGateway."""
        return self._told(CancelAll())

    async def open_orders(self) -> OpenOrders:
        """See VenueGateway."""
        (answer,) = self._told(AskOpenOrders())
        assert isinstance(answer, OpenOrders)
        return answer

    async def order(self, order_id: str) -> OrderState:
        """See VenueGateway."""
        (answer,) = self._told(AskOrder(order_id))
        assert isinstance(answer, OrderState)
        return answer

    async def fills(self, since_ms: int) -> list[Fill]:
        """See VenueGateway."""
        return self._exchange.fills(self._owner, since_ms)

    async def order_fills(self, order_id: str) -> list[Fill]:
        """See VenueGateway."""
        return [report for report in self._told(AskFills(order_id)) if isinstance(report, Fill)]

    async def price(self) -> tuple[int, int] | None:
        """The paper exchange does not remember what others traded at."""
        return None

    def _told(self, command: Command) -> list[Report]:
        """What this client is told; the others read theirs by ``fills``."""
        told = self._exchange.execute(self._owner, command, self._now_ms())
        return [report for owner, report in told if owner == self._owner]
