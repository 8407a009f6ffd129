"""A server that speaks the part of Binance's spot REST API that the gateway uses, with a paper exchange behind it.

As the venue documents it: signed requests that are only good for ``recvWindow`` ms, error codes, ids unique among open orders
only, trades that name the venue's order id alone. It can be told to misbehave: see ``Fault``.
"""

import asyncio
import contextlib
import hashlib
import hmac
import itertools
import threading
import time
from collections import defaultdict, deque
from dataclasses import dataclass, field
from decimal import Decimal
from urllib.parse import parse_qsl

from aiohttp import web

from m1cep.grid.orders import Cancel, Lifecycle, Market, Place, PlaceMarket, Rejected, Side
from m1cep.grid.paper import Exchange
from m1cep.grid.paper.flow import steps

KEY, SECRET = "key", "secret"
US = "us"
MAX_PRICE = Decimal("1000000.00")
LOTS = 100  # of an order, where a test does not say
MIN_LOTS = 10  # the least quantity of an order, in steps


@dataclass
class Fault:
    """What goes wrong with one request."""

    kind: str  # lose_request | lose_reply | delay (it is carried out later, and nobody waits for the reply) | status
    status: int = 0
    body: dict = field(default_factory=dict)
    headers: dict = field(default_factory=dict)
    delay_s: float = 0.0


class Refused(Exception):  # noqa: N818 - what the venue does, no fault of ours
    def __init__(self, code, message):
        self.body = {"code": code, "msg": message}


@dataclass
class Order:
    number: int
    client_id: str
    core_id: str
    side: Side
    kind: str
    price: str
    lots: int


class BinanceStandIn:
    def __init__(self, market):
        self.market = market
        self.core = Exchange(market, tape=True)
        self.newest = None  # of everybody's trades
        self.min_notional = market.min_notional
        self.fee_currency = "USDT"
        self.orders = []
        self.numbers = itertools.count()
        self.faults = defaultdict(deque)  # by "METHOD path"
        self.requests = []  # (METHOD path, monotonic time) of everything that reached the server
        self.background = set()
        self.refused = asyncio.Event()  # a request was answered with a fault's status

    async def start(self):
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self.handle)
        self.runner = web.AppRunner(app, access_log=None)  # it would log requests with their signatures
        await self.runner.setup()
        site = web.TCPSite(self.runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}"

    async def stop(self):
        for task in self.background:
            task.cancel()
        await self.runner.cleanup()

    def fail(self, request, kind, times=1, **about):
        self.faults[request].extend([Fault(kind, **about)] * times)

    def seen(self, request):
        return [at for name, at in self.requests if name == request]

    # -- the server

    async def handle(self, request):
        name = f"{request.method} {request.path.removeprefix('/')}"
        text = await request.text() or request.query_string
        self.requests.append((name, time.monotonic()))
        fault = self.faults[name].popleft() if self.faults[name] else Fault("")
        if fault.kind == "status":
            self.refused.set()
            return web.json_response(fault.body, status=fault.status, headers=fault.headers)
        if fault.kind == "lose_request":
            request.transport.close()
            return web.Response()
        if fault.kind == "delay":
            task = asyncio.create_task(self.later(name, request, text, fault.delay_s))
            self.background.add(task)
            request.transport.close()
            return web.Response()
        reply = self.answer(name, request, text)
        if fault.kind == "lose_reply":
            request.transport.close()
        return reply

    async def later(self, name, request, text, delay_s):
        await asyncio.sleep(delay_s)
        self.answer(name, request, text)

    def answer(self, name, request, text):
        values = dict(parse_qsl(text))
        try:
            if name == "GET exchangeInfo":
                return web.json_response(self.exchange_info())
            if name == "GET aggTrades":
                return web.json_response(self.public_trades())
            self.check(request, text, values)
            does = {
                "POST order": self.place,
                "GET order": lambda v: self.view(self.find(v, -2013, "Order does not exist.")),
                "DELETE order": self.cancel,
                "GET openOrders": lambda _: [self.view(o) for o in self.orders if self.is_open(o)],
                "DELETE openOrders": self.cancel_all,
                "GET myTrades": self.trades,
            }
            return web.json_response(does[name](values))
        except Refused as refused:
            return web.json_response(refused.body, status=400)

    def check(self, request, text, values):
        signed, _, signature = text.rpartition("&signature=")
        if request.headers.get("X-MBX-APIKEY") != KEY:
            raise Refused(-2015, "Invalid API-key, IP, or permissions for action.")
        if hmac.new(SECRET.encode(), signed.encode(), hashlib.sha256).hexdigest() != signature:
            raise Refused(-1022, "Signature for this request is not valid.")
        if time.time() * 1000 - int(values["timestamp"]) > int(values.get("recvWindow", 5000)):
            raise Refused(-1021, "Timestamp for this request is outside of the recvWindow.")

    def exchange_info(self):
        market = self.market
        return {
            "timezone": "UTC",
            "serverTime": int(time.time() * 1000),
            "rateLimits": [],
            "exchangeFilters": [],
            "symbols": [
                {
                    "symbol": "BTCUSDT",
                    "status": "TRADING",
                    "baseAsset": "BTC",
                    "baseAssetPrecision": 8,
                    "quoteAsset": "USDT",
                    "quotePrecision": 8,
                    "quoteAssetPrecision": 8,
                    "orderTypes": ["LIMIT", "LIMIT_MAKER", "MARKET"],
                    "isSpotTradingAllowed": True,
                    "isMarginTradingAllowed": False,
                    "permissions": ["SPOT"],
                    "permissionSets": [["SPOT"]],
                    "filters": [
                        {
                            "filterType": "PRICE_FILTER",
                            "minPrice": f"{market.tick}",
                            "maxPrice": f"{MAX_PRICE}",
                            "tickSize": f"{market.tick}",
                        },
                        {
                            "filterType": "LOT_SIZE",
                            "minQty": f"{MIN_LOTS * market.lot}",
                            "maxQty": "9000.00",
                            "stepSize": f"{market.lot}",
                        },
                        {"filterType": "NOTIONAL", "minNotional": f"{market.min_notional}", "applyMinToMarket": True},
                    ],
                }
            ],
        }

    # -- orders

    def place(self, values):
        client_id = values["newClientOrderId"]
        side = Side(values["side"].lower())
        lots = self.whole(values["quantity"], self.market.lot, "LOT_SIZE")
        if lots < MIN_LOTS:
            raise Refused(-1013, "Filter failure: LOT_SIZE")
        if any(o.client_id == client_id and self.is_open(o) for o in self.orders):
            raise Refused(-2010, "Duplicate order sent.")
        core_id = f"{client_id}#{next(self.numbers)}"
        if values["type"] == "MARKET":
            command = PlaceMarket(core_id, side, lots)
        else:
            ticks = self.whole(values["price"], self.market.tick, "PRICE_FILTER")
            if self.market.price(ticks) > MAX_PRICE:
                raise Refused(-1013, "Filter failure: PRICE_FILTER")
            if self.market.notional(ticks, lots) < self.min_notional:
                raise Refused(-1013, "Filter failure: NOTIONAL")
            command = Place(core_id, side, ticks, lots, post_only=values["type"] == "LIMIT_MAKER")
        told = [report for _, report in self.core.execute(US, command, int(time.time() * 1000))]
        if isinstance(told[0], Rejected):
            messages = {
                "post_only": "Order would immediately match and take.",
                "balance": "Account has insufficient balance for requested action.",
            }
            raise Refused(-2010, messages[told[0].reason])
        order = Order(1000 + len(self.orders), client_id, core_id, side, values["type"], values.get("price", "0"), lots)
        self.orders.append(order)
        return self.view(order)

    def cancel(self, values):
        order = self.find(values, -2011, "Unknown order sent.")
        if not self.is_open(order):
            raise Refused(-2011, "Unknown order sent.")
        self.core.execute(US, Cancel(order.core_id), 0)
        return self.view(order) | {"origClientOrderId": order.client_id, "clientOrderId": "made-by-the-venue"}

    def cancel_all(self, _values):
        found = [order for order in self.orders if self.is_open(order)]
        if not found:
            raise Refused(-2011, "Unknown order sent.")
        return [self.cancel({"orderId": str(order.number)}) for order in found]

    def trades(self, values):
        since, limit = int(values.get("startTime", 0)), int(values.get("limit", 500))
        by_core = {order.core_id: order for order in self.orders}
        found = [fill for fill in self.core.fills(US, since) if fill.order_id in by_core]
        if "orderId" in values:
            found = [fill for fill in found if str(by_core[fill.order_id].number) == values["orderId"]]
        return [
            {
                "symbol": "BTCUSDT",
                "id": int(fill.trade_id[1:]),
                "orderId": by_core[fill.order_id].number,
                "price": f"{self.market.price(fill.ticks)}",
                "qty": f"{self.market.quantity(fill.lots)}",
                "quoteQty": f"{self.market.notional(fill.ticks, fill.lots)}",
                "commission": f"{self.commission(fill):f}",
                "commissionAsset": self.fee_currency,
                "time": fill.time_ms,
                "isBuyer": fill.side is Side.BUY,
                "isMaker": fill.maker,
                "isBestMatch": True,
            }
            for fill in found[:limit]
        ]

    def public_trades(self):
        """The newest trade alone: the gateway asks for no more."""
        self.newest = [self.newest, *self.core.take_trades()][-1]
        if self.newest is None:
            return []
        trade = self.newest
        about = {"a": int(trade.trade_id[1:]), "p": f"{self.market.price(trade.ticks)}", "T": trade.time_ms}
        return [about | {"q": f"{self.market.quantity(trade.lots)}", "f": 1, "l": 1, "m": True, "M": True}]

    def commission(self, fill):
        return fill.fee / self.market.price(fill.ticks) if self.fee_currency == "BTC" else fill.fee

    # -- parts

    def find(self, values, code, message):
        for order in reversed(self.orders):
            if values.get("orderId") == str(order.number) or values.get("origClientOrderId") == order.client_id:
                return order
        raise Refused(code, message)

    def core_order(self, order):
        return self.core._clients[US].orders[order.core_id]

    def is_open(self, order):
        return self.core_order(order).lifecycle is Lifecycle.OPEN

    def view(self, order):
        core = self.core_order(order)
        done = core.lots - core.left
        names = {Lifecycle.FILLED: "FILLED", Lifecycle.CANCELLED: "CANCELED"}
        spent = sum(self.market.notional(fill.ticks, fill.lots) for fill in core.fills or ())
        return {
            "symbol": "BTCUSDT",
            "orderId": order.number,
            "clientOrderId": order.client_id,
            "transactTime": int(time.time() * 1000),
            "price": order.price,
            "origQty": f"{self.market.quantity(order.lots)}",
            "executedQty": f"{self.market.quantity(done)}",
            "cummulativeQuoteQty": f"{spent}",
            "status": names.get(core.lifecycle, "PARTIALLY_FILLED" if done else "NEW"),
            "timeInForce": "GTC",
            "type": order.kind,
            "side": order.side.value.upper(),
            "fills": [],
        }

    @staticmethod
    def whole(value, step, name):
        try:
            return steps(Decimal(value), step)
        except ValueError:
            raise Refused(-1013, f"Filter failure: {name}") from None


MARKET = Market("BTC-USDT", Decimal("0.01"), Decimal("0.00001"), Decimal("5.00"), Decimal("0.001"), Decimal("0.001"))


@contextlib.asynccontextmanager
async def stand_in():
    server = BinanceStandIn(MARKET)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


class Threaded:
    """The stand-in in a thread of its own, for other processes to use, and the market around it."""

    def __init__(self):
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever)
        self.thread.start()
        self.context = stand_in()
        self.server = self.run(self.context.__aenter__)
        self.count = 0

    def run(self, function, *arguments):
        """Call it where the server runs."""

        async def inside():
            found = function(*arguments)
            return await found if asyncio.iscoroutine(found) else found

        return asyncio.run_coroutine_threadsafe(inside(), self.loop).result(10)

    def fail(self, request, kind, **about):
        self.run(lambda: self.server.fail(request, kind, **about))

    def take(self, side, ticks, lots=LOTS):
        """Somebody trades with our orders, up to a price; nothing of it stays in the book."""
        self.count += 1
        order = Place(f"x{self.count}", side, ticks, lots, post_only=False)

        def trade():
            self.server.core.execute("other", order, time.time_ns() // 1_000_000)
            self.server.core.execute("other", Cancel(order.order_id), 0)

        self.run(trade)

    def open(self):
        """Our open orders there: (side, price) and what is left."""
        return self.run(
            lambda: sorted(
                (o.side.value, o.price, self.server.core_order(o).left)
                for o in self.server.orders
                if self.server.is_open(o)
            )
        )

    def ids(self):
        return self.run(lambda: [order.client_id for order in self.server.orders])

    def trades(self):
        return self.run(lambda: len(self.server.core.fills(US, 0)))

    def close(self):
        self.run(self.context.__aexit__, None, None, None)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(10)
        self.loop.close()
