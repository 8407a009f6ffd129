"""The server that bench/rpc.py measures: the service on a book of a few hundred accounts, and a method that does nothing."""

from __future__ import annotations

import asyncio
import gc
import sys
from collections import Counter
from typing import Any

import grpc

from m1cep import FixedLookups
from m1cep.pretrade import Book, Checker, Side, new_order
from m1cep.pretrade.records import Hearing
from streams.agents.solo import Stand
from streams.rpc.freshness import Freshness
from streams.rpc.limits import load_limits
from streams.rpc.server import RiskServer
from streams.rpc.service import RiskService, now_ms

ACCOUNTS, SYMBOLS = 300, ("BTC-USD", "ETH-USD", "SOL-USD", "XRP-USD", "LTC-USD")


async def _empty(_request: bytes, _context: Any) -> bytes:
    return b""


def _filled_book() -> tuple[Book, Checker]:
    """Every account holds something in every symbol, and has an order open in it."""
    _, rules = load_limits()
    book = Book(rules)
    hearing = Hearing(book, rules.refuse_alerts)
    for symbol in SYMBOLS:
        hearing.hear("market", b'{"symbol":"%s","action":"trade","price":100.5}' % symbol.encode(), 0)
        for n in range(ACCOUNTS):
            account = f"acc-{n:04d}"
            order = new_order(account, f"open-{symbol}", symbol, Side.BUY, "0.5", "100.25")
            book.announced(account, order, 0)
            book.filled(account, f"done-{symbol}", "t", symbol, Side.SELL, order.qty, order.price or 0, 0)
    return book, Checker(rules, book, FixedLookups())


async def _serve() -> None:
    book, checker = _filled_book()
    gc.collect()  # as the worker does, see streams/worker.py
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
    freshness = Freshness(max_age_ms=1_000, quiet_ms=0)
    server = RiskServer(RiskService(checker, freshness, lambda: None, Counter()), 0)
    methods = {"Call": grpc.unary_unary_rpc_method_handler(_empty)}
    server.add(grpc.method_handlers_generic_handler("bench.Empty", methods))
    polled = 0

    def look() -> None:
        freshness.look({"bench": Stand(0, 0, polled)}, now_ms())
        book.lapse(freshness.read_until_ms or 0)

    look()
    await server.start()
    print(server.port, flush=True)
    while True:  # as the feed does
        polled += 1
        look()
        await asyncio.sleep(0.02)


if __name__ == "__main__":
    sys.exit(asyncio.run(_serve()))
