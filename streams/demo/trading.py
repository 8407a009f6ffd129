"""Everyday trading of the synthetic flow: orders placed, filled and cancelled, by event time.

No order book is kept in price order: whoever takes liquidity meets the best of a few resting orders picked by chance. Every
fill belongs to two orders that were announced before, quantities add up, and both sides are told.

What never happens here, so that the planted attacks are the only ones (the tests hold a slow checker against it):
- nobody cancels three orders of one side of a symbol within five seconds, but the ladder accounts: they pull whole
  ladders, without a fill on the other side in between, or with one but slowly;
- nobody fills an order of an account with the same owner.
"""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING, Any

from streams.demo.market import MARKETS, OTHER, Market, Order, both_fills, order_event

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Iterator

    from streams.demo.market import Timed
    from streams.demo.population import Account, Population

CANCEL_GAP_MS = 6_000  # the third cancel of a side comes at least so long after the first
EVENTS_PER_ACT = 2.35  # orders, cancels and fills that follow from one decision, on average (measured)
_LIFE_S = {"maker": 12.0, "trader": 45.0}  # mean life of an order that nobody fills


class Trading:
    """The flow of orders and fills. ``events()`` can be asked for once."""

    def __init__(self, rng: random.Random, people: Population, start_ms: int, end_ms: int, acts_per_s: float) -> None:
        self._rng = rng
        self._random = rng.random
        self._start, self._end = start_ms, end_ms
        self._acts_per_ms = acts_per_s / 1000.0
        self._makers = people.makers
        self._traders = [*people.traders, *people.reserved]
        self._markets = [Market(symbol, mid, decimals) for symbol, mid, decimals, _ in MARKETS]
        self._by_share = [m for m, row in zip(self._markets, MARKETS, strict=True) for _ in range(round(row[3] * 20))]
        self._out: list[Timed] = []
        self._due: list[tuple[float, int, Callable[[float, Any], None], Any]] = []
        self._scheduled = self._orders = self._fills = self._trades = 0
        self._cancels: dict[tuple[str, str, str], tuple[float, float]] = {}  # last two cancels by account, symbol, side
        self._latest: dict[tuple[str, str, str], Order] = {}  # a maker's latest quote by account, symbol, side
        for account in people.ladders:
            self._later(start_ms + self._random() * 60_000, self._ladder, account)

    def events(self) -> Iterator[Timed]:
        """Orders and fills by event time."""
        due, out, expovariate = self._due, self._out, self._rng.expovariate
        at: float = self._start
        while True:
            at += expovariate(self._acts_per_ms)
            while due and due[0][0] <= at and due[0][0] < self._end:
                when, _, do, what = heapq.heappop(due)
                do(when, what)
            if at >= self._end:
                yield from out
                return
            if self._random() < 0.62:
                self._quote(at)
            else:
                self._trade(at)
            yield from out
            out.clear()

    def _later(self, when: float, do: Callable[[float, Any], None], what: Any) -> None:
        self._scheduled += 1
        heapq.heappush(self._due, (when, self._scheduled, do, what))

    # What people decide

    def _quote(self, at: float) -> None:
        """A maker places an order near the price; it rests until filled or cancelled."""
        random = self._random
        account = self._makers[int(random() * len(self._makers))]
        market = self._wander(int(random() * 20))
        side = "buy" if random() < 0.5 else "sell"
        away = (0.0002 + 0.0015 * random()) * market.mid
        price = round(market.mid - away if side == "buy" else market.mid + away, market.decimals)
        order = self._place(at, account, market, side, price, _notional(random(), 2_000.0, 12_000.0))
        self._rest(order)
        self._latest[account.id, market.symbol, side] = order
        self._later(at + self._life_ms("maker"), self._cancel, order)

    def _trade(self, at: float) -> None:
        """A trader takes what is there, at the market or up to a limit, or leaves an order resting."""
        random = self._random
        account = self._traders[int(random() * len(self._traders))]
        market = self._wander(int(random() * 20))
        if market.symbol == account.avoids:
            return
        side = "buy" if random() < 0.5 else "sell"
        mind = random()
        notional = _notional(random(), 50.0, 4_000.0) if random() < 0.97 else 20_000.0 + 60_000.0 * random()
        if mind < 0.45:
            order = self._place(at, account, market, side, None, notional)
        else:
            step = 0.003 if mind < 0.75 else -0.004 * random()
            price = round(market.mid * (1 + step if side == "buy" else 1 - step), market.decimals)
            order = self._place(at, account, market, side, price, notional)
        if mind < 0.75:
            self._later(at + 3 + 60 * random(), self._take, order)
        else:
            self._rest(order)
            self._later(at + self._life_ms("trader"), self._cancel, order)

    def _ladder(self, at: float, account: Account) -> None:
        """Four to six sizeable orders of one side, all pulled: at once without a trade, or slowly after one."""
        random = self._random
        market = self._wander(int(random() * 20))
        side = "buy" if random() < 0.5 else "sell"
        slow = random() < 0.4
        for n in range(4 + int(random() * 3)):
            price = round(market.mid * (1 + (0.001 + 0.0004 * n) * (1 if side == "sell" else -1)), market.decimals)
            put = (account, market, side, price, 40_000.0 + 60_000.0 * random())
            self._later(at + 150 * n, lambda when, put: self._pull(when, self._place(when, *put), at, slow=slow), put)
        if slow:
            self._later(at + 3_000, self._take_other_side, (account, market, OTHER[side]))
        self._later(at + 60_000 + 90_000 * random(), self._ladder, account)

    def _pull(self, when: float, order: Order, began: float, *, slow: bool) -> None:
        nth = (when - began) / 150
        gone = began + (8_000 + 2_000 * nth if slow else 2_500 + 300 * nth)
        self._later(gone, self._cancel_now, order)

    def _take_other_side(self, at: float, what: tuple[Account, Market, str]) -> None:
        account, market, side = what
        self._later(at + 5, self._take, self._place(at, account, market, side, None, 2_000.0))

    def _wander(self, share: int) -> Market:
        market = self._by_share[share]
        market.mid *= 1 + (self._random() - 0.5) * 0.00004
        return market

    def _life_ms(self, habit: str) -> float:
        return 300 + self._rng.expovariate(1 / (_LIFE_S[habit] * 1000))

    # What becomes of orders

    def _place(
        self, at: float, account: Account, market: Market, side: str, price: float | None, notional: float
    ) -> Order:
        self._orders += 1
        qty = round(notional / (price or market.mid), 6) or 0.000001
        order = Order(f"syn-ord-{self._orders}", account, market, side, price, qty)
        self._tell(at, order, "new", qty)
        return order

    def _tell(self, at: float, order: Order, action: str, qty: float) -> None:
        ts = int(at)
        self._out.append((ts, "orders", order_event(order, action, qty, ts)))

    def _rest(self, order: Order) -> None:
        book = order.market.resting[order.side]
        order.at = len(book)
        book.append(order)

    def _leave(self, order: Order) -> None:
        if order.at >= 0:
            book = order.market.resting[order.side]
            last = book.pop()
            if last is not order:
                book[order.at] = last
                last.at = order.at
            order.at = -1

    def _cancel(self, at: float, order: Order) -> None:
        """Cancel what is open, but not as the third of a side within CANCEL_GAP_MS: then later."""
        if order.open <= 0:
            return
        key = (order.account.id, order.market.symbol, order.side)
        older, newer = self._cancels.get(key, (-1e15, -1e15))
        if at - older < CANCEL_GAP_MS:
            self._later(older + CANCEL_GAP_MS + 1_000 * self._random(), self._cancel, order)
            return
        self._cancels[key] = (newer, at)
        self._cancel_now(at, order)

    def _cancel_now(self, at: float, order: Order) -> None:
        self._leave(order)
        self._tell(at, order, "cancel", order.open)
        order.open = 0.0

    def _take(self, at: float, order: Order) -> None:
        """Fill against up to three resting orders; what is left rests or, of a market order, is cancelled."""
        for _ in range(3):
            maker = self._best_of_a_few(order)
            if maker is None:
                break
            qty = min(order.open, maker.open)
            self._fill(at, order, maker, qty)
            if order.open <= 0:
                return
        if order.price is not None:
            self._rest(order)
        self._later(at + (1 if order.price is None else self._life_ms("trader")), self._cancel, order)

    def _best_of_a_few(self, order: Order) -> Order | None:
        book = order.market.resting[OTHER[order.side]]
        best: Order | None = None
        sign = 1 if order.side == "buy" else -1
        for _ in range(3 if book else 0):
            other = book[int(self._random() * len(book))]
            same = other.account is order.account or (
                other.account.owner and other.account.owner == order.account.owner
            )
            price = other.price or 0.0
            if same or (order.price is not None and sign * price > sign * order.price):
                continue
            if best is None or sign * price < sign * (best.price or 0.0):
                best = other
        return best

    def _fill(self, at: float, taker: Order, maker: Order, qty: float) -> None:
        price = maker.price or 0.0
        self._trades += 1
        self._out.extend(both_fills(int(at), f"syn-t{self._trades}", taker, maker, price, qty))
        for order in (taker, maker):
            order.open = round(order.open - qty, 6)
        if maker.open <= 0:
            self._leave(maker)
        if maker.account.habit == "maker" and self._random() < 0.5:
            # Filled on one side, a maker thinks again about the other.
            quote = self._latest.get((maker.account.id, maker.market.symbol, OTHER[maker.side]))
            if quote is not None and quote.open > 0:
                self._later(at + 50 + 1_500 * self._random(), self._cancel, quote)


def _notional(chance: float, low: float, high: float) -> float:
    """USD, small amounts more often than large ones."""
    return low + (high - low) * chance * chance
