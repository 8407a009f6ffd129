"""What a gateway does, and a command of the grid as one of its calls."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from m1cep.grid.orders import AskFills, AskOpenOrders, AskOrder, Cancel, CancelAll, Place, PlaceMarket
from streams.errors import ShellError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from m1cep.grid.orders import Command, Fill, Market, OpenOrders, OrderState, Report


class GatewayError(ShellError):
    """The venue cannot be used this way, or not now; nothing is known to have changed there."""


class Unreachable(GatewayError):  # noqa: N818 - what the venue is
    """The venue does not answer, or has us wait for longer than we are patient; nothing is known to have changed there."""


class OutcomeUnknown(GatewayError):  # noqa: N818 - says what is the case; the caller must find out
    """A request may or may not have been carried out, and the venue could not be asked. Ask for the order later.

    Attributes:
        order_id: of the order at stake; empty: all of them.
    """

    def __init__(self, order_id: str, message: str) -> None:
        self.order_id = order_id
        super().__init__(message, "ask for the order before anything else is done with it")


class VenueGateway(Protocol):
    """A client's orders on one market of a venue. Orders are named by the client's own ids.

    Every call may raise GatewayError; those that change something also OutcomeUnknown.
    """

    async def close(self) -> None:
        """Close its connections."""
        ...

    @property
    def market(self) -> Market:
        """Ticks, lots and fees as the venue has them."""
        ...

    async def place(self, order: Place | PlaceMarket, *, fresh: bool = False) -> Sequence[Report]:
        """Place an order, or say what came of it if the venue knows its id: Accepted or Rejected, and Cancelled if it is.

        What expires is not sent any more after that time, nor sent again: Rejected, "expired", unless the venue knows it.

        Args:
            order: its fills come by ``fills``.
            fresh: the id was never sent before, by nobody: saves the question whether the venue knows it.
        """
        ...

    async def cancel(self, order_id: str) -> Sequence[Report]:
        """Cancelled, when the venue says that the order is; else CancelRejected, which proves nothing."""
        ...

    async def cancel_all(self) -> Sequence[Report]:
        """As ``cancel``, for every order that was open."""
        ...

    async def open_orders(self) -> OpenOrders:
        """Every open order of the client on this market."""
        ...

    async def order(self, order_id: str) -> OrderState:
        """What the venue knows of an order. UNKNOWN is final: no request of ours is on its way that could still place it."""
        ...

    async def fills(self, since_ms: int) -> Sequence[Fill]:
        """Trades of the client from a time of the venue on (inclusive), the oldest first.

        Ask with overlap: trade ids tell repetitions.
        """
        ...

    async def order_fills(self, order_id: str) -> Sequence[Fill]:
        """Every trade of an order so far."""
        ...

    async def price(self) -> tuple[int, int] | None:
        """The market's newest trade, anybody's: when (ms, by the venue) and its price in ticks; None: there was none."""
        ...


async def carry_out(gateway: VenueGateway, command: Command, *, fresh: bool = False) -> Sequence[Report]:
    """The gateway's reports on a command of a grid."""
    match command:
        case Place() | PlaceMarket():
            return await gateway.place(command, fresh=fresh)
        case Cancel(order_id):
            return await gateway.cancel(order_id)
        case CancelAll(()):
            return await gateway.cancel_all()
        case CancelAll(order_ids):
            return [report for order_id in order_ids for report in await gateway.cancel(order_id)]
        case AskOpenOrders(question):
            return [replace(await gateway.open_orders(), question=question)]
        case AskOrder(order_id, question):
            return [replace(await gateway.order(order_id), question=question)]
        case AskFills(order_id):
            return await gateway.order_fills(order_id)
