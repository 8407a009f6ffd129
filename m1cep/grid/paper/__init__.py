"""A paper exchange: a price-time priority matcher of one market, for many clients and the real order flow next to them.

    client ── Place, PlaceMarket, Cancel, CancelAll, Ask… ──▶ Exchange.execute ──▶ (owner, report), (owner, report), …
    real flow ── orders.created, changed, deleted ──▶ flow ──▶ Exchange.external_… ──▶ (owner, report), …

One thread, no clock, no randomness: the same operations give the same reports, and the same trade ids.
"""

from m1cep.grid.paper.exchange import Exchange
from m1cep.grid.paper.matching import SelfTrade, Trade
from m1cep.grid.paper.venue import PaperVenue, Told

__all__ = ["Exchange", "PaperVenue", "SelfTrade", "Told", "Trade"]
