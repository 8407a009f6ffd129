"""A real venue through ccxt (extra ``ccxt``), spot markets.

Tried against a stand-in that speaks Binance's REST API (``tests/binance_stand_in.py``). Another venue needs from ccxt: looking up
and cancelling orders by the client's id (``clientOrderId``), tick sizes, and trades with the venue's order id.

Money never is a float: ccxt is told to give numbers as text, and is given text.

An order whose reply was lost may still be on its way: it is sent again only when the venue, asked for it by the client's id, has
not known it for as long as it accepts old requests (``settle_s``; of Binance ``recvWindow``, and our clocks' difference). Before
that, and when the same order comes again after a restart, the venue is asked first: it refuses an id a second time only while the
first order is open. Until then nobody is told that an order is unknown.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import ccxt

from m1cep.grid.orders import (
    Fill,
    Lifecycle,
    Market,
    OpenOrders,
    OrderState,
    Place,
    PlaceMarket,
    Rejected,
    Side,
)
from streams.gateways.base import GatewayError, OutcomeUnknown
from streams.gateways.ccxt_exchange import open_exchange
from streams.gateways.ccxt_words import (
    LIFECYCLES,
    cancellation,
    count,
    fee_in_quote,
    market_of,
    reason,
    refused_here,
    reports,
)
from streams.gateways.courier import Courier, Lost, said

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Self

    from m1cep.grid.orders import Report

_PAGE = 1000  # trades a request
_ATTEMPTS = 3  # to place an order that the venue turned out not to have
PATIENCE_S = 60.0
_NAMES = 10_000  # of orders whose client id is remembered for their trades
_OUR_MISTAKES = (ccxt.AuthenticationError, ccxt.BadSymbol, ccxt.NotSupported, ccxt.ArgumentsRequired)


class _Expired(Exception):  # noqa: N818 - what happened to the order
    """It was not sent, because its time had passed."""


class CcxtGateway:
    """One account on one spot market of a venue. Made by ``connect``; close it.

    Args:
        exchange: of ``ccxt.async_support``, with its markets loaded and numbers as text.
        symbol: ccxt's name of the market, such as BTC/USDT.
        settle_s: how long a request of ours may still be accepted after we gave up on its reply.
        patience_s: how long a request is tried in all.
        follows: another process may have sent requests until now: what it sent may still arrive within ``settle_s``.
    """

    def __init__(
        self,
        exchange: Any,
        symbol: str,
        *,
        settle_s: float = 10.0,
        patience_s: float = PATIENCE_S,
        follows: bool = False,
    ) -> None:
        self._exchange = exchange
        self._symbol = symbol
        self._settle_s = settle_s
        self._courier = Courier(exchange, patience_s=patience_s)
        self._names: dict[str, str] = {}  # the venue's order id -> ours
        self._settled_at = time.monotonic() + settle_s if follows else 0.0
        self._on_their_way: dict[str, float] = {}  # order id -> until when, on the monotonic clock
        self._market = market_of(exchange, symbol)

    @classmethod
    async def connect(
        cls, venue: str, symbol: str, config: Mapping[str, Any], *, sandbox: bool = False, url: str = "", **how: Any
    ) -> Self:
        """A gateway to a venue.

        Args:
            venue: see ``open_exchange``.
            symbol: see the class.
            config: see ``open_exchange``.
            sandbox: see ``open_exchange``.
            url: see ``open_exchange``.
            **how: see the class.

        Raises:
            GatewayError: ccxt does not know the venue or the symbol, or the venue cannot be reached, or has no sandbox.
        """
        patience_s = how.get("patience_s", PATIENCE_S)
        exchange = await open_exchange(venue, config, sandbox=sandbox, url=url, patience_s=patience_s)
        try:
            return cls(exchange, symbol, **how)
        except BaseException:
            await exchange.close()
            raise

    async def close(self) -> None:
        """Close its connections."""
        await self._exchange.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @property
    def market(self) -> Market:
        """As the venue describes it."""
        return self._market

    # -- orders

    async def place(self, order: Place | PlaceMarket, *, fresh: bool = False) -> list[Report]:
        """See VenueGateway."""
        if why := refused_here(self._market, order):
            return [Rejected(order.order_id, why)]
        if not fresh and (known := await self.order(order.order_id)).lifecycle is not Lifecycle.UNKNOWN:
            return reports(known)
        for _ in range(_ATTEMPTS):
            try:
                return reports(self._state(order.order_id, await self._courier.once(lambda: self._create(order))))
            except _Expired:
                return [Rejected(order.order_id, "expired")]
            except Lost:
                self._on_their_way[order.order_id] = time.monotonic() + self._settle_s
                try:
                    found = await self.order(order.order_id)
                except GatewayError as error:
                    raise OutcomeUnknown(order.order_id, error.message) from error
                if found.lifecycle is not Lifecycle.UNKNOWN:
                    return reports(found)
            except _OUR_MISTAKES as error:
                raise GatewayError(said(error), "check the key, its rights and the symbol") from error
            except ccxt.ExchangeError as error:
                return await self._refused(order.order_id, error)
        raise GatewayError(
            f"{self._exchange.id}: order {order.order_id} was sent {_ATTEMPTS} times, and never came there"
        )

    async def cancel(self, order_id: str) -> list[Report]:
        """See VenueGateway."""
        try:
            await self._courier.repeat(
                lambda: self._exchange.cancel_order(None, self._symbol, {"clientOrderId": order_id})
            )
        except ccxt.ExchangeError:
            pass  # not found: filled, cancelled by a request whose reply was lost, or never there. What it is now tells.
        except GatewayError as error:
            raise OutcomeUnknown(order_id, error.message) from error
        return [cancellation(await self.order(order_id))]

    async def cancel_all(self) -> list[Report]:
        """See VenueGateway."""
        before = await self.open_orders()
        try:
            await self._courier.repeat(lambda: self._exchange.cancel_all_orders(self._symbol))
        except ccxt.ExchangeError:
            pass  # none was open any more
        except GatewayError as error:
            raise OutcomeUnknown("", error.message) from error
        return [cancellation(await self.order(state.order_id)) for state in before.orders]

    async def open_orders(self) -> OpenOrders:
        """See VenueGateway."""
        found = await self._ask(lambda: self._exchange.fetch_open_orders(self._symbol))
        return OpenOrders(tuple(self._state(raw["clientOrderId"], raw) for raw in found))

    async def order(self, order_id: str) -> OrderState:
        """See VenueGateway."""
        until = max(self._settled_at, self._on_their_way.get(order_id, 0.0))
        while True:
            last = time.monotonic() >= until
            raw = await self._raw_order(order_id)
            state = OrderState(order_id, Lifecycle.UNKNOWN) if raw is None else self._state(order_id, raw)
            if last or state.lifecycle is not Lifecycle.UNKNOWN:
                self._on_their_way.pop(order_id, None)
                return state
            await asyncio.sleep(min(1.0, max(0.0, until - time.monotonic())))

    async def fills(self, since_ms: int) -> list[Fill]:
        """See VenueGateway."""
        found: dict[tuple[str, str], Any] = {}
        while True:
            page = await self._ask(lambda since=since_ms: self._exchange.fetch_my_trades(self._symbol, since, _PAGE))
            known = len(found)
            found.update(((trade["id"], trade["order"]), trade) for trade in page)
            if len(page) < _PAGE:
                break
            if len(found) == known:
                raise GatewayError(f"{self._exchange.id}: more than {_PAGE} trades of ours in millisecond {since_ms}")
            since_ms = page[-1]["timestamp"]
        return [await self._fill(trade) for trade in found.values()]

    async def order_fills(self, order_id: str) -> list[Fill]:
        """See VenueGateway."""
        raw = await self._raw_order(order_id)
        if raw is None:
            return []
        self._state(order_id, raw)
        trades = await self._ask(lambda: self._exchange.fetch_order_trades(raw["id"], self._symbol, None, _PAGE))
        if len(trades) >= _PAGE:
            raise GatewayError(f"{self._exchange.id}: order {order_id} has {_PAGE} trades or more: too many to be sure")
        return [await self._fill(trade) for trade in trades]

    async def price(self) -> tuple[int, int] | None:
        """See VenueGateway."""
        trades = await self._ask(lambda: self._exchange.fetch_trades(self._symbol, None, 1))
        if not trades:
            return None
        newest = trades[-1]
        return newest["timestamp"], count(newest["price"], self._market.tick, "price")

    # -- inside

    async def _ask(self, call: Any) -> Any:
        try:
            return await self._courier.repeat(call)
        except ccxt.ExchangeError as error:
            raise GatewayError(said(error)) from error

    async def _raw_order(self, order_id: str) -> Any:
        """What the venue says of an order; None: it does not know it."""
        try:
            return await self._courier.repeat(
                lambda: self._exchange.fetch_order(None, self._symbol, {"clientOrderId": order_id})
            )
        except ccxt.OrderNotFound:
            return None
        except ccxt.ExchangeError as error:
            raise GatewayError(said(error)) from error

    async def _create(self, order: Place | PlaceMarket) -> Any:
        if isinstance(order, Place) and 0 < order.expires_ms < time.time_ns() // 1_000_000:
            raise _Expired  # looked at here: the venue may have asked us to wait
        params: dict[str, Any] = {"clientOrderId": order.order_id}
        quantity = format(self._market.quantity(order.lots), "f")
        if isinstance(order, PlaceMarket):
            return await self._exchange.create_order(self._symbol, "market", order.side.value, quantity, None, params)
        if order.post_only:
            params["postOnly"] = True
        price = format(self._market.price(order.ticks), "f")
        return await self._exchange.create_order(self._symbol, "limit", order.side.value, quantity, price, params)

    async def _refused(self, order_id: str, error: ccxt.ExchangeError) -> list[Report]:
        """What a refusal means; one that is not plainly about this order's numbers may be of an id that is in use."""
        if why := reason(error):
            return [Rejected(order_id, why)]
        state = await self.order(order_id)
        return [Rejected(order_id, said(error))] if state.lifecycle is Lifecycle.UNKNOWN else reports(state)

    def _state(self, order_id: str, raw: Mapping[str, Any]) -> OrderState:
        lifecycle = LIFECYCLES.get(raw["status"])
        if lifecycle is None:
            raise GatewayError(f"{self._exchange.id}: order {order_id} has the unknown status {raw['status']!r}")
        if len(self._names) >= _NAMES:
            del self._names[next(iter(self._names))]
        self._names[raw["id"]] = order_id
        return OrderState(order_id, lifecycle, self._lots(raw["amount"]), self._lots(raw["filled"] or "0"))

    async def _fill(self, trade: Mapping[str, Any]) -> Fill:
        venue_id = trade["order"]
        if venue_id not in self._names:
            raw = await self._ask(lambda: self._exchange.fetch_order(venue_id, self._symbol))
            self._state(raw["clientOrderId"], raw)
        return Fill(
            self._names[venue_id],
            trade["id"],
            Side(trade["side"]),
            count(trade["price"], self._market.tick, "price"),
            self._lots(trade["amount"]),
            fee_in_quote(self._exchange, self._symbol, trade),
            trade["takerOrMaker"] == "maker",
            trade["timestamp"],
        )

    def _lots(self, quantity: str) -> int:
        return count(quantity, self._market.lot, "quantity")
