"""ccxt's words and ours: markets, states of orders, refusals, fees, quantities."""

from __future__ import annotations

from decimal import Context, Decimal, Inexact, InvalidOperation
from typing import TYPE_CHECKING, Any

import ccxt

from m1cep.grid.orders import Accepted, Cancelled, CancelRejected, Lifecycle, Market, OrderState, Place, Rejected
from streams.gateways.base import GatewayError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from m1cep.grid.orders import PlaceMarket, Report

_EXACT = Context(prec=100, traps=[Inexact, InvalidOperation])
LIFECYCLES = {
    "open": Lifecycle.OPEN,
    "closed": Lifecycle.FILLED,
    "canceled": Lifecycle.CANCELLED,
    "canceling": Lifecycle.OPEN,
    "expired": Lifecycle.CANCELLED,
    "rejected": Lifecycle.REJECTED,
}
# In a refusal's text: what it is about.
_REASONS = (("notional", "min_notional"), ("lot_size", "lot"), ("price_filter", "tick"))


def market_of(exchange: Any, symbol: str) -> Market:
    """As the venue describes it.

    Raises:
        GatewayError: there is no such market, or it is not a spot market with tick sizes.
    """
    if symbol not in exchange.markets:
        raise GatewayError(f"{exchange.id} has no market {symbol!r}")
    raw = exchange.markets[symbol]
    if not raw["spot"] or exchange.precisionMode != ccxt.TICK_SIZE:
        raise GatewayError(f"expected a spot market with tick sizes, got {symbol} of {exchange.id}")
    least = raw["limits"]["cost"]["min"]
    return Market(
        f"{raw['base']}-{raw['quote']}",
        Decimal(str(raw["precision"]["price"])),
        Decimal(str(raw["precision"]["amount"])),
        Decimal(str(least or 0)),
        Decimal(str(raw["maker"])),
        Decimal(str(raw["taker"])),
    )


def reports(state: OrderState) -> list[Report]:
    """What there is to say of an order that was placed."""
    if state.lifecycle is Lifecycle.REJECTED:
        return [Rejected(state.order_id, "rejected")]
    if state.lifecycle is Lifecycle.CANCELLED:
        return [Accepted(state.order_id), Cancelled(state.order_id, state.filled_lots)]
    return [Accepted(state.order_id)]


def cancellation(state: OrderState) -> Report:
    """What there is to say of an order that was to be cancelled."""
    if state.lifecycle is Lifecycle.CANCELLED:
        return Cancelled(state.order_id, state.filled_lots)
    return CancelRejected(state.order_id, state.lifecycle.value)


def reason(error: ccxt.ExchangeError) -> str:
    """One of the reasons that Rejected knows, or empty."""
    if isinstance(error, ccxt.OrderImmediatelyFillable):
        return "post_only"
    if isinstance(error, ccxt.InsufficientFunds):
        return "balance"
    text = str(error).lower()
    return next((reason for part, reason in _REASONS if part in text), "")


def refused_here(market: Market, order: Place | PlaceMarket) -> str:
    """What the venue would refuse anyway, or ccxt round; empty: nothing."""
    if order.lots <= 0:
        return "lot"
    if isinstance(order, Place):
        if order.ticks <= 0:
            return "tick"
        if market.notional(order.ticks, order.lots) < market.min_notional:
            return "min_notional"
    return ""


def fee_in_quote(exchange: Any, symbol: str, trade: Mapping[str, Any]) -> Decimal:
    """What a trade cost. A fee that the venue took in base is worth its share of the trade's price.

    Raises:
        GatewayError: it was taken in a third currency, or is not told.
    """
    market, fee = exchange.market(symbol), trade.get("fee") or {}
    if fee.get("cost") is None:
        raise GatewayError(f"{exchange.id} does not say what trade {trade['id']} cost", "this venue cannot be used")
    cost, currency = Decimal(fee["cost"]), fee["currency"]
    if not cost or currency == market["quote"]:
        return cost
    if currency == market["base"]:
        return _EXACT.multiply(cost, Decimal(trade["price"]))
    raise GatewayError(
        f"{exchange.id}: the fee of trade {trade['id']} was taken in {currency}",
        f"have fees taken in {market['quote']} or {market['base']}: what {currency} is worth is not known here",
    )


def count(value: str, step: Decimal, what: str) -> int:
    """How many steps.

    Raises:
        GatewayError: it is no whole number of them.
    """
    count = Decimal(value) / step
    if count != count.to_integral_value():
        raise GatewayError(f"expected a {what} in steps of {step}, got {value} from the venue")
    return int(count)
