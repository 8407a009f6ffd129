"""Connections to venues as ccxt makes them: spot markets only, numbers as text, nothing of a request in a log."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import ccxt
import ccxt.async_support

from streams.gateways.base import GatewayError
from streams.gateways.courier import Courier, said

if TYPE_CHECKING:
    from collections.abc import Mapping

# Of a venue, what ccxt would load besides spot markets.
_SETTINGS: dict[str, dict[str, Any]] = {
    "binance": {
        "options": {"fetchMarkets": {"types": ["spot"]}, "fetchMargins": False},
        "has": {"fetchCurrencies": False},
    }
}


async def open_exchange(
    venue: str, config: Mapping[str, Any], *, sandbox: bool = False, url: str = "", patience_s: float
) -> Any:
    """A ccxt exchange with its markets loaded. Close it.

    Args:
        venue: as ccxt calls it.
        config: ccxt's: apiKey, secret, timeout, options.
        sandbox: the venue's own test network.
        url: in place of all of the venue's addresses: a stand-in.
        patience_s: how long the venue is tried.

    Raises:
        GatewayError: ccxt does not know the venue, it cannot be reached, or it has no sandbox.
    """
    logging.getLogger("ccxt").setLevel(logging.WARNING)  # below that it logs requests with key and signature
    if venue not in ccxt.async_support.exchanges:
        raise GatewayError(f"expected a venue that ccxt {ccxt.__version__} knows, got {venue!r}")
    settings = ccxt.Exchange.deep_extend(_SETTINGS.get(venue, {}), config, {"number": str})
    exchange = getattr(ccxt.async_support, venue)(settings)
    try:
        if sandbox:
            exchange.set_sandbox_mode(enabled=True)
        if url:
            exchange.urls["api"] = _all_to(url, exchange.urls["api"])
        await Courier(exchange, patience_s=patience_s).repeat(exchange.load_markets)
    except BaseException as error:
        await exchange.close()
        if isinstance(error, ccxt.BaseError):
            raise GatewayError(said(error)) from error
        raise
    return exchange


def _all_to(url: str, addresses: Any) -> Any:
    """A venue's addresses as ccxt keeps them, all of them replaced."""
    return {name: _all_to(url, part) for name, part in addresses.items()} if isinstance(addresses, dict) else url
